import numpy as np
import pytest

from etendue.kernels.overscan import line_levels, running_median, spline_levels


def test_line_levels_are_unbiased_and_ignore_outliers():
    rng = np.random.default_rng(2)
    pixels = np.rint(rng.normal(1622.3, 1.17, (4000, 40))).astype(np.float32)
    pixels[:, 39] = 962.0
    pixels[:, 38] = np.nan
    level, scatter, used = line_levels(pixels, 4.0, 3)
    error = 1.17 / 38**0.5
    assert abs(level.mean() - 1622.3) < 4.0 * error / level.size**0.5
    assert level.std() < 1.1 * error
    assert np.median(scatter) == pytest.approx(np.hypot(1.17, 12**-0.5), rel=0.03)
    assert used.max() == 38


def test_a_line_without_values_has_no_level():
    pixels = np.array([[np.nan, np.inf], [3.0, 3.0]], np.float32)
    level, scatter, used = line_levels(pixels, 4.0, 3)
    assert np.isnan(level[0])
    assert np.isnan(scatter[0])
    assert used.tolist() == [0, 2]
    assert level[1] == 3.0


def transient(rng, size=500):
    level = 1600.0 + rng.normal(0.0, 0.2, size)
    level[:15] -= 1000.0 * np.exp(-np.arange(15) / 4.0)
    level[200] += 30.0
    return level


def test_a_running_median_keeps_lines_that_truly_differ():
    level = transient(np.random.default_rng(3))
    smooth = running_median(level, width=31, error=0.2, clip=4.0)
    assert (smooth[[*range(15), 200]] == level[[*range(15), 200]]).all()
    assert smooth[230:].std() < 0.08
    assert (running_median(level, width=1, error=0.2, clip=4.0) == level).all()


def test_a_spline_is_less_noisy_than_a_running_median():
    level = np.random.default_rng(3).normal(0.0, 0.2, 4000)
    spline = spline_levels(level, spacing=50, error=0.2, clip=4.0)
    assert spline.std() < 0.8 * running_median(level, width=31, error=0.2, clip=4.0).std()


def test_a_spline_keeps_transients_jumps_and_odd_lines():
    level = transient(np.random.default_rng(3), 1000)
    level[600:] += 5.0
    truth = np.full(1000, 1600.0) + 5.0 * (np.arange(1000) >= 600)
    spline = spline_levels(level, spacing=50, error=0.2, clip=4.0)
    assert (spline[[*range(13), 200]] == level[[*range(13), 200]]).all()
    assert (spline - truth)[100:180].std() < 0.1
    assert np.abs(spline - truth)[570:640].max() < 1.0


@pytest.mark.parametrize("size", [0, 1, 7, 30, 31, 40])
def test_short_regions_have_levels(size):
    level = np.full(size, 7.0)
    np.testing.assert_allclose(spline_levels(level, spacing=50, error=0.2, clip=4.0), level)
