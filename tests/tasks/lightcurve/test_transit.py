import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.table.table import Table
from etendue.tasks.lightcurve.period import PeriodTask
from etendue.tasks.lightcurve.star_list import StarListTask
from etendue.tasks.lightcurve.times import bjd_tdb, mjd_utc
from etendue.tasks.lightcurve.transit import TransitTask
from etendue.tasks.lightcurve.transit_posterior import trapezoids

SHAPE = (0.15, 0.12, 0.12)


def trapezoid(time, shape):
    return trapezoids(time, *(np.array([value]) for value in shape))[:, 0]


def curve(rng, n=90, noise=0.005, depth=0.025):
    time = np.sort(rng.uniform(0.0, 0.3, n))
    airmass = 1.0 + 9.0 * (time - 0.1) ** 2
    mag = 0.02 * airmass + depth * trapezoid(time, SHAPE) + noise * rng.standard_normal(n)
    return time, mag, np.full(n, noise), airmass


@pytest.mark.parametrize("offset", [0.0, 58107.0, 2458107.5])
def test_a_transit_is_found_wherever_time_starts(offset):
    time, mag, err, airmass = curve(np.random.default_rng(1))
    fit = TransitTask().run(time_d=time + offset, mag=mag, mag_err=err, airmass=airmass)
    assert fit.mid_time - offset == pytest.approx(0.15, abs=4.0 * fit.mid_time_err)
    assert fit.depth_mag == pytest.approx(0.025, abs=4.0 * fit.depth_err_mag)
    assert fit.snr > 8.0
    assert fit.log_odds > 10.0
    assert "airmass" in fit.baseline


def test_depth_errors_are_not_too_small():
    pulls = []
    for seed in range(6):
        time, mag, err, airmass = curve(np.random.default_rng(100 + seed))
        fit = TransitTask().run(time_d=time, mag=mag, mag_err=err, airmass=airmass)
        pulls.append((fit.depth_mag - 0.025) / fit.depth_err_mag)
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_a_deep_eclipse_keeps_its_depth():
    time, mag, err, airmass = curve(np.random.default_rng(8), noise=0.015, depth=0.4)
    fit = TransitTask().run(time_d=time, mag=mag, mag_err=err, airmass=airmass)
    assert fit.depth_mag == pytest.approx(0.4, abs=3.0 * fit.depth_err_mag)
    assert fit.depth_err_mag < 0.02
    assert fit.log_odds > 50.0


def test_noise_alone_is_no_transit():
    time, mag, err, airmass = curve(np.random.default_rng(3), depth=0.0)
    fit = TransitTask().run(time_d=time, mag=mag, mag_err=err, airmass=airmass)
    assert fit.log_odds < 2.0


def test_a_wild_point_is_left_out():
    time, mag, err, airmass = curve(np.random.default_rng(4))
    mag[40] += 0.3
    fit = TransitTask().run(time_d=time, mag=mag, mag_err=err, airmass=airmass)
    assert not fit.used[40]
    assert fit.depth_mag == pytest.approx(0.025, abs=4.0 * fit.depth_err_mag)


def test_too_few_points_are_the_data_s_failure():
    with pytest.raises(AlgorithmError, match="too few"):
        TransitTask().run(time_d=np.arange(5.0), mag=np.zeros(5), mag_err=np.ones(5))


def ornstein_uhlenbeck(rng, time, sigma, memory):
    value = [sigma * rng.standard_normal()]
    for step in np.diff(time):
        kept = np.exp(-step / memory)
        value.append(kept * value[-1] + sigma * (1.0 - kept**2) ** 0.5 * rng.standard_normal())
    return np.array(value)


def test_red_noise_enlarges_the_errors_and_is_reported():
    time, mag, err, airmass = curve(np.random.default_rng(5), noise=0.003)
    red = ornstein_uhlenbeck(np.random.default_rng(6), time, 0.004, 0.015)
    white, noisy = (TransitTask().run(time_d=time, mag=m, mag_err=err, airmass=airmass) for m in (mag, mag + red))
    assert noisy.red_noise_mag > 0.002 > white.red_noise_mag
    assert noisy.depth_err_mag > 1.5 * white.depth_err_mag
    assert noisy.mid_time_err > 1.5 * white.mid_time_err


