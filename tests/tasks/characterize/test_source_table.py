"""Measured columns become sky positions and nanojansky, with errors carried through."""

import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.geom.ids import source_ids
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.image.visit_info import VisitInfo
from etendue.tasks.characterize.source_table import source_table
from etendue.tasks.measure.measure import MeasureTask

VISIT = 2019032600132
CD = np.array([[-4e-4, 1e-4], [2e-4, 3e-4]])
WCS = SkyWcs.tan(crpix_x=40.0, crpix_y=40.0, crval_ra_deg=124.6, crval_dec_deg=60.0, cd=CD)
PSF = GaussianMixturePsf.circular(1.2, 21)


@pytest.fixture(scope="module")
def exposure():
    rng, box = np.random.default_rng(1), Box.from_shape((80, 80))
    pixels = rng.normal(0.0, 5.0, box.shape)
    for x, y, flux in ((20.3, 25.8, 4000.0), (55.1, 50.4, 9000.0), (30.0, 60.0, 2000.0)):
        stamp = PSF.draw(x=x, y=y)
        pixels[stamp.y0[0] : stamp.y0[0] + 21, stamp.x0[0] : stamp.x0[0] + 21] += flux * stamp.value[0]
    return Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box), variance=Image.full(box, 25.0), wcs=WCS,
        psf=PSF, band="r", physical_filter="VR", detector=3, unit="electron",
        visit_info=VisitInfo(visit=VISIT, mjd_tai=58568.25, exposure_time_s=30.0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def columns(exposure):
    return MeasureTask().run(exposure=exposure, x=np.array([20.0, 55.0, 30.0]), y=np.array([26.0, 50.0, 60.0]))


def test_rows_carry_ids_and_the_facts_of_the_visit(columns, exposure):
    table = source_table("single_visit_star", columns, exposure)
    np.testing.assert_array_equal(table["sourceId"], source_ids(VISIT, 3, 3))
    assert set(np.asarray(table["visit"])) == {VISIT}
    assert (table["band"] == "r").all()
    np.testing.assert_allclose(table["midpointMjdTai"], 58568.25)


def test_fluxes_are_scaled_with_their_errors(columns, exposure):
    plain = source_table("single_visit_star", columns, exposure)
    scaled = source_table("single_visit_star", columns, exposure, photo_calib=PhotoCalib(scale=3.0))
    for name in ("psfFlux", "psfFluxErr", "ap03Flux", "ap03FluxErr", "calibFlux", "calibFluxErr"):
        np.testing.assert_allclose(scaled[name], 3.0 * np.asarray(plain[name]), rtol=1e-12)
    np.testing.assert_array_equal(scaled["snr"], plain["snr"])


def test_the_calibrating_flux_is_on_the_scale_of_total_fluxes(columns, exposure):
    table = source_table("single_visit_star", columns, exposure)
    ratio = table["calibFlux"] / table["psfFlux"]
    assert np.median(ratio) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(ratio, 1.0, atol=0.05)
    np.testing.assert_allclose(table["calibFlux"] / table["calibFluxErr"], table["ap03Flux"] / table["ap03FluxErr"])


def test_errors_on_the_sky_are_those_of_the_pixels_turned_and_scaled(columns, exposure):
    table = source_table("single_visit_star", columns, exposure)
    covariance = np.array([[columns.x_err[0] ** 2, columns.xy_cov[0]], [columns.xy_cov[0], columns.y_err[0] ** 2]])
    draws = np.random.default_rng(2).multivariate_normal([columns.x[0], columns.y[0]], covariance, 20000)
    ra, dec = WCS.pixel_to_sky(x=draws[:, 0], y=draws[:, 1])
    assert table["raErr"][0] == pytest.approx(np.std(ra) * np.cos(np.radians(dec[0])), rel=0.03)
    assert table["decErr"][0] == pytest.approx(np.std(dec), rel=0.03)
    expected = np.cov(ra * np.cos(np.radians(dec[0])), dec)[0, 1]
    assert table["ra_dec_Cov"][0] == pytest.approx(expected, rel=0.1)


def test_more_columns_win_and_flags_of_the_schema_are_kept(columns, exposure):
    table = source_table("single_visit_star", columns, exposure, extra={"calib_psf_used": np.array([1, 0, 1], bool)})
    assert table["calib_psf_used"].tolist() == [True, False, True]
    np.testing.assert_array_equal(table["pixelFlags_saturated"], columns.pixel_flags["pixelFlags_saturated"])


def test_without_a_wcs_there_are_no_positions(columns, exposure):
    table = source_table("single_visit_star", columns, exposure.replace(wcs=None))
    assert np.isnan(table["ra"]).all()
    np.testing.assert_array_equal(table["x"], columns.x)
