"""Draw galaxies with arms, bars, knots, dust lanes and tidal tails, large and without noise: one row of each."""

import io

import numpy as np
from PIL import Image as Picture

from etendue.simulate.drawing.draw import draw
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.population.galaxies import GalaxiesSpec, make_galaxies
from etendue.simulate.population.galaxy_layer import GalaxyLayer
from etendue.simulate.population.galaxy_parts import GalaxyDetail
from etendue.simulate.population.layer import Field
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment
from etendue.simulate.telescope.chip_psf import ChipPsf

ROWS = {"spiral_arms": (0.0, 0.35), "bars": (0.0, 0.35), "knots": (0.0, 0.5), "dust_lanes": (0.7, 1.0),
        "tidal_tails": (0.0, 0.5)}  # fmt: skip
"""Structures, and the ellipticities at which they are shown."""
ACROSS, SIDE, RADIUS_PX = 6, 112, 13.0
CENTER = 150.1, 2.2
FAINT = 0.06  # of the peak: where brightness turns from linear to logarithmic


def galaxies_of(structure: str) -> tuple[GalaxyLayer, Lights]:
    """Return bright galaxies all of which have one structure and no other, as seen in g."""
    shares = {name: 1.0 if name == structure else None for name in ROWS}
    field = Field(*CENTER, half_width_deg=0.5, half_height_deg=0.5)
    spec = GalaxiesSpec(brightest_mag=15.0, faintest_mag=19.0, detail=GalaxyDetail(**shares))
    layer = make_galaxies(spec, field, seed=3)
    moment = Moment(lsst_band("g"), 61000.0, 30.0, *CENTER, 0.5)
    return layer, layer.lights(moment)


def chosen(structure: str, layer: GalaxyLayer, lights: Lights) -> np.ndarray:
    """Return the rows of the largest galaxies with the structure, at an inclination that shows it."""
    objects, (low, high) = layer.objects, ROWS[structure]
    mine = np.searchsorted(objects["object_id"], lights.object_id)
    ellipticity = np.hypot(objects["e1"], objects["e2"])[mine]
    parts = np.diff(lights.shapes.first)[lights.shape]
    rows = np.flatnonzero((parts > 2) & (ellipticity > low) & (ellipticity < high))
    return rows[np.argsort(-objects["half_light"][mine[rows]])][:ACROSS]


def stamp(light: Lights, half_light: float, psf: ChipPsf) -> np.ndarray:
    """Draw one galaxy, scaled to one half-light radius [arcsec], as grey levels."""
    shapes, scale = light.shapes, half_light / RADIUS_PX
    image, middle, still = np.zeros((SIDE, SIDE), np.float32), np.array([SIDE / 2.0]), np.zeros(1)
    source = Sources.of_shapes(
        x=middle, y=middle, electrons=np.array([1e6]), wavelength_nm=light.wavelength_nm, shape=light.shape,
        shapes=shapes, jacobian=scale * np.eye(2), trail_dx=still, trail_dy=still,
    )  # fmt: skip
    draw(image, source, psf)
    curve = np.arcsinh(image / (FAINT * image.max())) / np.arcsinh(1.0 / FAINT)
    return np.asarray(np.rint(255.0 * np.clip(curve, 0.0, 1.0)), np.uint8)


def galaxy_picture() -> bytes:
    """Return the picture as PNG."""
    y, x = np.mgrid[-32:33, -32:33]
    spot = np.exp(-0.5 * (x**2 + y**2) / 4.0**2).astype(np.float32)
    psf = ChipPsf(np.zeros(1), np.zeros(1), (spot / spot.sum())[None, None], 4, 480.0)
    lines = []
    for structure in ROWS:
        layer, lights = galaxies_of(structure)
        rows = chosen(structure, layer, lights)
        radii = layer.objects["half_light"][np.searchsorted(layer.objects["object_id"], lights.object_id[rows])]
        pairs = zip(rows, radii, strict=True)
        lines.append(np.hstack([stamp(lights.take(np.array([row])), float(radius), psf) for row, radius in pairs]))
    buffer = io.BytesIO()
    Picture.fromarray(np.vstack(lines)).save(buffer, format="png")
    return buffer.getvalue()
