"""Boxes do not touch, lines go downwards, and few of them cross."""

import itertools

import networkx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.qa.pipeline_plot import Box, _isotonic, arrange, crossings, pipeline_plot, width_of


@st.composite
def graphs(draw):
    """Return widths and lines of a graph without cycles."""
    n = draw(st.integers(1, 12))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    lines = draw(st.lists(st.sampled_from(pairs), max_size=20, unique=True)) if pairs else []
    widths = {f"b{i}": draw(st.floats(0.3, 3.0)) for i in range(n)}
    return widths, [(f"b{i}", f"b{j}") for i, j in lines]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_boxes_do_not_touch_and_lines_go_downwards(graph):
    widths, lines = graph
    layout = arrange(widths, lines)
    for above, below in lines:
        assert layout.place[above][1] < layout.place[below][1]
    for one, other in itertools.combinations(widths, 2):
        (x0, y0), (x1, y1) = layout.place[one], layout.place[other]
        assert y0 != y1 or abs(x0 - x1) > 0.5 * (widths[one] + widths[other])
    for name, (x, y) in layout.place.items():
        assert 0.5 * widths[name] <= x <= layout.width - 0.5 * widths[name]
        assert 0 < y < layout.height


def test_two_crossed_lines_are_uncrossed():
    layout = arrange(dict.fromkeys("abcd", 1.0), [("a", "d"), ("b", "c")])
    assert (layout.place["a"][0] < layout.place["b"][0]) == (layout.place["d"][0] < layout.place["c"][0])


def test_crossings_are_counted():
    graph = networkx.DiGraph([("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")])
    assert crossings(graph, "ab", "xy") == 1
    assert crossings(networkx.DiGraph([("a", "y"), ("b", "x")]), "ab", "xy") == 1
    assert crossings(networkx.DiGraph([("a", "x"), ("b", "y")]), "ab", "xy") == 0


def test_a_source_stands_just_above_its_first_reader():
    layout = arrange(dict.fromkeys("abcs", 1.0), [("a", "b"), ("b", "c"), ("s", "c")])
    assert layout.place["s"][1] == layout.place["b"][1]


def test_a_long_line_goes_around_the_boxes_between():
    layout = arrange(dict.fromkeys("abc", 1.0), [("a", "b"), ("b", "c"), ("a", "c")])
    [(x, y)] = layout.bends["a", "c"]
    assert y == layout.place["b"][1]
    assert abs(x - layout.place["b"][0]) > 0.5


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_the_isotonic_fit_never_falls_and_keeps_the_mean(values):
    fitted = _isotonic(np.asarray(values))
    assert (np.diff(fitted) >= -1e-12).all()
    np.testing.assert_allclose(fitted.mean(), np.mean(values), atol=1e-9)


def test_a_picture_is_the_same_every_time():
    boxes = [Box("raw", "input", "exposure"), Box("work", "task"), Box("result", "output")]
    lines = [("raw", "work"), ("work", "result")]
    first, again = (pipeline_plot(boxes, lines, title="x", dashed=lines[:1]) for _ in range(2))
    assert first == again
    assert first.startswith(b"\x89PNG")
    assert b"<svg" in pipeline_plot(boxes, lines, title="x", vector=True)
    assert width_of(boxes[0]) > width_of(Box("raw", "input"))
