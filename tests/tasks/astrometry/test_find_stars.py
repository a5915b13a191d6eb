"""Stars are found with centroids good to a few hundredths of a pixel, at any width."""

import numpy as np
import pytest

from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.astrometry.find_stars import FindStarsTask


def exposure(fwhm, n=25, seed=3, noise=5.0):
    rng = np.random.default_rng(seed)
    x, y = (g.ravel() * 50.0 + 30.0 + rng.uniform(-5.0, 5.0, n) for g in np.meshgrid(np.arange(5), np.arange(5)))
    sigma, flux = fwhm / 2.3548, 10.0 ** rng.uniform(4.0, 5.0, n)
    rows, cols = np.indices((270, 280))
    pixels = rng.normal(100.0, noise, rows.shape)
    for a, b, f in zip(x, y, flux, strict=True):
        pixels += f / (2.0 * np.pi * sigma**2) * np.exp(-0.5 * ((cols - a) ** 2 + (rows - b) ** 2) / sigma**2)
    box = Box.from_shape(rows.shape, y0=7, x0=3)
    image = Image(pixels.astype(np.float32), box)
    variance = Image(np.full(rows.shape, noise**2, np.float32), box)
    return Exposure(image=image, mask=Mask.empty(box), variance=variance, unit="adu"), x + 3.0, y + 7.0, flux


@pytest.mark.parametrize("fwhm", [2.0, 3.5, 7.0])
def test_every_star_is_found_once_where_it_is(fwhm):
    frame, x, y, flux = exposure(fwhm)
    found = FindStarsTask().run(exposure=frame)
    assert found.x.size == 25
    assert abs(found.fwhm_px / fwhm - 1.0) < 0.2
    assert (np.diff(found.flux) <= 0.0).all()
    order = np.argmin(np.hypot(found.x[:, None] - x, found.y[:, None] - y), axis=1)
    off = np.hypot(found.x - x[order], found.y - y[order])
    assert off.max() < 0.05 * fwhm
    assert np.corrcoef(np.log(found.flux), np.log(flux[order]))[0, 1] > 0.99


def test_an_empty_frame_defeats_the_method():
    frame, *_ = exposure(3.0)
    empty = frame.replace(image=Image(np.full(frame.bbox.shape, 7.0, np.float32), frame.bbox))
    with pytest.raises(AlgorithmError):
        FindStarsTask().run(exposure=empty)
