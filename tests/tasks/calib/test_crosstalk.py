from dataclasses import replace

import numpy as np
import pytest

from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError, InputError
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.crosstalk import Partner
from etendue.simulate.ccd.spec import CcdSpec
from etendue.tasks.calib.crosstalk import MeasureCrosstalkTask
from etendue.tasks.calib.crosstalk_fit import quadratic_scale

BIAS = {"row_ramp_adu": 0.0, "column_ramp_adu": 0.0, "column_rms_adu": 0.0, "pixel_rms_adu": 0.0}
CAMERA = load_camera("simcam4")
INFO = ObservationInfo(
    instrument="simcam4",
    detector_id=0,
    exposure_id=1,
    day_obs=20250101,
    seq=1,
    observation_type="test",
    physical_filter="r_sim",
    band="r",
    exposure_time_s=1.0,
    mjd_tai_begin=60000.0,
    mjd_tai_end=60000.0,
)


def frame(raw, number, detector=0):
    info = replace(INFO, exposure_id=number, detector_id=detector)
    return RawFrame(array=raw, header={}, detector_id=detector, path=f"{number}.fits", info=info)


def spot(ccd, aggressor, level):
    light = np.zeros(ccd.shape, np.float32)
    y, x = np.mgrid[:512, :512] - 255.5
    ccd.orders[aggressor].view(light, ccd.detector)[np.hypot(x, y) < 60.0] = level
    return light


@pytest.fixture(scope="module")
def ccd():
    spec = CcdSpec(crosstalk={"linear": 3e-4, "quadratic": 4e-10}, read_noise={}, bias=BIAS)
    return Ccd(CAMERA.detector(0), spec, seed=3)


def test_spots_tell_linear_and_quadratic_coefficients(ccd):
    cases = [(a, level) for a in range(4) for level in (30000.0, 70000.0)]
    raws = [frame(ccd.expose(spot(ccd, *case), 1.0, np.random.default_rng(k)).raw, k) for k, case in enumerate(cases)]
    own = MeasureCrosstalkTask().run(raws, CAMERA).own
    linear, quadratic = ccd.crosstalk
    off = ~np.eye(4, dtype=bool)
    allowed = np.maximum(0.05 * np.abs(linear), 4e-6)  # a third of the frames of `calib`, and no bias
    assert (np.abs(own.linear - linear) < allowed)[off].all()
    pull = np.concatenate(
        [((own.linear - linear) / own.linear_err)[off], ((own.quadratic - quadratic) / own.quadratic_err)[off]]
    )
    assert np.sqrt(np.mean(pull**2)) < 1.7
    assert not np.diag(own.linear).any()


def test_stars_tell_and_stars_of_the_victim_do_not_disturb(ccd):
    raws = []
    y, x = np.mgrid[:1024, :1024]
    for k in range(4):
        rng = np.random.default_rng(50 + k)
        light = np.full(ccd.shape, 200.0, np.float32)
        for _ in range(60):
            x0, y0, peak = rng.uniform(20, 1004), rng.uniform(20, 1004), rng.uniform(5e3, 8e4)
            near = (slice(int(y0) - 20, int(y0) + 20), slice(int(x0) - 20, int(x0) + 20))
            light[near] += peak * np.exp(-0.5 * ((x[near] - x0) ** 2 + (y[near] - y0) ** 2) / 3.0**2)
        raws.append(frame(ccd.expose(light, 30.0, rng).raw, k))
    own = MeasureCrosstalkTask().run(raws, CAMERA).own
    found = own.linear + own.quadratic * 2e4
    true = ccd.crosstalk[0] + ccd.crosstalk[1] * 2e4
    assert np.abs(found - true).max() < 2.5e-5
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.97


def test_amplifiers_that_were_never_lit_are_not_measured_and_absent_crosstalk_is_zero():
    ccd = Ccd(CAMERA.detector(0), CcdSpec(read_noise={}, bias=BIAS), seed=4)
    raws = [frame(ccd.expose(spot(ccd, 0, 60000.0), 1.0, np.random.default_rng(20 + k)).raw, k) for k in range(2)]
    own = MeasureCrosstalkTask().run(raws, CAMERA).own
    assert not own.linear.any()
    assert np.isfinite(own.linear_err[1:, 0]).all()
    assert np.isnan(own.linear_err[:, 1:]).all()


def test_another_detector_is_measured_too():
    spec = CcdSpec(read_noise={}, bias=BIAS)
    one, two = (Ccd(CAMERA.detector(k), spec, seed=5) for k in (0, 1))
    linear = np.zeros((4, 4))
    linear[2, 1] = 5e-4
    mine, theirs = [], []
    for k in (1, 2):
        signals = two.collect(spot(two, k, 60000.0), 1.0, np.random.default_rng(k))
        partner = (Partner(signals.signals, linear, 0.0 * linear),)
        dark = np.zeros(one.shape, np.float32)
        mine.append(frame(one.expose(dark, 1.0, np.random.default_rng(9 + k), partners=partner).raw, k))
        theirs.append(frame(two.read_out(signals).raw, k, detector=1))
    crosstalk = MeasureCrosstalkTask().run(mine, CAMERA, partners={1: theirs})
    assert crosstalk.partners == (1,)
    np.testing.assert_allclose(crosstalk.others[1].linear, linear, atol=5e-6)
    with pytest.raises(InputError, match="lacks this exposure"):
        MeasureCrosstalkTask().run(mine, CAMERA, partners={1: theirs[:1]})


def test_flats_tell_nothing(ccd):
    flat = frame(ccd.expose(np.full(ccd.shape, 30000.0, np.float32), 1.0, np.random.default_rng(1)).raw, 1)
    with pytest.raises(AlgorithmError, match="no frame holds bright light"):
        MeasureCrosstalkTask().run([flat], CAMERA)


def test_the_scale_of_quadratic_coefficients_comes_back():
    rng = np.random.default_rng(8)
    linear = rng.uniform(1e-5, 3e-4, 40)
    true = linear * rng.normal(2e-6, 8e-7, 40)
    error = np.full(40, 4e-11)
    ratio, width = quadratic_scale(linear, true + error * rng.standard_normal(40), error)
    assert ratio == pytest.approx(2e-6, rel=0.15)
    assert width == pytest.approx(8e-7, rel=0.4)
