import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import ndimage

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.footprint import Footprint, FootprintSet, Peaks, SpanSet

seeds = st.integers(0, 2**32 - 1)


def field(seed, density):
    rng = np.random.default_rng(seed)
    detection = rng.normal(size=(13, 17)).astype(np.float32)
    labels = ndimage.label(rng.random(detection.shape) < density)[0]
    return labels, detection


@given(seeds, st.floats(0, 1))
def test_spans_of_a_mask_cover_exactly_its_pixels(seed, density):
    where = np.random.default_rng(seed).random((9, 12)) < density
    spans, box = SpanSet.from_mask(where, y0=5, x0=-4), Box.from_shape((9, 12), y0=5, x0=-4)
    assert_array_equal(spans.mask(box), where)
    x, y = spans.pixels()
    assert_array_equal(np.argwhere(where), np.stack([y - 5, x + 4], axis=1))
    assert spans.area == where.sum()
    assert spans.bbox.area == 0 or box.contains_box(spans.bbox)


@given(seeds, st.floats(0, 0.9))
def test_footprints_of_labels_are_the_labels(seed, density):
    labels, detection = field(seed, density)
    footprints, box = FootprintSet.from_labels(labels, detection, y0=2, x0=3), Box.from_shape(labels.shape, y0=2, x0=3)
    assert len(footprints) == labels.max()
    assert_array_equal(footprints.areas(), np.bincount(labels.ravel(), minlength=len(footprints) + 1)[1:])
    assert_array_equal(footprints.mask(box), labels > 0)
    for index in range(len(footprints)):
        one = footprints[index]
        assert isinstance(one, Footprint)
        own = labels == index + 1
        assert_array_equal(one.spans.mask(box), own)
        assert abs(one.peaks.value[0]) == np.abs(detection[own]).max()
        assert detection[one.peaks.y[0] - 2, one.peaks.x[0] - 3] == one.peaks.value[0]


def test_joined_sets_keep_their_order():
    first, second = (FootprintSet.from_labels(*field(seed, 0.3)) for seed in (1, 2))
    joined = FootprintSet.concat([first, second])
    assert len(joined) == len(first) + len(second)
    assert_array_equal(joined[len(first)].spans.pixels(), second[0].spans.pixels())


def test_the_highest_peak_comes_first():
    spans = SpanSet.from_box(Box.from_shape((2, 3)))
    footprints = FootprintSet(spans, [0, 0], Peaks([0, 2], [0, 1], [1.0, -5.0]), [0, 0], 1)
    assert footprints[0].peaks.value.tolist() == [-5.0, 1.0]
    with pytest.raises(IndexError):
        footprints[1]


def test_inconsistent_columns_are_refused():
    spans, peaks = SpanSet([0], [1], [4]), Peaks([1], [0], [2.0])
    with pytest.raises(InputError, match="empty"):
        SpanSet([0], [4], [4])
    with pytest.raises(InputError, match="1, 2, 1"):
        SpanSet([0], [4, 5], [6])
    with pytest.raises(InputError, match="1, 1, 0"):
        Peaks([0], [4], [])
    with pytest.raises(InputError, match="span_owner has 2 rows"):
        FootprintSet(spans, [0, 0], peaks, [0], 1)
    with pytest.raises(InputError, match="peak_owner must ascend within 0 to 0"):
        FootprintSet(spans, [0], peaks, [1], 1)
