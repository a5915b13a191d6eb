import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.tasks.readout.overscan import SubtractOverscanConfig
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask


def test_trims_flips_and_leaves_the_signal(toy_camera, make_raw, shape):
    electrons = np.arange(np.prod(shape), dtype=float).reshape(shape) % 97 * 6.0
    pixels = ReadoutTask().run(make_raw(electrons, noise=False).array, toy_camera.detectors[0])
    gain = np.where(np.arange(shape[1]) < shape[1] // 2, 2.0, 3.0)
    np.testing.assert_allclose(pixels, electrons / gain, atol=1e-3)


def test_smoothing_leaves_no_stripes_but_follows_a_transient(toy_camera, make_raw, shape):
    raw = make_raw(np.zeros(shape), seed=3)
    ramp = np.rint(-300.0 * np.exp(-np.arange(shape[0]) / 4.0))
    array = np.clip(raw.array + ramp[:, None], 0, 65535)
    detector = toy_camera.detectors[0]
    left = ReadoutTask().run(array, detector)[:, : shape[1] // 2]
    own_rows = ReadoutTask(ReadoutConfig(overscan=SubtractOverscanConfig(smoothing=1))).run(array, detector)[
        :, : shape[1] // 2
    ]
    # The upside-down amplifier has its ramp at the other end, so only the left one is looked at.
    assert np.abs(left.mean(axis=1)).max() < 4.0
    pixel_error = 3.0 / (shape[1] // 2) ** 0.5
    assert left[40:].mean(axis=1).std() < 1.35 * pixel_error < own_rows[40:].mean(axis=1).std() * 1.35
    assert left[40:].mean(axis=1).std() < own_rows[40:].mean(axis=1).std()


def test_a_star_bleeding_into_the_overscan_does_not_move_the_level(toy_camera, make_raw, shape):
    raw = make_raw(np.zeros(shape), seed=1)
    array = raw.array.copy()
    array[50:60, 80:83] = 60000
    array[50:60, 95] = 60000
    pixels = ReadoutTask().run(array, toy_camera.detectors[0])
    assert abs(pixels[50:60, :80].mean()) < 0.5


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_overscan_pixels_without_a_value_do_not_move_the_level(toy_camera, make_raw, shape, odd):
    array = make_raw(np.zeros(shape), seed=1).array.astype(np.float32)
    array[20:40, 80:85] = odd
    array[60] = odd
    pixels = ReadoutTask().run(array, toy_camera.detectors[0])
    assert abs(pixels[20:40, :80].mean()) < 0.5
    assert np.isfinite(pixels).mean(axis=1).min() in (0.0, 0.5)  # one row of one or both amplifiers
    assert np.isfinite(np.delete(pixels, [60, shape[0] - 61], axis=0)).all()


def test_an_overscan_without_any_value_defeats_the_method(toy_camera, make_raw, shape):
    array = make_raw(np.zeros(shape), seed=1).array.astype(np.float32)
    array[:, 80:] = np.nan
    with pytest.raises(AlgorithmError, match="No pixel of the overscan has a value"):
        ReadoutTask().run(array, toy_camera.detectors[0])


def test_without_overscan_nothing_is_subtracted(toy_camera, make_raw, shape):
    detector = toy_camera.detectors[0]
    bare = detector.model_copy(
        update={"amplifiers": tuple(a.model_copy(update={"raw_serial_overscan": None}) for a in detector.amplifiers)}
    )
    pixels = ReadoutTask().run(make_raw(np.zeros(shape), noise=False).array, bare)
    assert (pixels == 1000.0).all()
