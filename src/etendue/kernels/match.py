"""Matching of point sets: nearest neighbours one to one."""

import numpy as np
from numba import njit, types
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.kernels.types import I64, I64_1D

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
