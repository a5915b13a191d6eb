"""Which sources are taken for stars."""

import numpy as np
import pytest

from etendue.tasks.psf.star_selection import select_stars


def moments(rng, n, size, scatter):
    trace = 2.0 * size * np.exp(rng.normal(0.0, scatter, n))
    e1, e2 = rng.normal(0.0, 0.01, (2, n))
    return np.stack([0.5 * trace * (1.0 + e1), 0.5 * trace * (1.0 - e1), 0.5 * trace * e2])


@pytest.fixture
def crowd():
    """Return moments of 80 stars of 2 px**2 and of 300 small galaxies 10% larger; which are stars."""
    rng = np.random.default_rng(3)
    return np.concatenate([moments(rng, 80, 2.0, 0.01), moments(rng, 300, 2.2, 0.04)], axis=1), np.arange(380) < 80


def test_stars_of_a_catalog_are_told_from_small_galaxies_that_sizes_do_not_tell(crowd):
    values, star = crowd
    by_size, size = select_stars(*values, np.full(380, 100.0))
    known, true_size = select_stars(*values, np.full(380, 100.0), star, 60)
    assert (by_size & ~star).sum() > 50
    assert size[0] > 2.05
    assert not (known & ~star).any()
    assert known.sum() > 70
    assert true_size[0] == pytest.approx(2.0, rel=0.005)


def test_few_stars_of_a_catalog_tell_where_the_locus_is_but_leave_the_others_in(crowd):
    values, star = crowd
    few = star & (np.arange(380) < 12)
    chosen, _ = select_stars(*values, np.full(380, 100.0), few, 60)
    assert (chosen & star & ~few).sum() > 40
    assert (chosen & ~star).sum() < 150  # half of what size alone takes


def test_a_catalog_that_knows_none_of_the_sources_changes_nothing(crowd):
    values, _ = crowd
    without, _ = select_stars(*values, np.full(380, 100.0))
    np.testing.assert_array_equal(select_stars(*values, np.full(380, 100.0), np.zeros(380, bool), 60)[0], without)
