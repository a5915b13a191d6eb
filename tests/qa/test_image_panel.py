"""Panels show pixels, masks and circles where they are."""

import io

import numpy as np
from PIL import Image as Picture

from etendue.qa.image_panel import PLANE_COLOURS, compact_png, image_panel, linear_levels
from etendue.qa.psf_plot import psf_grid_plot


def opened(data):
    return np.asarray(Picture.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_masks_and_circles_lie_on_their_pixels_and_north_is_up():
    saturated = np.zeros((40, 60), bool)
    saturated[5, 10] = True
    circle = (np.array([40.0]), np.array([30.0]))
    panel = opened(image_panel(np.full((40, 60), 80, np.uint8), planes={"SAT": saturated}, circles=[circle], zoom=2))
    row, column = 2 * (39 - 5), 2 * 10
    assert panel[row, column, 0] > 1.5 * panel[row, column, 1]
    assert np.ptp(panel[2 * (39 - 30), 2 * 40]) == 0
    ring = panel[2 * (39 - 30), 2 * 40 : 2 * 40 + 20]
    assert (np.ptp(ring, axis=1) > 100).any()


def test_of_several_planes_the_first_one_shows():
    everywhere = np.ones((8, 8), bool)
    panel = opened(image_panel(np.zeros((8, 8), np.uint8), planes={"NO_DATA": everywhere, "SAT": everywhere}))
    assert np.abs(panel[4, 4] - 0.6 * np.array(PLANE_COLOURS["SAT"])).max() < 8


def test_linear_levels_clip_and_holes_are_grey():
    levels = linear_levels(np.array([[-5.0, 0.0, 1.0, np.nan]]), -1.0, 1.0)
    assert levels.tolist() == [[0, 128, 255, 128]]


def test_rare_bright_pixels_stay_bright_in_a_compact_picture():
    image = np.random.default_rng(0).integers(60, 100, (200, 200)).astype(np.uint8)
    image[7, 7] = 255
    assert opened(compact_png(Picture.fromarray(image)))[7, 7, 0] == 255


def test_a_grid_of_psfs_can_be_drawn_and_repeats():
    offset = np.arange(21) - 10.0
    stamp = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 2.0)
    assert psf_grid_plot([stamp] * 5, list("abcde")) == psf_grid_plot([stamp] * 5, list("abcde"))
    assert opened(psf_grid_plot([stamp], ["one"])).shape[1] > 500
