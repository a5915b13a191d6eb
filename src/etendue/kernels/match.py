"""Matching of point sets: nearest neighbours one to one, and votes of star pairs."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.kernels.types import F64, F64_1D, F64_2D, I64, I64_1D

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


@njit([types.boolean[::1](I64_1D, I64_1D, I64, I64)], cache=True, nogil=True, error_model="numpy")
def claim_pairs(first, second, n_first, n_second):
    """Give away candidate pairs in order, each point at most once.

    Parameters
    ----------
    first, second : ndarray, int64, shape (n,)
        Candidate pairs, best first.
    n_first, n_second : int
        Sizes of the two point sets.

    Returns
    -------
    ndarray, bool, shape (n,)
        True for pairs of which neither point was taken before.
    """
    free_first = np.ones(n_first, np.bool_)
    free_second = np.ones(n_second, np.bool_)
    claimed = np.zeros(first.size, np.bool_)
    for i in range(first.size):
        if free_first[first[i]] and free_second[second[i]]:
            claimed[i] = True
            free_first[first[i]] = free_second[second[i]] = False
    return claimed


def pairs_within(first: NDArray[np.float64], second: NDArray[np.float64], radius: float) -> Pairs:
    """Find all pairs of points not farther apart than ``radius``, closest first.

    Parameters
    ----------
    first, second : ndarray, float64, shape (n, d) and (m, d)
        Finite points; unit vectors for the sky (``radius`` is then the chord).
    radius : float
        Largest Euclidean distance, inclusive.

    Returns
    -------
    i, j : ndarray, int64, shape (k,)
        Indices into ``first`` and ``second``; ties in distance are ordered by ``i``, then ``j``.
    distance : ndarray, float64, shape (k,)
        Euclidean distances.
    """
    if len(first) == 0 or len(second) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    # The tree rounds differently from the plain formula: search slightly wider and cut by the formula.
    found = cKDTree(first).sparse_distance_matrix(cKDTree(second), radius * (1.0 + 1e-9), output_type="ndarray")
    i, j = found["i"].astype(np.int64), found["j"].astype(np.int64)
    distance = np.sqrt(((first[i] - second[j]) ** 2).sum(axis=1))
    order = np.lexsort((j, i, distance))
    order = order[distance[order] <= radius]
    return i[order], j[order], distance[order]


def match_nearest(first: NDArray[np.float64], second: NDArray[np.float64], radius: float) -> Pairs:
    """Match two point sets one to one, closest pairs first.

    Parameters
    ----------
    first, second : ndarray, float64, shape (n, d) and (m, d)
        Finite points; unit vectors for the sky.
    radius : float
        Largest Euclidean distance, inclusive.

    Returns
    -------
    i, j : ndarray, int64, shape (k,)
        Matched indices, sorted by ``i``, unique in both.
    distance : ndarray, float64, shape (k,)
        Euclidean distances.

    Notes
    -----
    Definition: of all pairs within ``radius`` take the closest, remove its two points, repeat. The
    result is the only one in which no two points prefer each other over what they got.
    """
    i, j, distance = pairs_within(first, second, radius)
    claimed = claim_pairs(i, j, len(first), len(second))
    i, j, distance = i[claimed], j[claimed], distance[claimed]
    order = np.argsort(i)
    return i[order], j[order], distance[order]


@njit(
    [types.float64[:, ::1](F64_2D, F64_2D, F64_1D, I64_1D, I64_1D, F64, F64, F64, F64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def pair_hypotheses(
    source, target, target_length, target_a, target_b, min_length, max_scale_error, slack, max_rotation
):
    """Propose similarity transforms from pairs of stars of nearly equal length and direction.

    Parameters
    ----------
    source, target : ndarray, float64, shape (n, 2) and (m, 2)
        Points on a plane.
    target_length : ndarray, float64, shape (k,)
        Lengths of the target pairs, ascending.
    target_a, target_b : ndarray, int64, shape (k,)
        Ends of the target pairs; every pair in both directions.
    min_length : float
        Shortest source pair that is used.
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
    found = []
    for i in range(source.shape[0]):
        for j in range(i + 1, source.shape[0]):
            px, py = source[j, 0] - source[i, 0], source[j, 1] - source[i, 1]
            length = np.hypot(px, py)
            if length < min_length:
                continue
            margin = length * max_scale_error + slack
            min_cosine = np.cos(min(max_rotation + slack / length, np.pi))
            start = np.searchsorted(target_length, length - margin)
            for k in range(start, target_length.size):
                if target_length[k] > length + margin:
                    break
                qx = target[target_b[k], 0] - target[target_a[k], 0]
                qy = target[target_b[k], 1] - target[target_a[k], 1]
                dot = px * qx + py * qy
                if dot < min_cosine * length * target_length[k]:
                    continue
                a, b = dot / length**2, (px * qy - py * qx) / length**2
                mx, my = 0.5 * (source[i, 0] + source[j, 0]), 0.5 * (source[i, 1] + source[j, 1])
                tx = 0.5 * (target[target_a[k], 0] + target[target_b[k], 0])
                ty = 0.5 * (target[target_a[k], 1] + target[target_b[k], 1])
                found.append((a, b, tx - (a * mx - b * my), ty - (b * mx + a * my)))
    result = np.empty((len(found), 4))
    for h in range(len(found)):
        result[h, 0], result[h, 1], result[h, 2], result[h, 3] = found[h]
    return result
