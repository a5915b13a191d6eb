"""Probabilities of being a star: as right as the best that can be, and worth what they say."""

from itertools import pairwise

import numpy as np
import pytest

from etendue.tasks.stargal.star_probability import StarProbabilityTask, roc_curve, selection_curve


def population(seed, n=8000):
    """Stars and galaxies whose share changes with magnitude, and the probability of one who knows both populations."""
    rng = np.random.default_rng(seed)
    mag = rng.uniform(-12.0, -6.5, n)  # instrumental
    share = 1.0 / (1.0 + np.exp(1.2 * (mag + 9.5)))
    star = rng.random(n) < share
    typical, spread = 0.6, 0.8
    true = np.where(star, 0.0, typical * np.exp(rng.normal(0.0, spread, n)))
    err = 0.02 * 10 ** (0.4 * (mag + 12.0))
    err = np.minimum(err, 2.0)
    broad = true + rng.normal(0.0, np.hypot(err, 0.02))
    nodes = typical * np.exp(np.linspace(-4, 4, 400) * spread)
    weight = np.exp(-0.5 * np.linspace(-4, 4, 400) ** 2)
    weight /= weight.sum()
    width = np.hypot(err, 0.02)

    def gaussian(offset, sigma):
        return np.exp(-0.5 * (offset / sigma) ** 2) / sigma

    galaxy = np.array([gaussian(b - nodes, w) @ weight for b, w in zip(broad, width, strict=True)])
    best = share * gaussian(broad, width) / (share * gaussian(broad, width) + (1 - share) * galaxy)
    return broad, err, 10 ** (-0.4 * mag), star, best


def auc(score, star):
    order = np.argsort(score)
    rank = np.empty(score.size)
    rank[order] = np.arange(1, score.size + 1)
    return (rank[star].sum() - star.sum() * (star.sum() + 1) / 2) / (star.sum() * (~star).sum())


@pytest.fixture(scope="module")
def found():
    broad, err, flux, star, best = population(3)
    return StarProbabilityTask().run(broad=broad, broad_err=err, flux=flux), star, best, flux


def test_stars_are_ranked_nearly_as_well_as_by_one_who_knows_the_populations(found):
    result, star, best, flux = found
    mag = -2.5 * np.log10(flux)
    for low, high in ((-12.0, -9.5), (-9.5, -8.0), (-8.0, -6.5)):
        some = (mag >= low) & (mag < high)
        assert auc(result.probability[some], star[some]) > auc(best[some], star[some]) - 0.005


def test_probabilities_are_worth_what_they_say(found):
    result, star, _, _ = found
    edges = np.linspace(0.0, 1.0, 6)
    for low, high in pairwise(edges):
        some = (result.probability >= low) & (result.probability <= high)
        expected, error = result.probability[some].mean(), 0.5 / np.sqrt(some.sum())
        assert star[some].mean() == pytest.approx(expected, abs=0.03 + 2.0 * error)


def test_the_share_of_stars_is_found_at_every_magnitude(found):
    result, *_ = found
    inner = (result.mag > -11.5) & (result.mag < -7.5)
    true = 1.0 / (1.0 + np.exp(1.2 * (result.mag[inner] + 9.5)))
    assert np.abs(result.star_share[inner] - true).max() < 0.12


def test_purity_and_completeness_of_a_threshold_are_as_told(found):
    result, star, _, _ = found
    threshold, purity, completeness = selection_curve(result.probability)
    k = int(np.searchsorted(-purity, -0.95, side="right")) - 1
    chosen = result.probability >= threshold[k]
    assert star[chosen].mean() == pytest.approx(0.95, abs=0.02)
    assert (star & chosen).sum() / star.sum() == pytest.approx(
        completeness[k], abs=0.05
    )  # faint ones are hard to count


def test_the_roc_curve_is_that_of_the_truth(found):
    result, star, _, _ = found
    threshold, stars, galaxies = roc_curve(result.probability)
    for k in np.searchsorted(stars, [0.5, 0.8]):
        above = result.probability >= threshold[k]
        assert (star & above).sum() / star.sum() == pytest.approx(stars[k], abs=0.05)
        assert (~star & above).sum() / (~star).sum() == pytest.approx(galaxies[k], abs=0.02)
    assert stars[-1] == pytest.approx(1.0)
    assert galaxies[-1] == pytest.approx(1.0)


def test_sources_without_a_shape_have_no_probability():
    result = StarProbabilityTask().run(
        broad=np.array([np.nan, 0.0]), broad_err=np.array([0.1, 0.1]), flux=np.array([1.0, 10.0])
    )
    assert np.isnan(result.probability[0])
    assert 0.0 < result.probability[1] < 1.0
    nothing = StarProbabilityTask().run(broad=np.zeros(0), broad_err=np.zeros(0), flux=np.zeros(0))
    assert nothing.probability.size == 0
    assert all(part.size == 0 for curve in (selection_curve, roc_curve) for part in curve(nothing.probability))
