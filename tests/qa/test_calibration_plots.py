import io

import numpy as np
import pytest
from PIL import Image

from etendue.qa.calibration_map_plot import calibration_map_plot
from etendue.qa.frame_check_plot import CheckLine, CheckPanel, frame_check_plot
from etendue.qa.matrix_plot import Matrix, matrix_plot


def _colours(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def _red(picture):
    return int(((picture[..., 0] > 180) & (picture[..., 1] < 110) & (picture[..., 2] < 90)).sum())


def test_single_marked_pixels_of_a_large_map_are_seen():
    pixels = np.random.default_rng(1).normal(1.0, 0.01, (900, 1100)).astype(np.float32)
    marked = np.zeros(pixels.shape, bool)
    marked[100, 200] = marked[700, 900] = True
    with_marks, without = (_red(_colours(calibration_map_plot(pixels, "a", "b", marked=m))) for m in (marked, None))
    assert with_marks > without + 4


@pytest.mark.parametrize("pixels", [np.full((30, 40), np.nan), np.ones((3, 500)), np.zeros((1, 1))])
def test_maps_without_values_or_of_odd_shapes_are_drawn(pixels):
    assert _colours(calibration_map_plot(pixels, "a", "b")).shape[0] > 100


def test_a_far_number_is_a_triangle_at_the_rim_and_does_not_hide_the_others():
    x = np.arange(100.0)
    y = np.where(x == 50, 1e3, 0.01 * np.sin(x))
    panels = [CheckPanel("one", "frame", [CheckLine("A", x, y), CheckLine("", x, 3.0 * y, faint=True)], (-0.02, 0.02)),
              CheckPanel("empty", "frame", [CheckLine("A", [0.0], [float("nan")])])]  # fmt: skip
    assert _red(_colours(frame_check_plot(panels))) > 20


def test_matrices_share_a_scale():
    names = ["a", "b"]
    left = Matrix("before", np.array([[np.nan, 1.0], [1.0, np.nan]]), "", names, names, ("row", "column"))
    right = Matrix("after", np.full((2, 2), 1e-3), "", names, names, ("row", "column"))
    shared, own = (_colours(matrix_plot([left, right], share_scale=share)) for share in (True, False))
    half = shared.shape[1] // 2
    saturated = [int((np.ptp(p[:, half:-200], axis=2) > 60).sum()) for p in (shared, own)]
    assert saturated[0] < 0.5 * saturated[1]
