import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.lightcurve import (
    dip_significance,
    predict_smooth,
    solve_frames,
    sysrem_component,
    variability_statistics,
    whiten_red,
)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_frames_are_solved_as_numpy_solves_them(seed):
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((3, 20, 2))
    value, weight = rng.standard_normal((3, 20)), rng.uniform(0.0, 2.0, (3, 20))
    weight[rng.random((3, 20)) < 0.2] = 0.0
    ridge = np.array([1e-3, 2.0])
    coefficients, model, variance = solve_frames(value, weight, design, ridge)
    for f in range(3):
        normal = design[f].T @ (weight[f][:, None] * design[f]) + np.diag(ridge)
        expected = np.linalg.solve(normal, design[f].T @ (weight[f] * value[f]))
        np.testing.assert_allclose(coefficients[f], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model[f], design[f] @ expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(variance[f], np.einsum("sk,kl,sl->s", design[f], np.linalg.inv(normal), design[f]))


def test_a_product_of_two_vectors_is_found():
    rng = np.random.default_rng(1)
    frame, star = rng.standard_normal(40), rng.standard_normal(30)
    value = frame[:, None] * star + 1e-6 * rng.standard_normal((40, 30))
    found_frame, found_star = sysrem_component(value, np.ones((40, 30)), np.linspace(-1.0, 1.0, 40), 30)
    np.testing.assert_allclose(found_frame[:, None] * found_star, value, atol=1e-4)
    np.testing.assert_allclose(np.mean(found_frame**2), 1.0)


def test_nothing_is_predicted_from_the_points_themselves():
    time = np.arange(20.0)
    value = 2.0 + 0.5 * time
    known = np.arange(20) % 2 == 0
    changed = value.copy()
    changed[7] = 99.0  # not a known point
    first, second = (predict_smooth(time, v, np.ones(20), known, 2.0) for v in (value, changed))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[5:15], value[5:15], atol=0.05)


def test_a_point_far_from_all_known_points_has_no_prediction():
    time = np.append(np.arange(5.0), 100.0)
    assert np.isnan(predict_smooth(time, np.zeros(6), np.ones(6), np.arange(6) < 5, 1.0)[5])


def test_white_noise_has_the_statistics_of_white_noise_and_a_slow_wave_has_not():
    rng = np.random.default_rng(2)
    time = np.arange(400.0)
    value = np.stack([rng.standard_normal(400), 5.0 * np.sin(time / 60.0)], axis=1)
    chi2, stetson, eta = variability_statistics(time, value, np.ones((400, 2)))
    assert abs(chi2[0] - 1.0) < 0.3
    assert abs(stetson[0]) < 0.15
    assert abs(eta[0] - 2.0) < 0.3
    assert chi2[1] > 5.0
    assert stetson[1] > 2.0
    assert eta[1] < 0.05


def test_two_measurements_have_no_statistics():
    weight = np.zeros((10, 1))
    weight[:2] = 1.0
    assert all(np.isnan(s[0]) for s in variability_statistics(np.arange(10.0), np.ones((10, 1)), weight))


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_red_noise_is_whitened_as_the_cholesky_factor_does(sigma):
    rng = np.random.default_rng(3)
    time, variance = np.sort(rng.uniform(0.0, 1.0, 25)), rng.uniform(0.2, 1.0, 25)
    columns = rng.standard_normal((25, 4))
    covariance = np.diag(variance) + sigma**2 * np.exp(-np.abs(time[:, None] - time) / 0.2)
    whitened, log_determinant = whiten_red(columns, time, variance, sigma, 0.2)
    np.testing.assert_allclose(whitened, np.linalg.solve(np.linalg.cholesky(covariance), columns), atol=1e-10)
    assert log_determinant == pytest.approx(np.linalg.slogdet(covariance)[1])


def test_dips_are_judged_as_a_straight_line_and_a_box_fitted_by_least_squares():
    rng = np.random.default_rng(4)
    time = np.sort(rng.uniform(0.0, 1.0, 40))
    value = rng.standard_normal((40, 3)) + 3.0 * time[:, None]
    weight = rng.uniform(0.5, 2.0, value.shape)
    weight[7, 1] = 0.0
    value[12:25, 0] += 4.0
    first, last = np.array([12, 3, 20]), np.array([25, 9, 38])
    found = dip_significance(time, value, weight, first, last, 3)
    for s in range(3):
        best = 0.0
        for a, b in zip(first, last, strict=True):
            box = ((np.arange(40) >= a) & (np.arange(40) < b)).astype(float)
            design = np.column_stack([np.ones(40), time, box]) * np.sqrt(weight[:, s])[:, None]
            inverse = np.linalg.inv(design.T @ design)
            depth = inverse @ design.T @ (value[:, s] * np.sqrt(weight[:, s]))
            best = max(best, depth[2] / inverse[2, 2] ** 0.5)
        assert found[s] == pytest.approx(best, abs=1e-9)
    assert found[0] > 8.0
