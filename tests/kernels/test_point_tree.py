"""The tree is an order of the points; searching it finds what brute force finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.kernels.point_tree import rows_within, tree_order


@given(n=st.integers(0, 200), k=st.integers(1, 4), seed=st.integers(0, 10**6), radius=st.floats(0.0, 1.5))
def test_a_search_equals_brute_force(n, k, seed, radius):
    rng = np.random.default_rng(seed)
    points = np.round(rng.random((n, k)), 1)  # rounded: many equal coordinates
    order = tree_order(points)
    assert sorted(order) == list(range(n))
    tree, center, found = points[order], rng.random(k), np.empty(n, np.int64)
    count = rows_within(tree, 0, n, center, radius, found)
    expected = np.flatnonzero(((tree - center) ** 2).sum(axis=1) <= radius**2)
    assert sorted(found[:count]) == expected.tolist()


def test_a_tree_inside_a_larger_array_is_searched_alone():
    rng = np.random.default_rng(1)
    points = rng.random((300, 3)).astype(np.float32)
    tree = np.concatenate([points[:100], points[100:][tree_order(np.ascontiguousarray(points[100:]))]])
    found = np.empty(300, np.int64)
    count = rows_within(tree, 100, 300, np.full(3, 0.5), 10.0, found)
    assert sorted(found[:count]) == list(range(100, 300))


@pytest.mark.parametrize("capacity", [0, 5])
def test_too_many_points_are_counted_but_not_written(capacity):
    points = np.random.default_rng(2).random((50, 2))
    found = np.full(capacity, -1)
    assert rows_within(points[tree_order(points)], 0, 50, np.full(2, 0.5), 2.0, found) == 50
    assert (found >= 0).all()
