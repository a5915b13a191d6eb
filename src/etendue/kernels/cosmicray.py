"""Cosmic rays: pixels sharper than any sum of point sources can make them.

A scene is a non-negative sum of PSFs on a smooth sky. If for every sub-pixel position of a star the
mean of some pixels (the neighbours) is at least ``r`` times the mean of others (the core), the same
holds for every such scene: stars, blends and galaxies alike. A core that exceeds its neighbours'
mean divided by ``r``, beyond the noise, is no light that came through the telescope. The idea is
that of the LSST/SDSS condition on opposite pairs, with more shapes and bounds derived from the PSF.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from etendue.kernels.types import BOOL_2D, F32_2D, F64, F64_2D, F64_3D, I64, I64_2D

_SHAPES: tuple[tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]], ...] = (
    # one pixel against opposite pairs, its four and its eight neighbours: core, neighbours as (dy, dx)
    (((0, 0),), ((0, -1), (0, 1))),
    (((0, 0),), ((-1, 0), (1, 0))),
    (((0, 0),), ((-1, -1), (1, 1))),
    (((0, 0),), ((-1, 1), (1, -1))),
    (((0, 0),), ((0, -1), (0, 1), (-1, 0), (1, 0))),
    (((0, 0),), ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (1, 1), (-1, 1), (1, -1))),
    # two pixels in a row or column against their ends and their sides
    (((0, 0), (0, 1)), ((0, -1), (0, 2))),
    (((0, 0), (0, 1)), ((-1, 0), (1, 0), (-1, 1), (1, 1))),
    (((0, 0), (1, 0)), ((-1, 0), (2, 0))),
    (((0, 0), (1, 0)), ((0, -1), (0, 1), (1, -1), (1, 1))),
    # two pixels on a diagonal against the other diagonal
    (((0, 0), (1, 1)), ((0, 1), (1, 0))),
    (((0, 0), (1, -1)), ((0, -1), (1, 0))),
    # three pixels of a track against its sides
    (((0, -1), (0, 0), (0, 1)), ((-1, -1), (-1, 0), (-1, 1), (1, -1), (1, 0), (1, 1))),
    (((-1, 0), (0, 0), (1, 0)), ((-1, -1), (0, -1), (1, -1), (-1, 1), (0, 1), (1, 1))),
    # a 2 x 2 block against the ring around it
    (
        ((0, 0), (0, 1), (1, 0), (1, 1)),
        ((-1, 0), (-1, 1), (2, 0), (2, 1), (0, -1), (1, -1), (0, 2), (1, 2)),
    ),
)
_REACH = 2
_EVENNESS = 1.3


def _shape_table() -> NDArray[np.int64]:
    """Return the shapes as rows of (shape, in core, dy, dx)."""
    rows = [
        (number, int(in_core), dy, dx)
        for number, (core, neighbours) in enumerate(_SHAPES)
        for in_core, offsets in ((True, core), (False, neighbours))
        for dy, dx in offsets
    ]
    return np.array(rows, dtype=np.int64)


SHAPE_TABLE: NDArray[np.int64] = _shape_table()
N_SHAPES = len(_SHAPES)


@njit(cache=True, nogil=True, error_model="numpy")
def _ratios(stamp, row, col, table, sums):
    """Fill ``sums[:, 0]`` and ``sums[:, 1]`` with the mean of neighbours and core of each shape at a pixel."""
    sums[:, :] = 0.0
    for i in range(table.shape[0]):
        shape, in_core = table[i, 0], table[i, 1]
        sums[shape, in_core] += stamp[row + table[i, 2], col + table[i, 3]]
        sums[shape, 2 + in_core] += 1.0
    for shape in range(sums.shape[0]):
        sums[shape, 0] /= sums[shape, 2]
        sums[shape, 1] /= sums[shape, 3]


@njit([F64_2D(F64_3D, I64_2D, I64, F64)], cache=True, nogil=True, error_model="numpy")
def sharpness_bounds(stamps, table, n_shapes, core_fraction):
    """Return the smallest ratio of neighbours to core that a star can show, per shape.

    Parameters
    ----------
    stamps : ndarray, float64, shape (n, k, k)
        PSF stamps that sample the sub-pixel positions of a star; k at least 7.
    table : ndarray, int64, shape (m, 4)
        ``SHAPE_TABLE``.
    n_shapes : int
        ``N_SHAPES``.
    core_fraction : float
        Only pixels brighter than this fraction of the stamp's peak bound the ratio: the
        far wings are noise and model error.

    Returns
    -------
    ndarray, float64, shape (1, n_shapes)
        Lower bounds, at least 0.
    """
    bounds = np.full((1, n_shapes), np.inf)
    sums = np.empty((n_shapes, 4))
    size = stamps.shape[1]
    for i in range(stamps.shape[0]):
        floor = core_fraction * stamps[i].max()
        for row in range(_REACH, size - _REACH):
            for col in range(_REACH, size - _REACH):
                if stamps[i, row, col] < floor:
                    continue
                _ratios(stamps[i], row, col, table, sums)
                for shape in range(n_shapes):
                    if sums[shape, 1] > 0.0:
                        bounds[0, shape] = min(bounds[0, shape], max(0.0, sums[shape, 0] / sums[shape, 1]))
    return bounds


@njit(cache=True, nogil=True, error_model="numpy")
def _is_too_sharp(image, variance, excluded, row, col, table, first, last, bound, core_snr, clip, model_error):
    """Tell whether one shape at a pixel exceeds its bound by ``clip`` sigmas, every core pixel being bright."""
    core = core_variance = near = near_variance = 0.0
    n_core = n_near = 0
    faintest = np.inf
    for i in range(first, last):
        y, x = row + table[i, 2], col + table[i, 3]
        if excluded[y, x]:
            return False
        value, spread = np.float64(image[y, x]), np.float64(variance[y, x])
        if table[i, 1] == 1:
            if value <= 0.0 or value * value < core_snr * core_snr * spread:
                return False
            faintest = min(faintest, value)
            core += value
            core_variance += spread
            n_core += 1
        else:
            near += value
            near_variance += spread
            n_near += 1
    # One bright pixel must not condemn the star pixel beside it: the faintest of the core limits its level.
    level = min(core / n_core, _EVENNESS * faintest)
    excess = bound * level - near / n_near
    noise = bound * bound * core_variance / n_core**2 + near_variance / n_near**2
    margin = model_error * level
    return excess > 0.0 and excess * excess > clip * clip * noise + margin * margin


@njit(cache=True, nogil=True, error_model="numpy")
def _flag_pixel(image, variance, excluded, row, col, table, bounds, core_snr, clip, model_error, flagged):
    """Flag the core pixels of every shape at a pixel that is too sharp; return whether there is one."""
    found = False
    first = 0
    for shape in range(bounds.size):
        last = first
        while last < table.shape[0] and table[last, 0] == shape:
            last += 1
        bound = bounds[shape]
        if _is_too_sharp(image, variance, excluded, row, col, table, first, last, bound, core_snr, clip, model_error):
            found = True
            for i in range(first, last):
                if table[i, 1] == 1:
                    flagged[row + table[i, 2], col + table[i, 3]] = True
        first = last
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _brightest_neighbour(image, flagged, row, col):
    """Return the brightest unflagged pixel around one, or 0 (the sky) if there is none."""
    brightest = -np.inf
    for y in range(max(0, row - 1), min(image.shape[0], row + 2)):
        for x in range(max(0, col - 1), min(image.shape[1], col + 2)):
            if not flagged[y, x]:
                brightest = max(brightest, image[y, x])
    return brightest if brightest > -np.inf else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _neighbourhood(flagged):
    """Return the unflagged pixels that touch a flagged one."""
    ny, nx = flagged.shape
    near = np.zeros((ny, nx), dtype=np.bool_)
    for row in range(ny):
        for col in range(nx):
            if flagged[row, col]:
                near[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] = True
    for row in range(ny):
        for col in range(nx):
            near[row, col] = near[row, col] and not flagged[row, col]
    return near


@njit(cache=True, nogil=True, error_model="numpy")
def _grow(image, variance, excluded, flagged, table, bounds, blocks, core_snr, clip, model_error):
    """Test the pixels around flagged ones with the flagged ones filled in; flag and return whether any was."""
    ny, nx = image.shape
    by, bx = blocks
    filled = image.copy()
    for row in range(ny):
        for col in range(nx):
            if flagged[row, col]:
                filled[row, col] = _brightest_neighbour(image, flagged, row, col)
    near = _neighbourhood(flagged)
    found = False
    for row in range(_REACH, ny - _REACH):
        for col in range(_REACH, nx - _REACH):
            if near[row, col]:
                bound = bounds[(row * by // ny) * bx + col * bx // nx]
                if _flag_pixel(
                    filled, variance, excluded, row, col, table, bound, core_snr, clip, model_error, flagged
                ):
                    found = True
    return found


@njit(
    [BOOL_2D(F32_2D, F32_2D, BOOL_2D, I64_2D, F64_2D, I64, I64, F64, F64, F64, F64, F64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def find_cosmic_rays(
    image, variance, excluded, table, bounds, by, bx, min_snr, clip, grow_snr, grow_clip, model_error, iterations
):
    """Find the pixels that are sharper than any sum of PSFs.

    Slow definition: for every shape at every pixel whose core pixels all exceed ``min_snr`` sigmas,
    the core is flagged if ``bound * level - mean(neighbours)`` exceeds ``clip`` times its propagated
    noise, joined in quadrature by ``model_error * level``, with
    ``level = min(mean(core), 1.3 * min(core))``. Then the pixels around
    flagged ones are tested again, with the flagged ones replaced by their brightest unflagged neighbour (a
    dimmer value could make the star under a hit look sharp), against the lower ``grow_snr`` and
    ``grow_clip``.

    Parameters
    ----------
    image, variance : ndarray, float32, shape (ny, nx)
        Sky-subtracted image and its variance; NaN is never flagged.
    excluded : ndarray, bool, shape (ny, nx)
        Pixels that enter no test: saturated, bad, edges.
    table : ndarray, int64, shape (m, 4)
        ``SHAPE_TABLE``.
    bounds : ndarray, float64, shape (by * bx, n_shapes)
        Bound of each shape in each block of the image, row by row of blocks.
    by, bx : int
        Blocks along y and x.
    min_snr, grow_snr : float
        Least S/N of each core pixel in the first test and beside a flagged pixel.
    clip, grow_clip : float
        Significance of the excess in the first test and beside a flagged pixel [sigma].
    model_error : float
        Error of the bounds as a fraction of the core, so that bright stars of a PSF known to a few
        per cent are not flagged; added in quadrature to ``clip`` sigmas.
    iterations : int
        Largest number of growing passes.

    Returns
    -------
    ndarray, bool, shape (ny, nx)
        Cosmic-ray pixels; never within two pixels of the array's edge.
    """
    ny, nx = image.shape
    flagged = np.zeros((ny, nx), dtype=np.bool_)
    found = False
    for row in range(_REACH, ny - _REACH):
        for col in range(_REACH, nx - _REACH):
            value = image[row, col]
            if value > 0.0 and value * value > min_snr * min_snr * variance[row, col]:
                bound = bounds[(row * by // ny) * bx + col * bx // nx]
                if _flag_pixel(image, variance, excluded, row, col, table, bound, min_snr, clip, model_error, flagged):
                    found = True
    for _ in range(iterations):
        if not found:
            break
        found = _grow(image, variance, excluded, flagged, table, bounds, (by, bx), grow_snr, grow_clip, model_error)
    return flagged
