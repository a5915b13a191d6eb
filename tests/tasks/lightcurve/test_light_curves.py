from dataclasses import replace

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.table.table import Table
from etendue.tasks.lightcurve.curve_tables import light_curve_star_table, light_curve_table
from etendue.tasks.lightcurve.detrend import DetrendTask
from etendue.tasks.lightcurve.effects import effect_table
from etendue.tasks.lightcurve.ensemble import EnsembleConfig, EnsembleTask
from etendue.tasks.lightcurve.light_curves import LightCurvesTask
from etendue.tasks.lightcurve.series import N_APERTURES, RADII_KEY, assemble_series, radii_of
from etendue.tasks.lightcurve.systematics import SystematicsTask

SINE, TRANSIT = 5, 9


@pytest.fixture(scope="module")
def curves(truth):
    return LightCurvesTask().run(series=truth.series)


def solve(series, **config):
    mag, err, usable = series.magnitudes(0)
    return EnsembleTask(EnsembleConfig(**config)).run(mag=mag, mag_err=err, usable=usable, x=series.x, y=series.y)


def test_the_ensemble_removes_what_a_frame_does_to_all_stars(constant):
    solved = solve(constant.series)
    usable = constant.series.usable
    scatter = np.nanstd(np.where(usable, solved.residual - constant.response, np.nan), axis=0)
    noise = np.nanmedian(np.where(usable, solved.residual_err, np.nan), axis=0)
    assert np.nanmedian(scatter / noise) < 1.4  # the response, which moves under the stars, is left


def test_a_star_does_not_vote_about_itself(truth):
    series = truth.series
    flux = series.flux.copy()
    flux[:, 30, TRANSIT] *= 10.0**-0.004  # 10 mmag in one frame
    before, after = solve(series), solve(replace(series, flux=flux))
    change = (after.residual - before.residual)[30, TRANSIT]
    assert change == pytest.approx(0.01, rel=0.02)
    assert before.leverage[30, TRANSIT] > 0.001


def test_a_wild_star_loses_its_vote(truth):
    series = truth.series
    rng = np.random.default_rng(0)
    flux = series.flux.copy()
    star = int(np.nanargmax(np.where(series.usable.all(axis=0), np.nanmean(flux[0], axis=0), np.nan)))
    flux[:, :, star] *= 10.0 ** (-0.4 * 0.2 * rng.standard_normal(series.shape[0]))
    share = solve(replace(series, flux=flux)).weight[:, star].mean() / solve(series).weight[:, star].mean()
    assert share < 0.02


def test_too_few_comparison_stars_are_the_data_s_failure(truth):
    series = truth.series
    with pytest.raises(AlgorithmError, match="comparison"):
        solve(replace(series, usable=series.usable & (np.arange(series.shape[1]) < 3)))


def test_the_response_of_the_detector_is_found_by_the_drift_and_phase_is_not_where_there_is_none(truth):
    found = SystematicsTask().run(series=truth.series, ensemble=solve(truth.series))
    effects = {effect.name: effect for effect in found.effects}
    assert effects["response of the detector"].accepted
    assert not any(effect.accepted for name, effect in effects.items() if "phase" in name)


def test_a_sub_pixel_effect_that_was_put_in_is_found(constant):
    series = constant.series
    rng = np.random.default_rng(2)
    x = series.x + rng.uniform(-0.5, 0.5, series.shape[0])[:, None]
    flux = series.flux * 10.0 ** (-0.4 * 0.01 * np.cos(2.0 * np.pi * np.nan_to_num(x)))
    changed = replace(series, x=x, flux=flux)
    found = SystematicsTask().run(series=changed, ensemble=solve(changed))
    phase = next(effect for effect in found.effects if effect.name == "sub-pixel phase, harmonic 1")
    assert phase.accepted
    assert 0.6 < phase.amplitude_mag / (0.01 / np.sqrt(2.0)) < 1.1  # the gradients of the frames take a part at first


def test_detrending_keeps_the_transit(curves, truth):
    signal = truth.signal[:, TRANSIT]
    depth = np.mean(curves.detrended[signal > 0.02, TRANSIT]) - np.mean(curves.detrended[signal == 0.0, TRANSIT])
    assert depth == pytest.approx(0.025, abs=0.003)


