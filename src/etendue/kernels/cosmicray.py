"""Cosmic rays: traces that no sum of point sources can make.

A scene is a non-negative sum of PSFs: stars, blends, galaxies and a smooth sky alike. All sums of PSFs on a small
stamp form a convex cone. What is left of a particle's trace after its projection on that cone is a linear filter that
no scene can excite: its product with every PSF at every place is zero or negative (Moreau's decomposition), and of
all such filters it has the best signal-to-noise ratio for that trace. So a pixel is hit where one of a few dozen
filters, made for spots and tracks, responds beyond the noise. Bright hits of other shapes, and what else belongs to a
hit, are left to `etendue.kernels.scene_fit`.
"""

import numpy as np
from numba import njit, void
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import erf

from etendue.kernels.scene_fit import scene_columns
from etendue.kernels.types import BOOL_2D, BOOL_2D_OUT, F32_2D, F32_3D, F64, F64_2D, I64

_HALF, _SIDE = 2, 5  # traces are looked for on stamps of 5 x 5 pixels
_OFF_CENTRE = ((0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5), (0.5, 0.5), (0.5, -0.5), (-0.5, 0.5), (-0.5, -0.5))
_ANGLES = tuple(float(angle) for angle in np.arange(8) * np.pi / 8.0)
_ACROSS = (-0.5, -0.25, 0.0, 0.25, 0.5)
_TINY = 1e-6
_CORE = 0.35  # pixels of a trace brighter than this part of its peak are flagged with it
_UNEVEN, _SLACK = 4.0, 2.0  # a pixel counts as this times what the faintest may hold, with that many sigmas, at most


def _spot(y: float, x: float, sigma: float) -> NDArray[np.float64]:
    """Return the pixels of a Gaussian charge cloud at a place on the stamp, shape (5, 5)."""
    edges = np.arange(-_HALF, _HALF + 2) - 0.5
    rows, columns = (np.diff(0.5 * erf((edges - place) / (np.sqrt(2.0) * sigma))) for place in (y, x))
    return np.outer(rows, columns)


def _track(angle: float, length: float, across: float, sigma: float) -> NDArray[np.float64]:
    """Return the pixels of a straight track that passes the centre at a distance, shape (5, 5)."""
    along = np.linspace(-0.5 * length, 0.5 * length, 41)
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.sum([_spot(across * cosine + t * sine, -across * sine + t * cosine, sigma) for t in along], axis=0)


def _traces() -> NDArray[np.float64]:
    """Return the traces that filters are made for, each of unit peak, shape (n, 25)."""
    traces = [_spot(0.0, 0.0, sigma) for sigma in (0.05, 0.3, 0.42)]
    traces += [_spot(y, x, 0.35) for y, x in _OFF_CENTRE]
    traces += [_track(angle, 6.0, across, 0.3) for angle in _ANGLES for across in _ACROSS]
    traces += [_track(angle, 2.0, 0.0, 0.25) for angle in _ANGLES]
    return np.array([trace.ravel() / trace.max() for trace in traces])


TRACES: NDArray[np.float64] = _traces()


