"""A crowded-sky frame with its truth: stars and galaxies as sums of Gaussians, independent of our simulator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from profiles import DE_VAUCOULEURS, EXPONENTIAL, MOFFAT

SIZE = 4096
SOURCES_PER_MEGAPIXEL = 1200
STAR_FRACTION = 0.55
FWHM, ELLIPTICITY = 3.5, 0.03  # px; a Moffat of beta 3, the same over the frame
SKY, SLOPE = 900.0, 0.05  # e-/px, relative
FAINTEST_SNR = 2.5  # optimal S/N of the faintest star
PIXEL_ARCSEC = 0.2
FAINTEST_MAG = 24.25  # of that star; the brightest is of mag 16.0, a peak of 5e4 e-
STAMP = 41

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class SurveyFrame:
    """Pixels [e-], the sky that is in them, and every source: ``x``, ``y`` [px], ``flux`` [e-], ``is_star``, ``snr``.

    ``snr`` is that of the optimal PSF flux against sky noise, for a point source of this flux.
    """

    image: NDArray[np.float32]
    sky: NDArray[np.float32]
    truth: Columns

    def save(self, folder: Path) -> None:
        """Write ``frame.fits`` (what every side reads) and ``truth.npz`` (what the scoring reads)."""
        from astropy.io import fits

        fits.PrimaryHDU(self.image).writeto(folder / "frame.fits", overwrite=True)
        np.savez(folder / "truth.npz", sky=self.sky, **self.truth)


def mixture() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return amplitudes, shape (k,), and covariances xx, yy, xy, shape (3, k) [px**2], of the PSF."""
    area = FWHM**2 / np.sqrt(1.0 - ELLIPTICITY**2)
    shape = area * np.array([1.0 + ELLIPTICITY, 1.0 - ELLIPTICITY, 0.0])
    return MOFFAT.amplitude, shape[:, None] * MOFFAT.variance


def true_psf(size: int = STAMP) -> NDArray[np.float64]:
    """Return the PSF centred on the middle pixel of a stamp, unit sum, shape (size, size)."""
    stamp, middle = np.zeros((size, size)), np.array([size // 2], float)
    draw_points(stamp, middle, middle, np.ones(1), floor=0.0)
    return stamp / stamp.sum()


def draw_points(
    image: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], flux: NDArray[np.float64], floor: float
) -> None:
    """Add point sources to an image; a component is cut where it is below ``floor`` (0: 1e-9 of its flux)."""
    from etendue.kernels.render import add_gaussians

    for amplitude, (xx, yy, xy) in zip(mixture()[0], mixture()[1].T, strict=True):
        shape = (np.full(x.size, c) for c in (xx, yy, xy))
        add_gaussians(image, x, y, amplitude * flux, *shape, floor or 1e-9 * float(flux.min()))


def _draw_galaxies(image: NDArray[np.float64], sources: Columns, floor: float) -> None:
    from etendue.kernels.render import add_gaussians

    e1, e2 = sources["e1"], sources["e2"]
    area = sources["radius"] ** 2 / np.sqrt(1.0 - e1**2 - e2**2)
    ellipse = area * np.stack([1.0 + e1, 1.0 - e1, e2])
    parts = (EXPONENTIAL, 1.0 - sources["bulge"]), (DE_VAUCOULEURS, sources["bulge"])
    for profile, share in parts:
        for amplitude, variance in zip(profile.amplitude, profile.variance, strict=True):
            for psf_amplitude, psf in zip(mixture()[0], mixture()[1].T, strict=True):
                flux = sources["flux"] * share * amplitude * psf_amplitude
                add_gaussians(image, sources["x"], sources["y"], flux, *(psf[:, None] + variance * ellipse), floor)


def _magnitudes(rng: np.random.Generator, n: int, bright: float, slope: float) -> NDArray[np.float64]:
    """Draw magnitudes whose counts grow as ``10**(slope * m)``."""
    low, high = 10 ** (slope * bright), 10 ** (slope * FAINTEST_MAG)
    return np.asarray(np.log10(low + rng.uniform(size=n) * (high - low)) / slope)


def _sources(rng: np.random.Generator, size: int) -> Columns:
    """Draw places, fluxes and shapes in pixels."""
    n = max(4, round(SOURCES_PER_MEGAPIXEL * size**2 / 1e6))
    stars = round(STAR_FRACTION * n)
    mag = np.concatenate([_magnitudes(rng, stars, 16.0, 0.22), _magnitudes(rng, n - stars, 17.5, 0.35)])
    noise = np.sqrt(SKY / np.sum(true_psf() ** 2))
    shape = rng.normal(0.0, 0.22, (2, n))
    shape /= np.maximum(1.0, np.hypot(*shape) / 0.6)
    flux = FAINTEST_SNR * noise * 10 ** (-0.4 * (mag - FAINTEST_MAG))
    return {
        "x": rng.uniform(0.0, size - 1.0, n),
        "y": rng.uniform(0.0, size - 1.0, n),
        "flux": flux,
        "snr": flux / noise,
        "is_star": (np.arange(n) < stars).astype(float),
        "radius": 0.75 * 10 ** (-0.09 * (mag - 20.0)) * rng.lognormal(0.0, 0.3, n) / PIXEL_ARCSEC,
        "bulge": np.where(rng.uniform(size=n) < 0.25, 1.0, rng.uniform(0.0, 0.4, n)),
        "e1": shape[0],
        "e2": shape[1],
    }


def render(size: int = SIZE, seed: int = 1) -> SurveyFrame:
    """Render stars and galaxies on a sloping sky with Poisson noise."""
    rng = np.random.default_rng([seed, 4096])
    sources = _sources(rng, size)
    scene = np.zeros((size, size))
    star = sources["is_star"] > 0.0
    draw_points(scene, sources["x"][star], sources["y"][star], sources["flux"][star], floor=0.02)
    _draw_galaxies(scene, {name: values[~star] for name, values in sources.items()}, floor=0.02)
    sky = np.broadcast_to(SKY * (1.0 + SLOPE * np.linspace(-0.5, 0.5, size)), scene.shape)
    image = rng.poisson(scene + sky).astype(np.float32)
    truth = {name: sources[name] for name in ("x", "y", "flux", "snr", "is_star")}
    return SurveyFrame(image, sky.astype(np.float32), truth)
