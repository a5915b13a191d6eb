"""The joint solution against a dense least-squares fit of everything, and its statistics."""

from dataclasses import replace

import numpy as np

from etendue.kernels.joint_solve import JointProblem, joint_solve, joint_solve_robust

N_VISITS, N_STARS, N_TERMS, N_COMMON = 5, 40, 3, 2


def make_problem(seed, noise=1.0):
    rng = np.random.default_rng(seed)
    visit, star = (grid.ravel() for grid in np.meshgrid(np.arange(N_VISITS), np.arange(N_STARS)))
    kept = rng.random(visit.size) < 0.8
    visit, star = visit[kept], star[kept]
    u, v = rng.uniform(-1.0, 1.0, (2, visit.size))
    sigma = rng.uniform(0.5, 2.0, visit.size)
    true_visit, true_common = rng.normal(0.0, 3.0, (N_VISITS, N_TERMS)), rng.normal(0.0, 1.0, N_COMMON)
    true_star = rng.normal(0.0, 10.0, N_STARS)
    design, common = np.stack([np.ones(u.size), u, v], axis=1), np.stack([u * v, u * u], axis=1)
    model = true_star[star] - (design * true_visit[visit]).sum(axis=1) - common @ true_common
    problem = JointProblem(
        value=model + noise * sigma * rng.standard_normal(visit.size),
        weight=sigma**-2,
        design=design,
        common=common,
        visit=visit,
        star=star,
        prior_value=true_star + noise * 2.0 * rng.standard_normal(N_STARS),
        prior_weight=np.full(N_STARS, 0.25),
        ridge=np.full((N_VISITS, N_TERMS), 1e-8),
        common_ridge=np.full(N_COMMON, 1e-8),
    )
    return problem, true_visit, true_common, true_star


def dense_solution(p):
    """Minimise the chi-square over visits, common terms and stars by one dense normal matrix."""
    size = N_VISITS * N_TERMS
    matrix = np.zeros((p.value.size, size + N_COMMON + N_STARS))
    for row in range(p.value.size):
        matrix[row, p.visit[row] * N_TERMS : (p.visit[row] + 1) * N_TERMS] = p.design[row]
        matrix[row, size : size + N_COMMON] = p.common[row]
        matrix[row, size + N_COMMON + p.star[row]] = -1.0
    prior = np.concatenate([p.ridge.ravel(), p.common_ridge, p.prior_weight])
    normal = matrix.T @ (matrix * p.weight[:, None]) + np.diag(prior)
    right = -matrix.T @ (p.weight * p.value)
    right[size + N_COMMON :] += p.prior_weight * p.prior_value
    return np.linalg.solve(normal, right), np.linalg.inv(normal)


def test_agrees_with_the_dense_solution():
    problem, *_ = make_problem(1)
    expected, covariance = dense_solution(problem)
    got = joint_solve(problem)
    size = N_VISITS * N_TERMS + N_COMMON
    np.testing.assert_allclose(
        np.r_[got.visit_coefficients.ravel(), got.common_coefficients], expected[:size], atol=1e-9
    )
    np.testing.assert_allclose(got.star_value, expected[size:], atol=1e-9)
    np.testing.assert_allclose(got.covariance, covariance[:size, :size], atol=1e-10)


def test_noiseless_data_give_the_truth():
    problem, true_visit, true_common, true_star = make_problem(2, noise=0.0)
    got = joint_solve(problem)
    np.testing.assert_allclose(got.visit_coefficients, true_visit, atol=1e-6)
    np.testing.assert_allclose(got.common_coefficients, true_common, atol=1e-6)
    np.testing.assert_allclose(got.star_value, true_star, atol=1e-6)
    np.testing.assert_allclose(got.residual, 0.0, atol=1e-6)


def test_coefficient_pulls_are_standard():
    pulls = []
    for seed in range(300):
        problem, true_visit, true_common, _ = make_problem(seed)
        got = joint_solve(problem)
        error = np.sqrt(np.diag(got.covariance))
        pulls.append(
            (np.r_[got.visit_coefficients.ravel(), got.common_coefficients] - np.r_[true_visit.ravel(), true_common])
            / error
        )
    assert 0.95 < np.std(pulls) < 1.05


def test_the_order_of_the_observations_does_not_matter():
    problem, *_ = make_problem(4)
    order = np.random.default_rng(0).permutation(problem.value.size)
    per_row = ("value", "weight", "design", "common", "visit", "star")
    shuffled = JointProblem(
        **{name: getattr(problem, name)[order] for name in per_row},
        **{name: getattr(problem, name) for name in ("prior_value", "prior_weight", "ridge", "common_ridge")},
    )
    np.testing.assert_allclose(joint_solve(shuffled).star_value, joint_solve(problem).star_value, rtol=1e-10)


def test_a_star_that_nothing_constrains_is_nan():
    problem, *_ = make_problem(5)
    weight = np.where(problem.star == 7, 0.0, problem.weight)
    prior = np.where(np.arange(N_STARS) == 7, 0.0, problem.prior_weight)
    per_name = {name: getattr(problem, name) for name in problem.__slots__}
    got = joint_solve(JointProblem(**{**per_name, "weight": weight, "prior_weight": prior}))
    assert np.flatnonzero(np.isnan(got.star_value)).tolist() == [7]


def test_outliers_are_left_out_and_the_floor_is_found():
    problem, *_ = make_problem(6)
    rng = np.random.default_rng(7)
    bad = np.arange(problem.value.size) % 37 == 5
    value = problem.value + rng.normal(0.0, 3.0, problem.value.size) + np.where(bad, 200.0, 0.0)
    noisy = replace(problem, value=value, prior_weight=np.full(N_STARS, 0.01))
    found = joint_solve_robust(
        [noisy, noisy], np.ones(value.size, bool), clip_sigma=5.0, iterations=8, start_floor=1.0, least_floor=1e-3
    )
    np.testing.assert_array_equal(found.used, ~bad)
    assert abs(found.floor / 3.0 - 1.0) < 0.3  # 3 sigma of the median of half of the 160 values
    final = joint_solve(replace(noisy, weight=found.used / (1.0 / noisy.weight + found.floor**2)))
    np.testing.assert_allclose(found.solutions[0].star_value, final.star_value, atol=0.05)
