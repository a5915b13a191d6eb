import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.stray_light import add_discs
from etendue.tasks.isr.find_ghosts import FindGhostsConfig, FindGhostsTask

SIZE, SKY, NOISE = 1024, 400.0, 20.0
STAR = (300.0, 700.0)
CENTRE = (SIZE - STAR[0], SIZE - STAR[1])  # mirrored at the middle


def _exposure(level=0.4, inner=0.3, *, seed=1, x0=0, slope=0.0):
    rng = np.random.default_rng(seed)
    light = np.zeros((SIZE, SIZE), np.float32)
    radius = 90.0
    area = np.pi * radius**2 * (1.0 - inner**2)
    place = (np.array([value]) for value in CENTRE)
    if level > 0.0:
        add_discs(light, *place, np.array([level * NOISE * area]), radius, inner * radius, 1e-3)
    image = SKY + light + slope * np.arange(SIZE)
    for row, col in rng.integers(8, SIZE - 9, (500, 2)):
        near = slice(row - 6, row + 7), slice(col - 6, col + 7)
        image[near] += 30.0 / rng.random() * np.exp(-0.5 * np.hypot(*np.mgrid[-6:7, -6:7]) ** 2 / 1.5)
    image = rng.normal(image, NOISE).astype(np.float32)
    box = Box.from_shape(image.shape, x0=x0)
    variance = Image(np.full(image.shape, NOISE**2, np.float32), box)
    return Exposure(image=Image(image, box), mask=Mask.empty(box), variance=variance), light


@pytest.mark.parametrize("inner", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_discs_and_rings_are_masked_and_belong_to_their_star(inner, slope):
    exposure, light = _exposure(inner=inner, slope=slope)
    result = FindGhostsTask().run(exposure, x=[100.0, STAR[0]], y=[512.0, STAR[1]])
    (ghost,) = result.ghosts
    assert (ghost.x, ghost.y) == (pytest.approx(CENTRE[0], abs=16.0), pytest.approx(CENTRE[1], abs=16.0))
    assert ghost.radius == pytest.approx(90.0, abs=35.0)
    assert ghost.star == 1
    masked = result.exposure.mask.any_of("GHOST")
    assert masked[light > 0.0].mean() > 0.95
    assert masked[light == 0.0].mean() < 0.03


def test_fields_without_ghosts_have_none():
    for seed in range(2, 4):
        exposure, _ = _exposure(level=0.0, seed=seed, slope=0.05)
        assert FindGhostsTask().run(exposure).ghosts == ()


def test_a_ghost_of_no_star_can_be_left_out():
    exposure, _ = _exposure()
    task = FindGhostsTask(FindGhostsConfig(need_star=True))
    assert task.run(exposure, x=[900.0], y=[512.0]).ghosts == ()
    assert len(task.run(exposure, x=[STAR[0]], y=[STAR[1]]).ghosts) == 1


def test_positions_are_parent_pixels():
    exposure, _ = _exposure(x0=2000)
    (ghost,) = FindGhostsTask().run(exposure).ghosts
    assert ghost.x == pytest.approx(2000.0 + CENTRE[0], abs=16.0)


def test_an_image_without_pixels_has_no_ghosts():
    exposure, _ = _exposure()
    empty = exposure.replace(image=Image(np.full((SIZE, SIZE), np.nan, np.float32), exposure.bbox))
    assert FindGhostsTask().run(empty).ghosts == ()
