import numpy as np
import pytest

from etendue.kernels.psf_width import narrowed, sharpened, too_broad

PHASES = np.linspace(-0.4, 0.4, 5)


def _star(y0, x0, sigma, half=8):
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2.0 * sigma**2)) / (2.0 * np.pi * sigma**2)


def _stamps(sigma):
    return np.array([_star(dy, dx, sigma) for dy in PHASES for dx in PHASES])


def _width(stamp):
    y, _ = np.mgrid[-8:9, -8:9]
    return float(np.sqrt((stamp * y**2).sum() / stamp.sum()))


def _peaks(sigma, stars, hits, seed=1):
    rng = np.random.default_rng(seed)
    light = [1e5 * _star(*rng.uniform(-0.5, 0.5, 2), sigma, 3) for _ in range(stars)]
    light += [1e5 * _star(*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.1, 0.6), 3) for _ in range(hits)]
    light = np.array(light).reshape(-1, 7, 7) + 300.0
    return rng.poisson(light).astype(np.float32), light.astype(np.float32)


@pytest.mark.parametrize("part", [0.1, 0.2])
def test_narrower_stamps_have_the_width_that_is_asked_for(part):
    assert _width(narrowed(_stamps(1.2), 1.2, part)[12]) == pytest.approx(1.2 * (1.0 - part), rel=0.04)
    assert sharpened(_stamps(1.2), 0.3).min() >= 0.0
    assert narrowed(_stamps(1.2), 1.2, 0.0)[12].sum() == _stamps(1.2)[12].sum()


@pytest.mark.parametrize("sigma", [0.75, 1.0, 1.7])
@pytest.mark.parametrize("ratio", [1.1, 1.2])
def test_a_broad_psf_is_seen_through_by_the_stars_among_the_hits(sigma, ratio):
    broad = _stamps(ratio * sigma)
    part = too_broad(*_peaks(sigma, 100, 100), broad, ratio * sigma)
    assert 0.8 < _width(narrowed(broad, ratio * sigma, part)[12]) / sigma < 1.03


@pytest.mark.parametrize("ratio", [0.8, 1.0])
def test_a_psf_as_narrow_as_the_stars_is_left_as_it_is(ratio):
    assert too_broad(*_peaks(1.0, 100, 100), _stamps(ratio), ratio) == 0.0


def test_hits_alone_and_few_stars_say_nothing():
    assert too_broad(*_peaks(1.0, 0, 100), _stamps(1.1), 1.1) == 0.0
    assert too_broad(*_peaks(1.0, 4, 0), _stamps(1.1), 1.1) == 0.0
