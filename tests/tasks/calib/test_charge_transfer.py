from dataclasses import replace

import numpy as np
import pytest

from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec
from etendue.tasks.calib.charge_transfer import MeasureChargeTransferTask

CAMERA = load_camera("simcam4")
INFO = ObservationInfo(
    instrument="simcam4",
    detector_id=0,
    exposure_id=1,
    day_obs=20250101,
    seq=1,
    observation_type="flat",
    physical_filter="r_sim",
    band="r",
    exposure_time_s=1.0,
    mjd_tai_begin=60000.0,
    mjd_tai_end=60000.0,
)
LEVELS = (200.0, 1000.0, 3000.0, 8000.0, 15000.0, 25000.0, 35000.0, 45000.0, 55000.0)


def frames(ccd, levels, biases, rate_e_s=None):
    for k, level in enumerate((*levels, *[0.0] * biases)):
        raw = ccd.expose(np.full(ccd.shape, level, np.float32), 1.0, np.random.default_rng(k)).raw
        seconds = 1.0 if rate_e_s is None else level / rate_e_s
        info = replace(INFO, exposure_id=k, observation_type="flat" if level else "bias", exposure_time_s=seconds)
        yield RawFrame(array=raw, header={}, detector_id=0, path=f"{k}.fits", info=info)


@pytest.fixture(scope="module")
def ccd():
    effects = {"bias": {}, "read_noise": {}, "brighter_fatter": None}
    serial = {"inefficiency": 4e-6, "trap_electrons": 25.0, "trap_fill": 0.05, "release_px": 0.5}
    return Ccd(
        CAMERA.detector(0), CcdSpec(parallel_transfer={"inefficiency": 3e-6}, serial_transfer=serial, **effects), 7
    )


def test_losses_of_both_directions_and_the_trap_come_back(ccd):
    found = MeasureChargeTransferTask().run(frames(ccd, LEVELS, 6), CAMERA).amplifiers
    parallel, serial = ccd.inefficiencies
    assert [a.serial.inefficiency for a in found] == pytest.approx(serial, rel=0.03)
    assert [a.parallel.inefficiency for a in found] == pytest.approx(parallel, rel=0.05)
    for amplifier in found:
        assert amplifier.serial.trap_electrons == pytest.approx(25.0, abs=3.0)
        assert amplifier.serial.trap_fill == pytest.approx(0.05, rel=0.25)
        assert amplifier.serial.release_px == pytest.approx(0.5, abs=0.05)
        assert amplifier.parallel.trap_electrons == 0.0
        assert 0.6 < amplifier.serial.chi2 < 1.5


def test_exposure_times_make_up_for_amplifiers_that_are_not_linear():
    effects = {"bias": {}, "linearity": {"coefficients": [-0.1], "scatter": 0.0}}
    ccd = Ccd(CAMERA.detector(0), CcdSpec(serial_transfer={"inefficiency": 1e-5}, **effects), 8)
    timed, untimed = (
        np.array([a.serial.inefficiency for a in MeasureChargeTransferTask().run(raws, CAMERA).amplifiers])
        for raws in (frames(ccd, LEVELS, 0, 5000.0), frames(ccd, LEVELS, 0))
    )
    assert timed == pytest.approx(ccd.inefficiencies[1], rel=0.015)
    assert (untimed / ccd.inefficiencies[1] > 1.025).all()


def test_without_biases_the_trap_is_left_out(ccd):
    found = MeasureChargeTransferTask().run(frames(ccd, LEVELS, 0), CAMERA).amplifiers
    assert [a.serial.inefficiency for a in found] == pytest.approx(ccd.inefficiencies[1], rel=0.05)
    assert [a.serial.trap_electrons for a in found] == [0.0] * 4


def test_too_few_flats_are_refused(ccd):
    with pytest.raises(AlgorithmError, match="too few flats"):
        MeasureChargeTransferTask().run(frames(ccd, (20000.0, 90000.0), 1), CAMERA)
    with pytest.raises(AlgorithmError, match="no flats"):
        MeasureChargeTransferTask().run([], CAMERA)
