import numpy as np
import pytest

from etendue.kernels.interpolate import interpolate_bad
from etendue.kernels.psf_interpolate import interpolate_stars, pattern_weights, star_covariance, window_patterns


def _star(fwhm, dy, dx, size=31):
    y, x = np.mgrid[:size, :size] - size // 2
    sigma = fwhm / 2.3548
    return (1e5 * np.exp(-0.5 * ((y - dy) ** 2 + (x - dx) ** 2) / sigma**2)).astype(np.float32)


def _column(shape, width):
    bad = np.zeros(shape, bool)
    bad[:, shape[1] // 2 : shape[1] // 2 + width] = True
    return bad


def _bias(method, fwhm, width):
    """Return the rms error of a star's aperture flux over places of a star near a bad column."""
    errors = []
    for dx in np.linspace(-1.5, 1.5, 7):
        star = _star(fwhm, 0.2, dx)
        bad = _column(star.shape, width)
        image, variance = np.where(bad, np.float32(np.nan), star), np.ones_like(star)
        method(image, variance, bad)
        errors.append(image.sum() / star.sum() - 1.0)
    return float(np.sqrt(np.mean(np.square(errors))))


@pytest.mark.parametrize(("fwhm", "width", "gain"), [(2.0, 1, 1.5), (3.0, 1, 3.0), (3.0, 2, 2.0), (4.0, 3, 2.0)])
def test_stars_across_bad_columns_lose_less_than_by_straight_lines(fwhm, width, gain):
    ours = _bias(lambda i, v, b: interpolate_stars(i, v, b, fwhm=fwhm), fwhm, width)
    linear = _bias(lambda i, v, b: interpolate_bad(i, v, b, 16), fwhm, width)
    assert ours < linear / gain


def test_weights_agree_with_their_definition():
    rng = np.random.default_rng(1)
    bad = rng.random((9, 9)) < 0.3
    bad[4, 4] = True
    pattern = np.empty(1, np.uint64)
    window_patterns(bad, np.array([40]), pattern)
    covariance = star_covariance(2.5)
    weights, usable = np.zeros((1, 49)), np.zeros(1, bool)
    pattern_weights(pattern, covariance, 1e-2, 1.0, weights, usable)
    good = ~bad[1:8, 1:8].ravel()
    assert usable[0]
    assert (weights[0, ~good] == 0.0).all()
    assert weights.sum() == pytest.approx(1.0)

    def error(w):
        k = covariance[np.ix_(good, good)]
        return w @ k @ w - 2.0 * w @ covariance[good, 24] + 1.0 + 1e-2 * w @ w

    best = error(weights[0, good])
    for _ in range(50):
        change = rng.normal(0.0, 0.01, good.sum())
        assert error(weights[0, good] + change - change.mean()) >= best


@pytest.mark.parametrize("width", [1, 3, 12])
def test_flat_sky_stays_flat_and_every_bad_pixel_is_replaced(width):
    image = np.full((20, 40), 7.0, np.float32)
    bad = _column(image.shape, width)
    bad[5, 3] = bad[0, 0] = True
    image[bad] = np.nan
    variance = np.where(bad, np.float32(1e9), np.float32(4.0))
    done = interpolate_stars(image, variance, bad, fwhm=2.5)
    assert (done == bad)[1:-1, 1:-1].all()
    np.testing.assert_allclose(image[done], 7.0, rtol=1e-5)
    np.testing.assert_allclose(variance[done], 4.0, rtol=1e-5)


def test_only_wanted_pixels_are_written_and_bad_ones_never_read():
    image = np.ones((12, 12), np.float32)
    bad = np.zeros(image.shape, bool)
    bad[6, 5:8] = True
    wanted = np.zeros(image.shape, bool)
    wanted[6, 6] = True
    image[bad] = np.nan
    done = interpolate_stars(image, np.ones_like(image), bad, fwhm=2.0, wanted=wanted)
    assert (done == wanted).all()
    assert image[6, 6] == pytest.approx(1.0)
    assert np.isnan(image[6, [5, 7]]).all()


def test_nothing_is_done_without_good_pixels():
    image = np.full((10, 10), np.nan, np.float32)
    done = interpolate_stars(image, image.copy(), np.ones(image.shape, bool), fwhm=2.0)
    assert not done.any()


def test_an_image_of_nothing_but_hits_is_bridged_in_bounded_time(monkeypatch):
    import etendue.kernels.psf_interpolate as module

    rng = np.random.default_rng(5)
    bad = rng.random((60, 60)) < 0.3
    truth = np.add.outer(np.arange(60.0), np.arange(60.0)).astype(np.float32)
    images = []
    for most in (30_000, 10):
        monkeypatch.setattr(module, "_MOST_PATTERNS", most)
        image, variance = np.where(bad, np.float32(1e6), truth), np.ones((60, 60), np.float32)
        done = module.interpolate_stars(image, variance, bad, fwhm=3.0)
        assert done.sum() > 0.9 * bad.sum()
        assert image[done].max() < 200.0
        images.append(image)
    assert not np.array_equal(*images)  # the rarer patterns went another way
