"""Separable matched filter and the peaks of noise: definitions and statistics."""

import numpy as np
import pytest
from scipy import ndimage

from etendue.kernels.convolve import correlate
from etendue.kernels.detect import matched_filter
from etendue.kernels.local_background import significant_sky, subtract_cells
from etendue.kernels.matched_filter import TILE, filter_bank, significance_map
from etendue.kernels.noise_peaks import NoisePeaks, filter_correlation


def moffat(fwhm, size=31):
    offset = np.arange(size) - size // 2
    radius2 = (1.1 * offset[:, None]) ** 2 + offset**2 + 0.3 * offset[:, None] * offset
    stamp = (1.0 + radius2 / (fwhm / 1.02) ** 2) ** -3.0
    return stamp / stamp.sum()


def significance(image, variance, mask, bank, *, cells=None, cell=0, slope=0.0, top=0, rows=None):
    out = np.empty((rows or image.shape[0], image.shape[1]), np.float32)
    cells = np.zeros((1, 1)) if cells is None else cells
    scatter = np.ones(len(bank.rows), np.float32)
    significance_map(
        image, variance, mask, 1, cells, cell, np.float32(slope), bank.columns, bank.rows, scatter, bank.patch,
        bank.across, top, out,
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(5)
    shape = (TILE + 90, 2 * TILE + 33)
    image = rng.normal(size=shape).astype(np.float32)
    variance = rng.uniform(0.5, 2.0, shape).astype(np.float32)
    variance[:, :200] = 1.3  # smooth tiles, rough ones, and some with holes
    mask = np.zeros(shape, np.int32)
    mask[40:44, 20:60] = mask[:, 250] = 1
    return image, variance, mask


def test_tiles_agree_with_the_matched_filter_of_their_kernel(noise):
    image, variance, mask = noise
    bank = filter_bank(moffat(3.0)[None], 4096, 1, 1e-3)
    expected = matched_filter(image, variance, mask > 0, np.ascontiguousarray(bank.kernels()[0]))
    np.testing.assert_allclose(significance(image, variance, mask, bank), expected, atol=2e-5)
    np.testing.assert_allclose(significance(image, variance, mask, bank, top=17, rows=101), expected[17:118], atol=2e-5)


def test_the_local_sky_is_subtracted_as_on_an_image(noise):
    image, variance, mask = noise
    bank = filter_bank(moffat(3.0)[None], 4096, 1, 1e-3)
    cells = np.random.default_rng(1).normal(size=(-(-image.shape[0] // 24), -(-image.shape[1] // 24)))
    flat = image.astype(float)
    subtract_cells(flat, cells, 24)
    expected = matched_filter(flat.astype(np.float32), variance, mask > 0, np.ascontiguousarray(bank.kernels()[0]))
    np.testing.assert_allclose(significance(image, variance, mask, bank, cells=cells, cell=24), expected, atol=5e-5)


@pytest.mark.parametrize("loss", [1e-4, 1e-3, 1e-2])
def test_a_filter_keeps_the_signal_it_promises(loss):
    psf = moffat(3.3)
    bank = filter_bank(psf[None], 4096, 1, loss)
    kernel = bank.kernels()[0]
    margin = (psf.shape[0] - kernel.shape[0]) // 2
    full = np.pad(kernel, margin)
    assert 1.0 - np.sum(full * psf) / np.sqrt(np.sum(full**2) * np.sum(psf**2)) <= loss


def test_patches_take_their_own_filter():
    stamps = np.stack([moffat(2.0), moffat(4.0)])
    bank = filter_bank(stamps, TILE, 2, 1e-3)
    image = np.zeros((TILE, 2 * TILE), np.float32)
    one, mask = np.ones_like(image), np.zeros(image.shape, np.int32)
    for x, psf in ((60, stamps[0]), (TILE + 60, stamps[1])):
        image[60 - 15 : 76, x - 15 : x + 16] = psf
    best = 1.0 / np.sqrt(np.sum(stamps**2, axis=(1, 2)))
    peaks = significance(image, one, mask, bank)[60, [60, TILE + 60]]
    np.testing.assert_allclose(peaks * best, 1.0, rtol=2e-3)


def test_small_local_sky_counts_only_where_it_is_significant():
    rng = np.random.default_rng(3)
    image = rng.normal(0.0, 2.0, (240, 240)).astype(np.float32)
    image[96:168, 96:168] += 3.0
    variance, mask = np.full_like(image, 4.0), np.zeros(image.shape, np.int32)
    sky = significant_sky(image, variance, mask, 1, 24, 2, 3.0)
    assert np.abs(sky[4:7, 4:7] - 3.0).max() < 1.2
    outside = np.ones(sky.shape, bool)
    outside[4:7, 4:7] = False
    assert (sky[outside] == 0.0).mean() > 0.95
    mask[:100, :100] = 1
    assert not significant_sky(image, variance, mask, 1, 24, 2, 3.0)[:4, :4].any()


def test_noise_peaks_are_as_many_as_a_simulation_has():
    rng = np.random.default_rng(8)
    offset = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 1.2**2).astype(np.float32)
    peaks = NoisePeaks(filter_correlation(kernel)[0])
    field = correlate(rng.normal(size=(900, 900)).astype(np.float32), kernel) / np.sqrt(np.sum(kernel**2))
    inner = field[10:-10, 10:-10]
    maxima = (field == ndimage.maximum_filter(field, 3))[10:-10, 10:-10]
    for level in (2.0, 3.0):
        expected = peaks.above(level) * inner.size
        assert abs(np.sum(maxima & (inner > level)) - expected) < 4.0 * np.sqrt(expected)
    assert peaks.above(peaks.level(1e-5)) == pytest.approx(1e-5, rel=1e-3)
    assert peaks.level(1.0) == 0.0


def test_correlated_noise_scatters_as_the_factor_says():
    rng = np.random.default_rng(9)
    blur = np.outer([0.3, 1.0, 0.3], [0.3, 1.0, 0.3])
    blur /= np.sqrt(np.sum(blur**2))
    white = rng.normal(size=(800, 800)).astype(np.float32)
    image = correlate(white, blur.astype(np.float32))
    rho = ndimage.convolve(np.pad(blur, 1), blur[::-1, ::-1], mode="constant")
    kernel = moffat(3.0, 15)
    _, factor = filter_correlation(kernel, rho)
    filtered = correlate(image, np.ascontiguousarray(kernel, np.float32))[10:-10, 10:-10]
    assert filtered.std() == pytest.approx(np.sqrt(factor * np.sum(kernel**2)), rel=0.02)
