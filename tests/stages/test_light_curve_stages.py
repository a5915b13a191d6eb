import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.build_light_curves import BuildLightCurves
from etendue.stages.measure_series import MeasureSeries
from etendue.stages.select_series_stars import SelectSeriesStars
from etendue.table.table import Table
from etendue.tasks.lightcurve.series import radii_of

THROUGHPUT = (1.0, 0.8, 1.1, 0.9, 1.05, 0.95)
DATA_ID = {"instrument": "toy", "skymap": "field", "tract": 0}


@pytest.fixture(scope="module")
def summaries():
    return tuple(
        Table("visit_summary", {
            "visit": [k + 1], "detector": [0], "band": ["r"], "ra": [124.6], "dec": [25.3], "pixelScale": [0.6],
            "seeing": [0.6 * 2.6], "zeroPoint": [31.4], "expTime": [60.0], "airmass": [1.0 + 0.1 * k],
        })
        for k in range(len(THROUGHPUT))
    )  # fmt: skip


@pytest.fixture(scope="module")
def listed(stars, wcs, summaries):
    ra, dec = wcs.pixel_to_sky(x=stars["x"], y=stars["y"])
    n = ra.size
    sources = tuple(
        Table("source", {
            "sourceId": np.arange(1, n + 1) + 100 * k, "visit": np.full(n, k + 1), "detector": np.zeros(n, int),
            "band": ["r"] * n, "x": stars["x"], "y": stars["y"], "ra": ra, "dec": dec, "psfFlux": stars["flux"],
            "psfFluxErr": np.full(n, 40.0),
        })
        for k in range(len(THROUGHPUT))
    )  # fmt: skip
    isolated = Table("isolated_star", {"isolated_star_id": [5], "ra": ra[:1], "dec": dec[:1]})
    return SelectSeriesStars().run(sources=sources, summaries=summaries, isolated_stars=isolated, data_id=DATA_ID).stars


@pytest.fixture(scope="module")
def measured(visit_image, stars, listed):
    calib = PhotoCalib(scale=2.0)
    images = [
        visit_image(
            x=stars["x"], y=stars["y"], flux=2.0 * stars["flux"] * factor, photo_calib=calib, visit=k + 1, seed=k
        )
        for k, factor in enumerate(THROUGHPUT)
    ]
    return tuple(MeasureSeries().run(image=image, stars=listed).series_source for image in images)


def test_every_recurring_star_is_listed_and_apertures_follow_the_seeing(listed, stars):
    assert len(listed) == stars["x"].size
    assert 5 in listed["isolated_star_id"]
    np.testing.assert_allclose(radii_of(listed.meta)[0], 0.9 * 2.6, atol=1e-3)


def test_fluxes_are_those_of_the_detector_not_of_the_calibration(measured, listed, stars, wcs):
    ra, _ = wcs.pixel_to_sky(x=stars["x"], y=stars["y"])
    order = np.argsort(ra)
    for table, factor in zip(measured, THROUGHPUT, strict=True):
        rows = np.argsort(
            np.asarray(listed["ra"])[np.searchsorted(listed["isolated_star_id"], table["isolated_star_id"])]
        )
        ratio = np.asarray(table["aperture8Flux"])[rows] / (stars["flux"][order] * factor)
        assert np.median(ratio) == pytest.approx(1.0, abs=0.02)


def test_errors_are_those_of_the_sky_s_own_pixels(visit_image, listed, stars):
    image = visit_image(**stars)
    wrong = image.replace(variance=type(image.variance)(9.0 * image.variance.array, image.bbox))
    right, repaired = (MeasureSeries().run(image=i, stars=listed).series_source for i in (image, wrong))
    ratio = np.asarray(repaired["aperture1FluxErr"]) / np.asarray(right["aperture1FluxErr"])
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)


def test_light_curves_are_flat_where_only_the_throughput_changes(measured, listed, summaries):
    result = BuildLightCurves().run(sources=measured, stars=listed, summaries=summaries, camera=load_camera("lowell42"))
    star = result.light_curve_star
    assert len(star) == len(listed)
    assert np.median(star["rms"]) < 0.02
    assert not star["isVariable"].any()
    assert len(result.light_curve) == len(listed) * len(THROUGHPUT)
    assert np.isfinite(result.light_curve["bjdTdb"]).all()


def test_too_few_images_are_the_data_s_failure(measured, listed, summaries):
    with pytest.raises(AlgorithmError, match="enough images"):
        BuildLightCurves().run(sources=measured[:3], stars=listed, summaries=summaries, camera=load_camera("lowell42"))
