"""Least squares for many visits that observe the same stars: the common core of joint calibration."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.astrometry import systematic_floor

_STAR_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class JointSolution:
    """Minimum of the chi-square of `joint_solve`.

    Parameters
    ----------
    visit_coefficients : ndarray, float64, shape (n_visits, n_terms)
        Coefficients of each visit.
    common_coefficients : ndarray, float64, shape (n_common,)
        Coefficients that all visits share.
    star_value, star_err : ndarray, float64, shape (n_stars,)
        Value of each star and its error for fixed coefficients; NaN where a star has neither
        observation nor prior.
    residual : ndarray, float64, shape (n,)
        Calibrated observation minus star value.
    covariance : ndarray, float64, shape (n_parameters, n_parameters)
        Of the visit coefficients (visit by visit) followed by the common ones, stars marginalised.
    """

    visit_coefficients: NDArray[np.float64]
    common_coefficients: NDArray[np.float64]
    star_value: NDArray[np.float64]
    star_err: NDArray[np.float64]
    residual: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointProblem:
    """Observations ``value + design @ visit + common @ shared = star``, and what is known before.

    Parameters
    ----------
    value : ndarray, float64, shape (n,)
        Observed values before calibration.
    weight : ndarray, float64, shape (n,)
        Inverse variances; zero leaves an observation out.
    design : ndarray, float64, shape (n, n_terms)
        Terms of the visit model at each observation.
    common : ndarray, float64, shape (n, n_common)
        Terms of the shared model at each observation; may have no column.
    visit, star : ndarray, int64, shape (n,)
        Index of the visit and of the star.
    prior_value, prior_weight : ndarray, float64, shape (n_stars,)
        What is known of the stars (a reference catalog, or a weak prior that fixes the gauge).
    ridge : ndarray, float64, shape (n_visits, n_terms)
        Inverse variance of each visit coefficient about zero.
    common_ridge : ndarray, float64, shape (n_common,)
        The same for the shared coefficients.
    """

    value: NDArray[np.float64]
    weight: NDArray[np.float64]
    design: NDArray[np.float64]
    common: NDArray[np.float64]
    visit: NDArray[np.int64]
    star: NDArray[np.int64]
    prior_value: NDArray[np.float64]
    prior_weight: NDArray[np.float64]
    ridge: NDArray[np.float64]
    common_ridge: NDArray[np.float64]


def joint_solve(problem: JointProblem) -> JointSolution:
    """Solve visits, shared terms and stars at once, stars eliminated by their Schur complement.

    Parameters
    ----------
    problem : JointProblem
        Observations and priors.

    Returns
    -------
    JointSolution

    Raises
    ------
    numpy.linalg.LinAlgError
        If the data and priors do not fix every coefficient.

    Notes
    -----
    Chi-square: ``sum_i w_i (value_i + d_i.c_v + e_i.g - s_k)**2 + sum_k p_k (s_k - r_k)**2 + sum ridge c**2``.
    Given the coefficients, ``s_k`` is a weighted mean; inserting it leaves a dense system in the
    coefficients alone (Triggs et al. 2000, section 6.1), built here from one BLAS product per block of stars.
    """
    n_stars, n_visits = problem.prior_value.size, len(problem.ridge)
    star_weight = problem.prior_weight + np.bincount(problem.star, problem.weight, n_stars)
    known = np.where(star_weight > 0.0, star_weight, np.inf)
    offset = np.bincount(problem.star, problem.weight * problem.value, n_stars)
    mean = (offset + problem.prior_weight * problem.prior_value) / known
    matrix, vector = _reduced_system(problem, known, mean)
    factor = np.linalg.cholesky(matrix)
    inverse = np.linalg.inv(factor)
    covariance = inverse.T @ inverse
    solution = covariance @ vector
    size = n_visits * problem.design.shape[1]
    coefficients, shared = solution[:size].reshape(n_visits, -1), solution[size:]
    shift = np.einsum("ij,ij->i", problem.design, coefficients[problem.visit]) + problem.common @ shared
    moved = mean + np.bincount(problem.star, problem.weight * shift, n_stars) / known
    star_value = np.where(star_weight > 0.0, moved, np.nan)
    residual = problem.value + shift - star_value[problem.star]
    star_err = np.where(star_weight > 0.0, 1.0 / np.sqrt(known), np.nan)
    return JointSolution(coefficients, shared, star_value, star_err, residual, covariance)


def _reduced_system(
    problem: JointProblem, star_weight: NDArray[np.float64], mean: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the normal equations of the coefficients after the stars are eliminated."""
    (n_visits, n_terms), n_common = problem.ridge.shape, problem.common.shape[1]
    size = n_visits * n_terms
    matrix = np.diag(np.concatenate([problem.ridge.ravel(), problem.common_ridge]))
    vector = np.zeros(size + n_common)
    order = np.argsort(problem.visit, kind="stable")
    edges = np.searchsorted(problem.visit[order], np.arange(n_visits + 1))
    for v in range(n_visits):
        rows = order[edges[v] : edges[v + 1]]
        terms = np.hstack([problem.design[rows], problem.common[rows]])
        columns = np.concatenate([np.arange(n_terms) + v * n_terms, np.arange(n_common) + size])
        weighted = terms * problem.weight[rows, None]
        matrix[np.ix_(columns, columns)] += weighted.T @ terms
        vector[columns] -= weighted.T @ (problem.value[rows] - mean[problem.star[rows]])
    for block, dense in _star_blocks(problem, size):
        scaled = dense / np.sqrt(star_weight[block])[:, None]
        matrix -= scaled.T @ scaled
    return matrix, vector


