"""Draw one detector full of stars and galaxies: cost of ours and of GalSim on the same scene, and their agreement.

Usage: python benchmarks/simulator.py [--sources 20000] [--size 4096] [--repeat 3] [--out benchmarks/results]

Both draw the same sources through the same PSF images at 7 x 7 nodes with the pixel response, without noise. Ours mixes
the PSF of four nodes at every source and stretches it by wavelength; GalSim takes the image of the nearest node, or
adds those of four nodes as ours does. Once ours has one PSF for the whole detector, which is what the nearest node
costs. GalSim draws a random subset of the sources (its cost is scaled by their number), on stamps that it chooses
itself. What either leaves out is measured on 200 of the sources against GalSim at tight tolerances.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Comparison, Contender, compare
from machine import HERE, machine_facts, rounded
from rich.console import Console

from etendue.simulate.drawing.draw import draw
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.population.shapes import Shapes
from etendue.simulate.telescope.chip_psf import ChipPsf

SEED = 41
NODES = 7
FWHM_PX = 3.5
HALF_PX, OVERSAMPLING = 50, 4
SCALE = 0.2  # arcsec/px
ELECTRONS_AT_0 = 30.0 * 10 ** (0.4 * 28.2)  # 30 s on an 8 m telescope
FAINTEST = 26.2  # S/N 1
GALAXIES = 0.6
SUBSET = 1_000


@dataclass(frozen=True)
class Scene:
    """Columns of a catalog; galaxies come first."""

    x: np.ndarray
    y: np.ndarray
    electrons: np.ndarray
    wavelength_nm: np.ndarray
    shapes: Shapes

    @property
    def shape(self) -> np.ndarray:
        rows = np.full(self.x.size, -1)
        rows[: len(self.shapes)] = np.arange(len(self.shapes))
        return rows

    def sources(self) -> Sources:
        return Sources.of_shapes(
            x=self.x, y=self.y, electrons=self.electrons, wavelength_nm=self.wavelength_nm, shape=self.shape,
            shapes=self.shapes, jacobian=SCALE * np.eye(2),
        )  # fmt: skip


def _magnitudes(slope: float, brightest: float, count: int, rng: np.random.Generator) -> np.ndarray:
    low, high = 10 ** (slope * brightest), 10 ** (slope * FAINTEST)
    return np.log10(low + rng.uniform(size=count) * (high - low)) / slope


def make_scene(count: int, size: int) -> Scene:
    """Galaxies of bulge and disk and stars, counts rising by 0.35 and 0.2 dex per magnitude down to S/N 1."""
    rng = np.random.default_rng(SEED)
    galaxies = int(GALAXIES * count)
    mag = np.concatenate([_magnitudes(0.35, 17.0, galaxies, rng), _magnitudes(0.2, 14.0, count - galaxies, rng)])
    radius = 0.5 * 10 ** (-0.12 * (mag[:galaxies] - 22.0) + 0.2 * rng.normal(size=galaxies))
    bulge = rng.uniform(0.0, 0.6, galaxies)
    nothing = np.zeros(2 * galaxies)
    shapes = Shapes(
        first=np.arange(0, 2 * galaxies + 1, 2),
        flux=np.stack([1.0 - bulge, bulge], 1).ravel(),
        east=nothing,
        north=nothing,
        half_light=np.stack([radius, 0.4 * radius], 1).ravel(),
        sersic=np.tile([1.0, 4.0], galaxies),
        e1=np.repeat(np.clip(rng.normal(0.0, 0.25, galaxies), -0.55, 0.55), 2),
        e2=np.repeat(np.clip(rng.normal(0.0, 0.25, galaxies), -0.55, 0.55), 2),
    )
    x, y = rng.uniform(0.0, size, (2, count))
    return Scene(x, y, ELECTRONS_AT_0 * 10 ** (-0.4 * mag), rng.uniform(600.0, 640.0, count), shapes)


def make_psf(size: int, chromatic_index: float = -0.2) -> ChipPsf:
    """Kolmogorov PSFs whose width and shape vary by some per cent over the field."""
    import galsim

    rng = np.random.default_rng(SEED + 1)
    side = 2 * HALF_PX * OVERSAMPLING + 1
    images = np.empty((NODES, NODES, side, side), np.float32)
    for row, column in np.ndindex(NODES, NODES):
        air = galsim.Kolmogorov(fwhm=FWHM_PX * (1.0 + 0.03 * rng.normal()))
        air = air.shear(g1=0.02 * rng.normal(), g2=0.02 * rng.normal())
        image = air.drawImage(nx=side, ny=side, scale=1.0 / OVERSAMPLING, method="no_pixel").array
        images[row, column] = image / image.sum()
    nodes = np.linspace(0.0, size - 1.0, NODES)
    return ChipPsf(nodes, nodes, images, OVERSAMPLING, 620.0, chromatic_index)


def one_node(psf: ChipPsf) -> ChipPsf:
    """Return the first of the PSFs, for the whole detector and all wavelengths."""
    return ChipPsf(np.zeros(1), np.zeros(1), psf.images[:1, :1], OVERSAMPLING, 620.0)


def ours(folder: Path, sources: int, size: int) -> Any:
    """Prepare the drawing of all sources; the PSF is made and the kernels are loaded before."""
    return _ours(sources, size, make_psf(size))


def ours_one_psf(folder: Path, sources: int, size: int) -> Any:
    """Prepare the same with one PSF."""
    return _ours(sources, size, one_node(make_psf(size)))


def _ours(sources: int, size: int, psf: ChipPsf) -> Any:
    scene = make_scene(sources, size).sources()

    def work() -> dict[str, float]:
        image = np.zeros((size, size), np.float32)
        draw(image, scene, psf)
        return {"drawn": float(len(scene)), "electrons": float(image.sum(dtype=float))}

    return work


def _galsim_psfs(psf: ChipPsf) -> list[Any]:
    import galsim

    images = psf.images.reshape(-1, *psf.images.shape[2:])
    return [galsim.InterpolatedImage(galsim.Image(image, scale=1.0 / OVERSAMPLING), flux=1.0) for image in images]


def _galsim_profile(scene: Scene, row: int, psf: Any) -> Any:
    import galsim

    flux = float(scene.electrons[row])
    if row >= len(scene.shapes):
        return psf * flux
    parts = slice(scene.shapes.first[row], scene.shapes.first[row + 1])
    columns = zip(*(getattr(scene.shapes, name)[parts] for name in ("flux", "half_light", "sersic")), strict=True)
    profile = galsim.Add([galsim.Sersic(n, half_light_radius=r / SCALE, flux=f) for f, r, n in columns])
    e1, e2 = scene.shapes.e1[parts.start], scene.shapes.e2[parts.start]
    return galsim.Convolve(profile.shear(e1=-e1, e2=e2), psf) * flux


def galsim_mixed(folder: Path, sources: int, size: int) -> Any:
    """Prepare GalSim's drawing with our PSF, bilinear between nodes, at its default accuracy."""
    return galsim_side(folder, sources, size, mixed=True)


