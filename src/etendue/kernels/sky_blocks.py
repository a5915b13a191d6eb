"""Sky of an image in small blocks without sources, and the smoothest surface that agrees with it; on plain arrays."""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import uniform_filter

from etendue.kernels.types import BOOL_2D_OUT, F32, F32_2D, F32_2D_OUT, F64_2D, I32, I32_2D, I64

BLOCK = 4  # px
_SCALES = (1, 3, 5)  # cells together that may show an object
_SAMPLE = 60_000  # blocks whose scatter is measured
_MODES = 12  # cosines along an axis; twice as many where the sky asks for them
_STRENGTHS = 10.0 ** np.arange(4.0, -4.1, -1.0)  # of the penalty on curvature
_ROUNDS = 3  # fits, each with less trust in cells that are off the one before
_ENOUGH = 100  # cells, to tell objects from sky
_LEAST_SKY = 0.3  # share of the cells that must be left
Real = NDArray[np.float64]
_LINE = types.Array(types.float32, 1, "C")


@njit(inline="always")
def _flag_light(flags, light, flagged):
    """Flag the blocks of a row that hold a pixel with any of the bits ``light``."""
    found = np.int32(0)
    for x in range(flags.size):
        found |= flags[x]
    if found & light != 0:
        for x in range(flags.size):
            if flags[x] & light != 0:
                flagged[x // BLOCK] = True


@njit(inline="always")
def _close_blocks(total, number, most, limit, cell, sums, counts, flagged):
    """Write a finished row of blocks, and begin the next."""
    for i in range(sums.size):
        x = BLOCK * i
        sums[i] = total[x] + total[x + 1] + total[x + 2] + total[x + 3]
        counts[i] = number[x] + number[x + 1] + number[x + 2] + number[x + 3]
        if max(max(most[x], most[x + 1]), max(most[x + 2], most[x + 3])) > 9.0 * limit[x // cell]:
            flagged[i] = True
    total[:], number[:], most[:] = F32(0.0), F32(0.0), F32(0.0)


@njit(
    [types.void(F32_2D, F32_2D, I32_2D, I32, I32, F64_2D, I64, I64, I64, I64, F32_2D_OUT, F32_2D_OUT, BOOL_2D_OUT)],
    cache=True, nogil=True, error_model="numpy",
)  # fmt: skip
def block_sums(image, surface, mask, bits, light, limit, cell, first, top, stop, sums, counts, flagged):
    """Sum a strip of an image minus its sky in blocks, and flag blocks with light in them.

    A block is flagged where the mean of 3 x 3 pixels, centred in it, departs from the sky by more than a limit. Both
    signs are, so that noise alone does not shift the sum of what is left.

    Parameters
    ----------
    image, mask : ndarray, float32 and int32, shape (ny, nx)
        Image, and its mask; pixels with any of ``bits`` or no finite value are left out.
    surface : ndarray, float32, shape (n_rows, nx)
        Sky of the rows of blocks from ``first`` on, for it hardly changes within one.
    bits, light : int
        Bits of unusable pixels, and of pixels with light of sources: a block that holds one of these is flagged.
    limit : ndarray, float64, shape (rows, cols)
        Largest departure of a mean, per cell.
    cell : int
        Side of those cells [px], a multiple of the block's.
    first, top, stop : int
        Row of blocks that ``surface`` begins with; rows to sum: ``top`` (a multiple of the block's side) to ``stop``.
    sums, counts : ndarray, float32, shape (n_blocks_y, n_blocks_x)
        Output: sum and number of usable pixels; zeros before.
    flagged : ndarray, bool, shape (n_blocks_y, n_blocks_x)
        Output: where there is light; False before.
    """
    ny, nx = image.shape
    width = (nx + BLOCK - 1) // BLOCK
    padded = np.zeros((3, width * BLOCK + 2), F32)
    usable = np.zeros((3, width * BLOCK), F32)
    column = np.zeros(width * BLOCK + 2, F32)
    total, number = np.zeros(width * BLOCK, F32), np.zeros(width * BLOCK, F32)
    most = np.zeros(width * BLOCK, F32)
    for y in range(top - 1, stop + 1):
        k = y % 3
        line, good = padded[k], usable[k]
        if y < 0 or y >= ny:
            line[:], good[:] = F32(0.0), F32(0.0)
        else:
            pixels, sky, flags = image[y], surface[y // BLOCK - first], mask[y]
            for x in range(nx):
                value = pixels[x] - sky[x]
                use = (flags[x] & bits) == 0 and abs(value) < np.inf
                line[x + 1] = value if use else F32(0.0)
                good[x] = F32(1.0) if use else F32(0.0)
        if y < top + 1:
            continue
        row = y - 1
        if row >= stop:
            break
        middle, count, b = padded[row % 3], usable[row % 3], row // BLOCK
        _flag_light(mask[row], light, flagged[b])
        for x in range(column.size):
            column[x] = padded[0, x] + padded[1, x] + padded[2, x]
        for x in range(total.size):
            nine = abs(column[x] + column[x + 1] + column[x + 2])
            most[x] = nine if nine > most[x] else most[x]
            total[x] += middle[x + 1]
            number[x] += count[x]
        if row % BLOCK == BLOCK - 1 or row == stop - 1:
            _close_blocks(total, number, most, limit[row // cell], cell, sums[b], counts[b], flagged[b])


def grown_flags(flagged: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """Return flags grown by a square of half side ``margin``."""
    out = flagged.copy()
    for shift in range(1, margin + 1):
        out[shift:] |= flagged[:-shift]
        out[:-shift] |= flagged[shift:]
    rows = out.copy()
    for shift in range(1, margin + 1):
        out[:, shift:] |= rows[:, :-shift]
        out[:, :-shift] |= rows[:, shift:]
    return out


@njit([types.Array(types.float32, 2, "C")(F32_2D, I64)], cache=True, nogil=True, error_model="numpy")
def pooled(values, side):
    """Return the sums of squares of ``side`` values; the last ones may be smaller."""
    ny, nx = values.shape
    out = np.zeros(((ny + side - 1) // side, (nx + side - 1) // side), F32)
    for y in range(ny):
        line = out[y // side]
        for i in range(line.size):
            total = F32(0.0)
            for x in range(i * side, min(nx, (i + 1) * side)):
                total += values[y, x]
            line[i] += total
    return out


@njit([types.void(F32_2D_OUT, F32_2D_OUT, F32_2D, I64, I64, F32)], cache=True, nogil=True, error_model="numpy")
def _drop_light(total, number, middle, side, scale, limit):
    """Empty the blocks in and around squares of ``scale`` whose mean departs from its cell's by ``limit`` errors."""
    ny, nx = total.shape
    part, n = (total, number) if scale == 1 else (pooled(total, scale), pooled(number, scale))
    light = np.zeros(part.shape, np.bool_)
    found = False
    per_cell = side // scale
    square = limit * limit
    for j in range(part.shape[0]):
        for c in range(middle.shape[1]):
            level = middle[j // per_cell, c]
            for i in range(c * per_cell, min((c + 1) * per_cell, part.shape[1])):
                off = part[j, i] - level * n[j, i]
                far = off * off > square * n[j, i]
                light[j, i] = far
                found |= far
    if not found:
        return
    for j in range(part.shape[0]):
        for i in range(part.shape[1]):
            if light[j, i]:
                y0, x0 = max((j - 1) * scale, 0), max((i - 1) * scale, 0)
                total[y0 : min((j + 2) * scale, ny), x0 : min((i + 2) * scale, nx)] = F32(0.0)
                number[y0 : min((j + 2) * scale, ny), x0 : min((i + 2) * scale, nx)] = F32(0.0)


class SkyCells(NamedTuple):
    """Departure of the sky from a surface, in cells."""

    level: Real  # (gy, gx) mean; NaN where too few pixels are left
    pixels: Real  # (gy, gx) number of pixels left
    noise: float  # scatter of single pixels that explains that of the blocks


def clean_cells(
    sums: NDArray[np.float32],
    counts: NDArray[np.float32],
    flagged: NDArray[np.bool_],
    side: int,
    *,
    clip: float,
    margin: int,
    fewest: float,
) -> SkyCells:
    """Average blocks without light in cells; blocks are judged with more and more of their neighbours.

    What a block of 4 px does not show a mean over 16 and 64 px may: light ends where even those agree with the cells
    around within ``clip`` errors.

    Parameters
    ----------
    sums, counts : ndarray, float32, shape (n_blocks_y, n_blocks_x)
        Sums of pixels and their number.
    flagged : ndarray, bool, shape (n_blocks_y, n_blocks_x)
        Blocks that hold light of sources.
    side : int
        Blocks along a cell.
    clip : float
        Departure from the cell that is light [errors].
    margin : int
        Blocks to leave out around flagged ones.
    fewest : float
        Least share of a cell's pixels.

    Returns
    -------
    SkyCells
    """
    out = grown_flags(flagged, margin)
    total = np.where(out, np.float32(0.0), sums)
    number = np.where(out, np.float32(0.0), counts)
    noise = _block_noise(total, number)
    for scale in (1, 4, 16):
        if scale < side and side % scale == 0:
            middle = np.nan_to_num(_means(pooled(total, side), pooled(number, side))).astype(np.float32)
            _drop_light(total, number, middle, side, scale, np.float32(clip * noise))
    summed, n = pooled(total, side).astype(float), pooled(number, side).astype(float)
    area = pooled(np.full(sums.shape, np.float32(BLOCK**2)), side)
    level = _means(summed, np.where(n >= np.maximum(fewest * area, 1.0), n, 0.0))
    return SkyCells(level, n, noise)


def _means(total: NDArray, number: NDArray) -> Real:
    return np.asarray(np.where(number > 0.0, total / np.maximum(number, 1.0), np.nan), float)


def _block_noise(total: NDArray[np.float32], number: NDArray[np.float32]) -> float:
    """Return the pixel scatter that the low side of block means has: correlated noise counts, sources do not."""
    step = max(1, int(np.sqrt(number.size / _SAMPLE)))
    full = number[::step, ::step] == BLOCK**2
    values = total[::step, ::step][full] / BLOCK
    if values.size < 16:
        full = number > 0.0
        values = total[full] / np.sqrt(number[full])
    if not values.size:
        return 0.0
    low, middle = np.percentile(values, [15.87, 50.0])
    return float(middle - low)


def smooth_surface(
    level: Real, count: Real, *, extent: tuple[float, float] | None = None, object_clip: float | None = 3.0
) -> Real:
    """Return the smoothest surface through cells that agrees with them; it bridges cells that objects fill.

    A quadratic trend goes through the lower envelope first. Sky departs from it as far above as below: cells that
    rise further than ``object_clip`` times what others sink, alone or in squares of up to 5 x 5, hold the light of
    objects (large galaxies, haloes) and count no more. The others are fitted by the quadratic and cosines with a
    penalty on their curvature, of the strength of least generalised cross-validation (Craven & Wahba 1979, Numer.
    Math. 31, 377): a sky that is quadratic stays so, structure that cells show is followed.

    Parameters
    ----------
    level, count : ndarray, float64, shape (gy, gx)
        Cell levels, NaN where unknown, and their pixels.
    extent : tuple of float, optional
        Height and width in cells, if the last ones are cut.
    object_clip : float or None
        See above; None takes all light for sky.

    Returns
    -------
    ndarray, float64, shape (gy, gx)
    """
    known = np.isfinite(level)
    weight = np.where(known, count, 0.0)
    places = _places(level.shape, extent or (float(level.shape[0]), float(level.shape[1])))
    design = _design(places, int(known.sum()))
    if object_clip is not None and known.sum() >= _ENOUGH:
        weight = np.where(_object_cells(level, weight, design, object_clip), 0.0, weight)
    return _smoothed(level, weight, design, places)


def _places(shape: tuple[int, ...], extent: tuple[float, float]) -> list[Real]:
    """Return the middles of the cells along both axes, as a share of the axis."""
    edges = [np.append(np.arange(n, dtype=float), e) for n, e in zip(shape, extent, strict=True)]
    return [0.5 * (edge[1:] + edge[:-1]) / edge[-1] for edge in edges]


def _design(places: list[Real], n: int) -> Real:
    """Return quadratic terms, or a plane or a constant for few known cells; shape (gy, gx, n_terms)."""
    y, x = np.meshgrid(places[0] - 0.5, places[1] - 0.5, indexing="ij")
    terms = [np.ones_like(y), y, x, y * y, x * y, x * x]
    if n >= max(12, 0.25 * y.size) and min(y.shape) >= 3:
        return np.stack(terms, axis=-1)
    return np.stack(terms[:3] if n >= 4 and min(y.shape) >= 2 else terms[:1], axis=-1)


def _fit(level: Real, weight: Real, design: Real) -> Real:
    """Return the weighted least-squares surface."""
    use = weight > 0.0
    root = np.sqrt(weight[use])
    return np.asarray(design @ np.linalg.lstsq(design[use] * root[:, None], level[use] * root, rcond=None)[0])


def _object_cells(level: Real, weight: Real, design: Real, clip: float) -> NDArray[np.bool_]:
    """Tell which cells rise above the sky more than sky sinks; none if those would be most."""
    known = weight > 0.0
    none = np.zeros(level.shape, bool)
    residual = np.where(known, level - np.nanmedian(level), 0.0)
    for _ in range(8):  # the lower envelope: an expectile of 0.1
        trend = _fit(np.where(known, level, 0.0), weight * np.where(residual > 0.0, 0.1, 0.9), design)
        residual = np.where(known, level - trend, 0.0)
    objects = none
    for _ in range(8):
        use = known & ~objects
        if use.sum() < max(2 * design.shape[-1], _LEAST_SKY * known.sum()):
            return none
        trend = _fit(np.where(known, level, 0.0), np.where(use, weight, 0.0), design)
        residual = np.where(known, level - trend, 0.0)
        before, objects = objects, _above_sky(residual, known, use, clip)
        if (objects == before).all():
            break
    return objects


def _above_sky(residual: Real, known: NDArray[np.bool_], use: NDArray[np.bool_], clip: float) -> NDArray[np.bool_]:
    """Tell which cells, alone or with those around, rise further than those in use sink."""
    objects, depth = np.zeros(known.shape, bool), _depth(residual[use])
    for side in (side for side in _SCALES if side < min(known.shape)):
        share = uniform_filter(known.astype(float), side, mode="constant")
        around = uniform_filter(residual, side, mode="constant") / np.maximum(share, 1.0 / side**2)
        limit = clip * max(_depth(around[use]), depth / side)
        objects |= grown_flags(known & (around > limit), int(side > 1))
    return objects


def _depth(residual: Real) -> float:
    """Return the rms of what lies below the surface, without its deepest tenth of a percent."""
    below = np.sort(residual[residual < 0.0])
    return float(np.sqrt(np.mean(below[below.size // 1000 :] ** 2))) if below.size else 0.0


def _smoothed(level: Real, weight: Real, design: Real, places: list[Real]) -> Real:
    """Return trend and smooth departures from it through the cells that count."""
    known = weight > 0.0
    if known.sum() < 12 or min(level.shape) < 3:
        return _fit(np.where(known, level, 0.0), weight, design)
    modes, strengths = _MODES, _STRENGTHS
    trust = np.ones(level.shape)
    for _ in range(_ROUNDS):
        surface, chosen = _penalised(level, weight * trust, design, places, modes, strengths)
        if chosen == _STRENGTHS[-1] and max(level.shape) > modes == _MODES:  # finer structure is there
            modes = 2 * _MODES
            surface, chosen = _penalised(level, weight * trust, design, places, modes, strengths)
        strengths = chosen * np.array([10.0, 1.0, 0.1])
        off = np.where(known, level - surface, 0.0) * np.sqrt(weight / weight.max())
        least = max(1e-12 * float(np.abs(level[known]).max()), 1e-30)
        off /= max(4.685 * 1.4826 * float(np.median(np.abs(off[known]))), least)
        trust = np.where(np.abs(off) < 1.0, (1.0 - off**2) ** 2, 0.0)  # Tukey's biweight
        if (np.abs(off) < 1.0).all() or not np.count_nonzero(known & (trust > 0.0)) > 0.5 * known.sum():
            break
    return surface


def _penalised(
    level: Real, weight: Real, design: Real, places: list[Real], modes: int, strengths: Real
) -> tuple[Real, float]:
    """Fit trend and cosines, those with a penalty; return the strength of it that was the best, too."""
    known = weight > 0.0
    waves = [np.cos(np.pi * np.outer(u, np.arange(min(u.size, modes)))) for u in places]
    curves = [(2.0 - 2.0 * np.cos(np.pi * np.arange(min(n, modes)) / n)) for n in level.shape]
    cosines = np.einsum("ya,xb->yxab", *waves).reshape(*level.shape, -1)[..., 1:]
    penalty = ((curves[0][:, None] + curves[1]) ** 2).ravel()[1:]
    basis = np.concatenate([design, cosines], axis=-1)
    share, number = weight[known] / weight[known].mean(), int(known.sum())
    rows = basis[known] * np.sqrt(share)[:, None]
    values = level[known] * np.sqrt(share)
    normal, right, scale = rows.T @ rows, rows.T @ values, float(values @ values)
    stiffness = np.concatenate([np.zeros(design.shape[-1]), penalty])
    best, least, chosen = np.zeros(stiffness.size), np.inf, 0.0
    for strength in strengths:
        factor = cho_factor(normal + np.diag(number * strength * stiffness + 1e-9 * number))
        coefficients = cho_solve(factor, right)
        freedom = float(np.trace(cho_solve(factor, normal)))
        left = scale - 2.0 * coefficients @ right + coefficients @ normal @ coefficients
        error = max(left, 0.0) / (1.0 - min(freedom / number, 0.999)) ** 2
        if error < least:
            best, least, chosen = coefficients, error, strength
    return np.asarray(basis @ best), float(chosen)