def _star_blocks(problem: JointProblem, size: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield blocks of stars with the dense matrix of their weighted terms."""
    n_terms, n_common = problem.design.shape[1], problem.common.shape[1]
    order = np.argsort(problem.star, kind="stable")
    sorted_star = problem.star[order]
    for start in range(0, problem.prior_value.size, _STAR_BLOCK):
        stop = min(start + _STAR_BLOCK, problem.prior_value.size)
        rows = order[np.searchsorted(sorted_star, start) : np.searchsorted(sorted_star, stop)]
        dense = np.zeros((stop - start, size + n_common))
        weighted = problem.design[rows] * problem.weight[rows, None]
        columns = problem.visit[rows, None] * n_terms + np.arange(n_terms)
        np.add.at(dense, (problem.star[rows, None] - start, columns), weighted)
        shared = problem.common[rows] * problem.weight[rows, None]
        np.add.at(dense[:, size:], problem.star[rows] - start, shared)
        yield slice(start, stop), dense


@dataclass(frozen=True, slots=True)
class RobustSolution:
    """What `joint_solve_robust` settles on.

    Parameters
    ----------
    solutions : tuple of JointSolution
        One per axis.
    used : ndarray, bool, shape (n,)
        Observations that were not clipped.
    floor : float
        Scatter per axis that the formal errors leave unexplained, units of the values.
    """

    solutions: tuple[JointSolution, ...]
    used: NDArray[np.bool_]
    floor: float


def joint_solve_robust(
    problems: Sequence[JointProblem],
    usable: NDArray[np.bool_],
    *,
    clip_sigma: float,
    iterations: int,
    start_floor: float,
    least_floor: float,
) -> RobustSolution:
    """Solve again and again, each time with outliers left out and the systematic floor estimated anew.

    Parameters
    ----------
    problems : sequence of JointProblem
        The axes of the same observations; their weights are the inverse formal variances.
    usable : ndarray, bool, shape (n,)
        Observations that may be used at all.
    clip_sigma : float
        Observations farther off than this many sigmas, in the root mean square over the axes, are left out.
    iterations : int
        Rounds, at least 1.
    start_floor, least_floor : float
        First guess and lower limit of the floor, units of the values.

    Returns
    -------
    RobustSolution
        Of the last round; ``used`` and ``floor`` follow from its residuals.
    """
    variance = np.stack([1.0 / problem.weight for problem in problems], axis=1)
    used, floor = usable, start_floor
    solutions: tuple[JointSolution, ...] = ()
    for _ in range(iterations):
        weighted = [replace(p, weight=used / (v + floor**2)) for p, v in zip(problems, variance.T, strict=True)]
        solutions = tuple(joint_solve(problem) for problem in weighted)
        residual = np.stack([solution.residual for solution in solutions], axis=1)
        freedom = np.stack([_freedom(problem) for problem in weighted], axis=1)
        counted = used & (freedom.min(axis=1) > 0.2)
        floor = systematic_floor(residual[counted].ravel(), variance[counted].ravel(), freedom[counted].ravel())
        floor = max(floor, least_floor)
        chi2 = (residual**2 / ((variance + floor**2) * np.clip(freedom, 0.05, 1.0))).sum(axis=1)
        used = usable & (chi2 <= len(problems) * clip_sigma**2)
    return RobustSolution(solutions, used, floor)


def _freedom(problem: JointProblem) -> NDArray[np.float64]:
    """Return the expected squared residual over variance: a star's mean follows its observations."""
    total = problem.prior_weight + np.bincount(problem.star, problem.weight, problem.prior_weight.size)
    share = problem.weight / np.maximum(total[problem.star], 1e-300)
    return np.asarray(np.where(problem.weight > 0.0, 1.0 - share, 1.0))
