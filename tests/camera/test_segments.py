import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.camera.detector import Detector
from etendue.camera.segments import Segments
from etendue.camera.shipped import load_camera, shipped_cameras
from etendue.errors import InputError


@pytest.mark.parametrize("name", sorted(shipped_cameras()))
def test_segments_hold_the_light_of_any_shipped_camera(name):
    detector = load_camera(name).detectors[0]
    raw = np.random.default_rng(1).integers(0, 65535, detector.raw_shape).astype(np.uint16)
    np.testing.assert_array_equal(Segments.of(raw, detector).assemble(), detector.trim(raw))


@given(left=st.booleans(), gap=st.integers(0, 3))
def test_unnamed_columns_beside_the_light_are_read_before_the_overscan(left, gap):
    data, over = ("1:6", f"{7 + gap}:{9 + gap}") if left else (f"{4 + gap}:{9 + gap}", "1:3")
    amplifier = {"name": "A", "raw_data": f"[{data},1:4]", "bbox": "[1:6,1:4]", "raw_serial_overscan": f"[{over},1:4]"}
    detector = Detector.model_validate({"id": 0, "name": "d", "raw_shape": (4, 9 + gap), "amplifiers": [amplifier]})
    raw = np.tile(np.arange(9.0 + gap), (4, 1))
    segments = Segments.of(raw, detector)
    np.testing.assert_array_equal(segments.array[0, 0], raw[0] if left else raw[0, ::-1])
    assert segments.orders[0].overscan_columns() == slice(6 + gap, 9 + gap)


def test_what_is_not_finite_is_nan_and_another_shape_is_refused():
    detector = load_camera("simcam4").detectors[0]
    raw = np.ones(detector.raw_shape, np.float32)
    raw[0, 10] = np.inf
    assert np.isnan(Segments.of(raw, detector).array).sum() == 1
    with pytest.raises(InputError, match="wrong size"):
        Segments.of(raw[:-1], detector)
