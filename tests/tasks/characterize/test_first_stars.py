"""Images of which nothing is known: stars of any width and shape, trails, haloes, nothing at all."""

import numpy as np
import pytest

from etendue.app.pixels import as_exposure, characterize
from etendue.errors import AlgorithmError, InputError
from etendue.kernels.render import add_gaussians
from etendue.tasks.background.background import SubtractBackgroundTask
from etendue.tasks.characterize.first_stars import FirstStarsTask, added_up

SIDE, SKY = 400, 400.0
POINT = np.zeros((2, 1))
RING = 6.0 * np.stack([np.cos(np.arange(0.0, 6.2, 0.3)), np.sin(np.arange(0.0, 6.2, 0.3))])
TRAIL = np.stack([np.linspace(-8.0, 8.0, 17), np.linspace(-3.0, 3.0, 17)])


def draw(light, x, y, flux, sigma=1.4, shape=POINT):
    """Add stars that are sums of round Gaussians at the offsets ``shape``."""
    moment = np.full(x.size, sigma**2)
    for dx, dy in shape.T:
        add_gaussians(light, x + dx, y + dy, flux / shape.shape[1], moment, moment, np.zeros(x.size), 1e-2)


def field(seed=1, n=36, **how):
    """Return pixels with stars on a jittered grid, and the stars."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(35.0, SIDE - 36.0, 6)
    x, y = (np.tile(grid, 6)[:n] + rng.uniform(-8, 8, n), np.repeat(grid, 6)[:n] + rng.uniform(-8, 8, n))
    flux, light = 10 ** rng.uniform(4.3, 5.0, n), np.zeros((SIDE, SIDE))
    draw(light, x, y, flux, **how)
    return light, x, y, flux, rng


def found_share(table, x, y, reach=1.0):
    """Return which part of the stars has a source, and the sources that are not stars."""
    distance = np.hypot(np.asarray(table["x"])[:, None] - x, np.asarray(table["y"])[:, None] - y)
    return np.mean(distance.min(axis=0) < reach), np.flatnonzero(distance.min(axis=1) > 6.0)


@pytest.mark.parametrize(
    ("how", "scale"),
    [({}, 1), ({"sigma": 0.7}, 1), ({"sigma": 5.0}, 4), ({"shape": RING}, 4), ({"shape": TRAIL}, 2)],
    ids=["ordinary", "undersampled", "wide", "defocused", "trailed"],
)
def test_stars_of_any_shape_become_one_source_each(how, scale):
    light, x, y, flux, rng = field(**how)
    found = characterize(rng.poisson(light + SKY).astype(float), gain=1.0, measurements=())
    share, others = found_share(found.table, x, y)
    assert share == 1.0
    assert others.size == 0
    own = np.hypot(np.asarray(found.table["x"])[:, None] - x, np.asarray(found.table["y"])[:, None] - y).argmin(axis=0)
    assert np.median(found.table["psfFlux"][own] / flux) == pytest.approx(1.0, abs=0.05)
    assert scale in (FirstStarsTask().run(exposure=without_sky(light, rng)).scale, 2 * scale, scale // 2)


def without_sky(light, rng):
    exposure = as_exposure(rng.poisson(light + SKY).astype(float), gain=1.0)
    return SubtractBackgroundTask().run(exposure=exposure).exposure


def test_a_trail_across_the_frame_does_not_make_the_psf():
    light, x, y, _, rng = field()
    along = np.linspace(0.0, SIDE, 800)
    draw(light, along, 100.0 + 0.5 * along, np.full(800, 700.0))
    found = characterize(rng.poisson(light + SKY).astype(float), gain=1.0, measurements=())
    assert float(found.psf.fwhm(x=200.0, y=200.0)[0]) == pytest.approx(3.3, rel=0.05)
    share, others = found_share(found.table, x, y)
    assert share > 0.9
    assert found.table["pixelFlags_streak"][others].all()


def test_the_halo_of_a_saturated_star_makes_no_psf_stars():
    light, x, y, flux, rng = field()
    row, column = np.mgrid[:SIDE, :SIDE]
    radius = np.maximum(np.hypot(row - 210.0, column - 190.0), 5.0)
    pixels = np.minimum(rng.poisson(light + SKY + 5e4 * (35.0 / radius) ** 3), 5e4)
    found = characterize(pixels.astype(float), gain=1.0, measurements=())
    far = np.hypot(x - 190.0, y - 210.0) > 150.0
    own = np.hypot(np.asarray(found.table["x"])[:, None] - x, np.asarray(found.table["y"])[:, None] - y).argmin(axis=0)
    assert found.exposure.mask.count("SAT") > 3000
    assert np.median(found.table["psfFlux"][own[far]] / flux[far]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("stars", [0, 3])
def test_too_few_stars_for_a_psf_are_told_with_what_to_do(stars):
    light, *_, rng = field(n=stars)
    with pytest.raises(AlgorithmError, match="give one"):
        characterize(rng.poisson(light + SKY).astype(float), gain=1.0)


@pytest.mark.parametrize("value", [0.0, 6e4])
def test_pixels_without_noise_are_refused(value):
    with pytest.raises(InputError, match="no noise"):
        characterize(np.full((50, 50), value))


def test_added_up_pixels_keep_level_noise_and_what_is_missing():
    rng = np.random.default_rng(5)
    pixels = rng.normal(7.0, 2.0, (401, 330))
    pixels[:, :3] = np.nan
    small = added_up(as_exposure(pixels, variance=np.full(pixels.shape, 4.0)), 4, ("NO_DATA",))
    assert small.bbox.shape == (100, 82)
    assert small.mask.any_of("NO_DATA")[:, 0].all()
    inner = small.image.array[:, 1:]
    assert inner.mean() == pytest.approx(7.0, abs=0.03)
    assert inner.std() == pytest.approx(0.5, rel=0.05)
    assert np.median(small.variance.array[:, 1:]) == pytest.approx(0.25)
