import numpy as np
import pytest

from etendue.camera.field_of_view import optical_axis, outside_field
from etendue.camera.shipped import load_camera


@pytest.fixture
def camera():
    """Four detectors around the axis."""
    return load_camera("simcam4")


def turned(detector, degrees):
    return detector.model_copy(update={"rotation_deg": degrees})


def test_the_axis_lies_where_the_four_detectors_meet(camera):
    for detector in camera.detectors:
        x, y = optical_axis(detector)
        gap_x, gap_y = (abs(value - np.clip(value, -0.5, 1023.5)) for value in (x, y))
        assert 10.0 < gap_x < 40.0
        assert 10.0 < gap_y < 40.0


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 180.0])
def test_the_axis_is_as_far_away_however_a_detector_is_turned(camera, degrees):
    detector = turned(camera.detectors[0], degrees)
    x, y = optical_axis(detector)
    distance = np.hypot(x - detector.bbox.x.center, y - detector.bbox.y.center)
    assert distance == pytest.approx(np.hypot(*detector.center_mm) / detector.pixel_size_mm)


def test_a_detector_turned_by_90_degrees_sees_the_focal_planes_x_along_minus_y(camera):
    detector = camera.detectors[0].model_copy(update={"rotation_deg": 90.0, "center_mm": (5.0, 0.0)})
    x, y = optical_axis(detector)
    assert x == pytest.approx(detector.bbox.x.center)
    assert y == pytest.approx(detector.bbox.y.center + 5.0 / detector.pixel_size_mm)


def test_pixels_beyond_the_field_are_told_on_every_detector(camera):
    small = camera.model_copy(update={"field_radius_mm": 8.0})
    parts = [outside_field(small, detector).mean() for detector in small.detectors]
    assert parts == pytest.approx([parts[0]] * 4, abs=1e-3)
    assert 0.3 < parts[0] < 0.7


def test_without_a_radius_or_beyond_it_nothing_is_outside(camera):
    assert outside_field(camera, camera.detectors[0]) is None
    assert outside_field(camera.model_copy(update={"field_radius_mm": 500.0}), camera.detectors[0]) is None
