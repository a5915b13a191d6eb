"""Nearest one-to-one matching and pair hypotheses against their slow definitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.match import match_nearest, pair_hypotheses, pairs_within


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


def test_pair_hypotheses_contain_the_true_transform():
    rng = np.random.default_rng(3)
    source = rng.uniform(-100.0, 100.0, (12, 2))
    a, b, dx, dy = 1.01 * np.cos(0.05), 1.01 * np.sin(0.05), 7.0, -3.0
    x, y = source.T
    target = np.stack([a * x - b * y + dx, b * x + a * y + dy], axis=1)
    i, j = np.triu_indices(12, 1)
    ends = np.r_[i, j], np.r_[j, i]
    length = np.hypot(*(target[ends[1]] - target[ends[0]]).T)
    order = np.argsort(length)
    found = pair_hypotheses(source, target, length[order], ends[0][order], ends[1][order], 30.0, 0.02, 0.1, 0.1)
    exact = np.abs(found - (a, b, dx, dy)).max(axis=1) < 1e-9
    source_length = np.hypot(*(source[j] - source[i]).T)
    assert exact.sum() == (source_length >= 30.0).sum()
    assert np.abs(np.arctan2(found[:, 1], found[:, 0])).max() <= 0.1 + 0.1 / 30.0 + 1e-12
