from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space

from etendue.kernels.warp import (
    FLUX_WEIGHT,
    SHIFT_WEIGHT,
    STAR_FWHM,
    kernel_table,
    warp_noise_covariance,
    warp_separable,
)

NO_DATA, EDGE, SAT = 256, 16, 2
TABLE = kernel_table()


def grid(shape, step, *, dx, dy, scale=1.0, shear=0.0):
    """Nodes of an affine mapping from target to source pixels."""
    y, x = np.meshgrid(
        step * np.arange(-(-shape[0] // step) + 1.0), step * np.arange(-(-shape[1] // step) + 1.0), indexing="ij"
    )
    return dx + scale * x + shear * y, dy + scale * y - shear * x, np.full(x.shape, scale**2 + shear**2)


def warp(image, variance=None, mask=None, *, step=16, shape=None, **mapping):
    shape = image.shape if shape is None else shape
    variance = np.ones_like(image) if variance is None else variance
    mask = np.zeros(image.shape, np.int32) if mask is None else mask
    nodes = grid(shape, step, **mapping)
    return warp_separable(image, variance, mask, *nodes, step, *shape, TABLE, NO_DATA | EDGE, NO_DATA, np.float32(0.1))


@cache
def slow_weights(phase):
    """The definition: stars on a fine grid instead of autocorrelations, and steps that keep the three moments."""
    x = np.arange(-30.0, 36.0, 0.05)
    rows, wanted = [], []
    for fwhm in STAR_FWHM:
        sigma = fwhm / 2.3548

        def star(at, sigma=sigma):
            return np.exp(-0.5 * ((x - at) / sigma) ** 2)

        target, drawn = star(phase), np.stack([star(k) for k in range(-2, 4)], axis=-1)
        slope = target * (x - phase) / sigma**2
        norm = np.sum(target**2)
        rows += [drawn / norm**0.5, FLUX_WEIGHT**0.5 * (target @ drawn)[None] / norm]
        rows += [SHIFT_WEIGHT**0.5 / sigma * (slope @ drawn)[None] / np.sum(slope**2)]
        wanted += [target / norm**0.5, [FLUX_WEIGHT**0.5], [0.0]]
    design, wanted = np.concatenate(rows), np.concatenate(wanted)
    moments = np.stack([(np.arange(-2, 4) - phase) ** m for m in range(3)])
    start = np.linalg.pinv(moments)[:, 0]
    steps = null_space(moments)
    best, *_ = np.linalg.lstsq(design @ steps, wanted - design @ start)
    return start + steps @ best


def slow_pixel(image, variance, x, y, area):
    column, row = int(np.floor(x)) - 2, int(np.floor(y)) - 2
    w = np.outer(slow_weights(y - row - 2), slow_weights(x - column - 2))
    patch = np.s_[row : row + 6, column : column + 6]
    return area * np.sum(w * image[patch]), area**2 * np.sum(w**2 * variance[patch])


def gaussian(shape, x, y, sigma):
    rows, cols = np.indices(shape)
    return (np.exp(-0.5 * ((cols - x) ** 2 + (rows - y) ** 2) / sigma**2) / (2 * np.pi * sigma**2)).astype(np.float32)


def test_agrees_with_the_definition():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(60, 70)).astype(np.float32)
    variance = rng.uniform(1.0, 2.0, size=(60, 70)).astype(np.float32)
    mapping = {"dx": 5.37, "dy": 6.81, "scale": 1.01, "shear": 0.02}
    out, out_variance, _ = warp(image, variance, shape=(40, 45), **mapping)
    for y, x in [(0, 3), (13, 31), (39, 44), (17, 3)]:
        xs, ys = 5.37 + 1.01 * x + 0.02 * y, 6.81 + 1.01 * y - 0.02 * x
        expected = slow_pixel(image, variance, xs, ys, 1.01**2 + 0.02**2)
        np.testing.assert_allclose((out[y, x], out_variance[y, x]), expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("phase", [0.0, 0.03, 0.25, 0.5, 0.77, 1.0])
def test_weights_are_those_of_the_definition(phase):
    table = kernel_table(100)
    np.testing.assert_allclose(table[round(100 * phase)], slow_weights(phase), atol=2e-6)


def test_weights_reproduce_parabolas():
    phase = np.linspace(0.0, 1.0, len(TABLE))
    taps = np.arange(-2.0, 4.0)
    np.testing.assert_allclose(TABLE.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(TABLE @ taps, phase, atol=1e-6)
    np.testing.assert_allclose(TABLE @ taps**2, phase**2, atol=2e-6)


def test_a_shift_by_whole_pixels_changes_nothing():
    image = np.random.default_rng(2).normal(size=(40, 40)).astype(np.float32)
    out, variance, mask = warp(image, shape=(20, 20), dx=8.0, dy=5.0)
    np.testing.assert_allclose(out, image[5:25, 8:28], atol=1e-6)
    np.testing.assert_allclose(variance, 1.0, atol=1e-6)
    assert not mask.any()


@pytest.mark.parametrize(
    ("fwhm", "shift_px", "scatter"), [(2.5, 2.5e-3, 1.5e-3), (3.5, 1e-3, 0.8e-3), (5.0, 1e-3, 3e-4)]
)
def test_windowed_positions_and_psf_fluxes_of_stars_hardly_depend_on_the_phase(fwhm, shift_px, scatter):
    sigma = fwhm / 2.3548
    shifts, fluxes = [], []
    for dx in np.linspace(0.0, 1.0, 11):
        out = np.nan_to_num(warp(gaussian((61, 61), 30.0, 30.0, sigma), dx=dx, dy=0.0)[0]).astype(np.float64)
        expected = gaussian((61, 61), 30.0 - dx, 30.0, sigma).astype(np.float64)
        window = out * expected
        shifts.append(2.0 * (window * (np.arange(61) - 30.0 + dx)).sum() / window.sum())
        fluxes.append((expected * out).sum() / (expected**2).sum())
    assert np.max(np.abs(shifts)) < shift_px
    assert np.std(fluxes) < scatter


@settings(max_examples=20, deadline=None)
@given(dx=st.floats(-1.0, 1.0), dy=st.floats(-1.0, 1.0))
def test_keeps_flux_and_centroid_under_subpixel_shifts(dx, dy):
    out, _, _ = warp(gaussian((61, 61), 30.0, 30.0, 1.3), dx=dx, dy=dy)
    out = np.nan_to_num(out).astype(np.float64)
    rows, cols = np.indices(out.shape)
    assert out.sum() == pytest.approx(1.0, abs=1e-4)
    assert (out * cols).sum() == pytest.approx(30.0 - dx, abs=3e-3)
    assert (out * rows).sum() == pytest.approx(30.0 - dy, abs=3e-3)


@pytest.mark.parametrize(("scale", "tolerance"), [(1.01, 2e-4), (0.99, 2e-4), (0.9, 3e-3)])
def test_keeps_flux_when_the_pixel_scale_changes(scale, tolerance):
    # Far from scale 1 the remnant of the first spectral replica beats with the new grid.
    out, _, _ = warp(gaussian((101, 101), 50.0, 50.0, 2.0), dx=10.3, dy=10.2, scale=scale, shape=(80, 80))
    assert np.nansum(out) == pytest.approx(1.0, abs=tolerance)


def test_is_linear():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 50, 50)).astype(np.float32)
    mapping = {"dx": 3.3, "dy": 4.4, "shape": (40, 40)}
    combined = warp(a + 2 * b, **mapping)[0]
    np.testing.assert_allclose(combined, warp(a, **mapping)[0] + 2 * warp(b, **mapping)[0], atol=2e-5)


def test_variance_is_that_of_the_pixels():
    rng = np.random.default_rng(4)
    samples = np.array(
        [warp(rng.normal(size=(64, 64)).astype(np.float32), dx=4.37, dy=5.21, shape=(50, 50))[0] for _ in range(40)]
    )
    predicted = warp(np.zeros((64, 64), np.float32), dx=4.37, dy=5.21, shape=(50, 50))[1]
    n = samples.size / 2.0  # neighbours are correlated
    assert abs(samples.var() / predicted.mean() - 1.0) < 4 * (2 / n) ** 0.5


def test_noise_covariance_is_that_of_the_pixels():
    rng = np.random.default_rng(5)
    out = warp(rng.normal(size=(420, 420)).astype(np.float32), dx=8.37, dy=8.21, scale=1.003, shape=(400, 400))[0]
    at = rng.integers(0, 400, size=(2, 4000))  # whole pixels: their phases are what the output has
    corners_x = np.stack([8.37 + 1.003 * at[0] + d for d in (0.0, 1.003, 0.0)], axis=-1)
    corners_y = np.stack([8.21 + 1.003 * at[1] + d for d in (0.0, 0.0, 1.003)], axis=-1)
    covariance = warp_noise_covariance(corners_x, corners_y, np.ones((1, 1)), TABLE, 3)
    for dy, dx in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]:
        measured = np.mean(out[: 400 - dy, : 400 - dx] * out[dy:, dx:]) / 1.003**4
        assert covariance[3 + dy, 3 + dx] == pytest.approx(measured, abs=0.012)