def galsim_accurate(folder: Path, sources: int, size: int) -> Any:
    """Prepare the same with 99.9% of the light in its stamps."""
    return galsim_side(folder, sources, size, folding_threshold=1e-3, mixed=True)


def _galsim_psf(nodes: list[Any], x: float, y: float, size: int, mixed: bool) -> Any:
    import galsim

    u, v = x / (size - 1.0) * (NODES - 1), y / (size - 1.0) * (NODES - 1)
    if not mixed:
        return nodes[int(np.rint(v)) * NODES + int(np.rint(u))]
    i, j = min(int(u), NODES - 2), min(int(v), NODES - 2)
    weights = {(0, 0): (1 - v + j) * (1 - u + i), (0, 1): (1 - v + j) * (u - i), (1, 0): (v - j) * (1 - u + i)}
    weights[1, 1] = (v - j) * (u - i)
    return galsim.Add([nodes[(j + b) * NODES + i + a] * weight for (b, a), weight in weights.items()])


def galsim_side(folder: Path, sources: int, size: int, folding_threshold: float = 5e-3, mixed: bool = False) -> Any:
    """Prepare GalSim's drawing of a subset; CPU time is scaled to all sources."""
    import galsim
    from side import cpu_seconds

    accuracy = galsim.GSParams(folding_threshold=folding_threshold)
    scene, psf = make_scene(sources, size), make_psf(size, 0.0)
    nodes = [node.withGSParams(accuracy) for node in _galsim_psfs(psf)]
    rows = np.random.default_rng(SEED + 2).permutation(sources)[:SUBSET]

    def work() -> dict[str, float]:
        start = cpu_seconds()
        image = galsim.ImageF(galsim.BoundsI(0, size - 1, 0, size - 1), init_value=0.0)
        for row in rows:
            psf_here = _galsim_psf(nodes, scene.x[row], scene.y[row], size, mixed)
            profile = _galsim_profile(scene, row, psf_here).withGSParams(accuracy)
            stamp = profile.withGSParams(accuracy).drawImage(
                center=galsim.PositionD(scene.x[row], scene.y[row]), scale=1.0
            )
            if (overlap := stamp.bounds & image.bounds).isDefined():
                image[overlap] += stamp[overlap]
        scaled = (cpu_seconds() - start) * sources / rows.size
        return {"cpu_all_sources_s": scaled, "drawn": float(rows.size)}

    return work


