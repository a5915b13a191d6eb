import numpy as np
import pytest

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.streak.streak import FindStreaksTask
from etendue.tasks.streak.streak_table import streak_columns

SIZE, NOISE, SIGMA = 700, 20.0, 1.3


def _distance(x0, y0, x1, y1):
    y, x = np.mgrid[:SIZE, :SIZE]
    length = np.hypot(x1 - x0, y1 - y0)
    across = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
    along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
    return across, (along >= 0.0) & (along <= length)


def _trail(ends, peak):
    across, on = _distance(*ends)
    return peak * np.exp(-0.5 * (across / SIGMA) ** 2) * on


def _exposure(*lights, seed=1, stars=300, x0=0, y0=0):
    rng = np.random.default_rng(seed)
    image = rng.normal(0.0, NOISE, (SIZE, SIZE))
    y, x = np.mgrid[-8:9, -8:9]
    for row, col in rng.integers(8, SIZE - 9, (stars, 2)):
        image[row - 8 : row + 9, col - 8 : col + 9] += (
            NOISE * 3.0 / rng.random() * np.exp(-0.5 * (x**2 + y**2) / SIGMA**2)
        )
    box = Box.from_shape(image.shape, x0=x0, y0=y0)
    return Exposure(
        image=Image((image + sum(lights)).astype(np.float32), box),
        mask=Mask.empty(box),
        variance=Image(np.full(image.shape, NOISE**2, np.float32), box),
        psf=GaussianMixturePsf.circular(SIGMA),
    )


def _streak(exposure):
    return exposure.mask.any_of("STREAK")


CROSSING = ((-50.0, 100.0, 800.0, 520.0), (300.0, -40.0, 420.0, 900.0), (-10.0, 650.0, 720.0, 30.0))


@pytest.mark.parametrize("ends", CROSSING)
@pytest.mark.parametrize("peak", [0.5, 3.0, 50.0])
def test_a_trail_is_masked_from_edge_to_edge_and_nothing_else(ends, peak):
    light = _trail(ends, peak * NOISE)
    result = FindStreaksTask().run(exposure=_exposure(light))
    found = _streak(result.exposure)
    assert found[light > 0.5 * peak * NOISE].mean() > 0.98
    assert found[light < 0.01 * NOISE].mean() < 0.006
    (streak,) = result.streaks
    assert streak.whole
    across, _ = _distance(*ends)
    for x, y in ((streak.x0, streak.y0), (streak.x1, streak.y1)):
        assert abs(across[round(y), round(x)]) < 1.5
    angle = np.degrees(np.arctan2(ends[3] - ends[1], ends[2] - ends[0])) % 180.0
    assert abs(streak.angle_deg - angle) < 0.2
    assert streak.fwhm == pytest.approx(2.3548 * SIGMA, rel=0.3 if peak < 1.0 else 0.12)
    assert streak.peak == pytest.approx(peak * NOISE, rel=0.3 if peak < 1.0 else 0.12)


def test_a_glint_is_masked_between_its_ends():
    ends = (200.0, 250.0, 420.0, 500.0)
    light = _trail(ends, 5.0 * NOISE)
    result = FindStreaksTask().run(exposure=_exposure(light))
    (streak,) = result.streaks
    assert not streak.whole
    assert streak.length == pytest.approx(np.hypot(220.0, 250.0), abs=30.0)
    found = _streak(result.exposure)
    assert found[light > 2.0 * NOISE].mean() > 0.95
    assert found[light < 0.01 * NOISE].mean() < 0.004


@pytest.mark.parametrize("ends", [(650.0, 300.0, 800.0, 370.0), (-30.0, 50.0, 60.0, -25.0)])
def test_a_short_bright_piece_at_an_edge_is_masked(ends):
    light = _trail(ends, 8.0 * NOISE)
    result = FindStreaksTask().run(exposure=_exposure(light))
    (streak,) = result.streaks
    assert streak.length < 80.0
    found = _streak(result.exposure)
    assert found[light > 2.0 * NOISE].mean() > 0.9
    assert found[light < 0.01 * NOISE].mean() < 0.001


def test_a_trail_that_flares_is_masked_where_it_is_dim_too():
    light = _trail((-50.0, 100.0, 350.0, 310.0), 1.5 * NOISE) + _trail((350.0, 310.0, 800.0, 546.0), 8.0 * NOISE)
    result = FindStreaksTask().run(exposure=_exposure(light))
    assert result.streaks[0].whole
    assert _streak(result.exposure)[light > NOISE].mean() > 0.97


