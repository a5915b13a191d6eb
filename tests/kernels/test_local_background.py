"""What is left of the background on a small scale, and what noise makes of it."""

import numpy as np

from etendue.kernels.local_background import cell_levels, cell_medians, significant_levels

CELL = 24


def levels(added, seed=1, bad=None):
    """Return levels of noise of unit variance with something added, their errors, and the pixels."""
    image = np.random.default_rng(seed).normal(0.0, 1.0, added.shape) + added
    bad = np.zeros(image.shape, bool) if bad is None else bad
    return (*cell_levels(image, np.ones(image.shape), bad, CELL), image)


def test_levels_are_medians_and_their_errors_hold():
    level, error, image = levels(np.zeros((40 * CELL, 40 * CELL)))
    np.testing.assert_array_equal(level, cell_medians(image, np.zeros(image.shape, bool), CELL))
    np.testing.assert_allclose(error, np.sqrt(0.5 * np.pi) / CELL)
    assert abs(np.std(level / error) - 1.0) < 4.0 / np.sqrt(2.0 * level.size)


def test_cells_without_pixels_have_no_error_and_no_level():
    bad = np.zeros((8 * CELL, 8 * CELL), bool)
    bad[: 2 * CELL] = True
    level, error, _ = levels(np.full(bad.shape, 3.0), bad=bad)
    assert np.isinf(error[:2]).all()
    assert (level[:2] == 0.0).all()
    kept = significant_levels(level, error, 2.5)
    np.testing.assert_allclose(kept, 3.0, atol=0.3)  # blocks around tell


def test_flat_sky_is_left_alone():
    level, error, _ = levels(np.zeros((40 * CELL, 40 * CELL)))
    kept = significant_levels(level, error, 2.5)
    assert np.mean(kept == 0.0) > 0.8
    assert kept.std() < 0.2 * level.std()


def test_what_is_faint_but_wide_and_what_is_small_but_clear_is_kept():
    wide, small = np.full((40 * CELL, 40 * CELL), 0.1), np.zeros((40 * CELL, 40 * CELL))
    small[8 * CELL : 9 * CELL, 8 * CELL : 9 * CELL] = 1.0
    kept = significant_levels(*levels(wide)[:2], 2.5)
    assert 0.08 < kept.mean() < 0.1
    assert significant_levels(*levels(small)[:2], 2.5)[8, 8] > 0.9