def accuracy(size: int, sources: int) -> dict[str, Any]:
    """Compare single sources, as ours and GalSim draw them, with GalSim at tight tolerances; PSF of one node."""
    import galsim

    exact = galsim.GSParams(
        folding_threshold=1e-3, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=12288, stepk_minimum_hlr=8
    )
    scene, single = make_scene(sources, size), one_node(make_psf(size, 0.0))
    node = galsim.InterpolatedImage(
        galsim.Image(single.images[0, 0].astype(float), scale=1.0 / OVERSAMPLING), x_interpolant="lanczos15", flux=1.0
    ).withGSParams(exact)
    default = _galsim_psfs(single)[0]
    errors: dict[str, list[tuple[float, float]]] = {"etendue": [], "galsim, default": [], "galsim, 0.1%": []}
    for row in np.random.default_rng(SEED + 3).permutation(sources)[:200]:
        dx, dy = scene.x[row] - np.rint(scene.x[row]), scene.y[row] - np.rint(scene.y[row])
        wide = _galsim_profile(scene, row, node).withGSParams(exact).shift(dx, dy)
        truth = wide.drawImage(nx=129, ny=129, scale=1.0, dtype=float).array
        image = np.zeros((129, 129), np.float32)
        source = Sources.of_shapes(
            x=64.0 + dx, y=64.0 + dy, electrons=scene.electrons[row], wavelength_nm=620.0, shape=scene.shape[row],
            shapes=scene.shapes, jacobian=SCALE * np.eye(2),
        )  # fmt: skip
        draw(image, source, single)
        errors["etendue"].append(_errors(image, truth))
        for name, threshold in (("galsim, default", 5e-3), ("galsim, 0.1%", 1e-3)):
            image = np.zeros((129, 129), np.float32)
            _galsim_stamp(scene, row, default, galsim.GSParams(folding_threshold=threshold), image, dx, dy)
            errors[name].append(_errors(image, truth))
    return {name: _summary(np.array(values)) for name, values in errors.items()} | {"sources": 200}


def _galsim_stamp(scene: Scene, row: int, psf: Any, parameters: Any, image: np.ndarray, dx: float, dy: float) -> None:
    import galsim

    profile = _galsim_profile(scene, row, psf.withGSParams(parameters)).withGSParams(parameters)
    stamp = profile.drawImage(center=galsim.PositionD(64.0 + dx, 64.0 + dy), scale=1.0)
    whole = galsim.ImageF(image, xmin=0, ymin=0)
    overlap = stamp.bounds & whole.bounds
    whole[overlap] += stamp[overlap]


def _errors(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    return float(np.abs(image - truth).max()), float(abs(image.sum(dtype=float) / truth.sum() - 1.0))


def _summary(errors: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        name: {"median": float(np.median(column)), "largest": float(column.max())}
        for name, column in zip(("pixel_error_electrons", "flux_error"), errors.T, strict=True)
    }


COMPARISON = Comparison(
    "simulator_draw",
    Contender(
        "etendue", ours, "all sources; PSF bilinear between nodes and stretched by wavelength; 0.1 electron per pixel"
    ),
    (
        Contender("galsim, nearest PSF", galsim_side, "default accuracy (0.5% of the light); PSF of the nearest node"),
        Contender("galsim, same PSF", galsim_mixed, "default accuracy; PSF bilinear between nodes, not stretched"),
        Contender("galsim, same PSF, 0.1%", galsim_accurate, "the same to 0.1% of the light"),
        Contender("etendue, one PSF", ours_one_psf, "all sources; one PSF; 0.1 electron per pixel"),
    ),
    "no: GalSim draws 1,000 of the sources, whose CPU time is scaled to all, and stretches no PSF",
)


def _ratios(sides: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return how many times the CPU of ours GalSim needs for all sources."""
    pairs = [(name, "etendue") for name in sides if name.startswith("galsim")]
    pairs.append(("galsim, nearest PSF", "etendue, one PSF"))
    return {
        f"{peer} over {mine}": sides[peer]["facts"]["cpu_all_sources_s"] / sides[mine]["median"]
        for peer, mine in pairs
        if "facts" in sides[peer]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    options = {"sources": arguments.sources, "size": arguments.size}
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(COMPARISON, Path(folder), options, arguments.repeat)
    figures["times_ours"] = _ratios({side["name"]: side for side in figures["sides"]})
    if figures["times_ours"]:
        figures["accuracy"] = accuracy(arguments.size, arguments.sources)
    day = datetime.now(UTC).date().isoformat()
    result = {"machine": machine_facts(), "options": options | {"seed": SEED}, "simulator_draw": figures}
    target = arguments.out / f"simulator-{day}.json"
    target.write_text(json.dumps(rounded(result), indent=2) + "\n")
    Console().print(rounded(figures))


if __name__ == "__main__":
    main()
