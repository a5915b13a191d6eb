import numpy as np
import pytest

from etendue.camera.segments import Segments
from etendue.errors import AlgorithmError
from etendue.tasks.readout.overscan import SubtractOverscanTask
from etendue.tasks.readout.parallel_overscan import SubtractParallelOverscanConfig, SubtractParallelOverscanTask


def segments_with_columns(make_ccd, make_chip, expose, bias, pattern, seed=1):
    """Return segments above the serial overscan whose columns of light differ, and the pattern of each amplifier."""
    ccd = make_ccd(make_chip(), read_noise={}, bias=bias)
    segments = Segments.of(expose(ccd, np.zeros(ccd.shape), seed), ccd.detector)
    SubtractOverscanTask().run(segments)
    for number, order in enumerate(segments.orders):
        segments.array[number][:, order.data[1]] += pattern
    return segments


def subtract(segments, **config):
    return SubtractParallelOverscanTask(SubtractParallelOverscanConfig(**config)).run(segments)


def test_nothing_happens_unless_asked_for(make_ccd, make_chip, expose, even_bias):
    segments = segments_with_columns(make_ccd, make_chip, expose, even_bias, np.arange(64.0))
    before = segments.array.copy()
    assert SubtractParallelOverscanTask().run(segments) == ()
    assert (segments.array == before).all()


@pytest.mark.parametrize(("method", "left"), [("line", 1.3), ("spline", 0.8), ("running_median", 1.3)])
def test_columns_that_drift_are_levelled(make_ccd, make_chip, expose, even_bias, method, left):
    pattern = 20.0 * np.sin(np.arange(64) / 30.0)
    segments = segments_with_columns(make_ccd, make_chip, expose, even_bias, pattern)
    records = subtract(segments, method=method)
    assert len(records) == 4
    assert records[0].drift == pytest.approx(np.std(pattern), rel=0.15)
    for number in range(4):
        assert segments.data(number).mean(axis=0).std() < left


def test_a_column_that_bleeds_into_the_overscan_takes_its_neighbours_level(make_ccd, make_chip, expose, even_bias):
    segments = segments_with_columns(make_ccd, make_chip, expose, even_bias, np.zeros(64))
    rows, columns = segments.orders[1].data
    segments.array[1][40 : rows.stop + 12, columns.start + 20] += 59000.0
    record = subtract(segments, method="line")[1]
    assert record.lines_filled == 1
    assert abs(segments.data(1)[:40, 20].mean()) < 3.0


def test_an_overscan_without_values_defeats_the_method(make_ccd, make_chip, expose, even_bias):
    segments = segments_with_columns(make_ccd, make_chip, expose, even_bias, np.zeros(64))
    segments.array[2][segments.orders[2].overscan_rows()] = np.nan
    with pytest.raises(AlgorithmError, match="amplifier=A2"):
        subtract(segments, method="median")
