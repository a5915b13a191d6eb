"""Zero points against a catalog and against each other: unbiased, robust, with true errors."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.image.photo_calib import mag_to_njy, njy_to_mag
from etendue.tasks.photometry.joint import JointPhotometryConfig, JointPhotometryTask
from etendue.tasks.photometry.zero_point import ZeroPointConfig, ZeroPointTask

ZERO_POINT = 27.3


def matched_stars(seed, n=200, *, color_term=0.0, scatter=0.0, n_variable=0):
    rng = np.random.default_rng(seed)
    mag, color = rng.uniform(16.0, 20.0, n), rng.uniform(0.0, 1.5, n)
    flux = 10.0 ** (
        -0.4 * (mag - ZERO_POINT - color_term * (color - np.median(color)) + scatter * rng.standard_normal(n))
    )
    flux[:n_variable] *= 2.0
    error = 0.01 * flux
    return flux + error * rng.standard_normal(n), error, mag_to_njy(mag), color


def test_zero_point_has_unit_pulls():
    pulls = []
    for seed in range(200):
        flux, error, reference, _ = matched_stars(seed, 80, scatter=0.02)
        result = ZeroPointTask().run(flux=flux, flux_err=error, ref_flux_njy=reference)
        pulls.append((result.zero_point_mag - ZERO_POINT) / result.zero_point_err_mag)
    # 4 sigma of the width from 200 fields; the floor of each field is fitted too.
    assert np.std(pulls) == pytest.approx(1.0, abs=4.0 / 400**0.5)
    assert abs(np.mean(pulls)) < 4.0 / 200**0.5


def test_zero_point_calibrates_to_absolute_nanojanskys():
    flux, error, reference, _ = matched_stars(1)
    calib = ZeroPointTask().run(flux=flux, flux_err=error, ref_flux_njy=reference).photo_calib
    assert calib.kind == "absolute"
    assert np.median(calib.to_njy(flux, error)[0] / reference) == pytest.approx(1.0, abs=0.003)


def test_variables_do_not_move_the_zero_point():
    flux, error, reference, _ = matched_stars(2, n_variable=40)
    result = ZeroPointTask().run(flux=flux, flux_err=error, ref_flux_njy=reference)
    assert abs(result.zero_point_mag - ZERO_POINT) < 0.004
    assert not result.used[:40].any()


def test_intrinsic_scatter_is_reported():
    flux, error, reference, _ = matched_stars(3, 2000, scatter=0.03)
    result = ZeroPointTask().run(flux=flux, flux_err=error, ref_flux_njy=reference)
    assert result.scatter_mag == pytest.approx(0.03, rel=0.1)


def test_color_term_is_recovered_with_its_error():
    flux, error, reference, color = matched_stars(4, color_term=0.08)
    task = ZeroPointTask(ZeroPointConfig(fit_color_term=True))
    result = task.run(flux=flux, flux_err=error, ref_flux_njy=reference, color_mag=color)
    assert abs(result.color_term - 0.08) < 4.0 * result.color_term_err
    assert result.color_term_err < 0.003


def test_few_or_useless_stars_are_refused():
    with pytest.raises(AlgorithmError, match="too few stars"):
        ZeroPointTask().run(flux=[1.0, -1.0, np.nan], flux_err=[0.01] * 3, ref_flux_njy=[1.0] * 3)


def test_one_color_cannot_give_a_color_term():
    flux, error, reference, color = matched_stars(5)
    task = ZeroPointTask(ZeroPointConfig(fit_color_term=True))
    with pytest.raises(AlgorithmError, match="span"):
        task.run(flux=flux, flux_err=error, ref_flux_njy=reference, color_mag=np.full(color.size, 0.5))


def survey(seed, *, n_exposures=10, n_stars=200, floor=0.0, slope=0.0, n_variable=0):
    """Return the columns of a survey, its true zero points and star magnitudes."""
    rng = np.random.default_rng(seed)
    exposure, star = (grid.ravel() for grid in np.meshgrid(np.arange(n_exposures), np.arange(n_stars)))
    mag, zero_point = rng.uniform(16.0, 19.0, n_stars), 27.0 + rng.normal(0.0, 0.2, n_exposures)
    x, y = (rng.uniform(0.0, 1400.0, n_stars)[star] + rng.uniform(-50.0, 50.0, n_exposures)[exposure] for _ in range(2))
    tilt = slope * rng.standard_normal(n_exposures)[exposure] * (x - 700.0) / 700.0
    change = np.where(star < n_variable, rng.normal(0.0, 0.3, star.size), 0.0)
    noise = np.hypot(0.005, floor) * rng.standard_normal(star.size)
    flux = 10.0 ** (-0.4 * (mag[star] + change + tilt - zero_point[exposure] + noise))
    columns = {"star": star, "exposure": exposure, "flux": flux, "flux_err": 0.005 / 1.0857 * flux, "x": x, "y": y}
    return columns | {"n_exposures": n_exposures}, zero_point, mag


def test_relative_zero_points_have_unit_pulls():
    pulls = []
    task = JointPhotometryTask(JointPhotometryConfig(spatial_order=0))
    for seed in range(60):
        columns, zero_point, _ = survey(seed, n_stars=60)
        result = task.run(**columns)
        got = np.array([calib.zero_point_mag for calib in result.photo_calib])
        pulls.append(((got - got.mean()) - (zero_point - zero_point.mean())) / result.zero_point_err_mag)
    # Deviations from a mean of ten have the errors that the task states for them.
    assert 0.93 < np.std(pulls) < 1.07
    assert result.photo_calib[0].kind == "relative"


def test_spatial_terms_flatten_each_exposure():
    columns, *_ = survey(1, n_stars=400, slope=0.03)
    for order, limit in ((0, 0.03), (2, 0.0055)):
        result = JointPhotometryTask(JointPhotometryConfig(spatial_order=order, clip_sigma=10.0)).run(**columns)
        njy = [
            calib.to_njy(columns["flux"], columns["flux_err"], x=columns["x"], y=columns["y"])[0]
            for calib in result.photo_calib
        ]
        calibrated = njy_to_mag(np.choose(columns["exposure"], njy))
        residual = calibrated.reshape(400, 10) - calibrated.reshape(400, 10).mean(axis=1, keepdims=True)
        assert residual.std() < limit
        np.testing.assert_allclose(calibrated, result.star_mag[columns["star"]] + result.residual_mag, atol=2e-4)
    assert result.rms_mag == pytest.approx(np.full(10, 0.005 * 0.9**0.5), rel=0.2)


def test_floor_is_fitted():
    columns, *_ = survey(2, n_stars=600, floor=0.012)
    assert JointPhotometryTask().run(**columns).floor_mag == pytest.approx(0.012, rel=0.08)


def test_variable_stars_do_not_drive_the_solution():
    columns, zero_point, _ = survey(3, n_variable=20)
    result = JointPhotometryTask(JointPhotometryConfig(spatial_order=0)).run(**columns)
    got = np.array([calib.zero_point_mag for calib in result.photo_calib])
    assert np.abs((got - got.mean()) - (zero_point - zero_point.mean())).max() < 0.003
    assert result.used[columns["star"] >= 20].mean() > 0.99


def test_reference_fluxes_make_it_absolute():
    columns, zero_point, mag = survey(4)
    reference = np.where(np.arange(200) % 4 == 0, mag_to_njy(mag), np.nan)
    result = JointPhotometryTask(JointPhotometryConfig(spatial_order=0)).run(**columns, ref_flux_njy=reference)
    got = np.array([calib.zero_point_mag for calib in result.photo_calib])
    np.testing.assert_allclose(got, zero_point, atol=0.006)
    assert {calib.kind for calib in result.photo_calib} == {"absolute"}


def test_a_common_illumination_is_recovered_from_dithers():
    columns, *_ = survey(5, n_exposures=20, n_stars=400)
    rng = np.random.default_rng(0)
    # Large dithers move every star over the detector.
    x, y = rng.uniform(0.0, 1400.0, (2, columns["x"].size))
    pattern = 0.02 * ((x - 700.0) / 700.0) ** 2
    columns |= {"x": x, "y": y, "flux": columns["flux"] * 10.0 ** (-0.4 * pattern)}
    result = JointPhotometryTask(JointPhotometryConfig(spatial_order=0, illumination_order=2)).run(**columns)
    scale = result.photo_calib[0].scale_at(x=np.array([700.0, 1400.0]), y=np.array([700.0, 700.0]))
    assert 2.5 * np.log10(scale[1] / scale[0]) == pytest.approx(0.02, abs=0.002)


def test_an_exposure_without_shared_stars_is_said_to_be_unsolved():
    columns, *_ = survey(6, n_exposures=4)
    columns["star"] = np.where(columns["exposure"] == 3, columns["star"] + 200, columns["star"])
    result = JointPhotometryTask().run(**columns)
    assert result.solved.tolist() == [True, True, True, False]
    assert result.n_stars[3] == 0


def test_no_overlap_at_all_is_refused():
    columns, *_ = survey(7, n_exposures=1)
    with pytest.raises(AlgorithmError, match="shares"):
        JointPhotometryTask().run(**columns)


def test_a_known_color_term_is_taken_out_at_the_pivot_colour():
    flux, error, reference, color = matched_stars(14, 400, color_term=0.08)
    known, fitted = (
        ZeroPointTask(ZeroPointConfig(pivot_color=0.2, **term)).run(
            flux=flux, flux_err=error, ref_flux_njy=reference, color_mag=color
        )
        for term in ({"color_term": 0.08}, {"fit_color_term": True})
    )
    assert abs(known.zero_point_mag - fitted.zero_point_mag) < 4.0 * fitted.zero_point_err_mag
    assert known.mean_color == fitted.mean_color == 0.2
    assert known.scatter_mag < 0.005


def test_a_known_color_term_needs_no_colour_of_every_star():
    flux, error, reference, color = matched_stars(15, 300, color_term=0.1)
    blank = ZeroPointTask(ZeroPointConfig(color_term=0.1))
    color[:250] = np.nan
    assert blank.run(flux=flux, flux_err=error, ref_flux_njy=reference, color_mag=color).n_used > 250
    plain = ZeroPointTask().run(flux=flux, flux_err=error, ref_flux_njy=reference)
    none = blank.run(flux=flux, flux_err=error, ref_flux_njy=reference)
    assert none.zero_point_mag == plain.zero_point_mag
