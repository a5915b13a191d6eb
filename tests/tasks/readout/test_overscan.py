import numpy as np
import pytest

from etendue.camera.raw import read_raw
from etendue.camera.segments import Segments
from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError
from etendue.tasks.readout.overscan import SubtractOverscanConfig, SubtractOverscanTask
from etendue.tasks.readout.readout import ReadoutConfig, ReadoutTask


def test_trims_flips_and_leaves_the_signal(toy_camera, make_raw, shape):
    electrons = np.arange(np.prod(shape), dtype=float).reshape(shape) % 97 * 6.0
    pixels = ReadoutTask().run(make_raw(electrons, noise=False).array, toy_camera.detectors[0]).pixels
    gain = np.where(np.arange(shape[1]) < shape[1] // 2, 2.0, 3.0)
    np.testing.assert_allclose(pixels, electrons / gain, atol=1e-3)


def test_smoothing_leaves_no_stripes_but_follows_a_transient(toy_camera, make_raw, shape):
    raw = make_raw(np.zeros(shape), seed=3)
    ramp = np.rint(-300.0 * np.exp(-np.arange(shape[0]) / 4.0))
    array = np.clip(raw.array + ramp[:, None], 0, 65535)
    detector = toy_camera.detectors[0]
    left = ReadoutTask().run(array, detector).pixels[:, : shape[1] // 2]
    own_rows = (
        ReadoutTask(ReadoutConfig(overscan=SubtractOverscanConfig(method="line")))
        .run(array, detector)
        .pixels[:, : shape[1] // 2]
    )
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
    pixels = ReadoutTask().run(array, toy_camera.detectors[0]).pixels
    assert abs(pixels[50:60, :80].mean()) < 0.5


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_overscan_pixels_without_a_value_do_not_move_the_level(toy_camera, make_raw, shape, odd):
    array = make_raw(np.zeros(shape), seed=1).array.astype(np.float32)
    array[20:40, 80:85] = odd
    array[60] = odd
    pixels = ReadoutTask().run(array, toy_camera.detectors[0]).pixels
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
    pixels = ReadoutTask().run(make_raw(np.zeros(shape), noise=False).array, bare).pixels
    assert (pixels == 1000.0).all()


METHODS = ["spline", "running_median", "line", "mean", "median"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_an_even_level_and_says_how(toy_camera, make_raw, shape, method):
    raw = make_raw(np.zeros(shape), seed=5, level=1234.0)
    segments = Segments.of(raw.array, toy_camera.detectors[0])
    records = SubtractOverscanTask(SubtractOverscanConfig(method=method)).run(segments)
    assert [record.name for record in records] == ["left", "right"]
    for number, record in enumerate(records):
        error = (0.5 if method == "median" else 0.0) + 4.0 * 3.0 / (120 * 16) ** 0.5
        assert record.method == method
        assert record.level == pytest.approx(1234.0, abs=error)
        assert record.noise == pytest.approx(3.0, rel=0.05)
        assert record.rejected < 0.01
        assert record.lines_filled == 0
        assert segments.data(number).mean() == pytest.approx(0.0, abs=2.0 * error + 0.2)


def test_levels_follow_a_bias_that_changes_from_frame_to_frame(toy_camera, make_raw, shape):
    levels = [
        SubtractOverscanTask().run(
            Segments.of(make_raw(np.zeros(shape), seed=k, level=level).array, toy_camera.detectors[0])
        )
        for k, level in enumerate((1000.0, 1003.0, 1006.0))
    ]
    np.testing.assert_allclose(np.diff([records[0].level for records in levels]), 3.0, atol=0.5)


def test_an_amplifier_without_any_value_is_left_alone(toy_camera, make_raw, shape):
    array = make_raw(np.zeros(shape), seed=1).array.astype(np.float32)
    array[:, :104] = np.nan
    segments = Segments.of(array, toy_camera.detectors[0])
    assert [record.name for record in SubtractOverscanTask().run(segments)] == ["right"]
    assert abs(segments.data(1).mean()) < 0.5


def test_rows_without_overscan_take_the_level_of_their_neighbours(toy_camera, make_raw, shape):
    array = make_raw(np.zeros(shape), seed=2).array.copy()
    array[70:90, 80:104] = 0  # a part of the overscan that was not read
    segments = Segments.of(array, toy_camera.detectors[0])
    record = SubtractOverscanTask().run(segments)[0]
    assert abs(segments.data(0)[70:90].mean()) < 0.5
    assert record.lines_filled == 20
    assert record.rejected == pytest.approx(20 / 120, abs=0.01)


def test_a_star_that_bleeds_over_the_whole_overscan_does_not_move_the_level(toy_camera, make_raw, shape):
    array = make_raw(np.zeros(shape), seed=2).array.copy()
    array[50:54, 70:80] = 65000
    array[50:54, 80:104] = np.rint(1000.0 + 20000.0 * np.exp(-np.arange(24) / 20.0))
    array[52, 80:104] = 1400  # even, but next to saturated light
    array[52, 80:104:2] = 1403
    segments = Segments.of(array, toy_camera.detectors[0])
    record = SubtractOverscanTask().run(segments)[0]
    assert abs(segments.data(0)[50:54, :70].mean()) < 1.0
    assert record.lines_filled == 4


@pytest.mark.realdata
def test_rows_of_a_start_up_transient_keep_their_own_level_on_a_real_bias(shared_data):
    camera = load_camera("lowell42")
    raw = read_raw(shared_data / "lowell42" / "bias" / "20190326.0003.fits.fz", camera)
    segments = Segments.of(raw.array, camera.detector(0))
    record = SubtractOverscanTask().run(segments)[0]
    middle = np.median(
        segments.data(0)[:, 1200:1350], axis=1
    )  # near the overscan: the transient falls along a row, too
    assert np.abs(middle[:3]).max() < 40.0  # of 1,300 ADU
    assert np.abs(middle[20:]).max() < 2.5
    assert record.noise == pytest.approx(1.14, abs=0.03)
    assert record.lines_filled == 0
