"""Weighted polynomial fits and the systematic floor."""

import numpy as np
import pytest

from etendue.kernels.astrometry import polynomial_design, polynomial_powers, systematic_floor, weighted_fit


def test_terms_follow_the_listed_powers():
    u, v = np.array([0.3, -2.0]), np.array([0.7, 1.5])
    design = polynomial_design(u, v, 3)
    for column, (p, q) in zip(design.T, polynomial_powers(3), strict=True):
        np.testing.assert_allclose(column, u**p * v**q)


def test_fit_agrees_with_the_normal_equations_and_leaves_out_zero_weights():
    rng = np.random.default_rng(0)
    design, value, weight = rng.normal(size=(50, 4)), rng.normal(size=50), rng.uniform(0.0, 2.0, 50)
    weight[:5], value[:5] = 0.0, 1e6
    normal = design.T @ (design * weight[:, None])
    fit = weighted_fit(design, value, weight)
    np.testing.assert_allclose(fit.coefficients, np.linalg.solve(normal, design.T @ (weight * value)), rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(normal), rtol=1e-9)


def test_too_few_points_are_refused():
    with pytest.raises(np.linalg.LinAlgError):
        weighted_fit(np.ones((2, 3)), np.ones(2), np.ones(2))


def test_fitted_parameters_have_unit_pulls():
    rng = np.random.default_rng(1)
    pulls = []
    for _ in range(400):
        design = polynomial_design(*rng.uniform(-1.0, 1.0, (2, 60)), 2)
        sigma, truth = rng.uniform(0.5, 3.0, 60), rng.normal(size=6)
        fit = weighted_fit(design, design @ truth + sigma * rng.standard_normal(60), sigma**-2.0)
        pulls.append((fit.coefficients - truth) / np.sqrt(np.diag(fit.covariance)))
    assert 0.95 < np.std(pulls) < 1.05


@pytest.mark.parametrize("floor", [0.0, 0.5, 3.0])
def test_floor_is_recovered_despite_outliers(floor):
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.5, 1.5, 60_000)
    residual = np.hypot(sigma, floor) * rng.standard_normal(sigma.size)
    residual[:300] += 100.0
    # The floor's error near 0 goes with its square.
    assert systematic_floor(residual, sigma**2, np.ones(sigma.size)) ** 2 == pytest.approx(
        floor**2, abs=0.05 * (1 + floor**2)
    )


def test_floor_of_nothing_is_zero():
    assert systematic_floor(np.empty(0), np.empty(0), np.empty(0)) == 0.0
