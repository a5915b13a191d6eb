"""Matching kernels for image subtraction (Alard & Lupton 1998; Alard 2000) on plain arrays."""

from collections.abc import Sequence

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import BOOL_2D, F32, F32_2D, F64, I64

_PLANE = types.Array(F32, 2, "C")
_POSITIONS = types.Array(I64, 1, "C")


def gaussian_basis(sigmas: Sequence[float], degrees: Sequence[int], half: int) -> NDArray[np.float64]:
    """Make the kernel basis ``exp(-r^2 / 2 s^2) x^p y^q``, p + q <= degree.

    Parameters
    ----------
    sigmas : sequence of float
        Widths [px].
    degrees : sequence of int
        Highest polynomial degree for each width.
    half : int
        Kernels cover ``2 half + 1`` pixels per axis.

    Returns
    -------
    ndarray, float64, shape (n, 2 half + 1, 2 half + 1)
        The first has unit sum; all others sum to zero, so the first coefficient is the flux ratio.
    """
    axis = np.arange(-half, half + 1, dtype=np.float64)
    kernels = []
    for sigma, degree in zip(sigmas, degrees, strict=True):
        gauss = np.exp(-0.5 * (axis / sigma) ** 2)
        for p in range(degree + 1):
            for q in range(degree + 1 - p):
                kernels.append(np.outer(gauss * (axis / sigma) ** q, gauss * (axis / sigma) ** p))
    basis = np.array(kernels)
    basis[0] /= basis[0].sum()
    for kernel in basis[1:]:
        kernel /= np.sqrt((kernel**2).sum())
        kernel -= basis[0] * kernel.sum()
    return basis


def chebyshev_terms(x: NDArray[np.float64], y: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Evaluate two-dimensional Chebyshev polynomials of total degree up to ``order``.

    Parameters
    ----------
    x, y : ndarray, float64, shape (...)
        Coordinates scaled to -1 .. 1.
    order : int
        Largest total degree.

    Returns
    -------
    ndarray, float64, shape (n_terms, ...)
        ``T_p(x) T_q(y)`` for p + q <= order, the constant first.
    """
    along_x = np.polynomial.chebyshev.chebvander(x, order)
    along_y = np.polynomial.chebyshev.chebvander(y, order)
    degrees = [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]
    return np.stack([along_x[..., p] * along_y[..., q] for p, q in degrees])


@njit([_PLANE(F32_2D, F32_2D)], cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def convolve(image, kernel):
    """Convolve an image with a small kernel; beyond the border the image counts as zero.

    Slow definition: ``out[y, x] = sum_ji kernel[j, i] image[y + h - j, x + h - i]``.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Without NaN.
    kernel : ndarray, float32, shape (k, k)
        Of odd size.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
    """
    ny, nx = image.shape
    half = kernel.shape[0] // 2
    out = np.zeros((ny, nx), np.float32)
    for y in range(ny):
        for j in range(max(0, y + half - ny + 1), min(kernel.shape[0], y + half + 1)):
            row = y + half - j
            for i in range(kernel.shape[1]):
                w = kernel[j, i]
                start = max(0, i - half)
                stop = min(nx, nx + i - half)
                target = out[y, start:stop]
                source = image[row, start + half - i : stop + half - i]
                for x in range(stop - start):
                    target[x] += w * source[x]
    return out


@njit([types.UniTuple(_POSITIONS, 2)(F32_2D, BOOL_2D, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def find_isolated_peaks(snr, bad, minimum, maximum, half):
    """Find local maxima of a significance map whose surroundings are usable and hold no brighter pixel.

    Parameters
    ----------
    snr : ndarray, float32, shape (ny, nx)
        Significance of a point source at each pixel.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that spoil a stamp.
    minimum, maximum : float
        Range of the peak.
    half : int
        Half-size of the square that must be clean [px].

    Returns
    -------
    x, y : ndarray, int64, shape (n,)
        Peak pixels, in row order.
    """
    ny, nx = snr.shape
    xs = np.empty(ny * nx // 8 + 1, np.int64)
    ys = np.empty(ny * nx // 8 + 1, np.int64)
    n = 0
    for y in range(half, ny - half):
        for x in range(half, nx - half):
            value = snr[y, x]
            if not (minimum <= value <= maximum) or value < snr[y, x - 1] or value < snr[y, x + 1]:
                continue
            usable = True
            for j in range(y - half, y + half + 1):
                for i in range(x - half, x + half + 1):
                    later = j > y or (j == y and i > x)
                    if bad[j, i] or snr[j, i] > value or (later and snr[j, i] == value):
                        usable = False
                        break
                if not usable:
                    break
            if usable:
                xs[n] = x
                ys[n] = y
                n += 1
    return xs[:n].copy(), ys[:n].copy()


def stamp_equations(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    inverse_variance: NDArray[np.float32],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    basis: NDArray[np.float64],
    half: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Accumulate the normal equations of each stamp for a kernel constant inside it.

    The design columns are the source stamp convolved with every basis kernel, and a constant.

    Parameters
    ----------
    source, target : ndarray, float32, shape (ny, nx)
        Image that is convolved and image that is matched, same flux unit, without NaN.
    inverse_variance : ndarray, float32, shape (ny, nx)
        Weights of the target pixels; 0 where unusable.
    x, y : ndarray, int64, shape (n,)
        Stamp centres, at least ``half`` + kernel half-size away from the border.
    basis : ndarray, float64, shape (b, k, k)
        Kernel basis.
    half : int
        Half-size of the stamps [px].

    Returns
    -------
    matrix : ndarray, float64, shape (n, b + 1, b + 1)
    vector : ndarray, float64, shape (n, b + 1)
    square : ndarray, float64, shape (n,)
        ``sum w A^T A``, ``sum w A^T target`` and ``sum w target^2``.
    """
    b, k, _ = basis.shape
    reach = half + k // 2
    side = 2 * half + 1
    # Correlating with the reversed kernel is convolving with the kernel.
    columns = np.ascontiguousarray(basis[:, ::-1, ::-1].reshape(b, k * k).T, dtype=np.float32)
    matrix = np.empty((x.size, b + 1, b + 1))
    vector = np.empty((x.size, b + 1))
    square = np.empty(x.size)
    design = np.ones((side * side, b + 1))
    for n, (xc, yc) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        cutout = source[yc - reach : yc + reach + 1, xc - reach : xc + reach + 1]
        windows = np.lib.stride_tricks.sliding_window_view(cutout, (k, k)).reshape(side * side, k * k)
        design[:, :b] = windows @ columns
        stamp = (slice(yc - half, yc + half + 1), slice(xc - half, xc + half + 1))
        weight = inverse_variance[stamp].ravel().astype(np.float64)
        value = target[stamp].ravel().astype(np.float64)
        weighted = design * weight[:, None]
        matrix[n] = design.T @ weighted
        vector[n] = value @ weighted
        square[n] = value @ (weight * value)
    return matrix, vector, square