@pytest.mark.parametrize("seed", range(4))
def test_chains_of_stars_are_no_trails(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    along = rng.uniform(0.0, 260.0, 14)
    chain = sum(
        peak * np.exp(-0.5 * ((x - 0.8 * place - 20.0) ** 2 + (y - 0.6 * place - 40.0) ** 2) / SIGMA**2)
        for place, peak in zip(along, rng.uniform(5.0, 50.0, along.size), strict=True)
    )
    assert not FindStreaksTask().run(exposure=_exposure(NOISE * chain)).streaks


def test_crossing_trails_are_all_found():
    lights = [_trail(ends, 2.0 * NOISE) for ends in CROSSING]
    result = FindStreaksTask().run(exposure=_exposure(*lights))
    assert len(result.streaks) == 3
    for light in lights:
        assert _streak(result.exposure)[light > NOISE].mean() > 0.97


def test_stars_galaxies_steps_and_bad_columns_are_no_trails():
    y, x = np.mgrid[:SIZE, :SIZE]
    galaxy = 400.0 * np.exp(-np.hypot((x - 300.0) * 0.5 + (y - 300.0), 4.0 * ((x - 300.0) - 0.5 * (y - 300.0))) / 40.0)
    column = 100.0 * (x == 450)
    result = FindStreaksTask().run(exposure=_exposure(galaxy, column, stars=1500))
    assert not result.streaks
    assert not _streak(result.exposure).any()


def test_spikes_of_a_bright_star_are_no_trails():
    y, x = np.mgrid[:SIZE, :SIZE]
    radius = np.hypot(x - 350.0, y - 350.0)
    spikes = sum(
        2e4
        * np.exp(-0.5 * (((x - 350.0) * np.sin(a) - (y - 350.0) * np.cos(a)) / 2.0) ** 2)
        / (1.0 + radius / 10.0) ** 2
        for a in (0.7, 0.7 + np.pi / 2)
    )
    exposure = _exposure(spikes)
    mask = exposure.mask.with_plane("SAT", radius < 30.0)
    assert not FindStreaksTask().run(exposure=exposure.replace(mask=mask)).streaks


def test_excluded_pixels_do_not_matter_and_bring_no_nan():
    light = _trail(CROSSING[0], 3.0 * NOISE)
    exposure = _exposure(light)
    image = exposure.image.array.copy()
    image[300:420] = np.nan
    image[:, 100:105] = 1e6
    bad = np.zeros(image.shape, bool)
    bad[:, 100:105] = True
    broken = exposure.replace(image=Image(image, exposure.bbox), mask=exposure.mask.with_plane("BAD", bad))
    (streak,) = FindStreaksTask().run(exposure=broken).streaks
    assert streak.whole


def test_positions_are_parent_pixels_and_the_argument_is_left_alone():
    light = _trail(CROSSING[1], 3.0 * NOISE)
    here, there = (_exposure(light, x0=x, y0=y) for x, y in ((0, 0), (1000, -300)))
    before = there.content_hash()
    (one,), (other,) = (FindStreaksTask().run(exposure=e).streaks for e in (here, there))
    assert (other.x0 - one.x0, other.y1 - one.y1) == (1000.0, -300.0)
    assert there.content_hash() == before


def test_an_empty_image_has_no_trails():
    exposure = _exposure(stars=0)
    empty = exposure.replace(image=Image(np.full((SIZE, SIZE), np.nan, np.float32), exposure.bbox))
    assert FindStreaksTask().run(exposure=empty).streaks == ()
    assert all(column.size == 0 for column in streak_columns(()).values())


def test_columns_hold_every_trail():
    light = _trail(CROSSING[0], 3.0 * NOISE)
    streaks = FindStreaksTask().run(exposure=_exposure(light)).streaks
    columns = streak_columns(streaks)
    assert columns["whole"].tolist() == [True]
    assert columns["length"][0] == pytest.approx(streaks[0].length)


def test_bright_rows_at_the_edge_are_no_trails():
    y, _ = np.mgrid[:SIZE, :SIZE]
    rows = 3.0 * NOISE * np.exp(-0.5 * ((y - 2.0) / SIGMA) ** 2)
    assert not FindStreaksTask().run(exposure=_exposure(rows)).streaks
