import numpy as np
import pytest
from scipy.ndimage import correlate

from etendue.kernels.brighter_fatter import add_shifts, bridge_unknown, put_back, put_back_steep


def planes(shape):
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)


@pytest.mark.parametrize("reach", [1, 3])
def test_shifts_agree_with_the_definition(reach):
    rng = np.random.default_rng(1)
    charge = rng.uniform(0.0, 1e4, (9, 11)).astype(np.float32)
    serial, parallel = rng.uniform(1e-8, 1e-6, (2, reach, reach))
    right, up = planes(charge.shape)
    add_shifts(charge, serial, parallel, 0.5, right, up)
    size = 2 * reach + 1  # of a stencil on the pixel before the boundary
    to_right, to_up = np.zeros((size, size)), np.zeros((size, size))
    for d in range(1 - reach, reach):
        for k in range(reach):
            to_right[reach + d, reach + 1 + k], to_right[reach + d, reach - k] = serial[abs(d), k], -serial[abs(d), k]
            to_up[reach + 1 + k, reach + d], to_up[reach - k, reach + d] = parallel[k, abs(d)], -parallel[k, abs(d)]
    for found, stencil in ((right, to_right), (up, to_up)):
        expected = 0.5 * correlate(charge.astype(float), stencil, mode="nearest")
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max() + 1e-9)


def test_light_is_moved_by_the_shift_times_the_density():
    light = np.add.outer(np.zeros(8), 100.0 + 3.0 * np.arange(9) ** 2).astype(np.float32)  # a parabola along x
    right, up = planes(light.shape)
    right[3, 4] = 0.01
    out = np.empty_like(light)
    put_back(light, light, right, up, out)
    at_boundary = 100.0 + 3.0 * (4.5**2 - 1.0 / 12.0)  # pixels hold the parabola's integral
    assert (light - out)[3, 4] == pytest.approx(0.01 * at_boundary, rel=1e-3)
    assert (out - light)[3, 5] == pytest.approx(0.01 * at_boundary, rel=1e-3)
    assert np.count_nonzero(out != light) == 2


@pytest.mark.parametrize("axis", [0, 1])
def test_the_light_at_steep_boundaries_is_that_of_a_gaussian(axis):
    variance, places = 0.6, np.arange(-6.0, 7.0)
    line = 6e4 * np.exp(-0.5 * (places - 0.3) ** 2 / variance)  # integrals of pixels
    light = np.add.outer(np.zeros(12), line).astype(np.float32)
    shifts = planes(light.shape)
    shifts[0][5, 5:7] = 0.01  # on both sides of the peak
    cubic, corrected = np.empty_like(light), light.copy()
    if axis == 0:
        light, corrected = light.T.copy(), light.T.copy()
        shifts, cubic = (shifts[1].T.copy(), shifts[0].T.copy()), np.empty_like(light)
    put_back_steep(light, *shifts, 0.0, corrected)
    put_back(corrected, light, *shifts, cubic)
    moved = (light - cubic) if axis else (light - cubic).T
    sharp = variance - 1.0 / 12.0
    true = 6e4 * np.sqrt(variance / sharp) * np.exp(-0.5 * (np.array([-0.5, 0.5]) - 0.3) ** 2 / sharp)
    assert moved[5, 5] == pytest.approx(0.01 * true[0], rel=0.02)
    assert moved[5, 5] + moved[5, 6] == pytest.approx(0.01 * true[1], rel=0.02)


def test_steep_light_leaves_noise_and_faint_stars_alone():
    rng = np.random.default_rng(3)
    light = rng.poisson(5000.0, (40, 50)).astype(np.float32)
    right, up = (rng.normal(0.0, 1e-4, light.shape).astype(np.float32) for _ in range(2))
    corrected = light.copy()
    put_back_steep(light, right, up, 5000.0, corrected)
    np.testing.assert_array_equal(corrected, light)


def test_charge_is_conserved_to_rounding():
    rng = np.random.default_rng(2)
    light = rng.uniform(0.0, 6e4, (40, 50)).astype(np.float32)
    right, up = (rng.normal(0.0, 0.01, light.shape).astype(np.float32) for _ in range(2))
    out, corrected = np.empty_like(light), light.copy()
    put_back(light, light, right, up, out)
    assert out.sum(dtype=float) == pytest.approx(light.sum(dtype=float), rel=1e-8)
    put_back_steep(light, right, up, 5000.0, corrected)
    assert np.count_nonzero(corrected != light) > 1000
    assert corrected.sum(dtype=float) == pytest.approx(light.sum(dtype=float), rel=1e-8)


def test_unknown_pixels_are_bridged_along_the_row():
    nan = np.nan
    image = np.array([[nan, 1.0, nan, nan, 4.0, nan], [nan] * 6, [1.0] * 6], np.float32)
    bridge_unknown(image)
    np.testing.assert_allclose(image, [[1, 1, 2, 3, 4, 4], [0] * 6, [1] * 6])
