"""Fit sums of PSFs to the pixels around a peak, and tell the charge that none of them explains.

A scene is a non-negative sum of PSFs anywhere, upon a sky. Particles only add charge to it, so pixels that are known
to be hit bound the scene from above and say nothing else about it. Two questions are asked of 5 x 5 pixels: whether any
scene fits them, and how much of one pixel the scene that fits the others leaves.
"""

import numpy as np
from numba import njit, void
from numpy.typing import NDArray

from etendue.kernels.types import BOOL_2D, BOOL_2D_OUT, F32_2D, F32_3D, F64, I64, I64_1D

_HALF, _SIDE, _PIXELS, _CENTRE = 2, 5, 25, 12
_MOST = 60  # PSFs in a fit, and steps of one
_SWEEPS = 10
_WORTH = 0.02  # of chi2: what a PSF must gain to be taken in
_FEWEST = 12  # pixels with a value
_TINY = 1e-20


def stamp_columns(stamps: NDArray[np.float64], half: int, reach: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return PSFs on and around a small stamp.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps at n sub-pixel places; k odd.
    half : int
        Half the side of the small stamp: (side - 1) / 2.
    reach : int
        PSFs are centred up to this many whole pixels from its middle, along each axis.

    Returns
    -------
    columns : ndarray, float64, shape (side**2, m)
        The pixels of each PSF, not negative.
    offsets : ndarray, int64, shape (m, 2)
        The whole pixels, along y and x, that it is off the middle.
    """
    short = max(0, half + reach - stamps.shape[1] // 2)
    stamps = np.pad(stamps, ((0, 0), (short, short), (short, short)))
    middle = stamps.shape[1] // 2
    offsets = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    cut = [
        stamps[:, middle - dy - half : middle - dy + half + 1, middle - dx - half : middle - dx + half + 1]
        for dy, dx in offsets
    ]
    columns = np.maximum(np.concatenate(cut).reshape(-1, (2 * half + 1) ** 2).T, 0.0)
    return columns, np.repeat(np.array(offsets), stamps.shape[0], axis=0)


def scene_columns(stamps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the PSFs that scenes on 5 x 5 pixels are made of, and a sky.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps that sample the sub-pixel positions of a star, the middle one centred; k odd.

    Returns
    -------
    ndarray, float32, shape (25, m)
        Of unit norm. Those centred outside of the pixels stand on whole pixels only.
    """
    inner, _ = stamp_columns(stamps, _HALF, _HALF)
    middle = stamps.shape[0] // 2
    outer, offsets = stamp_columns(stamps[middle : middle + 1], _HALF, _HALF + 1)
    outer = outer[:, np.abs(offsets).max(axis=1) > _HALF]
    columns = np.concatenate([inner, outer, np.ones((_PIXELS, 1))], axis=1)
    return np.ascontiguousarray(columns / np.linalg.norm(columns, axis=0), dtype=np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def _window(image, variance, excluded, flagged, row, col, rest, weights, free):
    """Copy the pixels around one: values, variances (0 where there is none), and whether they are flagged."""
    ny, nx = image.shape
    spoilt = used = 0
    for k in range(25):
        y, x = row + k // 5 - 2, col + k % 5 - 2
        rest[k], weights[k], free[k] = 0.0, 0.0, False
        if not (0 <= y < ny and 0 <= x < nx):
            continue
        if excluded[y, x] or not (variance[y, x] > 0.0 and image[y, x] == image[y, x]):
            spoilt += 1
            continue
        rest[k], weights[k], free[k] = image[y, x], variance[y, x], flagged[y, x]
        used += 1
    return used, spoilt


@njit(cache=True, nogil=True, error_model="numpy")
def _weigh(rest, weights, free, model_error):
    """Turn variances into weights, with the error of the PSF: a part of the light around a pixel, but of hits."""
    for k in range(25):
        if weights[k] == 0.0:
            continue
        light = np.float32(0.0)
        for y in range(max(0, k // 5 - 1), min(5, k // 5 + 2)):
            for x in range(max(0, k % 5 - 1), min(5, k % 5 + 2)):
                if not free[5 * y + x]:
                    light += max(rest[5 * y + x], np.float32(0.0))
        blur = np.float32(model_error) * light / np.float32(3.0)
        weights[k] = np.float32(1.0) / (weights[k] + blur * blur)


@njit(cache=True, nogil=True, error_model="numpy")
def _soften(rest, base, free, soft, weights):
    """Weigh pixels for a step: nothing where a free one exceeds the scene, less where others do; return chi2."""
    chi2 = np.float32(0.0)
    for k in range(25):
        part = rest[k] * rest[k] * base[k]
        weights[k] = base[k]
        if rest[k] > 0.0:
            if free[k]:
                weights[k] = part = np.float32(0.0)
            elif part > soft * soft:
                weights[k] = base[k] * soft / np.sqrt(part)
        chi2 += part
    return chi2


@njit(cache=True, nogil=True, error_model="numpy")
def _norms(columns, base, norms):
    norms[:] = _TINY
    for k in range(25):
        for j in range(columns.shape[1]):
            norms[j] += base[k] * columns[k, j] * columns[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _steepest(columns, rest, weights, norms, slopes):
    """Return the column whose addition gains most; -1 if none does."""
    slopes[:] = 0.0
    for k in range(25):
        pull = weights[k] * rest[k]
        if pull != 0.0:
            for j in range(columns.shape[1]):
                slopes[j] += pull * columns[k, j]
    best, at = np.float32(_WORTH), -1
    for j in range(columns.shape[1]):
        if slopes[j] > 0.0 and slopes[j] * slopes[j] > best * norms[j]:
            best, at = slopes[j] * slopes[j] / norms[j], j
    return at


@njit(cache=True, nogil=True, error_model="numpy")
def _descend(columns, weights, active, amounts, count, rest):
    """Improve the amounts of some columns one by one, never below 0; ``rest`` is what they leave."""
    for _ in range(_SWEEPS):
        largest = np.float32(0.0)
        for k in range(count - 1, -1, -1):
            j = active[k]
            slope, norm = np.float32(0.0), np.float32(_TINY)
            for i in range(25):
                part = weights[i] * columns[i, j]
                slope += part * rest[i]
                norm += part * columns[i, j]
            step = max(np.float32(0.0), amounts[k] + slope / norm) - amounts[k]
            if step != 0.0:
                amounts[k] += step
                for i in range(25):
                    rest[i] -= step * columns[i, j]
                largest = max(largest, step * step * norm)
        if largest < np.float32(_WORTH):
            break


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_scene(columns, base, free, soft, enough, rest):
    """Take the best scene off the pixels in ``rest``; stop when chi2 falls below ``enough``; return chi2."""
    norms, slopes = np.empty(columns.shape[1], np.float32), np.empty(columns.shape[1], np.float32)
    weights, amounts = np.empty(25, np.float32), np.empty(_MOST, np.float32)
    active = np.empty(_MOST, np.int64)
    _norms(columns, base, norms)
    count, settled = 0, False
    for _ in range(_MOST):
        chi2 = _soften(rest, base, free, np.float32(soft), weights)
        if chi2 < enough:
            break
        at = _steepest(columns, rest, weights, norms, slopes)
        if at < 0 and settled:
            break
        settled = at < 0
        if at >= 0 and not (active[:count] == at).any():
            active[count], amounts[count] = at, 0.0
            count += 1
        _descend(columns, weights, active, amounts, count, rest)
    return _soften(rest, base, free, np.float32(soft), weights)


@njit(cache=True, nogil=True, error_model="numpy")
def _is_peak(image, row, col):
    """Tell whether a pixel exceeds its eight neighbours; of equal ones the first counts."""
    value = image[row, col]
    for y in range(row - 1, row + 2):
        for x in range(col - 1, col + 2):
            before = y < row or (y == row and x < col)
            if (before and image[y, x] >= value) or (image[y, x] > value):
                return False
    return True


@njit([I64_1D(F32_2D, F32_2D, BOOL_2D, F64)], cache=True, nogil=True, error_model="numpy")
def bright_peaks(image, variance, excluded, min_snr):
    """Return the pixels that exceed their eight neighbours and a multiple of their noise.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Sky-subtracted image and its variance.
    excluded : ndarray, bool, shape (ny, nx)
        Pixels that are no peaks, though they count as neighbours.
    min_snr : float
        Least S/N.

    Returns
    -------
    ndarray, int64, shape (n,)
        Flat indices, none at the array's edge.
    """
    ny, nx = image.shape
    least2 = np.float32(min_snr * min_snr)
    places, n = np.empty(1024, np.int64), 0
    for row in range(1, ny - 1):
        for col in range(1, nx - 1):
            value = image[row, col]
            if not (value > 0.0 and value * value > least2 * variance[row, col]):
                continue
            if excluded[row, col] or not _is_peak(image, row, col):
                continue
            if n == places.size:
                places = np.concatenate((places, np.empty(n, np.int64)))
            places[n] = row * nx + col
            n += 1
    return places[:n].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _left(image, variance, excluded, flagged, columns, place, share, soft, model_error):
    """Return how many sigmas of a pixel the scene that fits those around it leaves; 0 if less than a share of it."""
    row, col = place // image.shape[1], place % image.shape[1]
    rest, base, free = np.empty(25, np.float32), np.empty(25, np.float32), np.empty(25, np.bool_)
    used, _ = _window(image, variance, excluded, flagged, row, col, rest, base, free)
    if used < _FEWEST:
        return 0.0
    _weigh(rest, base, free, model_error)
    free[_CENTRE] = True
    _fit_scene(columns, base, free, soft, -1.0, rest)
    return rest[_CENTRE] * np.sqrt(base[_CENTRE]) if rest[_CENTRE] >= share * image[row, col] else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _is_strange(image, variance, excluded, flagged, columns, place, clip, model_error):
    """Tell whether no scene fits the pixels around one."""
    row, col = place // image.shape[1], place % image.shape[1]
    rest, base, free = np.empty(25, np.float32), np.empty(25, np.float32), np.empty(25, np.bool_)
    used, spoilt = _window(image, variance, excluded, flagged, row, col, rest, base, free)
    if spoilt > 0 or used < _FEWEST:
        return False
    _weigh(rest, base, free, model_error)
    return _fit_scene(columns, base, free, np.inf, clip * clip, rest) > clip * clip


@njit(cache=True, nogil=True, error_model="numpy")
def _block(columns, by, bx, place, ny, nx):
    return columns[(place // nx * by // ny) * bx + place % nx * bx // nx]


@njit(
    [void(F32_2D, F32_2D, BOOL_2D, F32_3D, I64, I64, F64, F64, F64, F64, BOOL_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def acquit_stars(image, variance, excluded, columns, by, bx, least, share, soft, model_error, flagged):
    """Take the flag off pixels that a scene explains.

    Slow definition: a flag is taken off where `grow_strange` would not set it if no other pixel had one: flagged ones
    bear witness for stars, too.

    Parameters
    ----------
    image, variance, excluded, columns, by, bx, least, share, soft, model_error
        As in `grow_strange`.
    flagged : ndarray, bool, shape (ny, nx)
        Changed in place.
    """
    ny, nx = image.shape
    none = np.zeros((ny, nx), np.bool_)
    for place in np.flatnonzero(flagged):
        block = _block(columns, by, bx, place, ny, nx)
        if not _left(image, variance, excluded, none, block, place, share, soft, model_error) > least:
            flagged[place // nx, place % nx] = False


@njit(
    [void(F32_2D, F32_2D, BOOL_2D, F32_3D, I64, I64, I64_1D, F64, F64, F64, F64, F64, BOOL_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def flag_strange_peaks(
    image, variance, excluded, columns, by, bx, peaks, clip, least, share, soft, model_error, flagged
):
    """Flag the peaks that belong to no scene.

    Slow definition: a peak is flagged if for the 5 x 5 pixels around it no scene ``s`` (a non-negative sum of the
    columns) has ``chi2 = (((I - s) w)**2).sum() <= clip**2``, with ``w**-2 = V + (model_error L)**2`` and ``L`` a third
    of the positive light in the 3 x 3 pixels around each, and if moreover the scene that fits the others best leaves of
    it ``least / w`` and ``share`` (see `grow_strange`). Flagged pixels count in chi2 only where the scene exceeds them,
    and not in ``L``. All peaks see the flags that were there before.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Sky-subtracted image and its variance.
    excluded : ndarray, bool, shape (ny, nx)
        Pixels without value; peaks that have one within two pixels are left.
    columns : ndarray, float32, shape (by * bx, 25, m)
        From `scene_columns`, for each block of the image, row by row of blocks.
    by, bx : int
        Blocks along y and x.
    peaks : ndarray, int64, shape (n,)
        From `bright_peaks`.
    clip : float
        Root of the chi2 of 25 pixels above which no scene fits.
    least, share : float
        What the scene must leave of the peak: sigmas, and the part of it. The core of a star can be told from its
        wings to some per cent only, when particles fell on them.
    soft : float
        As in `grow_strange`.
    model_error : float
        Error of the PSF as a fraction of its light.
    flagged : ndarray, bool, shape (ny, nx)
        Changed in place.
    """
    ny, nx = image.shape
    strange = np.zeros(peaks.size, np.bool_)
    for i in range(peaks.size):
        place, block = peaks[i], _block(columns, by, bx, peaks[i], ny, nx)
        if not flagged[place // nx, place % nx]:
            strange[i] = _is_strange(image, variance, excluded, flagged, block, place, clip, model_error) and (
                _left(image, variance, excluded, flagged, block, place, share, soft, model_error) > least
            )
    for place in peaks[strange]:
        flagged[place // nx, place % nx] = True


@njit(cache=True, nogil=True, error_model="numpy")
def _beside(image, variance, excluded, flagged, fresh, min_snr):
    """Return the pixels above an S/N that touch some others and are not flagged, each once, in order."""
    ny, nx = image.shape
    least2 = np.float32(min_snr * min_snr)
    places, n = np.empty(8 * fresh.size, np.int64), 0
    for place in fresh:
        for y in range(max(0, place // nx - 1), min(ny, place // nx + 2)):
            for x in range(max(0, place % nx - 1), min(nx, place % nx + 2)):
                value = image[y, x]
                if flagged[y, x] or excluded[y, x] or not (value > 0.0 and value * value > least2 * variance[y, x]):
                    continue
                places[n] = y * nx + x
                n += 1
    return np.unique(places[:n])


@njit(
    [void(F32_2D, F32_2D, BOOL_2D, F32_3D, I64, I64, F64, F64, F64, F64, F64, I64, BOOL_2D_OUT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def grow_strange(image, variance, excluded, columns, by, bx, min_snr, least, share, soft, model_error, passes, flagged):
    """Flag the pixels beside flagged ones that the scene around them does not explain.

    Slow definition: ``passes`` times, every pixel above ``min_snr`` that touches a flagged one is flagged if it
    exceeds the scene by ``least / w`` and by ``share`` of itself. The scene minimises the sum over the 5 x 5 pixels of
    ``t**2``, with ``t = (I - s) w`` and ``w`` as in `flag_strange_peaks`, but where ``t > 0`` the pixel itself and
    flagged ones cost nothing, and others ``2 soft t - soft**2`` above ``soft``. So a hit's tail is not taken for a star
    that hides under the hit, nor the light of a star beside it for a tail. Pixels of a pass see the flags before it.

    Parameters
    ----------
    image, variance, excluded, columns, by, bx
        As in `flag_strange_peaks`; excluded pixels cost nothing.
    min_snr : float
        Least S/N of a pixel that is added.
    least, share : float
        What the scene must leave of it: sigmas, and the part of it.
    soft : float
        Excess over the scene beyond which unflagged pixels count linearly [sigma]: they may be hit, too.
    model_error : float
        As in `flag_strange_peaks`.
    passes : int
        Largest number of passes.
    flagged : ndarray, bool, shape (ny, nx)
        Changed in place.
    """
    ny, nx = image.shape
    fresh = np.flatnonzero(flagged)
    for _ in range(passes):
        places = _beside(image, variance, excluded, flagged, fresh, min_snr)
        strange = np.zeros(places.size, np.bool_)
        for i in range(places.size):
            block = _block(columns, by, bx, places[i], ny, nx)
            strange[i] = _left(image, variance, excluded, flagged, block, places[i], share, soft, model_error) > least
        fresh = places[strange]
        if fresh.size == 0:
            break
        for place in fresh:
            flagged[place // nx, place % nx] = True
