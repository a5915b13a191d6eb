import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.flat import BuildFlatTask
from etendue.tasks.calib.shutter import MeasureShutterConfig, MeasureShutterTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.shutter import shutter_factor

LAMP = 4000.0  # [e/s]
TIMES = (0.3, 0.5, 1.0, 2.0, 5.0, 15.0)
TASK = MeasureShutterTask(MeasureShutterConfig(cell_size=8))


@pytest.fixture(scope="module")
def pattern(shape):
    """An iris that closes from the rim, slower to one side [s]."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return 0.03 - 0.03 * (x**2 + y**2) + 0.008 * x


@pytest.fixture(scope="module")
def flats(make_raw, shape, pattern):
    """Return a function that takes flats of a lamp that flickers."""
    response = 1.0 + 0.05 * np.random.default_rng(5).standard_normal(shape)

    def take(pattern=pattern, *, times=TIMES, flicker=0.01, seed=0, kind="lamp"):
        rng = np.random.default_rng(seed)
        return [
            make_raw(response * LAMP * (1.0 + flicker * rng.standard_normal()) * np.maximum(t + pattern, 0.0),
                     seed=1000 * seed + k, observation_type="flat", exposure_time_s=t, file_name=f"{kind}{k}.fits")
            for k, t in enumerate(np.repeat(times, 3))
        ]  # fmt: skip

    return take


def _left(found, truth):
    return float(np.std(found.image.array - truth))


def test_the_pattern_is_found_whatever_the_lamp_did(flats, toy_camera, pattern):
    for seed in (1, 2):
        found = TASK.run(flats(seed=seed), toy_camera)
        assert _left(found, pattern) < 7e-4  # errors of cells are 0.45 ms, the pattern has an rms of 14 ms
        assert found.metadata["pattern_s"] == pytest.approx(np.std(pattern), rel=0.15)
        assert found.metadata["chi2"] == pytest.approx(1.0, abs=0.2)


def test_errors_are_those_of_the_cells(flats, toy_camera, pattern):
    constant = np.zeros_like(pattern)
    task = MeasureShutterTask(MeasureShutterConfig(cell_size=8, least_s=0.0, significance=1e-9))
    found = [task.run(flats(constant + 0.02, seed=seed, flicker=0.0), toy_camera) for seed in range(10, 12)]
    middles = np.ix_(np.arange(3, 120, 8), np.arange(3, 160, 8))
    away = [one.image.array[middles] - one.metadata["mean_s"] for one in found]
    pulls = np.array(away) / np.sqrt([one.variance.array[middles] for one in found])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)


def test_a_constant_lamp_tells_the_mean_time_too(flats, toy_camera, pattern):
    found = TASK.run(flats(flicker=2e-4, seed=4), toy_camera)
    assert found.metadata["mean_err_s"] < 1e-3
    assert found.image.array.mean() == pytest.approx(pattern.mean(), abs=3e-4)


def test_twilight_flats_are_left_out(flats, make_raw, toy_camera, pattern, shape):
    tilt = 1.0 + 0.1 * np.linspace(-1.0, 1.0, shape[1])
    tilt = np.broadcast_to(tilt, shape)
    fading = [make_raw(tilt * 2.5**k * 1500.0, seed=50 + k, observation_type="flat", exposure_time_s=2.0 + k,
                       file_name=f"sky{k}.fits") for k in range(4)]  # fmt: skip
    found = TASK.run([*fading, *flats(seed=5)], toy_camera)
    assert all(name.startswith("lamp") for name in found.metadata["files"])
    assert _left(found, pattern) < 7e-4


def test_frames_that_tell_nothing_are_refused(flats, make_raw, toy_camera, pattern):
    with pytest.raises(AlgorithmError, match="Flats show no pattern of a shutter"):
        TASK.run(flats(np.zeros_like(pattern), seed=6), toy_camera)
    with pytest.raises(InputError, match="no exposure times that differ enough"):
        TASK.run(flats(times=(5.0, 6.0), seed=7), toy_camera)
    with pytest.raises(InputError, match="no exposure times that differ enough"):
        TASK.run([make_raw(np.zeros(pattern.shape), observation_type="bias")], toy_camera)


def test_a_lamp_that_moves_is_no_shutter(flats, make_raw, toy_camera, pattern, shape):
    x = np.linspace(-1.0, 1.0, shape[1])
    light = [LAMP * t * (1.0 + 0.05 * np.sin(k) * x) * np.ones(shape) for k, t in enumerate(np.repeat(TIMES, 2))]
    moving = [make_raw(one, seed=k, observation_type="flat", exposure_time_s=t, file_name=f"{k}.fits")
              for k, (one, t) in enumerate(zip(light, np.repeat(TIMES, 2), strict=True))]  # fmt: skip
    with pytest.raises(AlgorithmError, match="the lamp moved"):
        TASK.run(moving, toy_camera)


def _product(pattern):
    box = Box.from_shape(pattern.shape)
    plane = Image(np.asarray(pattern, np.float32), box)
    return Exposure(image=plane, mask=Mask.empty(box), variance=plane, unit="")


def test_short_exposures_have_the_light_of_their_nominal_time(make_raw, toy_camera, pattern):
    product = Calibrations(shutter=_product(pattern))
    for seconds in (0.5, 30.0):
        raw = make_raw(1000.0 * (seconds + pattern), noise=False, exposure_time_s=seconds)
        exposure = IsrTask().run(raw=raw, camera=toy_camera, calibrations=product)
        np.testing.assert_allclose(exposure.image.array / seconds, 1000.0, rtol=1e-5)
        assert "shutter" in exposure.metadata["isr"]


def test_short_flats_make_the_flat_of_long_ones(flats, toy_camera, pattern):
    short = flats(times=(1.0,), seed=8)
    known = BuildFlatTask().run(short, toy_camera, Calibrations(shutter=_product(pattern))).exposure.image.array
    long = BuildFlatTask().run(flats(times=(10.0,), seed=9), toy_camera).exposure.image.array
    plain = BuildFlatTask().run(short, toy_camera).exposure.image.array
    x = np.linspace(-1.0, 1.0, long.shape[1])
    bowls = [np.polyfit(x, np.median(one / long, axis=0), 2)[0] for one in (known, plain)]
    assert abs(bowls[0]) < 4e-3  # columns are known to 1e-3
    assert bowls[1] < -0.02


def test_pixels_that_were_never_open_have_no_factor():
    factor = shutter_factor(_product(np.array([[-2.0, 0.5], [np.nan, 0.0]])), 1.0)
    np.testing.assert_array_equal(factor, np.array([[np.nan, 1.5], [1.0, 1.0]], np.float32))
    assert np.isnan(shutter_factor(_product(np.zeros((2, 2))), 0.0)).all()
