"""Geometric hash codes of four stars, and choosing the fours that an index holds.

Stars A and B, the farthest pair, are put at 0 and 1 of the complex plane; where C and D then lie, inside the circle
with diameter AB, does not depend on position, rotation and scale (Lang et al. 2010, AJ 139, 1782, section 2.1; their
B lies at 1 + 1j). Of the eight codes of the same four stars (A and B, C and D exchanged, the sky seen in a mirror)
the canonical one has ``Re c + Re d <= 1``, ``Re c <= Re d`` and ``Im c + Im d >= 0``.
"""

import numpy as np
from numba import njit, types

from etendue.kernels.point_tree import rows_within
from etendue.kernels.types import BOOL, F64, F64_1D, F64_2D, I64, I64_1D

_REAL = types.Array(types.float64, 1, "C")
_INT = types.Array(types.int64, 1, "C")
_INT_2D = types.Array(types.int64, 2, "C")
_CODES = types.Array(types.float32, 2, "C")
_QUADS = types.Array(types.int32, 2, "C")

VARIANTS = 8


@njit([BOOL(F64_1D, F64_1D, I64_1D, F64, _INT, _REAL)], cache=True, nogil=True, error_model="numpy")
def quad_code(x, y, stars, slack, order, code):
    """Compute the code of four points, in one of its eight variants.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Points on a plane.
    stars : ndarray, int64, shape (4,)
        Which four.
    slack : float
        C and D may lie this far outside the circle, in units of AB.
    order : ndarray, int64, shape (4,)
        Receives the four as A, B, C, D.
    code : ndarray, float64, shape (4,)
        Receives ``Re c, Im c, Re d, Im d``.

    Returns
    -------
    bool
        False where C or D lies outside the circle, or all points coincide: the four have no code.
    """
    longest, a, b = 0.0, 0, 1
    for i in range(4):
        for j in range(i + 1, 4):
            square = (x[stars[i]] - x[stars[j]]) ** 2 + (y[stars[i]] - y[stars[j]]) ** 2
            if square > longest:
                longest, a, b = square, i, j
    if longest == 0.0:
        return False
    order[0], order[1] = stars[a], stars[b]
    ux, uy = x[stars[b]] - x[stars[a]], y[stars[b]] - y[stars[a]]
    k = 2
    for i in range(4):
        if i in (a, b):
            continue
        vx, vy = x[stars[i]] - x[stars[a]], y[stars[i]] - y[stars[a]]
        re, im = (vx * ux + vy * uy) / longest, (vy * ux - vx * uy) / longest
        if (re - 0.5) ** 2 + im * im > (0.5 + slack) ** 2:
            return False
        order[k] = stars[i]
        code[2 * k - 4], code[2 * k - 3] = re, im
        k += 1
    return True


@njit([BOOL(F64_1D, I64_1D, I64, F64, _REAL, _INT)], cache=True, nogil=True, error_model="numpy")
def code_variant(code, order, variant, slack, new_code, new_order):
    """Compute one of the eight variants of a code, if it is canonical.

    Parameters
    ----------
    code : ndarray, float64, shape (4,)
        A code.
    order : ndarray, int64, shape (4,)
        Its stars as A, B, C, D.
    variant : int
        Bits: 1 exchanges A and B, 2 exchanges C and D, 4 mirrors the sky.
    slack : float
        The conditions of the canonical code may be missed by this much, for codes with errors.
    new_code, new_order : ndarray, shape (4,)
        Receive the variant.

    Returns
    -------
    bool
        Whether the variant is canonical.
    """
    for k in range(4):
        new_code[k], new_order[k] = code[k], order[k]
    if variant & 1:
        new_order[0], new_order[1] = order[1], order[0]
        new_code[0], new_code[1] = 1.0 - code[0], -code[1]
        new_code[2], new_code[3] = 1.0 - code[2], -code[3]
    if variant & 2:
        new_order[2], new_order[3] = order[3], order[2]
        re, im = new_code[0], new_code[1]
        new_code[0], new_code[1] = new_code[2], new_code[3]
        new_code[2], new_code[3] = re, im
    if variant & 4:
        new_code[1], new_code[3] = -new_code[1], -new_code[3]
    return (
        new_code[0] + new_code[2] <= 1.0 + slack
        and new_code[0] <= new_code[2] + slack
        and new_code[1] + new_code[3] >= -slack
    )


@njit([BOOL(I64, I64, _INT)], cache=True, nogil=True, error_model="numpy")
def next_triple(count, started, triple):
    """Step through all triples ``i < j < k < count``.

    Parameters
    ----------
    count : int
        Number of points to choose from.
    started : int
        0 to write the first triple, 1 to write the next one.
    triple : ndarray, int64, shape (3,)
        Changed in place.

    Returns
    -------
    bool
        False when there is none left.
    """
    if started == 0:
        triple[0], triple[1], triple[2] = 0, 1, 2
        return count >= 3
    for place in range(3):
        ceiling = count if place == 2 else triple[place + 1]
        if triple[place] + 1 < ceiling:
            triple[place] += 1
            for lower in range(place):
                triple[lower] = lower
            return True
    return False


