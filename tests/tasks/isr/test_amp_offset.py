import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.tasks.isr.amp_offset import LevelAmplifiersTask

DETECTOR = load_camera("simcam4").detector(0)
OFFSETS = np.array([4.0, -2.5, 0.5, -2.0])
NOISE = 15.0


def sky(seed=1, offsets=OFFSETS, gradient=0.0):
    """Return a sky with stars and a gradient over the field, and steps between the amplifiers."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:1024, :1024]
    image = 225.0 + gradient * (x + 2.0 * y) / 1024.0 + rng.normal(0.0, NOISE, (1024, 1024))
    for _ in range(150):
        x0, y0, peak = rng.uniform(10, 1014), rng.uniform(10, 1014), 10 ** rng.uniform(1.5, 4.5)
        near = slice(max(0, int(y0) - 15), int(y0) + 15), slice(max(0, int(x0) - 15), int(x0) + 15)
        image[near] += peak * np.exp(-0.5 * ((x[near] - x0) ** 2 + (y[near] - y0) ** 2) / 2.5**2)
    for amplifier, offset in zip(DETECTOR.amplifiers, offsets, strict=True):
        image[amplifier.bbox.slices_in(DETECTOR.bbox)] += offset
    return image.astype(np.float32), np.zeros(image.shape, bool)


@pytest.mark.parametrize("gradient", [0.0, 60.0])
def test_offsets_come_back_with_calibrated_errors(gradient):
    pulls = []
    for seed in range(6):
        found = LevelAmplifiersTask().run(*sky(seed, gradient=gradient), DETECTOR)
        assert found.subtracted
        pulls.append((found.offsets - OFFSETS) / found.errors)
        assert abs(found.offsets.sum()) < 1e-9
    assert np.sqrt(np.mean(np.square(pulls))) < 1.8
    assert np.abs(found.offsets - OFFSETS).max() < 0.6


def test_the_image_is_level_afterwards_and_keeps_its_mean():
    image, bad = sky(3)
    out = LevelAmplifiersTask().run(image, bad, DETECTOR).image
    assert out.mean() == pytest.approx(image.mean(), abs=1e-3)
    again = LevelAmplifiersTask().run(out, bad, DETECTOR)
    assert not again.subtracted
    assert again.image is out


def test_without_steps_nothing_changes():
    for seed in range(5):
        image, bad = sky(seed, offsets=np.zeros(4), gradient=40.0)
        found = LevelAmplifiersTask().run(image, bad, DETECTOR)
        assert not found.subtracted
        assert found.image is image
        assert not found.offsets.any()


def test_a_galaxy_across_an_edge_is_no_step():
    image, bad = sky(2, offsets=np.zeros(4))
    y, x = np.mgrid[:1024, :1024]
    image += (3000.0 * np.exp(-np.hypot(x - 470, y - 250) / 60.0)).astype(np.float32)
    found = LevelAmplifiersTask().run(image, bad, DETECTOR)
    assert np.abs(found.offsets).max() < 1.0


def test_a_dead_amplifier_is_left_alone_and_the_others_are_levelled():
    image, bad = sky(4)
    where = DETECTOR.amplifiers[1].bbox.slices_in(DETECTOR.bbox)
    bad[where] = True
    image[where] = np.nan
    found = LevelAmplifiersTask().run(image, bad, DETECTOR)
    assert found.offsets[1] == 0.0
    assert np.isnan(found.errors[1])
    others = [0, 2, 3]
    np.testing.assert_allclose(found.offsets[others], OFFSETS[others] - OFFSETS[others].mean(), atol=0.8)
    assert found.to_dict()["offsets"]["B"] == [0.0, None]
