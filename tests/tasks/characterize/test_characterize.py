"""From pixels with sky, stars and cosmic rays to a clean image and its sources."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.tasks.characterize.characterize import CharacterizeConfig, CharacterizeTask

SHAPE, SKY = (256, 256), 500.0
PSF = GaussianMixturePsf.circular(1.1, 31)
RAYS = ((50, 100), (150, 60), (200, 201))


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(6)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(22.0, 234.0, 7)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-5.0, 5.0, grid.shape)).T
    return x, y, rng.uniform(2e3, 4e4, x.size)


def exposure(stars=None, *, rays=True):
    rng, pixels = np.random.default_rng(7), np.full((SHAPE[0] + 80, SHAPE[1] + 80), SKY)
    if stars is not None:
        stamps = PSF.draw(x=stars[0], y=stars[1])
        for stamp, x0, y0, flux in zip(stamps.value, stamps.x0, stamps.y0, stars[2], strict=True):
            pixels[y0 + 40 : y0 + 71, x0 + 40 : x0 + 71] += flux * stamp
    pixels = pixels[40:-40, 40:-40] + 0.3 * np.arange(SHAPE[1])  # a gradient of 76 electrons
    pixels = rng.poisson(pixels).astype(float)
    for row, column in RAYS if rays else ():
        pixels[row, column : column + 6] += 2500.0
    box = Box.from_shape(SHAPE)
    return Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box),
        variance=Image(np.maximum(pixels, 1.0).astype(np.float32), box), unit="electron",
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(scene):
    return CharacterizeTask().run(exposure=exposure(scene))


def test_the_sky_and_its_gradient_are_gone_and_remembered(result):
    empty = ~result.exposure.mask.any_of(("DETECTED",))
    pixels = np.where(empty, result.exposure.image.array, np.nan)
    assert abs(np.nanmedian(pixels)) < 1.5
    assert abs(np.nanmedian(pixels[:, :40]) - np.nanmedian(pixels[:, -40:])) < 4.0
    assert np.median(result.exposure.background.image().array) == pytest.approx(SKY + 38.0, abs=8.0)


def test_every_star_is_measured_without_bias(result, scene):
    x, y, flux = scene
    distance = np.hypot(x[:, None] - result.columns.x, y[:, None] - result.columns.y)
    assert distance.min(axis=1).max() < 0.3
    found = distance.argmin(axis=1)
    pull = (result.columns.psf_flux[found] - flux) / np.hypot(result.columns.psf_flux_err[found], 0.01 * flux)
    assert abs(np.median(pull)) < 0.5
    assert np.abs(pull).max() < 6.0


def test_the_psf_is_that_of_the_stars(result):
    assert result.exposure.psf.fwhm(x=128.0, y=128.0)[0] == pytest.approx(2.3548 * 1.1, rel=0.05)
    assert result.psf.used.size == result.psf_x.size == result.psf_y.size


def test_cosmic_rays_are_masked_and_no_source(result):
    masked = result.exposure.mask.any_of(("CR",))
    for row, column in RAYS:
        assert masked[row, column : column + 6].mean() > 0.8
        near = np.hypot(result.columns.x - column - 2.5, result.columns.y - row) < 3.0
        assert not (near & (result.columns.snr > 10.0)).any()


def test_no_argument_is_changed(scene):
    before = exposure(scene)
    digest = before.content_hash()
    CharacterizeTask().run(exposure=before)
    assert before.content_hash() == digest


def test_parts_can_be_left_out(scene):
    config = CharacterizeConfig(subtract_background=False, fit_psf=False, find_cosmic_rays=False)
    image = exposure(scene, rays=False)
    flat = image.replace(image=Image(image.image.array - np.float32(SKY + 38.0), image.bbox), psf=PSF)
    result = CharacterizeTask(config).run(exposure=flat)
    assert result.psf is None
    assert result.psf_x.size == 0
    assert result.exposure.background is None
    assert result.exposure.mask.count("CR") == 0


def test_an_empty_sky_is_the_data_s_failure():
    with pytest.raises(AlgorithmError):
        CharacterizeTask().run(exposure=exposure(rays=False))
