import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.polynomial import Polynomial2D
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.finalize_visit import FinalizeVisit
from etendue.table.table import Table
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration, JointCalibration

VISIT = 2019032600101


def star_table(wcs, x, y, flux):
    n = len(x)
    ra, dec = wcs.pixel_to_sky(x=np.asarray(x), y=np.asarray(y))
    return Table("single_visit_star", {
        "sourceId": np.arange(1, n + 1), "visit": np.full(n, VISIT), "detector": np.zeros(n, int),
        "band": ["r"] * n, "x": x, "y": y, "ra": ra, "dec": dec, "psfFlux": flux, "psfFluxErr": np.full(n, 5.0),
        "ap06Flux": flux, "ap06FluxErr": np.full(n, 7.0), "calibFlux": flux, "calibFluxErr": np.full(n, 6.0),
        "sky": np.ones(n), "snr": np.full(n, 20.0),
    })  # fmt: skip


def isolated(ra, dec, ids):
    return Table("isolated_star", {"isolated_star_id": ids, "ra": ra, "dec": dec, "nSource": np.full(len(ids), 3)})


def solution(wcs, scale=4.0, **parts):
    calib = PhotoCalib(scale=scale, kind="relative", **parts)
    return ExposureCalibration(VISIT, 0, wcs, calib, 30, 25, 0.01, 0.002)


@pytest.fixture
def final(visit_image, wcs):
    """Run on two stars: the new WCS is shifted by a pixel, the scale goes from 2 to 4 nJy per electron."""
    x, y, flux = [50.0, 120.0], [60.0, 80.0], [200.0, 600.0]
    moved = wcs.shifted(dx=-1.0, dy=0.0)
    ra, dec = moved.pixel_to_sky(x=np.array([50.0]), y=np.array([60.0]))
    exposure = visit_image(photo_calib=PhotoCalib(scale=2.0), unit="electron")
    result = FinalizeVisit().run(
        exposure=exposure, stars=star_table(wcs, x, y, flux),
        calibrations=(JointCalibration((solution(moved),), 0.001, 0.002),),
        isolated_stars=(isolated(ra, dec, [77]),),
    )  # fmt: skip
    return exposure, moved, result


def test_fluxes_and_errors_scale_with_the_flux_scale(final):
    _, _, result = final
    for name, electrons in (("psfFlux", 200.0), ("psfFluxErr", 5.0), ("ap06FluxErr", 7.0), ("calibFlux", 200.0)):
        assert result.source[name][0] == pytest.approx(2.0 * electrons)  # they were nJy at 2 per electron
    assert result.source["sky"][0] == pytest.approx(2.0)
    assert result.source["snr"][0] == 20.0


def test_positions_follow_the_solved_wcs(final):
    _, moved, result = final
    ra, dec = moved.pixel_to_sky(x=result.source["x"], y=result.source["y"])
    np.testing.assert_array_equal(result.source["ra"], ra)
    np.testing.assert_array_equal(result.source["dec"], dec)
    assert result.visit_image.wcs.content_hash() == moved.content_hash()


def test_sources_know_their_isolated_star(final):
    assert final[2].source["isolated_star_id"].tolist() == [77, 0]


def test_pixels_become_nanojansky_with_their_variance(final):
    before, _, result = final
    np.testing.assert_allclose(result.visit_image.image.array, 4.0 * before.image.array, rtol=1e-6)
    np.testing.assert_allclose(result.visit_image.variance.array, 16.0 * before.variance.array, rtol=1e-6)
    assert result.visit_image.unit == "nJy"
    assert result.visit_image.metadata["sky_noise_njy"] == pytest.approx(40.0)
    assert result.visit_image.metadata["n_photometry_star"] == 25


def test_a_scale_that_varies_is_applied_pixel_by_pixel(visit_image, wcs):
    smooth = {"spatial": Polynomial2D([[1.0, 0.1], [0.2, 0.0]]), "center": (100.0, 100.0), "half_size": 100.0}
    exposure = visit_image()
    result = FinalizeVisit().run(
        exposure=exposure, stars=star_table(wcs, [0.0], [199.0], [100.0]),
        calibrations=(JointCalibration((solution(wcs, **smooth),)),), isolated_stars=(isolated([0.0], [0.0], [1]),),
    )  # fmt: skip
    factor = result.visit_image.image.array[199, 0] / exposure.image.array[199, 0]
    assert result.source["psfFlux"][0] == pytest.approx(100.0 * factor, rel=1e-5)


def test_the_solution_of_the_most_stars_counts(visit_image, wcs):
    few = ExposureCalibration(VISIT, 0, wcs, PhotoCalib(scale=9.0), 3, 3)
    result = FinalizeVisit().run(
        exposure=visit_image(), stars=star_table(wcs, [5.0], [5.0], [1.0]),
        calibrations=(JointCalibration((few,)), JointCalibration((solution(wcs),))),
        isolated_stars=(isolated([0.0], [0.0], [1]),),
    )  # fmt: skip
    assert result.visit_image.photo_calib.scale == 4.0


def test_an_exposure_that_no_solution_holds_is_the_data_s_failure(visit_image, wcs):
    with pytest.raises(AlgorithmError, match="no joint calibration"):
        FinalizeVisit().run(
            exposure=visit_image(visit=VISIT + 1), stars=star_table(wcs, [5.0], [5.0], [1.0]),
            calibrations=(JointCalibration((solution(wcs),)),), isolated_stars=(isolated([0.0], [0.0], [1]),),
        )  # fmt: skip
