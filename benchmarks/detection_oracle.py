"""An independent detector on the pixel grid: true PSF, true noise, nothing estimated; plain NumPy and SciPy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize, special
from scipy.spatial import cKDTree

Real = NDArray[np.float64]
TRUNCATION = 6.0  # half side of the PSF in its sigmas


def centred_gaussian(sigma: float) -> Real:
    """Return a Gaussian sampled at pixel centres, unit sum, on its middle pixel."""
    half = int(np.ceil(TRUNCATION * sigma))
    offset = np.arange(-half, half + 1)
    stamp = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / sigma**2)
    return np.asarray(stamp / stamp.sum())


def correlated(image: Real, kernel: Real) -> Real:
    """Correlate with a symmetric kernel by FFT; zero outside the image."""
    shape = [fft.next_fast_len(n + kernel.shape[0] - 1, real=True) for n in image.shape]
    product = fft.rfft2(image, shape) * fft.rfft2(kernel, shape)
    half = kernel.shape[0] // 2
    return np.asarray(fft.irfft2(product, shape)[half : half + image.shape[0], half : half + image.shape[1]])


def significance(image: Real, variance: Real, bad: NDArray[np.bool_], psf: Real, correlation: Real | None) -> Real:
    """Return the matched filter's S/N at every pixel centre, weighted by the true variance.

    Correlated noise: ``correlation`` holds the coefficients at the lags from its middle; the scatter of the filter is
    summed over all pairs of its pixels.
    """
    weight = np.where(bad, 0.0, 1.0 / variance)
    signal, square = correlated(weight * np.where(bad, 0.0, image), psf), correlated(weight, psf**2)
    covered = correlated(np.where(bad, 0.0, 1.0), psf**2) > 0.1 * np.sum(psf**2)
    scatter = 1.0
    if correlation is not None:
        half = correlation.shape[0] // 2
        padded = np.pad(psf, half)
        together = sum(
            correlation[half + j, half + i] * np.sum(padded * np.roll(padded, (j, i), (0, 1)))
            for j in range(-half, half + 1) for i in range(-half, half + 1)
        )  # fmt: skip
        scatter = float(np.sqrt(together / np.sum(psf**2)))
    return np.where(covered, signal / np.sqrt(np.maximum(square, 1e-30)) / scatter, 0.0)


def maxima(field: Real, lowest: float) -> tuple[Real, Real, Real]:
    """Return x, y and value of the pixels above their eight neighbours; those on the outermost rows are left out."""
    inner = field == ndimage.maximum_filter(field, 3)
    inner[[0, -1]] = inner[:, [0, -1]] = False
    y, x = np.nonzero(inner & (field >= lowest))
    return x.astype(float), y.astype(float), field[y, x]


@dataclass(frozen=True)
class Half:
    """The S/N at which half of the sources are found, its error, and the width of the rise."""

    snr: float
    snr_err: float
    width: float


def seen(x: Real, y: Real, found_x: Real, found_y: Real, radius: float) -> NDArray[np.bool_]:
    """Tell which sources have a detection within a radius."""
    if not found_x.size:
        return np.zeros(x.size, bool)
    distance, _ = cKDTree(np.stack([found_x, found_y], -1)).query(np.stack([x, y], -1))
    return np.asarray(distance < radius)


def half_point(snr: Real, is_seen: NDArray[np.bool_], chance: float) -> Half:
    """Fit ``chance + (1 - chance) Phi((snr - s) / w)`` to what was seen by maximum likelihood."""

    def cost(parameters: Real) -> float:
        rate = chance + (1.0 - chance) * special.ndtr((snr - parameters[0]) / abs(parameters[1]))
        rate = np.clip(rate, 1e-9, 1.0 - 1e-9)
        return -float(np.sum(np.where(is_seen, np.log(rate), np.log1p(-rate))))

    best = optimize.minimize(cost, np.array([5.0, 1.0]), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4})
    step = 0.02
    shift = np.array([step, 0.0])
    curvature = (cost(best.x + shift) - 2.0 * best.fun + cost(best.x - shift)) / step**2
    return Half(float(best.x[0]), float(max(curvature, 1e-9) ** -0.5), float(abs(best.x[1])))