@pytest.mark.slow
@pytest.mark.parametrize("n", [15, pytest.param(40, marks=pytest.mark.thorough)])
def test_errors_of_middle_depth_and_duration_are_calibrated_with_red_noise(n):
    pulls = []
    for seed in range(n):
        rng = np.random.default_rng(1000 + seed)
        time, mag, err, airmass = curve(rng, n=80, noise=0.003)
        mag = mag + ornstein_uhlenbeck(rng, time, 0.0025, 0.02)
        fit = TransitTask().run(time_d=time, mag=mag, mag_err=err, airmass=airmass)
        pulls.append([
            (fit.mid_time - 0.15) / fit.mid_time_err, (fit.depth_mag - 0.025) / fit.depth_err_mag,
            (fit.duration_d - 0.12) / fit.duration_err_d,
        ])  # fmt: skip
    width = np.sqrt(np.mean(np.square(pulls), axis=0))
    assert np.all(np.abs(width - 1.0) < 2.5 / np.sqrt(n))  # 3.5 sigma


def test_seasons_of_time_may_come_in_any_order():
    time, mag, err, airmass = curve(np.random.default_rng(1))
    shuffled = np.random.default_rng(2).permutation(time.size)
    fits = [TransitTask().run(time_d=time[k], mag=mag[k], mag_err=err[k], airmass=airmass[k])
            for k in (np.arange(time.size), shuffled)]  # fmt: skip
    assert fits[0].mid_time == pytest.approx(fits[1].mid_time, abs=1e-9)
    np.testing.assert_allclose(fits[0].model_mag[shuffled], fits[1].model_mag, atol=1e-9)


def test_the_period_of_a_sinusoid_is_found_and_noise_has_a_high_false_alarm():
    rng = np.random.default_rng(6)
    time = np.sort(rng.uniform(0.0, 3.0, 120))
    noise = 0.01 * rng.standard_normal(120)
    found = PeriodTask().run(time_d=time, mag=0.03 * np.sin(2 * np.pi * time / 0.23) + noise, weight=np.full(120, 1e4))
    assert found.period_d == pytest.approx(0.23, rel=0.01)
    assert found.false_alarm < 1e-10
    assert PeriodTask().run(time_d=time, mag=noise, weight=np.full(120, 1e4)).false_alarm > 1e-3


def test_times_agree_with_astropy_at_the_barycentre():
    import astropy.units as u
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    mjd = np.array([58107.07, 58290.4])
    place = EarthLocation.from_geodetic(-110.88, 31.68, 1268.0)
    with iers.conf.set_temp("auto_download", False):
        time = Time(mjd, format="mjd", scale="tai", location=place)
        expected = (time.tdb + time.light_travel_time(SkyCoord(31.0428 * u.deg, 46.6878 * u.deg))).jd
    found = bjd_tdb(mjd, ra_deg=31.0428, dec_deg=46.6878, longitude_deg=-110.88, latitude_deg=31.68, elevation_m=1268.0)
    np.testing.assert_allclose(found[:, 0], expected, rtol=0.0, atol=1e-8)  # 1 ms
    np.testing.assert_allclose(mjd_utc(mjd), mjd - 37.0 / 86400.0, atol=1e-9)


def test_a_star_that_recurs_is_listed_once_with_the_id_it_has():
    rng = np.random.default_rng(7)
    ra, dec = 31.0 + rng.uniform(0.0, 0.5, 50), 46.0 + rng.uniform(0.0, 0.5, 50)
    frames = [(ra + rng.normal(0, 2e-5, 50), dec + rng.normal(0, 2e-5, 50)) for _ in range(10)]
    frames[3] = (np.append(frames[3][0], 31.2), np.append(frames[3][1], 46.9))  # seen once
    isolated = Table("isolated_star", {"isolated_star_id": [77, 78], "ra": ra[:2], "dec": dec[:2]})
    found = StarListTask().run(positions=frames, isolated=isolated, pixel_scale_arcsec=5.0, tract=0)
    assert found.star_id.size == np.unique(found.star_id).size == 50
    assert {77, 78} <= set(found.star_id.tolist())
    assert found.is_isolated.sum() == 2
    assert np.all(found.n_images == 10)
