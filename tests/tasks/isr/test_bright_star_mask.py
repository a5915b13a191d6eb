import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.stray_light import add_haloes, add_spikes
from etendue.tasks.isr.bright_star_mask import MaskBrightStarsConfig, MaskBrightStarsTask

SIZE, SKY, NOISE = 800, 400.0, 20.0
STARS = ((220.0, 260.0, 4e7), (560.0, 520.0, 8e7))
ANGLES = (35.0, 125.0)


def _light(stars, spike_fraction=0.004, halo_fraction=0.02):
    """Return the light of haloes and of spikes."""
    x, y, flux = (np.array(column) for column in zip(*stars, strict=True))
    haloes, spikes = np.zeros((2, SIZE, SIZE), np.float32)
    add_haloes(haloes, x, y, halo_fraction * flux, 8.0, 0.05)
    for angle in np.radians(ANGLES):
        add_spikes(spikes, x, y, spike_fraction * flux / 2, np.cos(angle), np.sin(angle), 1.5, 10.0, 0.05)
    return haloes, spikes


def _exposure(stars=STARS, seed=1, x0=0, y0=0, **light):
    rng = np.random.default_rng(seed)
    haloes, spikes = _light(stars, **light)
    y, x = np.mgrid[:SIZE, :SIZE]
    image = SKY + haloes + spikes
    saturated = np.zeros(image.shape, bool)
    for star_x, star_y, _ in stars:
        saturated |= np.hypot(x - star_x, y - star_y) < 8.0
        saturated[int(star_y) - 60 : int(star_y) + 60, int(star_x) : int(star_x) + 2] = True
    for row, col in rng.integers(10, SIZE - 10, (400, 2)):
        near = slice(row - 6, row + 7), slice(col - 6, col + 7)
        image[near] += 40.0 / rng.random() * np.exp(-0.5 * np.hypot(*np.mgrid[-6:7, -6:7]) ** 2 / 1.5)
    image = rng.normal(image, np.sqrt(image)).astype(np.float32)
    box = Box.from_shape(image.shape, x0=x0, y0=y0)
    return Exposure(
        image=Image(image, box),
        mask=Mask.empty(box).with_plane("SAT", saturated),
        variance=Image(np.maximum(image, 1.0), box),
    )


def test_spikes_and_haloes_of_saturated_stars_are_masked():
    result = MaskBrightStarsTask().run(_exposure())
    haloes, spikes = _light(STARS)
    spike, halo = result.exposure.mask.any_of("SPIKE"), result.exposure.mask.any_of("HALO")
    assert len(result.stars) == 2
    assert [star.x for star in result.stars] == pytest.approx([220.5, 560.5], abs=1.5)
    np.testing.assert_allclose(result.spike_angles_deg, ANGLES, atol=1.0)
    assert spike[spikes > NOISE].mean() > 0.95
    assert spike[spikes < 0.02 * NOISE].mean() < 0.01
    assert halo[haloes > NOISE].mean() > 0.98
    assert halo[haloes < 0.1 * NOISE].mean() < 0.01
    assert all(len(star.spikes) == 4 for star in result.stars)


def test_positions_from_a_catalog_serve_as_well():
    result = MaskBrightStarsTask().run(_exposure(x0=100, y0=-50), x=[320.0, 660.0], y=[210.0, 470.0])
    _, spikes = _light(STARS)
    assert result.exposure.mask.any_of("SPIKE")[spikes > NOISE].mean() > 0.95
    assert [star.x for star in result.stars] == [320.0, 660.0]


def test_stars_without_spikes_get_none():
    result = MaskBrightStarsTask().run(_exposure(spike_fraction=0.0))
    assert result.spike_angles_deg == ()
    assert not result.exposure.mask.any_of("SPIKE").any()


def test_given_angles_are_used():
    config = MaskBrightStarsConfig(spike_angles_deg=(ANGLES[0], 215.0))
    result = MaskBrightStarsTask(config).run(_exposure())
    assert result.spike_angles_deg == (35.0, 35.0)


def test_without_bright_stars_nothing_is_masked():
    exposure = _exposure()
    plain = exposure.replace(mask=Mask.empty(exposure.bbox))
    result = MaskBrightStarsTask().run(plain)
    assert result.stars == ()
    assert not result.exposure.mask.array.any()


def test_a_star_far_outside_is_left_out():
    result = MaskBrightStarsTask().run(_exposure(), x=[-5000.0], y=[0.0])
    (star,) = result.stars
    assert (star.halo_radius, star.spikes) == (0.0, ())
