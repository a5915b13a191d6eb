"""The single-exposure fit: right from a wrong header, with errors that mean what they say."""

import json

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.image.photo_calib import PhotoCalib
from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration, JointCalibration
from etendue.tasks.astrometry.tan_sip import PixelFrame, fit_tan_sip

SCALE = 1.1 / 3600.0


def distorted(crval=(124.6, 25.3), turn_deg=2.0, scale=SCALE):
    turn = np.radians(turn_deg)
    cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    sip_a, sip_b = np.zeros((4, 4)), np.zeros((4, 4))
    sip_a[2, 0], sip_a[1, 1], sip_b[0, 2], sip_b[1, 2], sip_a[3, 0] = 3e-7, -2e-7, 4e-7, 3e-10, 5e-10
    return SkyWcs.from_polynomial(crpix=(690.0, 680.0), crval=crval, cd=cd, sip_a=sip_a, sip_b=sip_b)


def field(seed, n=150, error_px=0.02, n_spurious=0):
    rng = np.random.default_rng(seed)
    truth = distorted()
    x, y = rng.uniform(0.0, 1400.0, (2, n))
    ra, dec = truth.pixel_to_sky(x=x, y=y)
    flux = rng.lognormal(7.0, 1.5, n)
    x, y = x + error_px * rng.standard_normal(n), y + error_px * rng.standard_normal(n)
    sx, sy = rng.uniform(0.0, 1400.0, (2, n_spurious))
    sources = {
        "x": np.r_[x, sx],
        "y": np.r_[y, sy],
        "x_err": np.full(n + n_spurious, error_px),
        "y_err": np.full(n + n_spurious, error_px),
        "flux": np.r_[flux, rng.lognormal(7.0, 1.5, n_spurious)],
    }
    return truth, sources, {"ref_ra_deg": ra, "ref_dec_deg": dec, "ref_flux": flux}


def offset_mas(wcs, truth):
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(100.0, 1300.0, 9), np.linspace(100.0, 1300.0, 9)))
    return separation_deg(*wcs.pixel_to_sky(x=x, y=y), *truth.pixel_to_sky(x=x, y=y)) * 3.6e6


def test_a_header_wrong_by_minutes_and_degrees_is_corrected():
    for seed in range(5):
        truth, sources, references = field(seed, n_spurious=60)
        start = distorted(crval=(124.65, 25.26), turn_deg=4.5, scale=1.01 * SCALE)
        result = FitAstrometryTask().run(**sources, wcs=start, **references)
        assert offset_mas(result.wcs, truth).max() < 40.0  # the errors at the corners of a cubic are 10 mas
        assert result.n_used > 140
        assert result.rotation_deg == pytest.approx(2.5, abs=0.2)
        assert result.rms_arcsec == pytest.approx(0.022, rel=0.2)


@pytest.mark.parametrize("scale_arcsec", [0.1, 5.0, 20.0])
def test_pixels_of_any_size_are_fitted(scale_arcsec):
    scale = scale_arcsec / 3600.0
    truth, start = distorted(scale=scale), distorted(scale=1.004 * scale, turn_deg=2.6)
    _, sources, references = field(6, n=120, n_spurious=60)
    ra, dec = truth.pixel_to_sky(x=sources["x"][:120], y=sources["y"][:120])
    result = FitAstrometryTask().run(**sources, wcs=start, **(references | {"ref_ra_deg": ra, "ref_dec_deg": dec}))
    assert result.n_used > 110
    assert offset_mas(result.wcs, truth).max() < 0.1 * 1000.0 * scale_arcsec


def test_matches_point_at_the_arrays_as_given():
    truth, sources, references = field(1)
    sources["x"][:10] = np.nan
    result = FitAstrometryTask().run(**sources, wcs=truth, **references)
    np.testing.assert_array_equal(result.source, result.reference)
    assert result.source.min() >= 10


def test_the_predicted_position_error_is_true():
    config = FitAstrometryConfig(trust_start=True, order=2)
    start = distorted()
    x, y = np.array([100.0, 700.0, 1200.0]), np.array([300.0, 700.0, 1300.0])
    pulls = []
    for seed in range(100):
        truth, sources, references = field(seed, n=100)
        result = FitAstrometryTask(config).run(**sources, wcs=start, **references)
        east_err, north_err = result.position_err_arcsec(x=x, y=y)
        got, true = result.wcs.pixel_to_plane(x=x, y=y), truth.pixel_to_plane(x=x, y=y)
        pulls.append([(got[0] - true[0]) * 3600.0 / east_err, (got[1] - true[1]) * 3600.0 / north_err])
    assert np.std(pulls) == pytest.approx(1.0, abs=4.0 / np.sqrt(2 * 200))


def test_scatter_beyond_the_formal_errors_is_reported_as_a_floor():
    truth, sources, references = field(3, n=2000, error_px=0.05)
    sources["x_err"], sources["y_err"] = np.full(2000, 0.01), np.full(2000, 0.01)
    result = FitAstrometryTask().run(**sources, wcs=truth, **references)
    assert result.floor_arcsec == pytest.approx(1.1 * np.sqrt(0.05**2 - 0.01**2), rel=0.1)
    assert result.chi2_per_dof == pytest.approx(1.0, abs=0.2)


