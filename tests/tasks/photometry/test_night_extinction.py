"""The clear line of a night is found under clouds, with errors that are true."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.tasks.photometry.night_extinction import NightExtinctionTask


def night(seed, n=60, *, cloudy=0.0, reach=1.0):
    rng = np.random.default_rng(seed)
    airmass, seconds = 1.0 + reach * rng.random(n), rng.choice([15.0, 30.0], n)
    clouds = np.where(rng.random(n) < cloudy, rng.exponential(0.5, n) + 0.1, 0.0)
    zero = 28.0 - 0.15 * airmass + 2.5 * np.log10(seconds) - clouds + 0.01 * rng.standard_normal(n)
    given = {"zero_point_mag": zero, "zero_point_err_mag": np.full(n, 0.001), "exposure_time_s": seconds,
             "airmass": airmass}  # fmt: skip
    return given, clouds


def test_the_line_of_clear_exposures_has_unit_pulls():
    pulls = []
    for seed in range(150):
        found = NightExtinctionTask().run(**night(seed)[0])
        pulls.append([(found.nominal_zero_point - 28.0) / found.nominal_zero_point_err,
                      (found.airmass_term - 0.15) / found.airmass_term_err])  # fmt: skip
    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=4.0 / np.sqrt(300))


@pytest.mark.parametrize("cloudy", [0.2, 0.5])
def test_clouds_are_told_and_do_not_bend_the_line(cloudy):
    for seed in range(20):
        given, clouds = night(seed, cloudy=cloudy)
        found = NightExtinctionTask().run(**given)
        assert found.airmass_term == pytest.approx(0.15, abs=0.03)
        assert not found.clear[clouds > 0.0].any()
        assert found.clear[clouds == 0.0].mean() > 0.9
        assert np.abs(found.extinction_mag - clouds).max() < 0.08


def test_one_airmass_keeps_the_usual_term():
    found = NightExtinctionTask().run(**night(3, reach=0.1)[0])
    assert (found.airmass_term, found.airmass_term_err) == (0.12, 0.0)
    assert found.nominal_zero_point == pytest.approx(28.0 - 0.03 * 1.05, abs=0.01)


def test_an_exposure_without_a_zero_point_is_left_out_and_too_few_are_said():
    given, _ = night(4)
    given["zero_point_mag"][:5] = np.nan
    found = NightExtinctionTask().run(**given)
    assert not found.clear[:5].any()
    assert np.isnan(found.extinction_mag[:5]).all()
    given["zero_point_mag"][2:] = np.nan
    with pytest.raises(AlgorithmError, match="too few"):
        NightExtinctionTask().run(**given)
