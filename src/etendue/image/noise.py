"""How the noise of neighbouring pixels is correlated."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError


@dataclass(frozen=True, eq=False)
class NoiseAutocorrelation:
    """Correlation coefficients of pixel noise against pixel lag.

    Parameters
    ----------
    kernel : array_like, float64, shape (k, k)
        Correlation at lag ``(j - k // 2, i - k // 2)`` in ``[j, i]``; ``k`` odd, 1 in the middle,
        symmetric under reversal of the lag; zero outside.

    Raises
    ------
    InputError
        If the kernel is not such an array.
    """

    kernel: NDArray[np.float64]

    def __post_init__(self) -> None:
        kernel = np.array(self.kernel, dtype=np.float64)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
            raise InputError("noise autocorrelation needs an odd square kernel", value=kernel.shape)
        middle = kernel[kernel.shape[0] // 2, kernel.shape[0] // 2]
        if not abs(middle - 1.0) < 1e-9:
            raise InputError("noise autocorrelation must be 1 at zero lag", value=float(middle))
        if not np.allclose(kernel, kernel[::-1, ::-1], atol=1e-6):
            raise InputError("noise autocorrelation must not change when the lag is reversed")
        kernel.flags.writeable = False
        object.__setattr__(self, "kernel", kernel)

    @classmethod
    def white(cls) -> "NoiseAutocorrelation":
        """Return the autocorrelation of independent pixels.

        Returns
        -------
        NoiseAutocorrelation
        """
        return cls(np.ones((1, 1)))

    @classmethod
    def from_filter(cls, kernel: ArrayLike) -> "NoiseAutocorrelation":
        """Return the autocorrelation of white noise after a linear filter.

        Parameters
        ----------
        kernel : array_like, shape (m, m)
            The filter.

        Returns
        -------
        NoiseAutocorrelation
            Of size ``2 m - 1``.
        """
        kernel = np.asarray(kernel, float)
        correlation = _convolve(kernel, kernel[::-1, ::-1])
        correlation = 0.5 * (correlation + correlation[::-1, ::-1])
        middle = correlation[correlation.shape[0] // 2, correlation.shape[1] // 2]
        correlation /= middle
        correlation[correlation.shape[0] // 2, correlation.shape[1] // 2] = 1.0
        return cls(correlation)

    @property
    def is_white(self) -> bool:
        """Whether no two pixels are correlated."""
        return int(np.count_nonzero(self.kernel)) == 1

    def flux_variance_factor(self, weights: ArrayLike) -> float:
        """Return how much correlation increases the variance of a weighted sum of pixels.

        Parameters
        ----------
        weights : array_like, shape (k, k)
            Weight of every pixel.

        Returns
        -------
        float
            ``sum_ij w_i w_j rho_ij / sum_i w_i**2``; 1 for white noise, NaN if all weights are 0.
        """
        w = np.asarray(weights, float)
        square = float((w * w).sum())
        if square == 0.0:
            return float("nan")
        if self.is_white:
            return 1.0
        return float((w * _convolve(w, self.kernel)[self._middle_of(w)]).sum() / square)

    def _middle_of(self, weights: NDArray[np.float64]) -> tuple[slice, slice]:
        half = self.kernel.shape[0] // 2
        return slice(half, half + weights.shape[0]), slice(half, half + weights.shape[1])


def _convolve(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the full convolution (scipy.signal would do, but takes long to import)."""
    shape = (a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1)
    return np.fft.irfft2(np.fft.rfft2(a, shape) * np.fft.rfft2(b, shape), shape)
