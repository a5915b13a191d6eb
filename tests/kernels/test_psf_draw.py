"""A B-spline PSF drawn anywhere in or beyond its stamp."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.kernels.psf import combine, draw_one, draw_value

SIZE, STEP, M = 31, 0.6, 61


def grid():
    offset = (np.arange(M) - 30) * STEP
    return np.exp(-0.5 * (offset**2 + offset[:, None] ** 2) / 1.3**2)


def drawn(dx, dy, *, dirt=np.nan):
    """Draw after leaving ``dirt`` in memory that the kernel may be given."""
    for _ in range(4):
        spoiled = np.full(M, dirt)
        del spoiled
    out = [np.full((SIZE, SIZE), np.nan) for _ in range(3)]
    draw_one(grid(), STEP, dx, dy, *out)
    return out


@given(dx=st.integers(-25, 25), dy=st.integers(-25, 25), x=st.floats(-0.5, 0.5), y=st.floats(-0.5, 0.5))
def test_a_star_away_from_the_centre_is_the_shifted_stamp(dx, dy, x, y):
    central, moved = drawn(x, y), drawn(x + dx, y + dy)
    inside = 9  # the grid ends 18 px from the star, the PSF is nil there
    rows = np.arange(SIZE)
    for before, after in zip(central, moved, strict=True):
        expected = np.zeros((SIZE, SIZE))
        to_y, to_x = (rows[(rows + d >= 0) & (rows + d < SIZE)] for d in (dy, dx))
        expected[np.ix_(to_y + dy, to_x + dx)] = before[np.ix_(to_y, to_x)]
        near = (np.abs(rows[:, None] - 15 - dy) <= inside) & (np.abs(rows - 15 - dx) <= inside)
        np.testing.assert_allclose(after[near], expected[near], atol=1e-12)
        np.testing.assert_allclose(after[~near], 0.0, atol=1e-8)


@pytest.mark.parametrize("dirt", [0.0, 1e300, np.nan])
def test_what_was_in_memory_before_does_not_matter(dirt):
    for offset in (-14.0, -9.3, 9.3, 14.0):
        for clean, dirty in zip(drawn(offset, 0.2, dirt=0.0), drawn(offset, 0.2, dirt=dirt), strict=True):
            np.testing.assert_array_equal(clean, dirty)
            assert np.isfinite(dirty).all()


@pytest.mark.parametrize("n_terms", [1, 2, 3, 6])
def test_the_grid_of_a_position_is_the_sum_of_its_terms(n_terms):
    rng = np.random.default_rng(n_terms)
    components, terms, total = rng.normal(size=(n_terms, 7, 7)), rng.normal(size=n_terms), np.full((7, 7), np.nan)
    combine(components, terms, total)
    np.testing.assert_allclose(total, np.einsum("t,tkl->kl", terms, components), atol=1e-13)


@given(dx=st.floats(-20, 20), dy=st.floats(-20, 20))
def test_drawing_without_slopes_gives_the_same_numbers(dx, dy):
    value = np.full((SIZE, SIZE), np.nan)
    draw_value(grid(), STEP, dx, dy, value)
    np.testing.assert_array_equal(value, drawn(dx, dy)[0])
