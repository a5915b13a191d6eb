import numpy as np
import pytest

from etendue.errors import AlgorithmError, InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.calib.sky_pattern import BuildSkyPatternConfig, BuildSkyPatternTask
from etendue.tasks.isr.sky_pattern import SkyPatternConfig, SubtractSkyPatternTask, smooth_terms

SHAPE = (300, 360)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
FRINGES = 0.02 * np.sin(X / 11.0 + 2e-3 * (Y - 100.0) ** 2 / 11.0)
GRADIENT = 1.0 + 0.1 * (X / 360.0 - 0.5) - 0.05 * (Y / 300.0) ** 2


def _sky(level: float, seed: int, strength: float = 1.0, stars: int = 60, filter_name: str = "y") -> Exposure:
    rng = np.random.default_rng(seed)
    light = level * (GRADIENT + strength * FRINGES)
    for _ in range(stars):
        x, y, flux = rng.uniform(0, 360), rng.uniform(0, 300), 10.0 ** rng.uniform(3.0, 5.0)
        light = light + flux / (2 * np.pi * 4.0) * np.exp(-0.5 * ((X - x) ** 2 + (Y - y) ** 2) / 4.0)
    image, box = rng.poisson(light).astype(np.float32), Box.from_shape(SHAPE)
    return Exposure(image=Image(image, box), mask=Mask.empty(box), variance=Image(image, box), unit="electron",
                    physical_filter=filter_name)  # fmt: skip


def _without_smooth(image: np.ndarray) -> np.ndarray:
    terms = smooth_terms(SHAPE, 1, 4).reshape(image.size, -1)
    return image - (terms @ np.linalg.lstsq(terms, image.ravel(), rcond=None)[0]).reshape(SHAPE)


@pytest.fixture(scope="module")
def fringe() -> Exposure:
    return BuildSkyPatternTask().run(_sky(3000.0 + 100.0 * k, k) for k in range(8))


def test_fringes_are_found_among_stars_and_gradients(fringe):
    away = _without_smooth(fringe.image.array) - _without_smooth(FRINGES)
    assert np.std(away) < 0.1 * np.std(FRINGES)
    assert abs(np.nanmean(fringe.image.array)) < 1e-6


def test_subtraction_takes_most_of_the_fringes_and_finds_their_strength(fringe):
    exposure = _sky(2500.0, 50, strength=0.7)
    fit = SubtractSkyPatternTask().run(exposure.image.array, np.zeros(SHAPE, bool), fringe.image.array)
    assert fit.subtracted
    assert fit.scale == pytest.approx(0.7 * 2500.0, rel=0.12)  # the pattern is smoothed
    taken = exposure.image.array - fit.image
    true = 0.7 * 2500.0 * FRINGES
    assert np.std(_without_smooth(true - taken)) < 0.1 * np.std(true)


def test_no_fringes_are_subtracted_where_there_are_none(fringe):
    exposure = _sky(2500.0, 51, strength=0.0)
    fit = SubtractSkyPatternTask().run(exposure.image.array, np.zeros(SHAPE, bool), fringe.image.array)
    assert abs(fit.scale) < 5.0 * fit.scale_err
    assert not fit.subtracted
    assert fit.image is exposure.image.array


def test_the_strength_has_the_error_that_is_claimed(fringe):
    pulls = []
    for seed in range(60, 80):
        exposure = _sky(2500.0, seed, strength=1.0, stars=0)
        fit = SubtractSkyPatternTask().run(exposure.image.array, np.zeros(SHAPE, bool), FRINGES.astype(np.float32))
        pulls.append((fit.scale - 2500.0) / fit.scale_err)
    assert 0.6 < np.std(pulls) < 1.5


def test_a_sky_frame_holds_the_gradient_of_the_sky():
    task = BuildSkyPatternTask(BuildSkyPatternConfig(kind="sky"))
    sky = task.run(_sky(3000.0, k, strength=0.0) for k in range(6))
    ratio = sky.image.array / GRADIENT
    assert np.std(ratio / ratio.mean()) < 3e-3
    left = SubtractSkyPatternTask(SkyPatternConfig(degree=0)).run(
        _sky(2000.0, 9, strength=0.0).image.array, np.zeros(SHAPE, bool), sky.image.array
    )
    cells = np.median(left.image.reshape(5, 60, 6, 60), axis=(1, 3))
    assert np.ptp(cells) < 0.1 * 2000.0 * np.ptp(GRADIENT)


def test_terms_at_pixels_and_at_cells_are_of_one_polynomial():
    pixels, cells = smooth_terms((64, 96), 1, 3), smooth_terms((64, 96), 32, 3)
    np.testing.assert_allclose(cells[0, 0, 1], pixels[15:17, 15:17, 1].mean(), atol=1e-12)


def test_a_sky_without_stars_to_dither_over_or_of_two_filters_is_refused():
    with pytest.raises(AlgorithmError, match="too few images show enough sky"):
        BuildSkyPatternTask().run(_sky(20.0, k) for k in range(5))
    with pytest.raises(InputError, match="differ in size or filter"):
        BuildSkyPatternTask().run([_sky(3000.0, 1), _sky(3000.0, 2, filter_name="z")])