def test_another_field_is_refused():
    _, sources, references = field(4)
    with pytest.raises(AlgorithmError):
        FitAstrometryTask().run(**sources, wcs=distorted(crval=(125.6, 25.3)), **references)


def test_tan_sip_is_exact_for_a_polynomial():
    truth = distorted()
    frame = PixelFrame(700.0, 650.0, 700.0)

    def plane(x, y):
        xi, eta = truth.pixel_to_plane(x=x, y=y)
        return 3600.0 * xi, 3600.0 * eta

    wcs = fit_tan_sip(plane, frame, truth.crval, order=3)
    assert wcs.crpix == pytest.approx(truth.crpix, abs=1e-7)
    assert offset_mas(wcs, truth).max() < 1e-5
    assert wcs.sip is not None
    assert wcs.sip[0].coefficients[0, 0] == 0.0


def test_tan_sip_refuses_what_no_polynomial_follows():
    with pytest.raises(AlgorithmError, match="polynomial"):
        fit_tan_sip(lambda x, y: (x + np.sin(x), y), PixelFrame(0.0, 0.0, 100.0), (0.0, 0.0), order=2)


def test_joint_calibration_survives_json():
    items = [ExposureCalibration(visit, 0, distorted(), PhotoCalib(scale=2.0), 50, 0, 0.012) for visit in (9, 3)]
    joint = JointCalibration(tuple(items), 0.015, 0.002)
    again = JointCalibration.from_dict(json.loads(json.dumps(joint.to_dict(), allow_nan=False)))
    assert again.content_hash() == joint.content_hash()
    assert [item.visit for item in again.exposures] == [3, 9]
    assert again.get(visit=9, detector=0).wcs == distorted()
    assert (9, 0) in again
    with pytest.raises(InputError, match="not in the joint calibration"):
        again.get(visit=4, detector=0)
    with pytest.raises(InputError, match="twice"):
        JointCalibration((items[0], items[0]))


def refracted(seed, n, slope, *, error_px=0.02):
    """Return a field whose stars the air moves by ``slope`` arcsec per magnitude, along a direction off both axes."""
    truth, sources, references = field(seed, n=n, error_px=error_px)
    color = np.random.default_rng(seed + 1000).normal(0.8, 0.4, n)
    zenith = (0.7, 1.1)
    xi, eta = truth.pixel_to_plane(x=sources["x"], y=sources["y"])
    shift = slope * (color - 0.8) / 3600.0
    sources["x"], sources["y"] = truth.plane_to_pixel(xi_deg=xi + shift * zenith[0], eta_deg=eta + shift * zenith[1])
    color[:5] = np.nan
    return truth, sources, references, {"ref_color_mag": color, "toward_zenith": zenith}


def test_refraction_by_colour_is_fitted_with_an_error_that_is_true():
    pulls = []
    for seed in range(60):
        truth, sources, references, colors = refracted(seed, 80, -0.05)
        result = FitAstrometryTask().run(**sources, wcs=truth, **references, **colors)
        pulls.append((result.refraction.arcsec_per_mag + 0.05) / result.refraction.err_arcsec_per_mag)
    assert abs(np.mean(pulls)) < 4.0 / np.sqrt(60)
    assert np.std(pulls) == pytest.approx(1.0, abs=4.0 / np.sqrt(120))


def test_the_wcs_is_that_of_the_median_colour_and_residuals_are_free_of_it():
    truth, sources, references, colors = refracted(7, 2000, -0.1)
    plain = FitAstrometryTask().run(**sources, wcs=truth, **references)
    corrected = FitAstrometryTask().run(**sources, wcs=truth, **references, **colors)
    given = FitAstrometryTask().run(**sources, wcs=truth, **references, **colors, refraction_arcsec=-0.1)
    assert plain.rms_arcsec > 1.4 * corrected.rms_arcsec
    assert plain.refraction.arcsec_per_mag == 0.0
    assert corrected.rms_arcsec == pytest.approx(0.022, rel=0.05)
    assert given.rms_arcsec == pytest.approx(corrected.rms_arcsec, rel=0.01)
    assert offset_mas(corrected.wcs, truth).max() < 6.0  # the median colour of the sample costs 1
    assert np.nanmedian(colors["ref_color_mag"]) == pytest.approx(corrected.refraction.reference_color, abs=1e-12)


def test_unknown_colours_leave_the_fit_as_it_is():
    truth, sources, references = field(9)
    plain = FitAstrometryTask().run(**sources, wcs=truth, **references)
    blank = FitAstrometryTask().run(
        **sources, wcs=truth, **references, ref_color_mag=np.full(150, np.nan), toward_zenith=(0.5, 0.5)
    )
    assert blank.refraction.arcsec_per_mag == 0.0
    assert blank.wcs == plain.wcs
