"""Fields of stars and galaxies on one CCD with every hit known: what scores of masks are made on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from etendue.camera.detector import Detector
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.cosmic_rays import CosmicRaySpec, strike
from etendue.simulate.ccd.electronics import ConverterSpec, ReadNoiseSpec
from etendue.simulate.ccd.full_well import FullWellSpec
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.ccd.streams import Streams
from etendue.simulate.drawing.draw import draw
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.telescope.chip_psf import ChipPsf
from etendue.tasks.background.background import SubtractBackgroundTask
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfTask

SKY, READ_NOISE, SATURATION = 400.0, 5.0, 145_000.0  # electrons
_OVER, _HALF, _BETA, _NM = 8, 24, 3.5, 620.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One exposure with its truth, shape (ny, nx) each; sources in columns.

    ``charge`` is what particles left [e], ``clean`` the frame without them and with the same noise, ``expected`` the
    light without noise; ``point`` tells stars from galaxies.
    """

    exposure: Exposure
    charge: NDArray[np.float32]
    clean: NDArray[np.float32]
    expected: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    electrons: NDArray[np.float64]
    point: NDArray[np.bool_]
    fwhm: float

    @property
    def sigma(self) -> NDArray[np.float32]:
        """Noise without hits [e]."""
        return np.sqrt(np.maximum(self.expected, 0.0) + READ_NOISE**2)


def moffat(fwhm: float, e1: float = 0.0, e2: float = 0.0) -> NDArray[np.float64]:
    """Return an elliptical Moffat profile without pixel, of unit sum."""
    y, x = np.mgrid[-_HALF * _OVER : _HALF * _OVER + 1, -_HALF * _OVER : _HALF * _OVER + 1] / _OVER
    radius2 = (1.0 - e1) * x * x + (1.0 + e1) * y * y - 2.0 * e2 * x * y
    profile = (1.0 + radius2 * (2.0 ** (1.0 / _BETA) - 1.0) / (0.5 * fwhm) ** 2) ** -_BETA
    profile[np.hypot(x, y) > _HALF] = 0.0
    return profile / profile.sum()


def without_pixel(fwhm: float) -> float:
    """Return the width of the profile that has a FWHM once pixels have averaged it [px]."""
    low, high = 0.3, fwhm
    for _ in range(20):
        middle = 0.5 * (low + high)
        row = uniform_filter(moffat(middle), _OVER)[_HALF * _OVER, _HALF * _OVER :]
        half = np.interp(-0.5 * row[0], -row, np.arange(row.size) / _OVER)
        low, high = (middle, high) if 2.0 * half < fwhm else (low, middle)
    return middle


def make_scene(
    fwhm: float, seed: int, *, size: int = 1024, seconds: float = 4000.0, rays: bool = True, grid: bool = False
) -> Scene:
    """Simulate an exposure; ``grid`` puts stars of all fluxes 20 px apart, else counts go as 1/flux with galaxies."""
    rng = np.random.default_rng(seed)
    psf = _psf(without_pixel(fwhm), size, rng)
    sources, stars = _sources(fwhm, size, grid, rng)
    expected = np.zeros((size, size), np.float32)
    draw(expected, sources, psf)
    expected = np.maximum(expected, 0.0) + np.float32(SKY)
    section = f"[1:{size},1:{size}]"
    amplifier = {"name": "A", "raw_data": section, "bbox": section, "gain": 1.0, "read_noise": READ_NOISE,
                 "saturation": SATURATION}  # fmt: skip
    chip = Detector(id=0, name="T", raw_shape=(size, size), amplifiers=[amplifier], pixel_size_mm=0.01)
    common = {"read_noise": ReadNoiseSpec(scatter=0.0), "full_well": FullWellSpec(electrons=1.1 * SATURATION),
              "converter": ConverterSpec(bits=18)}  # fmt: skip
    state, spec = int(rng.integers(2**62)), CosmicRaySpec()
    raw, clean = (
        Ccd(chip, CcdSpec(cosmic_rays=effect, **common), seed)
        .expose(expected, seconds, np.random.default_rng(state))
        .raw
        for effect in (spec if rays else None, None)
    )
    charge, _ = strike((size, size), seconds, 10.0, spec, Streams.of(np.random.default_rng(state)))
    raw = raw.astype(np.float32)
    box = Box.from_shape(raw.shape)
    exposure = Exposure(
        image=Image(raw, box),
        mask=Mask.empty(box).with_plane("SAT", raw > SATURATION),
        variance=Image(np.maximum(raw, 0.0) + np.float32(READ_NOISE**2), box),
        unit="electron",
    )
    return Scene(exposure, charge if rays else np.zeros_like(charge), clean.astype(np.float32), expected, sources.x,
                 sources.y, sources.electrons, np.arange(sources.x.size) < stars, fwhm)  # fmt: skip


def prepare(scene: Scene) -> Exposure:
    """Subtract the sky and fit the PSF on the frame with its hits, as the pipelines do."""
    exposure = SubtractBackgroundTask().run(exposure=scene.exposure).exposure
    bright = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=exposure)
    psf = FitPsfTask().run(exposure=exposure, x=bright.x, y=bright.y, snr=bright.peak_snr).psf
    return exposure.replace(psf=psf)


def _psf(fwhm: float, size: int, rng: np.random.Generator) -> ChipPsf:
    """Return a PSF whose width varies by 3% and whose ellipticity by 0.03 over the detector."""
    nodes = np.array([0.0, 0.5 * size, size - 1.0])
    images = [[moffat(fwhm * rng.uniform(0.97, 1.03), *rng.normal(0.0, 0.03, 2)) for _ in nodes] for _ in nodes]
    return ChipPsf(nodes, nodes, np.array(images, np.float32), _OVER, _NM)


def _sources(fwhm: float, size: int, grid: bool, rng: np.random.Generator) -> tuple[Sources, int]:
    if grid:
        row = (np.arange(size // 20) + 0.5) * (size / (size // 20))
        x, y = (place.ravel() + rng.uniform(-0.5, 0.5, place.size) for place in np.meshgrid(row, row))
        flux, galaxies = 10.0 ** rng.uniform(1.8, 6.3, x.size), 0
    else:
        x, y = rng.uniform(-10.0, size + 10.0, (2, int(2500e-6 * size**2)))
        flux, galaxies = np.minimum(100.0 / rng.random(x.size), 2e6), int(300e-6 * size**2)
    gx, gy = rng.uniform(0.0, size, (2, galaxies))
    flux_g = np.minimum(300.0 / rng.random(galaxies), 3e5)
    radius, axis, angle = (
        rng.uniform(0.25, 1.5, galaxies) * fwhm,
        rng.uniform(0.3, 1.0, galaxies),
        rng.uniform(0, np.pi, galaxies),
    )
    c, s = np.cos(angle), np.sin(angle)
    one, zero = np.ones(galaxies), np.zeros(galaxies)
    xx, yy = radius**2 * (c * c + axis**2 * s * s), radius**2 * (s * s + axis**2 * c * c)
    parts = np.stack([one, zero, zero, xx, yy, radius**2 * (1.0 - axis**2) * s * c], axis=1)
    still = np.zeros(x.size + galaxies)
    first = np.concatenate([np.zeros(x.size, np.int64), np.arange(galaxies + 1)])
    columns = np.append(x, gx), np.append(y, gy), np.append(flux, flux_g), still + _NM, still, still
    return Sources(*columns, first, parts, rng.choice([1.0, 4.0], galaxies)), x.size
