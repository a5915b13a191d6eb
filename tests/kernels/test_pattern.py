"""Hypotheses hold the true transform; counts, refinement and chance agree with their definitions."""

import numpy as np

from etendue.kernels.match import match_nearest
from etendue.kernels.pattern import (
    count_landings,
    directed_pairs,
    matches_and_chance,
    nearest_raster,
    pair_hypotheses,
    refine_transforms,
)

TRUE = (1.01 * np.cos(0.05), 1.01 * np.sin(0.05), 7.0, -3.0)


def moved(points, transform=TRUE):
    a, b, dx, dy = transform
    x, y = points.T
    return np.stack([a * x - b * y + dx, b * x + a * y + dy], axis=1)


def hypotheses(source, target, max_rotation=0.1, max_shift=1e9):
    first, second = np.triu_indices(len(source), 1)
    return pair_hypotheses(
        source,
        first,
        second,
        target,
        *directed_pairs(target, 180, 1e9),
        np.zeros(2),
        max_shift,
        0.02,
        0.1,
        max_rotation,
    )


def test_hypotheses_are_the_pairs_that_brute_force_finds():
    rng = np.random.default_rng(3)
    source = rng.uniform(-100.0, 100.0, (12, 2))
    for target in (moved(source), rng.uniform(-100.0, 100.0, (20, 2))):
        for max_rotation in (0.1, np.pi):
            found = hypotheses(source, target, max_rotation)
            n = 0
            for i, j in zip(*np.triu_indices(12, 1), strict=True):
                p = complex(*(source[j] - source[i]))
                for a in range(len(target)):
                    for b in range(len(target)):
                        ratio = complex(*(target[b] - target[a])) / p
                        n += (
                            a != b
                            and abs(abs(ratio) - 1.0) <= 0.02 + 0.1 / abs(p)
                            and abs(np.angle(ratio)) <= max_rotation + 0.1 / abs(p)
                        )
            assert len(found) == n


def test_hypotheses_contain_the_true_transform_and_respect_the_shift():
    source = np.random.default_rng(3).uniform(-100.0, 100.0, (12, 2))
    found = hypotheses(source, moved(source))
    assert (np.abs(found - TRUE).max(axis=1) < 1e-9).sum() == 66
    assert (np.hypot(found[:, 2], found[:, 3]) > 5.0).any()
    assert (np.hypot(*hypotheses(source, moved(source), max_shift=5.0)[:, 2:].T) <= 5.0).all()


def test_landings_count_each_target_once():
    rng = np.random.default_rng(4)
    target = rng.uniform(0.0, 100.0, (30, 2))
    source = np.vstack([target, target[:5]])
    raster = nearest_raster(target, -5.0, -5.0, 0.5, 220, 220, 1.0)
    identity, away = (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 1e6, 0.0)
    counts = count_landings(np.array([identity, away]), source, raster, -5.0, -5.0, 0.5, 30)
    assert counts[0] >= 28  # two targets may share their cell
    assert counts[1] == 0


def test_refinement_ends_at_the_least_squares_fit_of_its_matches():
    rng = np.random.default_rng(5)
    source = rng.uniform(-500.0, 500.0, (40, 2))
    target = moved(source) + rng.normal(0.0, 0.2, source.shape)
    target[30:] = rng.uniform(-500.0, 500.0, (10, 2))
    start = np.array([(TRUE[0] + 0.004, TRUE[1], TRUE[2] + 1.0, TRUE[3])])
    refined, matched = refine_transforms(start, source, target, np.argsort(target[:, 0]), np.array([3.0, 1.5]))
    assert matched.tolist() == [[30, 30]]
    p, q = (points[:30] @ (1.0, 1.0j) for points in (source, target))
    slope = np.vdot(p - p.mean(), q - q.mean()) / np.vdot(p - p.mean(), p - p.mean()).real
    np.testing.assert_allclose(refined[0, 1, :2], (slope.real, slope.imag), rtol=1e-12)


def test_matches_agree_with_closest_first_where_nothing_is_ambiguous_and_chance_with_the_density():
    rng = np.random.default_rng(6)
    target = rng.uniform(0.0, 1000.0, (2000, 2))
    source = rng.uniform(100.0, 900.0, (1500, 2))
    shifts = 20.0 * np.stack([np.cos(np.arange(16.0)), np.sin(np.arange(16.0))], axis=1)
    identity = np.array([1.0, 0.0, 0.0, 0.0])
    match, chance = matches_and_chance(identity, source, target, np.argsort(target[:, 0]), 1.0, shifts)
    i, j, _ = match_nearest(source, target, 1.0)
    assert np.mean(match[i] == j) > 0.99
    assert (match >= 0).sum() <= i.size
    assert abs(chance / (2000.0 * np.pi / 1e6) - 1.0) < 0.15
