"""Detection kernels: definitions, oracles and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from etendue.kernels.convolve import correlate
from etendue.kernels.detect import (
    connected_spans,
    grown_spans,
    is_empty,
    masked_spans,
    matched_filter,
    owner_at,
    paint_spans,
    peaks_in_spans,
    span_owners,
    spans_above,
    stands_out,
)
from etendue.kernels.local_background import cell_medians, cells_at, local_background, subtract_cells


def gaussian(size, sigma):
    offset = np.arange(size) - size // 2
    stamp = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / sigma**2)
    return (stamp / stamp.sum()).astype(np.float32)


def test_correlation_agrees_with_scipy():
    rng = np.random.default_rng(1)
    image, kernel = rng.normal(size=(40, 53)).astype(np.float32), rng.normal(size=(5, 5)).astype(np.float32)
    expected = ndimage.correlate(image, kernel, mode="constant")
    np.testing.assert_allclose(correlate(image, kernel), expected, atol=1e-4)


def test_matched_filter_agrees_with_the_definition_at_one_pixel():
    rng = np.random.default_rng(2)
    image = rng.normal(size=(30, 31)).astype(np.float32)
    variance = rng.uniform(0.5, 2.0, (30, 31)).astype(np.float32)
    bad = rng.random((30, 31)) < 0.1
    psf = gaussian(7, 1.2)
    cut = (slice(12, 19), slice(9, 16))
    weight = np.where(bad, 0.0, 1.0 / variance)[cut]
    expected = (psf * image[cut] * weight).sum() / np.sqrt((psf**2 * weight).sum())
    assert matched_filter(image, variance, bad, psf)[15, 12] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [5, 7, 17])
def test_matched_filter_is_two_correlations_where_enough_of_the_psf_is_covered(size):
    rng = np.random.default_rng(4)
    image = rng.normal(size=(80, 70)).astype(np.float32)
    variance = rng.uniform(0.5, 2.0, image.shape).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[10:14, 20:60] = bad[40, 3] = True  # rows with holes, rows without, and holes again
    psf = gaussian(size, size / 6)
    weight, good = np.where(bad, 0.0, 1.0 / variance), (~bad).astype(float)
    sums = [
        ndimage.correlate(plane, kernel.astype(float), mode="constant")
        for plane, kernel in ((image * weight, psf), (weight, psf**2), (good, psf**2))
    ]
    expected = np.where(sums[2] > 0.1 * np.sum(psf**2), sums[0] / np.sqrt(np.maximum(sums[1], 1e-30)), 0.0)
    np.testing.assert_allclose(matched_filter(image, variance, bad, psf), expected, atol=1e-5)


def test_noise_has_unit_significance_scatter():
    image = np.random.default_rng(3).normal(0.0, 3.0, (300, 300)).astype(np.float32)
    significance = matched_filter(image, np.full_like(image, 9.0), np.zeros(image.shape, bool), gaussian(9, 1.0))
    assert significance.std() == pytest.approx(1.0, abs=0.02)


def test_a_bad_region_has_no_significance():
    image, bad = np.ones((50, 50), np.float32), np.zeros((50, 50), bool)
    bad[:, :20] = True
    assert not matched_filter(image, image, bad, gaussian(5, 0.8))[:, :15].any()


def test_finds_each_peak_once_and_to_a_tenth_of_a_pixel():
    image = np.zeros((60, 80), np.float32)
    rows, cols = np.mgrid[:60, :80]
    truth = [(20.3, 15.7), (50.8, 40.2), (52.9, 44.8)]
    for x, y in truth:
        image += 10 * np.exp(-0.5 * ((cols - x) ** 2 + (rows - y) ** 2) / 1.3**2).astype(np.float32)
    x, y, value = peaks_in_spans(image, *spans_above(image, 5.0))
    np.testing.assert_allclose(sorted(zip(x, y, strict=True)), truth, atol=0.15)
    assert (value > 9.0).all()


@settings(max_examples=40)
@given(hnp.arrays(np.float32, (12, 14), elements=st.integers(0, 4).map(float)))
def test_no_two_peaks_are_neighbours_even_on_plateaus(image):
    image = np.ascontiguousarray(image)
    x, y, _ = peaks_in_spans(image, *spans_above(image, 1.0))
    points = np.rint(np.stack([x, y], axis=1))
    distance = np.abs(points[:, None] - points).max(axis=2)
    assert (distance[~np.eye(len(points), dtype=bool)] > 1).all()


@settings(max_examples=60)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_connected_spans_agree_with_scipy_labels(above):
    y, x0, x1, owner = connected_spans(np.ascontiguousarray(above))
    painted = np.zeros(above.shape, int)
    for row, start, stop, region in zip(y, x0, x1, owner, strict=True):
        painted[row, start:stop] = region + 1
    labels, n = ndimage.label(above, np.ones((3, 3)))
    assert (painted > 0).tolist() == above.tolist()
    assert len({*zip(painted[above].tolist(), labels[above].tolist(), strict=True)}) == n
    inside = np.argwhere(above)
    rows, cols = (np.ascontiguousarray(column) for column in inside.T)
    np.testing.assert_array_equal(owner_at(y, x0, x1, owner, cols, rows) + 1, painted[above])
    assert (owner_at(y, x0, x1, owner, np.array([-1, 20]), np.array([0, 0])) == -1).all()


def test_a_bump_in_a_bright_wing_is_refused_and_a_real_companion_kept():
    profile = np.array([1.0, 0.8, 0.4, 0.1, 0.02, 0.0])
    x, y = np.array([10.0, 13.0, 30.0, 33.0]), np.array([10.0, 10.0, 10.0, 10.0])
    value = np.array([100.0, 14.0, 100.0, 40.0])
    assert stands_out(x, y, value, profile, 5.0, 0.3).tolist() == [True, False, True, True]


def test_cell_medians_are_medians_of_usable_pixels():
    rng = np.random.default_rng(4)
    image, bad = rng.normal(size=(20, 25)), rng.random((20, 25)) < 0.3
    medians = cell_medians(image, bad, 10)
    assert medians.shape == (2, 3)
    assert medians[1, 0] == np.median(image[10:, :10][~bad[10:, :10]])
    assert medians[0, 2] == np.median(image[:10, 20:][~bad[:10, 20:]])


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 9), st.integers(2, 9)),
        elements=st.sampled_from([-1e6, -2.5, 0.0, 1.0, 1.0 + 1e-12, 3.0, 4e9]) | st.floats(-1e3, 1e3),
    )
)
def test_cell_medians_are_exact(image):
    cell = max(image.shape)
    usable = 4 * image.size >= cell * cell
    assert cell_medians(image, np.zeros(image.shape, bool), cell)[0, 0] == (np.median(image) if usable else 0.0)


def test_cell_values_at_points_are_those_subtracted_from_pixels():
    medians = np.random.default_rng(9).normal(size=(4, 5))
    image = np.zeros((37, 49))
    subtract_cells(image, medians, 10)
    rows, cols = (axis.ravel() for axis in np.mgrid[:37, :49])
    np.testing.assert_allclose(cells_at(medians, 10, cols, rows), -image.ravel(), atol=1e-12)
    one = np.zeros((5, 6))
    subtract_cells(one, np.full((1, 1), 2.0), 10)
    np.testing.assert_array_equal(one, -2.0)


def test_local_background_reproduces_a_plane_between_cell_centres():
    rows, cols = np.mgrid[:60, :80]
    plane = 3.0 + 0.1 * rows - 0.2 * cols
    background = local_background(plane, np.zeros(plane.shape, bool), 10)
    np.testing.assert_allclose(background[5:55, 5:75], plane[5:55, 5:75], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(ny=st.integers(1, 9), nx=st.integers(1, 50), seed=st.integers(0, 1000), share=st.sampled_from([0.02, 0.5, 0.9]))
def test_spans_above_a_threshold_are_those_of_the_boolean_image(ny, nx, seed, share):
    image = (1.0 + (np.random.default_rng(seed).random((ny, nx)) < share)).astype(np.float32)
    spans = spans_above(image, 1.5)
    expected = connected_spans(image >= 1.5)
    for found, wanted in zip((*spans, span_owners(*spans)), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    mask = np.zeros(image.shape, np.int32)
    paint_spans(mask, *spans, 4)
    np.testing.assert_array_equal(mask == 4, image >= 1.5)
    for found, wanted in zip(masked_spans(mask | 1, 4), spans, strict=True):
        np.testing.assert_array_equal(found, wanted)
    square = ndimage.binary_dilation(image >= 1.5, np.ones((5, 5)))
    np.testing.assert_array_equal(grown_spans(*spans, 2, *image.shape), square)
    y, x = (axis.ravel() for axis in np.indices(image.shape))
    near = ndimage.binary_dilation(image >= 1.5, np.ones((3, 3)), border_value=0)
    near[[0, -1]] = near[:, [0, -1]] = True
    np.testing.assert_array_equal(is_empty(mask, 4, x, y, 1), ~near.ravel())
