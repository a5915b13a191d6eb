"""How points cluster: pair counts and neighbours."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Vector = NDArray[np.float64]

_RANDOM_PER_POINT = 3
_FEWEST_RANDOM = 20_000


def angular_correlation(
    places: NDArray[np.float64], half_size: tuple[float, float], edges: Vector, rng: np.random.Generator
) -> tuple[Vector, Vector]:
    """Return the two-point correlation of points in a rectangle (Landy and Szalay 1993, ApJ 412, 64).

    Parameters
    ----------
    places : ndarray, float64, shape (n, 2)
        Points on a plane.
    half_size : tuple of float
        The rectangle reaches so far from the origin along both axes.
    edges : ndarray, float64, shape (k + 1,)
        Ascending separations, above 0.
    rng : numpy.random.Generator
        Draws the even points that pairs are compared with.

    Returns
    -------
    correlation, error : ndarray, float64, shape (k,)
        Excess of pairs, and its error by the number of pairs; NaN where even points have none.
    """
    n, count = len(places), max(_RANDOM_PER_POINT * len(places), _FEWEST_RANDOM)
    even = rng.uniform(-1.0, 1.0, (count, 2)) * half_size
    points, others = cKDTree(places), cKDTree(even)
    pairs = np.diff(points.count_neighbors(points, edges)).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rr = np.diff(others.count_neighbors(others, edges)) / (count * (count - 1.0))
        dr = np.diff(points.count_neighbors(others, edges)) / (n * float(count))
        dd = pairs / (n * (n - 1.0))
        return (dd - 2.0 * dr + rr) / rr, np.sqrt(np.maximum(pairs, 1.0) / 2.0) / (0.5 * n * (n - 1.0) * rr)


def mean_over_pairs(
    correlation: Callable[[Vector], Vector], half_size: tuple[float, float], rng: np.random.Generator
) -> float:
    """Return the mean of a correlation over all pairs of places in a rectangle.

    What is measured in the rectangle is lower by this much, as its own mean density is not known better (Groth and
    Peebles 1977).

    Parameters
    ----------
    correlation : callable
        Correlation over separation.
    half_size : tuple of float
        The rectangle reaches so far from the origin along both axes.
    rng : numpy.random.Generator
        Draws the pairs.

    Returns
    -------
    float
    """
    apart = (rng.uniform(-1.0, 1.0, (_FEWEST_RANDOM, 2)) - rng.uniform(-1.0, 1.0, (_FEWEST_RANDOM, 2))) * half_size
    return float(np.mean(correlation(np.hypot(*apart.T))))


def neighbour_share(places: NDArray[np.float64], separations: Vector) -> Vector:
    """Return the share of points that have another one within some separations.

    Parameters
    ----------
    places : ndarray, float64, shape (n, 2)
        Points on a plane, two or more.
    separations : ndarray, float64, shape (k,)
        Separations.

    Returns
    -------
    ndarray, float64, shape (k,)
        0 to 1.
    """
    nearest = np.sort(cKDTree(places).query(places, k=2)[0][:, 1])
    return np.searchsorted(nearest, separations, side="right") / len(places)