@njit([types.void(F64_2D, I64_1D, F64_1D, _REAL, _REAL)], cache=True, nogil=True, error_model="numpy")
def project(vectors, rows, center, xi, eta):
    """Project directions on the tangent plane at a direction.

    Parameters
    ----------
    vectors : ndarray, float64, shape (n, 3)
        Unit vectors, less than 90 deg from the center.
    rows : ndarray, int64, shape (m,)
        Which of them.
    center : ndarray, float64, shape (3,)
        Tangent point, a unit vector.
    xi, eta : ndarray, float64, shape (m,)
        Receive standard coordinates, east and north [rad]; at a pole "north" is away from RA 0 (north pole).
    """
    axis = np.hypot(center[0], center[1])
    sin_ra, cos_ra = (center[1] / axis, center[0] / axis) if axis > 0.0 else (0.0, 1.0)
    for k in range(rows.size):
        vx, vy, vz = vectors[rows[k], 0], vectors[rows[k], 1], vectors[rows[k], 2]
        along = vx * center[0] + vy * center[1] + vz * center[2]
        xi[k] = (vy * cos_ra - vx * sin_ra) / along
        eta[k] = (vz * axis - (vx * cos_ra + vy * sin_ra) * center[2]) / along


@njit(
    [_INT_2D(F64_1D, F64_1D, F64, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def quads_around(x, y, cell, n_quads, n_uses):
    """Choose quads of bright stars around the middle of one cell.

    Definition: go through the stars; with each new one, take every four of it and brighter ones that have a code, half
    to one cell between A and B, and the middle of AB within 0.6 cells of the origin, while there is room.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Stars around the cell, brightest first.
    cell : float
        Side of the cell.
    n_quads : int
        Most quads.
    n_uses : int
        Most quads that share a star.

    Returns
    -------
    ndarray, int64, shape (q, 4)
        Stars of the quads; the first two are A and B, or B and A.
    """
    n = x.size
    pair_a, pair_b = np.empty(n * n, np.int64), np.empty(n * n, np.int64)
    inside, count = np.empty((n * n, n), np.int64), np.zeros(n * n, np.int64)
    quads, uses = np.empty((n_quads, 4), np.int64), np.zeros(n, np.int64)
    pairs = total = 0
    for newest in range(n):
        known = pairs
        for a in range(newest):
            length = np.hypot(x[a] - x[newest], y[a] - y[newest])
            middle = 0.5 * np.hypot(x[a] + x[newest], y[a] + y[newest])
            if 0.5 * cell <= length < cell and middle <= 0.6 * cell:
                pair_a[pairs], pair_b[pairs] = a, newest
                pairs += 1
        for pair in range(pairs):
            a, b = pair_a[pair], pair_b[pair]
            for c in range(newest if pair < known else 0, newest + 1):
                # The angle at c over AB is obtuse inside the circle.
                obtuse = (x[a] - x[c]) * (x[b] - x[c]) + (y[a] - y[c]) * (y[b] - y[c]) <= 0.0
                if c in (a, b) or not obtuse:
                    continue
                for k in range(count[pair]):
                    d = inside[pair, k]
                    if total < n_quads and max(uses[a], uses[b], uses[c], uses[d]) < n_uses:
                        quads[total, 0], quads[total, 1], quads[total, 2], quads[total, 3] = a, b, c, d
                        for star in quads[total]:
                            uses[star] += 1
                        total += 1
                inside[pair, count[pair]] = c
                count[pair] += 1
        if total == n_quads:
            break
    return quads[:total].copy()


@njit(
    [types.Tuple((_QUADS, _CODES))(F64_2D, F64_1D, I64, I64, F64_2D, F64, I64, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def pick_quads(vectors, flux, first, last, centers, cell_rad, n_quads, n_uses, n_stars):
    """Choose quads of bright stars around every cell of a grid.

    Parameters
    ----------
    vectors : ndarray, float64, shape (n, 3)
        Unit vectors of the stars; a tree in the rows ``first`` to ``last``.
    flux : ndarray, float64, shape (n,)
        Brightness.
    first, last : int
        Rows of the stars.
    centers : ndarray, float64, shape (c, 3)
        Unit vectors of the cells.
    cell_rad : float
        Side of the cells [rad].
    n_quads, n_uses : int
        Most quads per cell, and how many of those may share a star; see `quads_around`.
    n_stars : int
        Most stars around a cell to choose from, the brightest.

    Returns
    -------
    quads : ndarray, int32, shape (q, 4)
        Rows of A, B, C, D.
    codes : ndarray, float32, shape (q, 4)
        Their canonical codes. A quad may come twice, from two cells.
    """
    quads, codes = np.empty((1024, 4), np.int32), np.empty((1024, 4), np.float32)
    found, total = np.empty(4096, np.int64), 0
    order, new_order, code, new_code = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4), np.empty(4)
    for cell in range(centers.shape[0]):
        n = min(rows_within(vectors, first, last, centers[cell], 1.1 * cell_rad, found), found.size)
        rows = found[:n][np.argsort(-flux[found[:n]])[:n_stars]]
        x, y = np.empty(rows.size), np.empty(rows.size)
        project(vectors, rows, centers[cell], x, y)
        chosen = quads_around(x, y, cell_rad, n_quads, n_uses)
        while total + chosen.shape[0] > quads.shape[0]:
            quads, codes = np.concatenate((quads, quads)), np.concatenate((codes, codes))
        for q in range(chosen.shape[0]):
            if not quad_code(x, y, chosen[q], 1e-9, order, code):
                continue
            for variant in range(VARIANTS):
                if code_variant(code, order, variant, 0.0, new_code, new_order):
                    break
            for k in range(4):
                quads[total, k], codes[total, k] = rows[new_order[k]], new_code[k]
            total += 1
    return quads[:total].copy(), codes[:total].copy()
