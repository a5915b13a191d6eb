"""Pair counts know even points from clustered ones."""

import numpy as np
import pytest

from etendue.qa.clustering import angular_correlation, mean_over_pairs, neighbour_share

EDGES = np.geomspace(0.01, 0.3, 6)
HALF = (1.0, 0.7)


def even(rng, count):
    return rng.uniform(-1.0, 1.0, (count, 2)) * HALF


def test_even_points_have_no_correlation():
    rng = np.random.default_rng(1)
    found = [angular_correlation(even(rng, 2000), HALF, EDGES, rng) for _ in range(8)]
    pulls = np.array([value / error for value, error in found])
    assert np.abs(pulls.mean(axis=0)).max() < 5.0 / np.sqrt(8)
    assert 0.6 < pulls.std() < 1.6


def test_companions_at_one_separation_show_there_only():
    rng = np.random.default_rng(2)
    hosts = even(rng, 2000)
    angle = rng.uniform(0.0, 2.0 * np.pi, 2000)
    companions = hosts + 0.03 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    value, error = angular_correlation(np.concatenate([hosts, companions]), HALF, EDGES, rng)
    inside = (EDGES[:-1] < 0.03) & (EDGES[1:] > 0.03)
    assert value[inside][0] > 10.0 * error[inside][0]
    assert np.all(np.abs(value[~inside]) < 0.25 * value[inside][0])


def test_the_mean_over_pairs_is_that_of_the_function():
    rng = np.random.default_rng(3)
    assert mean_over_pairs(np.ones_like, HALF, rng) == 1.0
    square = mean_over_pairs(lambda apart: apart**2, HALF, rng)
    assert square == pytest.approx(2.0 * (HALF[0] ** 2 + HALF[1] ** 2) / 3.0, rel=0.02)


def test_shares_of_neighbours_are_those_of_even_points():
    rng = np.random.default_rng(4)
    places = even(rng, 5000)
    gaps = np.array([0.005, 0.01, 0.02])
    expected = -np.expm1(-np.pi * gaps**2 * 5000 / (4.0 * HALF[0] * HALF[1]))
    np.testing.assert_allclose(neighbour_share(places, gaps), expected, rtol=0.1)
