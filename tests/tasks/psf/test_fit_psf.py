"""The PSF fit on data that tempt it to diverge: bad columns, few stars, noise."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.psf import psf_from_parts
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.image.psf_pixel_basis import stamp_moments
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfConfig, FitPsfTask

SHAPE, NOISE = (300, 300), 5.0
PSF = GaussianMixturePsf.circular(1.15, 31)


def exposure(n_stars, *, seed=1, hot_column=None, true_psf=PSF):
    rng = np.random.default_rng(seed)
    pixels = rng.normal(0.0, NOISE, (SHAPE[0] + 80, SHAPE[1] + 80))
    x, y = rng.uniform(20, 280, (2, n_stars))
    stamps = true_psf.draw(x=x, y=y)
    for stamp, x0, y0, flux in zip(stamps.value, stamps.x0, stamps.y0, rng.uniform(3e3, 3e4, n_stars), strict=True):
        pixels[y0 + 40 : y0 + 71, x0 + 40 : x0 + 71] += flux * stamp
    pixels = pixels[40:-40, 40:-40]
    if hot_column is not None:
        pixels[:, hot_column] += rng.poisson(4000.0, SHAPE[0]) + 40.0 * np.sin(np.arange(SHAPE[0]) * 2.1)
    box = Box.from_shape(SHAPE)
    return Exposure(
        image=Image(pixels.astype(np.float32), box), mask=Mask.empty(box), variance=Image.full(box, NOISE**2)
    )


def fitted(image, **config):
    found = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=image)
    return found, FitPsfTask(FitPsfConfig(**config)).run(exposure=image, x=found.x, y=found.y, snr=found.peak_snr)


def test_an_unmasked_hot_column_does_not_pass_for_stars():
    found, result = fitted(exposure(40, hot_column=150))
    on_column = np.abs(found.x - 150.0) < 2.0
    assert on_column.sum() > 40  # more pieces of the column than stars
    assert not result.candidate[on_column].any()
    assert result.statistics["fwhm"] == pytest.approx(2.3548 * 1.15, rel=0.05)


def test_few_stars_give_one_psf_for_the_whole_detector():
    _, result = fitted(exposure(8))
    assert result.psf.order == 0
    assert np.isfinite(result.psf.components).all()
    assert result.statistics["fwhm"] == pytest.approx(2.3548 * 1.15, rel=0.05)


def test_too_few_stars_are_the_data_s_failure():
    with pytest.raises(AlgorithmError, match="Too few stars"):
        fitted(exposure(3))


@pytest.mark.parametrize("seed", range(3))
def test_places_in_pure_noise_give_an_error_and_no_nan(seed):
    image, rng = exposure(0, seed=seed), np.random.default_rng(seed)
    x, y = rng.uniform(20, 280, (2, 30))
    try:
        result = FitPsfTask().run(exposure=image, x=x, y=y, snr=np.full(30, 50.0))
    except AlgorithmError:
        return
    assert np.isfinite(result.psf.components).all()


def test_pixel_sums_of_the_fitted_psf_do_not_depend_on_the_sub_pixel_phase():
    sharp = GaussianMixturePsf.circular(0.7, 31)
    psf = fitted(exposure(60, true_psf=sharp))[1].psf
    phase = (np.arange(8) + 0.5) / 8.0 - 0.5
    dy, dx = (axis.ravel() for axis in np.meshgrid(phase, phase, indexing="ij"))
    for x, y in ((150, 150), (60, 230)):
        assert psf.draw(x=x + dx, y=y + dy).value.sum(axis=(1, 2)).std() < 1.2e-3


def test_stars_brighter_than_the_limit_are_not_used():
    image = exposure(60)
    found, everything = fitted(image)
    _, limited = fitted(image, max_peak=1500.0)
    peak = image.image.array[np.rint(found.y).astype(int), np.rint(found.x).astype(int)]
    assert peak[everything.candidate].max() > 2500.0
    assert limited.candidate.sum() > 15
    assert peak[limited.candidate].max() <= 1500.0


def varied(width, x, y, flux, *, seed=2):
    """Return an exposure of round Gaussian stars of given widths."""
    pixels = np.random.default_rng(seed).normal(0.0, NOISE, (SHAPE[0] + 80, SHAPE[1] + 80))
    for sigma, xi, yi, light in zip(width, x, y, flux, strict=True):
        stamp = GaussianMixturePsf.circular(sigma, 31).draw(x=xi, y=yi)
        pixels[stamp.y0[0] + 40 : stamp.y0[0] + 71, stamp.x0[0] + 40 : stamp.x0[0] + 71] += light * stamp.value[0]
    box = Box.from_shape(SHAPE)
    return Exposure(
        image=Image(pixels[40:-40, 40:-40].astype(np.float32), box), mask=Mask.empty(box),
        variance=Image.full(box, NOISE**2),
    )  # fmt: skip


def size_of(psf, x, y, **color):
    """Return the widths of the PSF at whole pixels [px]."""
    ixx, iyy, _ = stamp_moments(psf.draw(x=np.rint(x), y=np.rint(y), **color).value)
    return np.sqrt(0.5 * (ixx + iyy))


def test_the_psf_of_a_colour_has_the_width_of_stars_of_that_colour():
    rng = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(25.0, 275.0, 9)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-6.0, 6.0, grid.shape)).T
    color = rng.uniform(0.0, 2.0, x.size)
    image = varied(1.3 - 0.04 * color, x, y, rng.uniform(1e4, 8e4, x.size))
    unknown = np.where(np.arange(x.size) % 9 == 0, np.nan, color)
    psf = FitPsfTask(FitPsfConfig(order=0)).run(exposure=image, x=x, y=y, snr=np.full(x.size, 99.0), color=unknown).psf
    sizes = [size_of(psf, 150.0, 150.0, color=one)[0] for one in (0.2, 1.0, 1.8)]
    np.testing.assert_allclose(sizes, [1.292, 1.26, 1.228], rtol=0.004)
    assert size_of(psf, 150.0, 150.0)[0] == pytest.approx(1.3 - 0.04 * psf.color, rel=0.004)  # where it is unknown
    again = psf_from_parts(*psf.to_parts())
    np.testing.assert_array_equal(again.draw(x=3.0, y=4.0, color=1.7).value, psf.draw(x=3.0, y=4.0, color=1.7).value)


def test_gaussian_processes_follow_what_polynomials_cannot():
    rng = np.random.default_rng(9)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(24.0, 276.0, 10)]), -1).reshape(-1, 2)
    x, y = (grid + rng.uniform(-5.0, 5.0, grid.shape)).T

    def width(x, y):
        return 1.3 * (1.0 + 0.05 * np.sin(x / 32.0) * np.cos(y / 36.0))

    image = varied(width(x, y), x, y, rng.uniform(1e4, 6e4, x.size))
    test_x, test_y = np.rint(rng.uniform(30.0, 270.0, (2, 60)))
    error = {}
    for variation in ("polynomial", "gaussian_process"):
        config = FitPsfConfig(variation=variation, reserved_fraction=0.0, size=31)
        fit = FitPsfTask(config).run(exposure=image, x=x, y=y, snr=np.full(x.size, 99.0))
        error[variation] = np.std(size_of(fit.psf, test_x, test_y) / width(test_x, test_y))
    assert error["polynomial"] > 0.015
    assert error["gaussian_process"] < 0.6 * error["polynomial"]
    again = psf_from_parts(*fit.psf.to_parts())
    assert len(fit.psf.field) >= 1
    assert again.content_hash() == fit.psf.content_hash()
    np.testing.assert_array_equal(again.draw(x=3.0, y=4.0).value, fit.psf.draw(x=3.0, y=4.0).value)
