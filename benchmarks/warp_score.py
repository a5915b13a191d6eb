"""Score resampled images against the truth: centroids and fluxes of noise-free stars, propagated against real noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import warp_sides
from numpy.typing import NDArray
from profiles import MOFFAT

SIZE, SPACING, EDGE = 1536, 32, 120
FLUX, NOISE = 1e5, 10.0
HALF = 10  # half side of the stamps on which fluxes are summed [px]
Real = NDArray[np.float64]


def _round_psf(fwhm: float, dx: Real, dy: Real) -> Real:
    """Return the density of a round Moffat, as a sum of Gaussians, at offsets [px]."""
    square = dx**2 + dy**2
    parts = zip(MOFFAT.amplitude, MOFFAT.variance * fwhm**2, strict=True)
    return np.asarray(sum(a / (2.0 * np.pi * v) * np.exp(-0.5 * square / v) for a, v in parts))


def star_places(seed: int) -> tuple[Real, Real]:
    """Return positions on a grid, each at a random sub-pixel phase."""
    rng = np.random.default_rng(seed)
    grid = np.arange(SPACING, SIZE - SPACING, SPACING, dtype=float)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(grid, grid))
    return x, y


def save_stars(folder: Path, name: str, fwhm: float, seed: int) -> None:
    """Write a noise-free image of round stars."""
    from etendue.kernels.render import add_gaussians

    image, (x, y) = np.zeros((SIZE, SIZE)), star_places(seed)
    for amplitude, variance in zip(MOFFAT.amplitude, MOFFAT.variance * fwhm**2, strict=True):
        moment = np.full(x.size, variance)
        add_gaussians(image, x, y, np.full(x.size, FLUX * amplitude), moment, moment, np.zeros(x.size), 1e-4)
    warp_sides.save(folder, name, image.astype(np.float32), np.ones_like(image, np.float32))


def save_noise(folder: Path, name: str, seed: int) -> None:
    """Write white noise whose variance rises over the image."""
    rng = np.random.default_rng([seed, 5])
    variance = np.broadcast_to(NOISE**2 * (1.0 + np.linspace(-0.5, 0.5, SIZE)), (SIZE, SIZE)).astype(np.float32)
    image = (rng.standard_normal((SIZE, SIZE)) * np.sqrt(variance)).astype(np.float32)
    warp_sides.save(folder, name, image, variance)


def _stamps(image: NDArray[np.float32], x: Real, y: Real) -> tuple[Real, Real, Real]:
    """Return stamps, shape (n, 2 HALF + 1, 2 HALF + 1), and the offsets of their pixels from the positions."""
    step = np.arange(-HALF, HALF + 1)
    col, row = np.rint(x).astype(int), np.rint(y).astype(int)
    stamps = image[row[:, None, None] + step[:, None], col[:, None, None] + step].astype(float)
    dx = np.broadcast_to((col - x)[:, None, None] + step, stamps.shape)
    return stamps, dx, np.broadcast_to((row - y)[:, None, None] + step[:, None], stamps.shape)


def _target_places(x: Real, y: Real) -> tuple[Real, Real]:
    source, target = (warp_sides.wcs_of(SIZE, turned=turned) for turned in (False, True))
    ra_deg, dec_deg = source.pixel_to_sky(x=x, y=y)
    x, y = (np.asarray(axis) for axis in target.sky_to_pixel(ra_deg=ra_deg, dec_deg=dec_deg))
    inside = (x > EDGE) & (x < SIZE - EDGE) & (y > EDGE) & (y < SIZE - EDGE)
    return x[inside], y[inside]


def _summary(image: NDArray[np.float32], x: Real, y: Real, fwhm: float) -> dict[str, float]:
    """Return errors of fitted centroids [mpx] and of PSF and summed fluxes [mmag]."""
    stamps, dx, dy = _stamps(image, x, y)
    sigma = fwhm / 2.3548
    offset = np.zeros((2, x.size))
    for _ in range(30):  # Gaussian-windowed centroids (Bertin's XWIN)
        ux, uy = dx - offset[0, :, None, None], dy - offset[1, :, None, None]
        weighted = stamps * np.exp(-0.5 * (ux**2 + uy**2) / sigma**2)
        offset += 2.0 * np.stack([(weighted * ux).sum((1, 2)), (weighted * uy).sum((1, 2))]) / weighted.sum((1, 2))
    psf = _round_psf(fwhm, dx, dy)
    fitted = (psf * stamps).sum((1, 2)) / (psf**2).sum((1, 2)) / FLUX
    summed = stamps.sum((1, 2)) / psf.sum((1, 2)) / FLUX
    return {
        "stars": int(x.size),
        "centroid_rms_mpx": 1e3 * float(np.sqrt(np.mean(offset**2))),
        "centroid_mean_mpx": 1e3 * float(np.hypot(*offset.mean(axis=1))),
        "psf_flux_bias_mmag": -2500.0 * float(np.log10(np.mean(fitted))),
        "psf_flux_rms_mmag": 1085.7 * float(np.std(fitted / np.mean(fitted))),
        "summed_flux_bias_mmag": -2500.0 * float(np.log10(np.mean(summed))),
        "summed_flux_rms_mmag": 1085.7 * float(np.std(summed / np.mean(summed))),
    }


def _noise_pulls(image: NDArray[np.float32], variance: NDArray[np.float32], noise: Path | None) -> dict[str, float]:
    """Return widths of pixel and PSF-flux pulls; the flux error also with the stored noise correlation, if any."""
    from etendue.image.noise import NoiseAutocorrelation

    inner = slice(EDGE, SIZE - EDGE)
    pull = (image / np.sqrt(variance))[inner, inner]
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.arange(EDGE, SIZE - EDGE, 8.0)] * 2))
    stamps, dx, dy = _stamps(image, x, y)
    psf = _round_psf(3.5, dx, dy)
    flux = (psf * stamps).sum((1, 2))
    error = np.sqrt((psf**2 * _stamps(variance, x, y)[0]).sum((1, 2)))
    found = {"pixel_pull_width": float(np.nanstd(pull)), "psf_flux_pull_width_as_if_white": float(np.std(flux / error))}
    if noise is not None:
        factor = NoiseAutocorrelation(np.load(noise)).flux_variance_factor(psf[0])
        found["psf_flux_pull_width"] = float(np.std(flux / error)) / factor**0.5
    return found


def score(folder: Path, sides: dict[str, Callable[..., Any]], seed: int) -> dict[str, Any]:
    """Resample stars of two widths and noise with every side; return what became of them."""
    places = star_places(seed)
    inner = [axis[(places[0] > EDGE) & (places[0] < SIZE - EDGE) & (places[1] > EDGE) & (places[1] < SIZE - EDGE)]
             for axis in places]  # fmt: skip
    result: dict[str, Any] = {}
    for fwhm in (2.5, 3.5):
        name = f"stars{fwhm:g}"
        save_stars(folder, name, fwhm, seed)
        original, _ = warp_sides.load(folder, name)
        result.setdefault("not resampled", {})[f"fwhm_{fwhm:g}"] = _summary(original, *inner, fwhm)
        for side, prepare in sides.items():
            prepare(folder, name=name)()
            image, _ = warp_sides.product(folder, side, name)
            result.setdefault(side, {})[f"fwhm_{fwhm:g}"] = _summary(image, *_target_places(*places), fwhm)
    save_noise(folder, "noise", seed)
    for side, prepare in sides.items():
        prepare(folder, name="noise")()
        noise = folder / "ours.noise.npy" if side == "ours" else None
        result[side]["noise"] = _noise_pulls(*warp_sides.product(folder, side, "noise"), noise)
    return result


def mean_of(results: list[Any]) -> Any:
    """Return the means over seeds, and the scatter of single seeds beside each."""
    if isinstance(results[0], dict):
        return {name: mean_of([result[name] for result in results]) for name in results[0]}
    return [float(np.mean(results)), float(np.std(results))]