def _off_cone(trace: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of a trace that no non-negative sum of columns explains, of unit norm; 0 if there is none."""
    norm = np.linalg.norm(columns, axis=0)
    columns = columns[:, norm > 0.0] / norm[norm > 0.0]
    rest = trace - columns @ nnls(columns, trace)[0] if columns.size else trace
    size = np.linalg.norm(rest)
    return rest / size if size > _TINY else np.zeros_like(trace)


def trace_filters(stamps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Make the filters that see particles and no star.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps that sample the sub-pixel positions of a star; k odd.

    Returns
    -------
    ndarray, float32, shape (25, m)
        Weights on a 5 x 5 stamp of the filter of each of `TRACES`, of unit norm: no positive sum of the PSFs within
        three pixels, nor a constant, gives a positive response.
    """
    columns = scene_columns(stamps).astype(np.float64)
    filters = np.array([_off_cone(trace, columns) for trace in TRACES])
    filters[(TRACES <= _CORE) & (filters > 0.0)] = 0.0  # a hit elsewhere on the stamp must not speak for the trace
    filters /= np.maximum(np.linalg.norm(filters, axis=1, keepdims=True), _TINY)
    return np.ascontiguousarray(filters.T, dtype=np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _window(image, variance, excluded, row, col, pixels, noise):
    """Copy the 5 x 5 pixels around one; return their least variance, or -1 where one of them is excluded."""
    least = np.inf
    for i in range(5):
        for j in range(5):
            y, x = row + i - 2, col + j - 2
            if excluded[y, x]:
                return -1.0
            pixels[5 * i + j] = image[y, x]
            noise[5 * i + j] = variance[y, x]
            least = min(least, variance[y, x])
    return least


@njit(cache=True, nogil=True, error_model="numpy")
def _is_trace(pixels, noise, weights, trace, clip, model_error):
    """Tell whether a filter responds to an even trace: one bright pixel must not condemn the star beside it."""
    faintest = np.inf
    for k in range(trace.size):
        if trace[k] > _CORE:
            faintest = min(faintest, (pixels[k] + _SLACK * np.sqrt(noise[k])) / trace[k])
    response = spread = positive = 0.0
    for k in range(trace.size):
        weight, value = np.float64(weights[k]), np.float64(pixels[k])
        if weight > 0.0:
            value = min(value, _UNEVEN * faintest * trace[k])
            positive += weight * max(value, 0.0)
        response += weight * value
        spread += weight * weight * noise[k]
    return response > 0.0 and response * response > clip * clip * spread + (model_error * positive) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _flag_core(image, variance, row, col, trace, snr, flagged):
    """Flag the pixels of a trace that are bright themselves."""
    for k in range(trace.size):
        y, x = row + k // 5 - 2, col + k % 5 - 2
        value = np.float64(image[y, x])
        if trace[k] > _CORE and value > 0.0 and value * value > snr * snr * variance[y, x]:
            flagged[y, x] = True


@njit(
    [void(F32_2D, F32_2D, BOOL_2D, F32_3D, F64_2D, I64, I64, F64, F64, F64, F64, BOOL_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def find_traces(image, variance, excluded, filters, traces, by, bx, min_snr, clip, core_snr, model_error, flagged):
    """Flag the traces of particles.

    Slow definition: at every pixel above ``min_snr`` with no excluded pixel within two, each filter ``w`` for which
    ``w . J > 0`` and ``(w . J)**2 > clip**2 w**2 . V + (model_error * max(w J, 0).sum())**2`` flags the pixels of its
    trace ``t`` with ``t > 0.35`` that exceed ``core_snr``. ``J`` is the image ``I``, but where ``w > 0`` at most
    ``4 t min((I + 2 V**0.5) / t)``, the least over the pixels with ``t > 0.35``.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Sky-subtracted image and its variance; a window with NaN is not flagged.
    excluded : ndarray, bool, shape (ny, nx)
        Pixels that enter no test: saturated, bad, edges.
    filters : ndarray, float32, shape (by * bx, 25, m)
        From `trace_filters`, for each block of the image, row by row of blocks.
    traces : ndarray, float64, shape (m, 25)
        `TRACES`.
    by, bx : int
        Blocks along y and x.
    min_snr : float
        Least S/N of a pixel that is tested.
    clip : float
        Significance of the response [sigma].
    core_snr : float
        Least S/N of a pixel that is flagged.
    model_error : float
        Error of the PSF as a fraction of the light under the positive weights, so that bright stars of a PSF known
        to a few per cent are not flagged; added in quadrature.
    flagged : ndarray, bool, shape (ny, nx)
        Set in place; never within two pixels of the array's edge but by a trace whose centre is farther in.
    """
    ny, nx = image.shape
    count = filters.shape[2]
    pixels, noise = np.empty(25, np.float32), np.empty(25, np.float32)
    responses = np.empty(count, np.float32)
    least_snr2, clip2 = np.float32(min_snr * min_snr), np.float32(clip * clip)
    for row in range(2, ny - 2):
        for col in range(2, nx - 2):
            value = image[row, col]
            if not (value > 0.0 and value * value > least_snr2 * variance[row, col]):
                continue
            least = _window(image, variance, excluded, row, col, pixels, noise)
            if not least > 0.0:
                continue
            weights = filters[(row * by // ny) * bx + col * bx // nx]
            responses[:] = 0.0
            for k in range(25):
                for i in range(count):
                    responses[i] += pixels[k] * weights[k, i]
            for i in range(count):
                if not (responses[i] > 0.0 and responses[i] * responses[i] > clip2 * least):
                    continue
                if _is_trace(pixels, noise, weights[:, i], traces[i], clip, model_error):
                    _flag_core(image, variance, row, col, traces[i], core_snr, flagged)
