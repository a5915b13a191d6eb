"""Nearest one-to-one matching and pair hypotheses against their slow definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.match import match_nearest, pairs_within


def slow_match(first, second, radius):
    """Take the closest pair within the radius, remove both points, repeat."""
    pairs = sorted(
        (float(np.sqrt(((a - b) ** 2).sum())), i, j) for i, a in enumerate(first) for j, b in enumerate(second)
    )
    taken_i, taken_j, found = set(), set(), []
    for distance, i, j in pairs:
        if distance <= radius and i not in taken_i and j not in taken_j:
            found.append((i, j))
            taken_i.add(i)
            taken_j.add(j)
    return sorted(found)


points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=25).map(
    lambda rows: np.array(rows, float).reshape(-1, 2)
)


@settings(max_examples=100, deadline=None)
@given(first=points, second=points, radius=st.sampled_from([0.5, 1.0, 2.3, 5.0]))
def test_matching_agrees_with_brute_force_ties_included(first, second, radius):
    i, j, _ = match_nearest(first, second, radius)
    assert list(zip(i.tolist(), j.tolist(), strict=True)) == slow_match(first, second, radius)


@settings(max_examples=50, deadline=None)
@given(first=points, second=points)
def test_every_match_is_one_to_one_and_stable(first, second):
    i, j, distance = match_nearest(first, second, 3.0)
    assert len(set(i)) == len(i)
    assert len(set(j)) == len(j)
    given_i, given_j = np.full(len(first), np.inf), np.full(len(second), np.inf)
    given_i[i], given_j[j] = distance, distance
    a, b, d = pairs_within(first, second, 3.0)
    assert not np.any((d < given_i[a]) & (d < given_j[b]))


def test_the_radius_is_inclusive():
    assert match_nearest(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 5.0)[0].size == 1
