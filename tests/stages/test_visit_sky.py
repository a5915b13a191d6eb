"""One sky over the detectors of a visit, from preliminary images to final ones."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.background import Background
from etendue.image.image import Image
from etendue.image.photo_calib import PhotoCalib
from etendue.stages.finalize_visit import FinalizeVisit, FinalizeVisitConfig
from etendue.stages.measure_visit_sky import MeasureVisitSky, MeasureVisitSkyConfig
from etendue.table.table import Table
from etendue.tasks.astrometry.joint_calibration import ExposureCalibration, JointCalibration
from etendue.tasks.background.background import SubtractBackgroundConfig
from etendue.tasks.background.visit_sky import VisitSkyConfig

SKY, SIZE, SCALE = 500.0, 200, 0.6 / 3600.0
CONFIG = MeasureVisitSkyConfig(sky=VisitSkyConfig(order=1, cells=SubtractBackgroundConfig(cell_size=32)))


@pytest.fixture(scope="module")
def visit(visit_image, handle, stars):
    """Return four detectors whose flats differ by 3%, with their own flat sky taken off, and stars on them."""
    handles = []
    for k in range(4):
        factor = 1.0 + 0.01 * k
        wcs = SkyWcs.tan(
            crpix_x=200.0 - SIZE * (k % 2), crpix_y=200.0 - SIZE * (k // 2), crval_ra_deg=10.0, crval_dec_deg=-5.0,
            cd=np.diag([-SCALE, SCALE]),
        )  # fmt: skip
        bare = visit_image(**stars, seed=k, wcs=wcs, photo_calib=PhotoCalib(scale=1.0 / factor), unit="electron")
        own = Background(np.full((2, 2), SKY * factor + 40.0, np.float32), bare.bbox, 100)  # 40 of it are an object's
        image = bare.replace(image=Image(bare.image.array - np.float32(40.0), bare.bbox), background=own, detector=k)
        handles.append(handle(image, detector=k))
    return tuple(handles)


@pytest.fixture(scope="module")
def sky(visit):
    return MeasureVisitSky(CONFIG).run(images=visit).visit_sky


def test_levels_are_compared_on_the_flux_scale(sky):
    for k in range(4):
        assert np.mean(sky["detectors"][str(k)]["values"]) == pytest.approx(SKY * (1.0 + 0.01 * k), abs=1.5)
    assert max(map(abs, sky["offsets_njy"])) < 1.5


def test_one_detector_at_a_time_is_read(visit, sky):
    assert all(one.read == [None] for one in visit)


def test_the_final_image_has_it_in_place_of_its_own_and_is_measured_again(visit, sky, stars):
    exposure = visit[1].value
    n = stars["x"].size
    ra, dec = exposure.wcs.pixel_to_sky(x=stars["x"], y=stars["y"])
    before = Table("single_visit_star", {
        "sourceId": np.arange(1, n + 1), "visit": np.full(n, 1), "detector": np.ones(n, int), "band": ["r"] * n,
        "x": stars["x"], "y": stars["y"], "ra": ra, "dec": dec, "psfFlux": stars["flux"],
        "psfFluxErr": np.ones(n), "calib_psf_used": np.arange(n) % 2 == 0,
    })  # fmt: skip
    visit_id = exposure.visit_info.visit
    solved = ExposureCalibration(visit_id, 1, exposure.wcs, exposure.photo_calib, 30, 25, 0.01, 0.002)
    isolated = Table("isolated_star", {"isolated_star_id": np.arange(1, n + 1), "ra": ra, "dec": dec})
    result = FinalizeVisit(FinalizeVisitConfig(use_visit_sky=True)).run(
        exposure=exposure, stars=before, calibrations=(JointCalibration((solved,)),), isolated_stars=(isolated,),
        visit_sky=sky,
    )  # fmt: skip
    assert np.median(result.visit_image.image.array) == pytest.approx(0.0, abs=2.5)  # and not -40
    assert len(result.source) == pytest.approx(n, abs=3)
    assert np.count_nonzero(result.source["calib_psf_used"]) == n // 2
    flux = result.source["psfFlux"][np.argsort(-result.source["psfFlux"])][:10] / exposure.photo_calib.scale
    np.testing.assert_allclose(flux, np.sort(stars["flux"])[::-1][:10], rtol=0.05)


def test_a_detector_that_the_sky_does_not_hold_is_told(visit, sky):
    exposure = visit[1].value.replace(detector=9)
    solved = ExposureCalibration(exposure.visit_info.visit, 9, exposure.wcs, exposure.photo_calib, 3, 3)
    with pytest.raises(AlgorithmError, match="does not hold"):
        FinalizeVisit(FinalizeVisitConfig(use_visit_sky=True)).run(
            exposure=exposure, stars=None, calibrations=(JointCalibration((solved,)),), isolated_stars=(), visit_sky=sky
        )
