"""Crosstalk between detectors is measured from their frames of the same exposures, and taken out of science frames."""

from dataclasses import replace

import numpy as np
import pytest

from etendue.image.crosstalk import Coupling, Crosstalk
from etendue.stages.calibrate_image import CalibrateImage
from etendue.stages.measure_crosstalk import MeasureCrosstalk, MeasureCrosstalkStageConfig

COUPLING = 2e-3
LIT = np.s_[60:90, 60:90]


@pytest.fixture(scope="module")
def camera(ccd):
    (detector,) = ccd.detectors
    return ccd.model_copy(update={"detectors": (detector, detector.model_copy(update={"id": 1, "name": "beside"}))})


@pytest.fixture(scope="module")
def pair(raw_frame):
    """Return a function that exposes detector 0 to some light while detector 1 sees a spot."""

    def make(light, exposure, kind):
        spot = np.full((200, 200), 100.0)
        spot[LIT] = 60_000.0
        beside = raw_frame(spot, seed=2 * exposure, kind=kind, exposure_id=exposure)
        beside = replace(beside, detector_id=1, info=replace(beside.info, detector_id=1))
        raw = raw_frame(light, seed=2 * exposure + 1, kind=kind, exposure_id=exposure)
        crossed = raw.array + COUPLING * (beside.array - 1000.0) + np.random.default_rng(exposure).uniform(-0.5, 0.5)
        return replace(raw, array=np.rint(crossed).astype(np.uint16)), beside

    return make


def handles(make, raws):
    return tuple(make(raw, exposure=raw.info.exposure_id, detector=raw.detector_id) for raw in raws)


def test_the_coefficient_of_another_detector_is_measured(camera, pair, handle):
    own, beside = zip(*(pair(100.0, exposure, "test") for exposure in range(1, 7)), strict=True)
    stage = MeasureCrosstalk(MeasureCrosstalkStageConfig(between_detectors=True))
    found = stage.run(raws=handles(handle, own), others=handles(handle, beside[1:]), camera=camera, bias=None).crosstalk
    assert found.partners == (1,)
    assert found.others[1].linear[0, 0] == pytest.approx(COUPLING, rel=0.05)
    assert not found.own.any


def test_a_science_frame_is_corrected_by_the_frames_beside_it(camera, pair, handle, visit_image, stars):
    scene = visit_image(**stars, noise=1e-6).image.array + 400.0
    raw, beside = pair(np.maximum(scene, 0.0), 2019032600109, "science")
    crosstalk = Crosstalk(("A",), Coupling.of([[0.0]]), {1: Coupling.of([[COUPLING]])})
    levels = {}
    for name, others in (("corrected", handles(handle, [beside])), ("alone", ())):
        result = CalibrateImage().run(raws=(raw,), others=others, camera=camera, reference=(), crosstalk=crosstalk)
        sky = result.exposure.image.array + result.exposure.background.image().array
        levels[name] = np.median(sky[LIT]) - np.median(sky)
    assert levels["alone"] == pytest.approx(COUPLING * 60_000.0, rel=0.2)
    assert abs(levels["corrected"]) < 0.1 * levels["alone"]
