"""Sources that are too near to each other to be told apart."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]


def merge(field_x: Vector, field_y: Vector, flux: Vector, radius_deg: float) -> Rows:
    """Return which source each one merges into: the brightest first, each takes what is near and still free.

    Parameters
    ----------
    field_x, field_y : ndarray, float64, shape (n,)
        Field angles, finite [deg].
    flux : ndarray, float64, shape (n,)
        Fluxes of either sign; equal ones are taken in their order.
    radius_deg : float
        Distance below which sources merge [deg].

    Returns
    -------
    ndarray, int64, shape (n,)
        Rows of the sources that remain; their own for those.
    """
    count = flux.size
    into = np.arange(count)
    if radius_deg <= 0.0 or count < 2:
        return into
    pairs = cKDTree(np.stack([field_x, field_y], axis=-1)).query_pairs(radius_deg, output_type="ndarray")
    rank = np.empty(count, np.int64)
    rank[np.argsort(-np.abs(flux), kind="stable")] = np.arange(count)
    swapped = rank[pairs[:, 0]] > rank[pairs[:, 1]]
    bright, faint = np.where(swapped, pairs[:, 1], pairs[:, 0]), np.where(swapped, pairs[:, 0], pairs[:, 1])
    order = np.argsort(rank[bright], kind="stable")[::-1]  # the brightest comes last and stays
    bright, faint = bright[order], faint[order]
    # In each round those are taken whose brightest neighbour has itself no brighter one.
    while bright.size:
        shadowed, brightest = np.zeros(count, bool), np.full(count, -1)
        shadowed[faint] = True
        brightest[faint] = bright
        taken = shadowed.copy()
        taken[shadowed] = ~shadowed[brightest[shadowed]]
        into[taken] = brightest[taken]
        left = ~(taken[bright] | taken[faint])
        bright, faint = bright[left], faint[left]
    return into


def summed(into: Rows, values: Vector) -> Vector:
    """Return sums over the sources that merge, at the rows of those that remain.

    Parameters
    ----------
    into : ndarray, int64, shape (n,)
        From `merge`.
    values : ndarray, float64, shape (n,)
        Anything that adds up.

    Returns
    -------
    ndarray, float64, shape (n,)
        0 for those that have merged into another.
    """
    return np.bincount(into, values, minlength=into.size).astype(np.float64, copy=False)