def test_variables_are_claimed_and_constant_stars_are_not(curves):
    assert curves.variability.is_variable[[SINE, TRANSIT]].all()
    assert curves.variability.is_variable.sum() == 2
    assert np.all(curves.variability.confirmed_fraction[curves.variability.is_variable] >= 0.5)
    assert curves.variability.period_d[SINE] == pytest.approx(0.07, rel=0.03)


def test_errors_are_calibrated(curves):
    quiet = np.delete(np.arange(curves.raw.shape[1]), [SINE, TRANSIT])
    low, high = np.nanpercentile((curves.detrended / curves.error)[:, quiet], [25.0, 75.0])
    assert (high - low) / 1.349 == pytest.approx(1.0, abs=0.06)


def test_a_trend_of_all_stars_is_taken_off_and_one_star_s_own_is_not():
    rng = np.random.default_rng(4)
    n_frames, n_stars = 96, 60
    trend = np.sin(np.linspace(0.0, 25.0, n_frames))
    residual = 0.003 * rng.standard_normal((n_frames, n_stars)) + 0.01 * trend[:, None] * rng.uniform(0.5, 1.5, n_stars)
    own = 0.02 * (np.abs(np.arange(n_frames) - 50) < 12)
    residual[:, 0] = 0.003 * rng.standard_normal(n_frames) + own
    weight = np.full(residual.shape, 1e5)
    found = DetrendTask().run(residual=residual, weight=weight, airmass=np.full(n_frames, np.nan))
    assert len(found.trends) >= 1
    assert found.residual[:, 1:].std() < 0.0045
    assert np.mean(found.residual[own > 0, 0]) - np.mean(found.residual[own == 0, 0]) == pytest.approx(0.02, abs=0.002)


def test_tables_hold_every_star_and_both_times(curves, truth):
    rows = light_curve_table(curves, site=(-110.9, 31.7, 1300.0))
    assert len(rows) == np.isfinite(truth.series.x).sum()
    assert np.allclose(rows["mjdUtc"] - rows["midpointMjdTai"], -37.0 / 86400.0, atol=1e-9)
    assert np.all(np.abs(rows["bjdTdb"] - 2400000.5 - rows["mjdUtc"]) < 510.0 / 86400.0)
    stars = light_curve_star_table(curves, zero_point_mag=20.0)
    assert len(stars) == truth.series.shape[1]
    assert stars["comparisonWeight"].sum() == pytest.approx(1.0, abs=1e-3)
    assert len(effect_table(curves)) > 0


def test_images_become_matrices_in_order_of_time(truth):
    series = truth.series
    tables = []
    for frame in (2, 0, 1):
        on = np.flatnonzero(np.isfinite(series.x[frame]))
        n = on.size
        columns = {
            "isolated_star_id": series.star_id[on], "visit": np.full(n, frame), "detector": np.zeros(n, int),
            "band": ["clear"] * n, "midpointMjdTai": np.full(n, series.mjd_tai[frame]), "x": series.x[frame, on],
            "y": series.y[frame, on], "usable": series.usable[frame, on], "nNeighbour": np.zeros(n, int),
        }  # fmt: skip
        columns |= {f"aperture{k}Flux": series.flux[k - 1, frame, on] for k in range(1, N_APERTURES + 1)}
        tables.append(Table("series_source", columns, {RADII_KEY: "1,2,3,4,5,6,7,8"}))
    stars = Table("series_star", {
        "isolated_star_id": series.star_id[::-1], "ra": series.ra_deg[::-1], "dec": series.dec_deg[::-1],
        "nSource": np.ones(series.shape[1], int), "isIsolated": np.ones(series.shape[1], bool),
    })  # fmt: skip
    (found,) = assemble_series(tables, stars)
    assert found.visit.tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.ra_deg, series.ra_deg[np.isin(series.star_id, found.star_id)])
    kept = np.isin(series.star_id, found.star_id)
    np.testing.assert_allclose(found.flux[0, 1], np.float32(series.flux[0, 1, kept]), rtol=1e-6)


def test_a_table_without_its_radii_is_refused():
    with pytest.raises(InputError, match="8 aperture radii"):
        radii_of({RADII_KEY: "1,2"})
