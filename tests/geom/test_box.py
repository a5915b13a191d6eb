import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.box import Box, Interval

limits = st.integers(-50, 50)
intervals = st.tuples(limits, limits).map(lambda pair: Interval(min(pair), max(pair)))
boxes = st.builds(Box, y=intervals, x=intervals)


def pixels(box):
    return {(y, x) for y in range(box.y.start, box.y.stop) for x in range(box.x.start, box.x.stop)}


@given(boxes, boxes)
def test_intersection_holds_the_shared_pixels(a, b):
    assert a.intersection(b).area == len(pixels(a) & pixels(b))
    assert a.contains_box(b) == (pixels(b) <= pixels(a))


@given(boxes, boxes)
def test_union_is_the_smallest_box_around_both(a, b):
    union = a.union(b)
    assert union.contains_box(a)
    assert union.contains_box(b)
    both = pixels(a) | pixels(b)
    if both:
        y, x = np.array(sorted(both)).T
        assert union.to_list() == [y.min(), y.max() + 1, x.min(), x.max() + 1]


@given(boxes, st.integers(-60, 20))
def test_shrinking_too_far_leaves_nothing(box, n):
    assert box.dilated(n).shape == tuple(max(0, size + 2 * n) for size in box.shape)


@given(boxes)
def test_survives_json(box):
    assert Box.from_list(box.to_list()) == box


def test_a_pixel_covers_half_a_pixel_on_each_side():
    box = Box.from_shape((2, 3), y0=10, x0=20)
    np.testing.assert_array_equal(
        box.contains(x=[19.5, 19.49, 22.49, 22.5, np.nan], y=[9.5, 10, 11.49, 11, 10]),
        [True, False, True, False, False],
    )
    assert (box.x.min, box.x.max, box.x.size, box.x.center) == (20, 22, 3, 21.0)


def test_corners_are_pixel_edges():
    x, y = Box.from_shape((2, 3), y0=10, x0=20).corners()
    assert (x.tolist(), y.tolist()) == ([19.5, 22.5, 22.5, 19.5], [9.5, 9.5, 11.5, 11.5])


def test_slices_pick_the_box_out_of_its_parent():
    parent, box = Box.from_shape((40, 50), y0=5, x0=-3), Box.from_list([7, 9, 0, 4])
    y, x = np.mgrid[5:45, -3:47]
    assert y[box.slices_in(parent)][0, 0] == 7
    assert x[box.slices_in(parent)].tolist() == [[0, 1, 2, 3]] * 2
    with pytest.raises(InputError, match=r"\[0, 9, 0, 4\] is not inside \[5, 45, -3, 47\]"):
        Box.from_list([0, 9, 0, 4]).slices_in(parent)


def test_boxes_around_points():
    assert Box.around(x=10.2, y=20.0, width=5).to_list() == [18, 23, 8, 13]
    assert Box.containing(x=[1.4, 3.6, np.nan], y=[0.0, -2.5, 9]).to_list() == [-2, 1, 1, 5]
    assert Box.containing(x=[], y=[]).is_empty


def test_backward_intervals_are_refused():
    with pytest.raises(InputError, match=r"\(3, 2\)"):
        Interval(3, 2)
