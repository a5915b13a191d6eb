"""Find quads of an image in an index of codes, and rate the positions on the sky that they propose."""

import numpy as np
from numba import njit, types

from etendue.kernels.asterism import VARIANTS, code_variant, next_triple, project, quad_code
from etendue.kernels.point_tree import rows_within
from etendue.kernels.types import BOOL, BOOL_1D, F32_2D, F64, F64_1D, F64_2D, I32_2D, I64, I64_1D, I64_2D

_REAL = types.Array(types.float64, 1, "C")
_INT = types.Array(types.int64, 1, "C")
_INT_2D = types.Array(types.int64, 2, "C")
_NEVER = -1.0e30


@njit(
    [_INT_2D(F64_1D, F64_1D, I64, F64, F64, F64, F64, F32_2D, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def search_codes(x, y, newest, min_length, error, least_slack, most_slack, codes, first, last):
    """Look up the codes of all quads whose faintest star is a given one.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Sources, brightest first [px].
    newest : int
        The faintest of the four.
    min_length : float
        Shortest distance of A and B [px].
    error : float
        Codes may differ by this over AB [px]...
    least_slack, most_slack : float
        ...but by not less and not more than these.
    codes : ndarray, float32, shape (q, 4)
        Codes of the index; a tree in the rows ``first`` to ``last``.
    first, last : int
        Its rows.

    Returns
    -------
    ndarray, int64, shape (h, 5)
        Row of the index, and the sources that are its A, B, C, D.
    """
    hits, total = np.empty((256, 5), np.int64), 0
    found = np.empty(8192, np.int64)
    order, new_order, code, new_code = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4), np.empty(4)
    triple, four, started = np.empty(3, np.int64), np.empty(4, np.int64), 0
    while next_triple(newest, started, triple):
        started = 1
        four[0], four[1], four[2], four[3] = triple[0], triple[1], triple[2], newest
        if not quad_code(x, y, four, most_slack, order, code):
            continue
        length = np.hypot(x[order[0]] - x[order[1]], y[order[0]] - y[order[1]])
        if length < min_length:
            continue
        slack = max(least_slack, min(most_slack, error / length))
        for variant in range(VARIANTS):
            if not code_variant(code, order, variant, 2.0 * slack, new_code, new_order):
                continue
            n = min(rows_within(codes, first, last, new_code, slack, found), found.size)
            while total + n > hits.shape[0]:
                hits = np.concatenate((hits, hits))
            for k in range(n):
                hits[total, 0] = found[k]
                hits[total, 1:] = new_order
                total += 1
    return hits[:total].copy()


@njit(
    [types.Tuple((F64, F64, F64, F64, F64))(F64_1D, F64_1D, F64_1D, F64_1D, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def fit_similarity(x, y, xi, eta, parity):
    """Fit ``xi + 1j eta = (a + 1j b)(x + 1j parity y) + (dx + 1j dy)`` by least squares.

    Parameters
    ----------
    x, y, xi, eta : ndarray, float64, shape (n,)
        Matched points, at least two.
    parity : float
        1 or -1.

    Returns
    -------
    a, b, dx, dy : float
        The map.
    square : float
        Sum of the squared residuals, in units of ``xi``.
    """
    n = x.size
    mx, my, mu, mv = x.mean(), parity * y.mean(), xi.mean(), eta.mean()
    norm = re = im = total = 0.0
    for k in range(n):
        px, py, qx, qy = x[k] - mx, parity * y[k] - my, xi[k] - mu, eta[k] - mv
        norm += px * px + py * py
        re += px * qx + py * qy
        im += px * qy - py * qx
        total += qx * qx + qy * qy
    a, b = re / norm, im / norm
    return a, b, mu - (a * mx - b * my), mv - (b * mx + a * my), total - (re * re + im * im) / norm


@njit(
    [F64(F64_1D, F64_1D, BOOL_1D, F64_1D, F64_1D, F64, F64, F64, F64, F64, F64, _INT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def field_log_odds(x, y, used, ref_x, ref_y, sigma, mid_x, mid_y, reach, area, distractors, match):
    """Compute how much better "these reference stars are there" explains the sources than "anything is anywhere".

    Lang et al. 2010, section 2.3. Background: sources are uniform over the area. Foreground: a source is a
    distractor, uniform, or lies on one of the reference stars within an error that grows with the distance from the
    stars that proposed the position, ``sigma**2 (1 + r**2 / reach**2)``; a reference star explains one source only.
    Sources are judged in order; the best running sum counts, up to which the fainter ones do not matter. Under the
    background the odds are a martingale of mean 1: they ever exceed 10**k with a probability below 10**-k.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Sources, brightest first [px].
    used : ndarray, bool, shape (n,)
        Sources that proposed the position; they do not count.
    ref_x, ref_y : ndarray, float64, shape (m,)
        Reference stars on the image, without those that proposed the position [px].
    sigma : float
        Error of positions per axis [px].
    mid_x, mid_y, reach : float
        Middle and radius of the stars that proposed the position [px].
    area : float
        Area on which sources can be [px**2].
    distractors : float
        Fraction of the sources that are no reference stars.
    match : ndarray, int64, shape (n,)
        Receives the reference star of every source, -1 for none or beyond the best running sum.

    Returns
    -------
    float
        Natural logarithm of the odds; at least 0.
    """
    match[:] = -1
    taken = np.zeros(ref_x.size, np.bool_)
    total = best = 0.0
    best_end = 0
    for i in range(x.size):
        if used[i]:
            continue
        variance = sigma * sigma * (1.0 + ((x[i] - mid_x) ** 2 + (y[i] - mid_y) ** 2) / (reach * reach))
        nearest, square = -1, 25.0 * variance
        for j in range(ref_x.size):
            distance = (x[i] - ref_x[j]) ** 2 + (y[i] - ref_y[j]) ** 2
            if distance < square and not taken[j]:
                nearest, square = j, distance
        odds = distractors
        if nearest >= 0:
            peak = (1.0 - distractors) * area / (2.0 * np.pi * variance * ref_x.size)
            odds += peak * np.exp(-0.5 * square / variance)
            if odds > 1.0:
                match[i] = nearest
                taken[nearest] = True
        total += np.log(odds)
        if total > best:
            best, best_end = total, i + 1
        if total < best - 30.0:
            break
    match[best_end:] = -1
    return best


@njit([types.void(_REAL, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _move(center, xi, eta):
    """Move a direction to a point on its tangent plane."""
    axis = np.hypot(center[0], center[1])
    sin_ra, cos_ra = (center[1] / axis, center[0] / axis) if axis > 0.0 else (0.0, 1.0)
    x = center[0] - xi * sin_ra - eta * center[2] * cos_ra
    y = center[1] + xi * cos_ra - eta * center[2] * sin_ra
    z = center[2] + eta * axis
    norm = np.sqrt(x * x + y * y + z * z)
    center[0], center[1], center[2] = x / norm, y / norm, z / norm


@njit(
    [BOOL(F64_1D, F64_1D, F64_2D, I64_1D, F64, F64, F64_1D, F64, F64, F64, _REAL, _REAL)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def place_frame(x, y, vectors, rows, middle_x, middle_y, hint, hint_rad, scale_low, scale_high, center, plane):
    """Compute where four matched stars put the frame on the sky.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Matched sources [px]; the first two are A and B.
    vectors : ndarray, float64, shape (s, 3)
        Unit vectors of stars.
    rows : ndarray, int64, shape (n,)
        The matched ones.
    middle_x, middle_y : float
        Middle of the frame [px].
    hint : ndarray, float64, shape (3,)
        Direction near which the middle must lie.
    hint_rad : float
        How near [rad].
    scale_low, scale_high : float
        Limits of the scale [rad/px].
    center : ndarray, float64, shape (3,)
        Receives the direction of the middle of the frame.
    plane : ndarray, float64, shape (5,)
        Receives ``a, b, dx, dy, parity`` from pixels to the tangent plane at ``center`` [rad].

    Returns
    -------
    bool
        False where scale or position are not allowed.
    """
    chord = 0.0
    for axis in range(3):
        chord += (vectors[rows[0], axis] - vectors[rows[1], axis]) ** 2
    scale = np.sqrt(chord) / np.hypot(x[0] - x[1], y[0] - y[1])
    if not scale_low <= scale <= scale_high:
        return False
    xi, eta = np.empty(rows.size), np.empty(rows.size)
    for axis in range(3):
        center[axis] = vectors[rows, axis].mean()
    for _ in range(2):  # first about the stars, then about the middle of the frame
        center /= np.sqrt((center * center).sum())
        project(vectors, rows, center, xi, eta)
        right, mirrored = fit_similarity(x, y, xi, eta, 1.0), fit_similarity(x, y, xi, eta, -1.0)
        parity = 1.0 if right[4] <= mirrored[4] else -1.0
        a, b, dx, dy, _square = right if parity > 0.0 else mirrored
        plane[0], plane[1], plane[2], plane[3], plane[4] = a, b, dx, dy, parity
        u = a * middle_x - b * parity * middle_y + dx
        v = b * middle_x + a * parity * middle_y + dy
        if u * u + v * v > 1.0:  # farther off than 45 deg: no frame of ours
            return False
        _move(center, u, v)
    plane[2], plane[3] = plane[2] - u, plane[3] - v
    return center[0] * hint[0] + center[1] * hint[1] + center[2] * hint[2] >= np.cos(hint_rad)


@njit(
    [
        types.Tuple((_INT, _REAL, _REAL))(
            F64_2D, F64_1D, I64, I64, F64_1D, F64_1D, F64_1D, I64
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def stars_on_frame(vectors, flux, first, last, center, plane, frame, n_stars):
    """Find the brightest stars of an index on a frame.

    Parameters
    ----------
    vectors : ndarray, float64, shape (n, 3)
        Unit vectors of the stars; a tree in the rows ``first`` to ``last``.
    flux : ndarray, float64, shape (n,)
        Brightness.
    first, last : int
        Rows.
    center : ndarray, float64, shape (3,)
        Direction of the middle of the frame.
    plane : ndarray, float64, shape (5,)
        ``a, b, dx, dy, parity`` from pixels to the tangent plane there [rad].
    frame : ndarray, float64, shape (4,)
        Lowest and highest x and lowest and highest y of the frame [px].
    n_stars : int
        Most stars wanted.

    Returns
    -------
    rows : ndarray, int64, shape (m,)
        Stars, brightest first.
    x, y : ndarray, float64, shape (m,)
        Their pixels.
    """
    a, b, parity = plane[0], plane[1], plane[4]
    square = a * a + b * b
    radius = 0.5 * np.sqrt(square) * np.hypot(frame[1] - frame[0], frame[3] - frame[2])
    found = np.empty(20000, np.int64)
    n = min(rows_within(vectors, first, last, center, radius, found), found.size)
    xi, eta = np.empty(n), np.empty(n)
    project(vectors, found[:n], center, xi, eta)
    kept = 0
    for k in range(n):
        u, v = xi[k] - plane[2], eta[k] - plane[3]
        px, py = (a * u + b * v) / square, parity * (a * v - b * u) / square
        if frame[0] <= px <= frame[1] and frame[2] <= py <= frame[3]:
            found[kept], xi[kept], eta[kept] = found[k], px, py
            kept += 1
    bright = np.argsort(-flux[found[:kept]], kind="mergesort")[:n_stars]
    return found[bright], xi[bright], eta[bright]


@njit(
    [
        types.Tuple((_REAL, I64))(
            I64_2D, F64_1D, F64_1D, I32_2D, F64_2D, F64_1D, I64_1D, F64_1D, F64_1D, F64_1D, F64, F64, F64, I64, F64,
            F64, F64,
        )
    ],
    cache=True,
    nogil=True,
    error_model="numpy",
)  # fmt: skip
def rate_hits(
    hits, x, y, quads, vectors, flux, level_start, cell_rad, frame, hint, hint_rad, scale_low, scale_high, n_stars,
    sigma, distractors, enough,
):  # fmt: skip
    """Rate every position that a hit proposes, until one is good enough.

    Parameters
    ----------
    hits : ndarray, int64, shape (h, 5)
        From `search_codes`.
    x, y : ndarray, float64, shape (n,)
        Sources, brightest first [px].
    quads : ndarray, int32, shape (q, 4)
        Stars of the index quads.
    vectors, flux : ndarray, float64, shape (s, 3) and (s,)
        Unit vectors and brightness of stars; a tree per level.
    level_start : ndarray, int64, shape (l + 1,)
        First rows of the levels, coarsest first.
    cell_rad : ndarray, float64, shape (l,)
        Cell sides of the levels [rad].
    frame : ndarray, float64, shape (4,)
        Lowest and highest x and lowest and highest y of the frame [px].
    hint, hint_rad, scale_low, scale_high : ndarray and float
        What positions are allowed, see `place_frame`.
    n_stars : int
        Most reference stars on the frame.
    sigma, distractors : float
        See `field_log_odds`.
    enough : float
        Log-odds at which the others need not be rated any more.

    Returns
    -------
    log_odds : ndarray, float64, shape (h,)
        -1e30 where the position is not allowed or was not rated.
    rated : int
        Number of positions compared with the reference stars.
    """
    log_odds, rated = np.full(hits.shape[0], _NEVER), 0
    middle_x, middle_y = 0.5 * (frame[0] + frame[1]), 0.5 * (frame[2] + frame[3])
    diagonal = np.hypot(frame[1] - frame[0], frame[3] - frame[2])
    area = (frame[1] - frame[0]) * (frame[3] - frame[2])
    used, match = np.zeros(x.size, np.bool_), np.empty(x.size, np.int64)
    center, plane = np.empty(3), np.empty(5)
    for h in range(hits.shape[0]):
        rows, mine = quads[hits[h, 0]].astype(np.int64), hits[h, 1:].copy()
        four_x, four_y = x[mine], y[mine]
        if not place_frame(
            four_x, four_y, vectors, rows, middle_x, middle_y, hint, hint_rad, scale_low, scale_high, center, plane
        ):
            continue
        width = np.hypot(plane[0], plane[1]) * diagonal
        level = 0
        while level < cell_rad.size - 1 and cell_rad[level] > 0.35 * width:
            level += 1
        first, last = level_start[level], level_start[level + 1]
        _, ref_x, ref_y = stars_on_frame(vectors, flux, first, last, center, plane, frame, n_stars)
        keep = np.ones(ref_x.size, np.bool_)
        reach = 0.5 * np.hypot(four_x[0] - four_x[1], four_y[0] - four_y[1])
        for k in range(4):
            near = (ref_x - four_x[k]) ** 2 + (ref_y - four_y[k]) ** 2 < (3.0 * sigma) ** 2
            keep &= ~near
            used[mine[k]] = True
        log_odds[h] = field_log_odds(
            x, y, used, ref_x[keep], ref_y[keep], sigma, four_x[:2].mean(), four_y[:2].mean(), reach, area,
            distractors, match,
        )  # fmt: skip
        used[:] = False
        rated += 1
        if log_odds[h] >= enough:
            break
    return log_odds, rated
