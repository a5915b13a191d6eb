"""Transforms between two star fields: proposed by pairs of stars, counted on a raster, refined on their matches."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F64, F64_1D, F64_2D, I32_2D, I64, I64_1D

_INT = types.Array(types.int64, 1, "C")
_INT_2D = types.Array(types.int32, 2, "C")
_REAL = types.Array(types.float64, 1, "C")
_REAL_2D = types.Array(types.float64, 2, "C")
_REAL_3D = types.Array(types.float64, 3, "C")
_INT64_2D = types.Array(types.int64, 2, "C")


@njit([types.Tuple((_INT, _INT, _REAL, _INT))(F64_2D, I64, F64)], cache=True, nogil=True, error_model="numpy")
def directed_pairs(points, n_bins, longest):
    """List pairs of points in both directions, by direction and length.

    Parameters
    ----------
    points : ndarray, float64, shape (m, 2)
        Points on a plane.
    n_bins : int
        Number of equal bins of direction, from -pi on.
    longest : float
        Largest distance of a pair.

    Returns
    -------
    a, b : ndarray, int64, shape (k,)
        Ends of the pairs, ordered by bin and then by length.
    length : ndarray, float64, shape (k,)
        Their lengths.
    start : ndarray, int64, shape (n_bins + 1,)
        First pair of each bin.
    """
    m = points.shape[0]
    k = m * (m - 1)
    a, b, length, bins = np.empty(k, np.int64), np.empty(k, np.int64), np.empty(k), np.empty(k, np.int64)
    start, total = np.zeros(n_bins + 1, np.int64), 0
    for i in range(m):
        for j in range(m):
            dx, dy = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
            if i != j and np.hypot(dx, dy) <= longest:
                a[total], b[total], length[total] = i, j, np.hypot(dx, dy)
                bins[total] = min(n_bins - 1, int((np.arctan2(dy, dx) + np.pi) / (2.0 * np.pi) * n_bins))
                start[bins[total] + 1] += 1
                total += 1
    start = np.cumsum(start)
    by_length = np.argsort(length[:total], kind="mergesort")
    order, filled = np.empty(total, np.int64), start[:-1].copy()
    for pair in by_length:
        order[filled[bins[pair]]] = pair
        filled[bins[pair]] += 1
    return a[order], b[order], length[order], start


@njit(
    [_REAL_2D(F64_2D, I64_1D, I64_1D, F64_2D, I64_1D, I64_1D, F64_1D, I64_1D, F64_1D, F64, F64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def pair_hypotheses(
    source, first, second, target, target_a, target_b, target_length, start, center, max_shift, max_scale_error, slack,
    max_rotation,
):  # fmt: skip
    """Propose similarity transforms from pairs of stars of nearly equal length and direction.

    Parameters
    ----------
    source, target : ndarray, float64, shape (n, 2) and (m, 2)
        Points on a plane.
    first, second : ndarray, int64, shape (p,)
        Source pairs to be tried, two different points each.
    target_a, target_b, target_length, start : ndarray
        Target pairs, from `directed_pairs`.
    center : ndarray, float64, shape (2,)
        Point that no transform may move by more than...
    max_shift : float
        ...this.
    max_scale_error : float
        Largest relative difference of lengths.
    slack : float
        Error of positions, allowed on top in length and direction.
    max_rotation : float
        Largest rotation [rad].

    Returns
    -------
    ndarray, float64, shape (h, 4)
        ``(a, b, dx, dy)`` of ``x' = a x - b y + dx, y' = b x + a y + dy``.
    """
    n_bins = start.size - 1
    found, total = np.empty((1024, 4)), 0
    for pair in range(first.size):
        i, j = first[pair], second[pair]
        px, py = source[j, 0] - source[i, 0], source[j, 1] - source[i, 1]
        mx, my = 0.5 * (source[i, 0] + source[j, 0]), 0.5 * (source[i, 1] + source[j, 1])
        length = np.hypot(px, py)
        margin, turn = length * max_scale_error + slack, max_rotation + slack / length
        min_cosine = np.cos(min(turn, np.pi))
        direction = (np.arctan2(py, px) + np.pi) / (2.0 * np.pi) * n_bins
        reach = min(turn / (2.0 * np.pi) * n_bins, 0.5 * n_bins - 0.5)
        lowest, highest = int(np.floor(direction - reach)), int(np.floor(direction + reach))
        for step in range(min(highest - lowest + 1, n_bins)):
            low, high = start[(lowest + step) % n_bins], start[(lowest + step) % n_bins + 1]
            for k in range(low + np.searchsorted(target_length[low:high], length - margin), high):
                if target_length[k] > length + margin:
                    break
                ax, ay = target[target_a[k], 0], target[target_a[k], 1]
                bx, by = target[target_b[k], 0], target[target_b[k], 1]
                dot = px * (bx - ax) + py * (by - ay)
                if dot < min_cosine * length * target_length[k]:
                    continue
                a, b = dot / length**2, (px * (by - ay) - py * (bx - ax)) / length**2
                dx, dy = 0.5 * (ax + bx) - (a * mx - b * my), 0.5 * (ay + by) - (b * mx + a * my)
                move_x = a * center[0] - b * center[1] + dx - center[0]
                move_y = b * center[0] + a * center[1] + dy - center[1]
                if move_x**2 + move_y**2 > max_shift**2:
                    continue
                if total == found.shape[0]:
                    found = np.concatenate((found, found))
                found[total, 0], found[total, 1], found[total, 2], found[total, 3] = a, b, dx, dy
                total += 1
    return found[:total].copy()


@njit([_INT_2D(F64_2D, F64, F64, F64, I64, I64, F64)], cache=True, nogil=True, error_model="numpy")
def nearest_raster(target, x0, y0, cell, nx, ny, radius):
    """Draw which target point is nearest to the cells around it.

    Parameters
    ----------
    target : ndarray, float64, shape (m, 2)
        Points.
    x0, y0 : float
        Corner of the first cell.
    cell : float
        Side of a cell.
    nx, ny : int
        Number of cells.
    radius : float
        Cells whose middle is farther than this from every point stay empty.

    Returns
    -------
    ndarray, int32, shape (ny, nx)
        Index of the nearest point, -1 where there is none.
    """
    raster = np.full((ny, nx), -1, np.int32)
    square = np.full((ny, nx), radius * radius)
    reach = int(radius / cell) + 1
    for j in range(target.shape[0]):
        column, row = int(np.floor((target[j, 0] - x0) / cell)), int(np.floor((target[j, 1] - y0) / cell))
        for iy in range(max(0, row - reach), min(ny, row + reach + 1)):
            for ix in range(max(0, column - reach), min(nx, column + reach + 1)):
                dx, dy = x0 + (ix + 0.5) * cell - target[j, 0], y0 + (iy + 0.5) * cell - target[j, 1]
                if dx * dx + dy * dy <= square[iy, ix]:
                    square[iy, ix] = dx * dx + dy * dy
                    raster[iy, ix] = j
    return raster


@njit([_INT(F64_2D, F64_2D, I32_2D, F64, F64, F64, I64)], cache=True, nogil=True, error_model="numpy")
def count_landings(transforms, source, raster, x0, y0, cell, n_target):
    """Count the target points on which each transform brings some source point.

    Parameters
    ----------
    transforms : ndarray, float64, shape (h, 4)
        From `pair_hypotheses`.
    source : ndarray, float64, shape (n, 2)
        Points before.
    raster : ndarray, int32, shape (ny, nx)
        From `nearest_raster`.
    x0, y0, cell : float
        Its place.
    n_target : int
        Number of target points.

    Returns
    -------
    ndarray, int64, shape (h,)
        Different points hit; only of the first 24 (64) sources where those hit at most one point (two) above chance.
    """
    ny, nx = raster.shape
    chance = np.float64((raster >= 0).sum()) / raster.size
    hit_by = np.full(n_target, -1, np.int64)
    count = np.zeros(transforms.shape[0], np.int64)
    for h in range(transforms.shape[0]):
        a, b, dx, dy = transforms[h, 0], transforms[h, 1], transforms[h, 2], transforms[h, 3]
        for i in range(source.shape[0]):
            if (i == 24 and count[h] <= 1.0 + 24.0 * chance) or (i == 64 and count[h] <= 2.0 + 64.0 * chance):
                break
            column = int(np.floor((a * source[i, 0] - b * source[i, 1] + dx - x0) / cell))
            row = int(np.floor((b * source[i, 0] + a * source[i, 1] + dy - y0) / cell))
            if column < 0 or row < 0 or column >= nx or row >= ny:
                continue
            target = raster[row, column]
            if target >= 0 and hit_by[target] != h:
                hit_by[target] = h
                count[h] += 1
    return count


@njit([types.void(F64_1D, F64_2D, F64_2D, _INT, F64, _INT, _REAL)], cache=True, nogil=True, error_model="numpy")
def _pair_up(transform, source, target, order, radius, match, square):
    """Give every source the nearest target, and every target only its nearest source; targets ordered by x."""
    a, b, dx, dy = transform[0], transform[1], transform[2], transform[3]
    m = target.shape[0]
    owner = np.full(m, -1, np.int64)
    for i in range(source.shape[0]):
        x, y = a * source[i, 0] - b * source[i, 1] + dx, b * source[i, 0] + a * source[i, 1] + dy
        low, high = 0, m
        while low < high:  # first target not left of x - radius
            middle = (low + high) // 2
            if target[order[middle], 0] < x - radius:
                low = middle + 1
            else:
                high = middle
        match[i], square[i] = -1, radius * radius
        while low < m and target[order[low], 0] <= x + radius:
            j = order[low]
            distance = (target[j, 0] - x) ** 2 + (target[j, 1] - y) ** 2
            if distance <= square[i]:
                match[i], square[i] = j, distance
            low += 1
        if match[i] >= 0:
            other = owner[match[i]]
            if other >= 0 and square[other] <= square[i]:
                match[i] = -1
            else:
                if other >= 0:
                    match[other] = -1
                owner[match[i]] = i


@njit([types.boolean(F64_2D, F64_2D, _INT, _REAL)], cache=True, nogil=True, error_model="numpy")
def _fitted(source, target, match, transform):
    """Fit the transform to the matches by least squares; False where they are fewer than two."""
    n = 0
    sx = sy = tx = ty = 0.0
    for i in range(match.size):
        if match[i] >= 0:
            n += 1
            sx, sy = sx + source[i, 0], sy + source[i, 1]
            tx, ty = tx + target[match[i], 0], ty + target[match[i], 1]
    if n < 2:
        return False
    sx, sy, tx, ty = sx / n, sy / n, tx / n, ty / n
    norm = re = im = 0.0
    for i in range(match.size):
        if match[i] >= 0:
            px, py = source[i, 0] - sx, source[i, 1] - sy
            qx, qy = target[match[i], 0] - tx, target[match[i], 1] - ty
            norm += px * px + py * py
            re += px * qx + py * qy
            im += px * qy - py * qx
    if norm == 0.0:
        return False
    a, b = re / norm, im / norm
    transform[0], transform[1] = a, b
    transform[2], transform[3] = tx - (a * sx - b * sy), ty - (b * sx + a * sy)
    return True


@njit([types.Tuple((_REAL_3D, _INT64_2D))(F64_2D, F64_2D, F64_2D, _INT, F64_1D)], cache=True, nogil=True,
      error_model="numpy")  # fmt: skip
def refine_transforms(transforms, source, target, order, radii):
    """Fit transforms to their own matches within radii that shrink.

    Parameters
    ----------
    transforms : ndarray, float64, shape (h, 4)
        Starts, from `pair_hypotheses`.
    source, target : ndarray, float64, shape (n, 2) and (m, 2)
        Points.
    order : ndarray, int64, shape (m,)
        Order of the targets by x.
    radii : ndarray, float64, shape (k,)
        Largest distances of a match, descending; matches are first looked for within three times the first.

    Returns
    -------
    refined : ndarray, float64, shape (h, k, 4)
        The transform fitted at each radius; as before where fewer than two points match.
    matched : ndarray, int64, shape (h, k)
        One-to-one matches of it within that radius.
    """
    h, k = transforms.shape[0], radii.size
    refined, matched = np.empty((h, k, 4)), np.zeros((h, k), np.int64)
    match, square = np.empty(source.shape[0], np.int64), np.empty(source.shape[0])
    for row in range(h):
        now = transforms[row].copy()
        for widening in (3.0, 2.0, 1.4):
            _pair_up(now, source, target, order, widening * radii[0], match, square)
            _fitted(source, target, match, now)
        for step in range(k):
            for _ in range(2):
                _pair_up(now, source, target, order, radii[step], match, square)
                _fitted(source, target, match, now)
            _pair_up(now, source, target, order, radii[step], match, square)
            refined[row, step] = now
            for i in range(match.size):
                matched[row, step] += match[i] >= 0
    return refined, matched


@njit([types.Tuple((_INT, F64))(F64_1D, F64_2D, F64_2D, _INT, F64, F64_2D)], cache=True, nogil=True,
      error_model="numpy")  # fmt: skip
def matches_and_chance(transform, source, target, order, radius, shifts):
    """Match points one to one, and count the matches that the same points have beside their places.

    Parameters
    ----------
    transform : ndarray, float64, shape (4,)
        The transform.
    source, target : ndarray, float64, shape (n, 2) and (m, 2)
        Points.
    order : ndarray, int64, shape (m,)
        Order of the targets by x.
    radius : float
        Largest distance of a match.
    shifts : ndarray, float64, shape (s, 2)
        Shifts after the transform, each several radii long.

    Returns
    -------
    match : ndarray, int64, shape (n,)
        Target of each source, -1 for none.
    chance : float
        Mean fraction of the sources that match when shifted: what the local densities give by chance, however
        clustered the points are.
    """
    match, square = np.empty(source.shape[0], np.int64), np.empty(source.shape[0])
    count = 0
    for row in range(shifts.shape[0]):
        beside = transform.copy()
        beside[2] += shifts[row, 0]
        beside[3] += shifts[row, 1]
        _pair_up(beside, source, target, order, radius, match, square)
        for i in range(match.size):
            count += match[i] >= 0
    _pair_up(transform, source, target, order, radius, match, square)
    return match, count / (source.shape[0] * shifts.shape[0])
