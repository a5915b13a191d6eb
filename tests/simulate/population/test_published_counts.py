"""Published counts are what their sources print."""

import numpy as np
import pytest

from etendue.simulate.population.published_counts import galaxy_correlation, galaxy_counts_i, star_counts


def test_galaxies_to_25_5_are_those_of_the_science_book():
    mag, rate = galaxy_counts_i()
    total = np.trapezoid(rate, mag) + rate[0] / (0.31 * np.log(10.0))  # the brighter ones follow the same law
    assert total == pytest.approx(46.0 * 3600.0 * 10.0**0.155, rel=0.02)


def test_stars_of_a_tabulated_latitude_are_those_of_the_table_and_low_ones_have_none():
    mag, rate = star_counts(-30.0)
    assert mag[0] == 15.5
    assert rate[0] == pytest.approx(10.0**2.875 - 10.0**2.591)
    assert star_counts(45.0)[1][0] < rate[0]
    assert star_counts(10.0)[0].size == 0


def test_galaxies_correlate_by_seven_percent_at_an_arcminute():
    np.testing.assert_allclose(galaxy_correlation(np.array([1.0, 10.0])), [0.07, 0.07 * 10.0**-0.7])
