import warnings

import numpy as np
import pytest

from etendue.image.photo_calib import PhotoCalib
from etendue.image.visit_info import VisitInfo
from etendue.stages.summarize_visit import Fiducial, SummarizeVisit, SummarizeVisitConfig

FACTS = {
    "sky_level_electron": 900.0, "sky_noise_electron": 30.0, "sky_noise_njy": 60.0, "n_source": 5, "n_psf_star": 4,
    "n_cosmic_ray_pixel": 3, "n_astrometry_star": 2, "n_photometry_star": 2, "astrometric_rms_arcsec": 0.01,
    "photometric_rms_mag": 0.003, "masked_fraction": 0.02,
}  # fmt: skip


@pytest.fixture
def image(visit_image, handle):
    calib = PhotoCalib.from_zero_point(25.0, kind="relative")
    return handle(visit_image(metadata=FACTS, photo_calib=calib), detector=0, band="r", physical_filter="VR")


def test_no_pixel_is_read(image):
    SummarizeVisit().run(images=(image,))
    assert set(image.read) == {"wcs", "psf", "photo_calib", "visit_info", "metadata", "bbox"}


def test_rows_hold_seeing_depth_place_and_counts(image):
    row = SummarizeVisit().run(images=(image, image)).summary
    assert len(row) == 2
    sigma = float(row["psfSigma"][0])
    assert row["seeing"][0] == pytest.approx(0.6 * 2.3548 * sigma, rel=0.05)
    flux = 10.0 ** (0.4 * (25.0 - row["magLim"][0]))  # electrons
    assert flux / np.sqrt(flux + row["psfArea"][0] * 30.0**2) == pytest.approx(5.0, rel=1e-6)
    assert (row["ra"][0], row["dec"][0]) == pytest.approx((124.6, 25.3), abs=1e-3)
    assert (row["nSource"][0], row["nPsfStar"][0], row["nCosmicRay"][0]) == (5, 4, 3)
    assert row["zeroPoint"][0] == pytest.approx(25.0)


def test_corners_are_named_by_pixels(image, wcs):
    row = SummarizeVisit().run(images=(image,)).summary
    ra, dec = wcs.pixel_to_sky(x=np.array([-0.5]), y=np.array([-0.5]))
    assert (row["llcra"][0], row["llcdec"][0]) == pytest.approx((float(ra[0]), float(dec[0])), abs=1e-6)
    assert row["lrcra"][0] < row["llcra"][0]  # east is left
    assert row["ulcdec"][0] > row["llcdec"][0]


def test_what_was_not_measured_is_nan(image):
    row = SummarizeVisit().run(images=(image,)).summary
    for name in ("effTime", "psfTraceRadiusDelta", "astromOffsetMean", "cloudExtinction"):
        assert np.isnan(row[name][0])


def test_effective_time_is_the_exposure_time_under_fiducial_conditions(image):
    known = SummarizeVisit().run(images=(image,)).summary
    time = float(known["expTime"][0])
    config = SummarizeVisitConfig(
        fiducial_seeing_arcsec=float(known["psfSigma"][0] * 2.0 * np.sqrt(2.0 * np.log(2.0)) * known["pixelScale"][0]),
        fiducial_sky_electron=900.0 / time, fiducial_zero_point=25.0 - 2.5 * np.log10(time),
    )  # fmt: skip
    row = SummarizeVisit(config).run(images=(image,)).summary
    assert row["effTime"][0] == pytest.approx(time, rel=1e-5)


def test_a_fiducial_of_a_band_takes_the_place_of_the_common_one(image):
    common = SummarizeVisitConfig(fiducial_seeing_arcsec=1.0, fiducial_sky_electron=10.0, fiducial_zero_point=25.0)
    other = {"seeing_arcsec": 2.0, "sky_electron": 10.0, "zero_point": 25.0}
    times = [
        SummarizeVisit(common.model_copy(update={"fiducials": fiducials})).run(images=(image,)).summary["effTime"][0]
        for fiducials in ({}, {"r": Fiducial(**other)}, {"g": Fiducial(**other)})
    ]
    assert times[1] == pytest.approx(4.0 * times[0])
    assert times[2] == times[0]


def test_the_azimuth_of_a_visit_agrees_with_astropy(visit_image, handle, wcs):
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord
    from astropy.time import Time

    info = VisitInfo(
        visit=1, mjd_tai=60000.3, exposure_time_s=30.0, day_obs=20230225, longitude_deg=-111.4, latitude_deg=34.7
    )
    exposure = visit_image(metadata=FACTS, visit_info=info, photo_calib=PhotoCalib(scale=1.0))
    row = SummarizeVisit().run(images=(handle(exposure, detector=0, band="r", physical_filter="VR"),)).summary
    where = AltAz(
        obstime=Time(60000.3, format="mjd", scale="tai"), location=EarthLocation(lon=-111.4, lat=34.7, height=0.0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Earth rotation tables that are not there
        seen = SkyCoord(float(row["ra"][0]), float(row["dec"][0]), unit="deg").transform_to(where)
    off = (row["azimuth"][0] - seen.az.deg + 180.0) % 360.0 - 180.0
    assert abs(off) * np.cos(seen.alt.rad) < 0.5
