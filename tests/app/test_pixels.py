"""Sources of a plain array in one call."""

import numpy as np
import pytest

from etendue.app.pixels import ALL_MEASUREMENTS, as_exposure, characterize, measure
from etendue.errors import InputError
from etendue.image.psf import GaussianMixturePsf
from etendue.tasks.measure.measurement import find_measurement

PSF = GaussianMixturePsf.circular(1.4, 31)
SIDE, SKY, GAIN = 300, 500.0, 2.0


@pytest.fixture(scope="module")
def stars():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(20, SIDE - 20, (2, 80))
    flux = 10 ** rng.uniform(3.3, 5.0, 80)
    light, drawn = np.zeros((SIDE, SIDE)), PSF.draw(x=x, y=y)
    for value, row, col, one in zip(drawn.value, drawn.y0, drawn.x0, flux, strict=True):
        rows, cols = slice(max(row, 0), min(row + 31, SIDE)), slice(max(col, 0), min(col + 31, SIDE))
        light[rows, cols] += one * value[rows.start - row : rows.stop - row, cols.start - col : cols.stop - col]
    pixels = rng.poisson((light + SKY) * GAIN) / GAIN + 30.0  # with a pedestal that has no noise
    return pixels, x, y, flux


def test_an_array_becomes_a_table_of_sources(stars):
    pixels, x, y, flux = stars
    found = characterize(pixels, gain=GAIN)
    distance = np.hypot(found.table["x"][:, None] - x, found.table["y"][:, None] - y)
    assert np.mean(distance.min(axis=0) < 0.3) > 0.93
    own = distance.argmin(axis=0)
    alone = (distance.min(axis=0) < 0.3) & (np.sort(np.hypot(x[:, None] - x, y[:, None] - y), axis=1)[:, 1] > 15.0)
    pull = (found.table["psfFlux"][own] - flux) / found.table["psfFluxErr"][own]
    assert 0.741 * np.subtract(*np.percentile(pull[alone], [75, 25])) == pytest.approx(1.0, abs=0.5)
    assert float(found.psf.fwhm(x=150.0, y=150.0)[0]) == pytest.approx(1.4 * 2.355, rel=0.03)
    assert np.median(found.background.image().array) == pytest.approx(SKY + 30.0, abs=3.0)


def test_fluxes_are_forced_at_given_places(stars):
    pixels, x, y, flux = stars
    bad = np.zeros(pixels.shape, bool)
    bad[round(y[0]), round(x[0])] = True
    found = measure(pixels - SKY - 30.0, x, y, psf=PSF, gain=GAIN, mask=bad, measurements=("apertures",))
    np.testing.assert_array_equal(found.table["x"], x)
    assert np.median(found.table["psfFlux"] / flux) == pytest.approx(1.0, abs=0.01)
    assert found.table["pixelFlags_bad"][0]
    assert "ap06Flux" in found.table.colnames
    assert "ixx" not in found.table.colnames


def test_the_noise_is_measured_where_none_is_given(stars):
    pixels, *_ = stars
    exposure = as_exposure(pixels, gain=GAIN)
    assert np.median(exposure.variance.array) == pytest.approx(SKY / GAIN, rel=0.15)  # stars add to it
    given = as_exposure(exposure, variance=np.full(pixels.shape, 7.0), psf=PSF)
    assert given.variance.array.max() == 7.0
    assert given.psf is PSF
    np.testing.assert_array_equal(given.image.array, exposure.image.array)


def test_pixels_that_are_not_finite_have_no_data():
    pixels = np.random.default_rng(1).normal(size=(40, 50))
    pixels[3, 4] = np.nan
    assert as_exposure(pixels).mask.any_of("NO_DATA").sum() == 1


@pytest.mark.parametrize("image", [np.zeros(5), np.zeros((2, 2, 2)), np.array([["a", "b"]]), np.full((4, 4), np.nan)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match=r"two axes of numbers|no finite pixel"):
        characterize(image)


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(InputError, match="variance has another shape"):
        as_exposure(np.zeros((4, 4)), variance=np.zeros((4, 5)))


@pytest.mark.parametrize("name", ALL_MEASUREMENTS)
def test_all_measurements_exist(name):
    assert find_measurement(name)


def test_images_of_rubin_s_package_are_taken(stars):
    lsst = pytest.importorskip("lsst.images")
    from etendue.middleware.lsst_images import to_masked_image

    pixels, x, y, _ = stars
    masked = to_masked_image(as_exposure(pixels - SKY - 30.0, gain=GAIN))
    assert isinstance(masked, lsst.MaskedImage)
    assert len(measure(masked, x, y, psf=PSF).table) == x.size
