"""A search tree that is nothing but an order of the points: it can be saved and memory-mapped as an array."""

import numpy as np
from numba import njit, types

from etendue.kernels.types import F32_2D, F64, F64_1D, F64_2D, I64

_INT = types.Array(types.int64, 1, "C")
_LEAF = 8


@njit(
    [types.void(F32_2D, _INT, I64, I64, I64, I64), types.void(F64_2D, _INT, I64, I64, I64, I64)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _select(points, order, low, high, k, axis):
    """Permute ``order[low:high]`` so that element k is where sorting by the axis would put it (Hoare 1961)."""
    while high - low > 1:
        a, b, c = points[order[low], axis], points[order[(low + high) // 2], axis], points[order[high - 1], axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high - 1
        while i <= j:
            while points[order[i], axis] < pivot:
                i += 1
            while points[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if k <= j:
            high = j + 1
        elif k >= i:
            low = i
        else:
            return


@njit([_INT(F32_2D), _INT(F64_2D)], cache=True, nogil=True, error_model="numpy")
def tree_order(points):
    """Return the order of points that makes them a balanced k-d tree.

    The root of the points in rows ``low`` to ``high`` is the middle row; rows before it are not greater along
    the axis ``depth % k``, rows after it not smaller; each half is such a tree of the next depth. Pieces of at
    most 8 rows are leaves, in any order.

    Parameters
    ----------
    points : ndarray, float32 or float64, shape (n, k)
        Finite points.

    Returns
    -------
    ndarray, int64, shape (n,)
        ``points[order]`` is the tree that `rows_within` searches.
    """
    order = np.arange(points.shape[0])
    stack = [(0, points.shape[0], 0)]
    while len(stack) > 0:
        low, high, depth = stack.pop()
        if high - low <= _LEAF:
            continue
        middle = (low + high) // 2
        _select(points, order, low, high, middle, depth % points.shape[1])
        stack.append((low, middle, depth + 1))
        stack.append((middle + 1, high, depth + 1))
    return order


@njit(
    [I64(F32_2D, I64, I64, F64_1D, F64, _INT), I64(F64_2D, I64, I64, F64_1D, F64, _INT)],
    cache=True,
    nogil=True,
    error_model="numpy",
)
def rows_within(tree, first, last, center, radius, found):
    """Find the points within a distance.

    Parameters
    ----------
    tree : ndarray, float32 or float64, shape (m, k)
        Holds a tree made with `tree_order` in the rows ``first`` to ``last``, exclusive.
    first, last : int
        Rows of that tree.
    center : ndarray, float64, shape (k,)
        Where to look.
    radius : float
        Largest Euclidean distance, inclusive.
    found : ndarray, int64, shape (capacity,)
        Receives the rows.

    Returns
    -------
    int
        Number of points found, which may exceed the capacity; then only the first are in ``found``.
    """
    k = tree.shape[1]
    limit = radius * radius
    lows, highs, depths = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.int64)
    lows[0], highs[0], depths[0] = first, last, 0
    top, count = 1, 0
    while top > 0:
        top -= 1
        low, high, depth = lows[top], highs[top], depths[top]
        start, stop = low, high
        if high - low > _LEAF:
            middle = (low + high) // 2
            offset = center[depth % k] - np.float64(tree[middle, depth % k])
            start, stop = middle, middle + 1
            if offset <= radius:
                lows[top], highs[top], depths[top] = low, middle, depth + 1
                top += 1
            if offset >= -radius:
                lows[top], highs[top], depths[top] = middle + 1, high, depth + 1
                top += 1
        for row in range(start, stop):
            square = 0.0
            for axis in range(k):
                difference = np.float64(tree[row, axis]) - center[axis]
                square += difference * difference
            if square <= limit:
                if count < found.size:
                    found[count] = row
                count += 1
    return count
