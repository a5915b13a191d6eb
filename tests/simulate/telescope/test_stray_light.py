"""Stray light holds the share of the star's light that it is told, where it should be."""

import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.kernels.stray_light import add_discs, add_haloes, add_spikes
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.spec import GhostSpec, OpticsSpec, StraySpec
from etendue.simulate.telescope.stray_light import add_stray_light


def one(value):
    return np.array([float(value)])


def test_an_aureole_is_its_definition_where_it_is_above_the_floor():
    image = np.zeros((81, 101), np.float32)
    add_haloes(image, one(40.3), one(50.6), one(1e6), 5.0, 0.5)
    y, x = np.mgrid[:81, :101]
    expected = 1e6 / (2.0 * np.pi * 25.0) * (1.0 + ((x - 40.3) ** 2 + (y - 50.6) ** 2) / 25.0) ** -1.5
    np.testing.assert_allclose(image, np.where(expected > 0.5, expected, 0.0), rtol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_a_spike_holds_its_light(angle):
    image = np.zeros((2001, 2001), np.float32)
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    add_spikes(image, one(1000.0), one(1000.0), one(1e6), cosine, sine, 1.5, 4.0, 0.05)
    assert image.sum(dtype=float) == pytest.approx(1e6, rel=0.02)
    y, x = np.mgrid[-1000:1001, -1000:1001]
    across = y * cosine - x * sine
    assert image[np.abs(across) > 8.0].max() == 0.0


def test_a_disc_holds_its_light():
    image = np.zeros((300, 300), np.float32)
    add_discs(image, one(150.2), one(149.7), one(1e6), 100.0, 60.0, 0.01)
    assert image.sum(dtype=float) == pytest.approx(1e6, rel=2e-3)
    assert image[150, 150] == 0.0


def test_a_ghost_lies_across_the_axis_and_faint_stars_have_nothing():
    camera = load_camera("simcam")
    chip = camera.detector(0)
    place = DetectorPlace.nominal(camera, chip)
    spec = StraySpec(halo_fraction=0.0, spike_fraction=0.0,
                     ghosts=(GhostSpec(fraction=0.01, radius_mm=0.3, magnification=-0.5),))  # fmt: skip
    image = np.zeros(chip.bbox.shape, np.float32)
    add_stray_light(image, one(1900.0), one(300.0), one(1e8), spec, OpticsSpec(), chip, place)
    gx, gy = place.to_pixel(
        *[], **dict(zip(("field_x", "field_y"), (-0.5 * v for v in place.to_field(x=1900.0, y=300.0)), strict=True))
    )
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    lit = image > 0.0
    assert x[lit].mean() == pytest.approx(float(gx), abs=1.0)
    assert y[lit].mean() == pytest.approx(float(gy), abs=1.0)
    faint = np.zeros(chip.bbox.shape, np.float32)
    add_stray_light(faint, one(500.0), one(500.0), one(10.0), StraySpec(), OpticsSpec(), chip, place)
    assert not faint.any()
