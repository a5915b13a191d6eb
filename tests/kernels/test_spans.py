import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from etendue.kernels.spans import paint_grown

SHAPE = (7, 9)


@given(
    runs=st.lists(
        st.tuples(st.integers(-3, 9), st.integers(-3, 10), st.integers(1, 4), st.integers(-1, 3)),
        min_size=0,
        max_size=5,
    )
)
def test_painted_runs_are_all_pixels_within_their_reach(runs: list[tuple[int, int, int, int]]) -> None:
    y, x0, length, reach = np.array(runs, np.int64).reshape(-1, 4).T
    where = np.zeros(SHAPE, bool)
    paint_grown(*(np.ascontiguousarray(column) for column in (y, x0, x0 + length, reach)), where)
    rows, cols = np.indices(SHAPE)
    expected = np.zeros(SHAPE, bool)
    for run_y, first, n, far in runs:
        across = np.maximum(np.maximum(first - cols, cols - (first + n - 1)), 0)
        expected |= (np.abs(rows - run_y) <= far) & (across <= far)
    np.testing.assert_array_equal(where, expected)
