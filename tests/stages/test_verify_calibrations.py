"""Stages that judge calibrations, and that measure shutters and projectors' spots."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.stages.build_bias import BuildBias
from etendue.stages.build_flat import BuildFlat
from etendue.stages.build_spot_scan import BuildSpotScan
from etendue.stages.measure_shutter import MeasureShutter
from etendue.stages.verify_calibrations import VerifyCalibrations, VerifyCalibrationsStageConfig

ID = {"instrument": "toy", "detector": 0}
NOTHING = dict.fromkeys(
    ("dark", "shutter", "ptc", "linearizer", "crosstalk", "charge_transfer", "brighter_fatter", "defects")
)


class _Damaged:
    def __init__(self):
        self.data_id = {"exposure": 99}

    def get(self, component=None, box=None):
        try:
            raise InputError("the file is cut off", source="f.fits")
        except InputError as error:
            raise RuntimeError("the formatter failed") from error


@pytest.fixture(scope="module")
def night(raw_frame, ccd, handle):
    biases = [raw_frame(0.0, seed=k, kind="bias", name=f"b{k}.fits", exposure_id=k) for k in range(4)]
    flats = [raw_frame(20_000.0, seed=50 + k, kind="flat", name=f"f{k}.fits", exposure_id=50 + k) for k in range(4)]
    bias = BuildBias().run(raws=tuple(biases), camera=ccd).bias
    flat = BuildFlat().run(raws=tuple(flats), camera=ccd, bias=bias).flat
    return tuple(handle(raw, exposure=raw.info.exposure_id) for raw in (*biases, *flats)), bias, flat


def _judged(night, ccd, *, config=None, raws=None):
    handles, bias, flat = night
    stage = VerifyCalibrations(config)
    return stage.run(
        raws=handles if raws is None else raws, camera=ccd, flats=(flat,), data_id=ID, bias=bias, **NOTHING
    )


def test_products_are_judged_alone_and_on_their_frames(night, ccd):
    found = _judged(night, ccd)
    assert all(verdict["passed"] for verdict in found.verdicts)
    names = {f"{kind}{k}.fits" for kind in "bf" for k in range(4)}
    assert {check["frame"] for check in found.checks} == names
    assert {v["product"] for v in found.verdicts if v["frames"]} == {"bias", "flat"}
    alone = _judged(night, ccd, config=VerifyCalibrationsStageConfig(on_frames=False))
    assert alone.checks == []
    assert {v["product"] for v in alone.verdicts} == {"bias", "flat"}


def test_a_frame_that_was_damaged_since_is_left_out(night, ccd):
    assert _judged(night, ccd, raws=(_Damaged(), *night[0])).verdicts == _judged(night, ccd).verdicts


def test_other_faults_of_reading_are_not_hidden(night, ccd):
    class Broken(_Damaged):
        def get(self, component=None, box=None):
            raise RuntimeError("a fault of the program")

    with pytest.raises(RuntimeError, match="a fault of the program"):
        _judged(night, ccd, raws=(Broken(),))


def test_flats_of_one_time_tell_nothing_about_the_shutter(night, ccd):
    known = dict.fromkeys(("dark", "ptc", "linearizer", "crosstalk")) | {"bias": night[1]}
    with pytest.raises(AlgorithmError, match="no shutter pattern: flats of one lamp and filter"):
        MeasureShutter().run(raws=night[0], camera=ccd, **known)


def test_spots_need_a_flat_and_known_powers(night, ccd, raw_frame, handle):
    light = np.full((200, 200), 100.0)
    light[80:110, 60:90] += 5000.0
    raws = (handle(raw_frame(light, seed=7, kind="test", name="s.fits"), exposure=1),)
    with pytest.raises(AlgorithmError, match="there is no flat to correct"):
        BuildSpotScan().run(raws=raws, camera=ccd, data_id=ID | {"physical_filter": "VR"})
    with pytest.raises(AlgorithmError, match="no frame says how bright its spot was"):
        BuildSpotScan().run(raws=raws, camera=ccd, data_id=ID | {"physical_filter": "VR"}, flat=night[2])