def test_unusable_pixels_are_left_out_until_they_carry_the_weight():
    image = np.full((30, 30), 7.0, np.float32)
    mask = np.zeros((30, 30), np.int32)
    image[15, 15], mask[15, 15] = np.nan, NO_DATA
    out, _, out_mask = warp(image, mask=mask, dx=0.5, dy=0.5)
    near, far = (out[14, 14], out_mask[14, 14]), (out[14, 17], out_mask[14, 17])
    assert np.isnan(near[0])
    assert near[1] == NO_DATA
    assert far[0] == pytest.approx(7.0, rel=1e-6)
    assert far[1] == 0


def test_planes_of_usable_pixels_go_where_their_weight_is():
    mask = np.zeros((30, 30), np.int32)
    mask[15, 15] = SAT
    out, _, out_mask = warp(np.ones((30, 30), np.float32), mask=mask, dx=0.5, dy=0.5)
    assert np.isfinite(out[14, 14])
    assert sorted(map(tuple, np.argwhere(out_mask == SAT))) == [(14, 14), (14, 15), (15, 14), (15, 15)]


def test_outside_the_source_there_is_no_data():
    out, variance, mask = warp(np.ones((30, 30), np.float32), dx=-10.0, dy=0.0)
    assert np.isnan(out[:, :8]).all()
    assert np.isnan(variance[:, :8]).all()
    assert (mask[:, :8] == NO_DATA).all()
    np.testing.assert_allclose(out[:, 13:], 1.0, atol=1e-5)
