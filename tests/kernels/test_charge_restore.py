import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.charge_restore import restore_columns, restore_rows
from etendue.kernels.charge_transfer import defer_columns, defer_rows

LOSSES = [(1e-4, 0.7, 0.0, 0.1, 0.3), (1e-5, 0.9, 40.0, 0.2, 0.25), (0.0, 0.5, 80.0, 0.5, 0.1)]


def scene(seed=1, shape=(60, 45)):
    rng = np.random.default_rng(seed)
    image = rng.gamma(0.5, 4000.0, shape).astype(np.float32)
    image[45:] = 0.0
    return image


@pytest.mark.parametrize("losses", LOSSES)
def test_what_was_deferred_comes_back(losses):
    image = scene()
    rows, columns = image.copy(), np.ascontiguousarray(image.T)
    defer_rows(rows, *losses)
    defer_columns(columns, *losses)
    assert np.abs(rows - image).max() > 5.0
    restore_rows(rows, *losses, 0.0)
    restore_columns(columns, *losses, 0.0)
    np.testing.assert_allclose(rows, image, atol=0.02)
    np.testing.assert_allclose(columns.T, image, atol=0.02)


@given(
    inefficiency=st.floats(0.0, 5e-4),
    release=st.floats(0.05, 1.0),
    size=st.floats(0.0, 500.0),
    fill=st.floats(0.01, 0.5),  # one that takes more of a charge than it leaves multiplies rounding
    trap_release=st.floats(0.02, 1.0),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_every_loss_can_be_undone(inefficiency, release, size, fill, trap_release, seed):
    image = scene(seed, (40, 7))
    moved = image.copy()
    defer_rows(moved, inefficiency, release, size, fill, trap_release)
    restore_rows(moved, inefficiency, release, size, fill, trap_release, 0.0)
    np.testing.assert_allclose(moved, image, atol=0.2)


def shifted_out(column, inefficiency, overscan):
    """Read a column transfer by transfer: each leaves a fraction in the pixel behind; an independent model."""
    pixels, out = np.concatenate([[0.0], column, np.zeros(overscan)]).astype(float), []
    for _ in range(column.size + overscan):
        moving = pixels * (1.0 - inefficiency)
        pixels = np.concatenate([moving[1:], [0.0]]) + inefficiency * pixels
        out.append(pixels[0])
        pixels[0] = 0.0
    return np.array(out)


@pytest.mark.parametrize("level", [0.0, 30000.0])
def test_charge_shifted_transfer_by_transfer_comes_back(level):
    column = np.full(150, level)
    column[[20, 21, 100]] = 50000.0
    moved = shifted_out(column, 2e-5, 12).astype(np.float32)[:, None]
    before = np.abs(moved[:150, 0] - column).max()
    restore_rows(moved, 2e-5, 1.0, 0.0, 0.1, 1.0, 0.0)
    largest = 150 * 2e-5 * 50000.0  # what the last pixels leave behind
    assert before > 0.2 * largest
    np.testing.assert_allclose(moved[:150, 0], column, atol=0.02 * largest)
    assert moved.sum(dtype=float) == pytest.approx(column.sum(), rel=1e-6)


def test_charge_is_conserved_with_the_overscan():
    image = np.zeros((400, 8), np.float32)
    image[:200] = np.random.default_rng(2).uniform(1e3, 5e4, (200, 8))
    moved = image.copy()
    defer_rows(moved, 1e-5, 0.5, 100.0, 0.2, 0.2)
    total = moved.sum(dtype=float)
    assert moved[200:].sum() > 500.0
    restore_rows(moved, 1e-5, 0.5, 100.0, 0.2, 0.2, 0.0)
    assert moved.sum(dtype=float) == pytest.approx(total, rel=1e-6)
    assert abs(moved[200:].sum()) < 1.0


def test_a_pixel_without_a_value_stays_so_and_the_others_are_finite():
    image = scene()
    image[10, 3] = np.nan
    moved = image.copy()
    restore_rows(moved, *LOSSES[1], 0.0)
    assert (np.isnan(moved) == np.isnan(image)).all()


def test_read_noise_does_not_fill_the_trap():
    rng = np.random.default_rng(4)
    sky = rng.poisson(20.0, (300, 400)).astype(np.float32)
    losses = (0.0, 0.7, 20.0, 0.5, 0.3)
    moved = sky.copy()
    defer_columns(moved, *losses)
    moved += rng.normal(0.0, 6.0, moved.shape).astype(np.float32)
    noise = {}
    for quiet in (0.0, 30.0):
        restored = moved.copy()
        restore_columns(restored, *losses, quiet)
        noise[quiet] = (restored - 20.0)[:, 50:].std()
        assert restored[:, 50:].mean() == pytest.approx(20.0, abs=0.15)
    plain = (moved - 20.0)[:, 50:].std()
    assert noise[0.0] > 1.4 * plain
    assert noise[30.0] < 1.15 * plain
