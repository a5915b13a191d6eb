"""How errors of PSF models are correlated over the sky: the rho statistics."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.kernels.pair_correlation import pair_correlations

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RhoStatistics:
    """Correlations against distance (Rowe 2010; Jarvis et al. 2016, eq. 17 to 21).

    With the distortion e of stars, its error in the model de = e - e_model and the error of the size dT / T:
    rho1 = <de* de>, rho2 = <e* de>, rho3 = <(e dT/T)* (e dT/T)>, rho4 = <de* (e dT/T)>, rho5 = <e* (e dT/T)>.

    Parameters
    ----------
    low, high : ndarray, float64, shape (n_bins,)
        Distances [arcmin].
    pairs : ndarray, int64, shape (n_bins,)
        Pairs of stars of one image.
    rho : ndarray, float64, shape (5, n_bins)
        rho1 to rho5; NaN without pairs.
    err : ndarray, float64, shape (5, n_bins)
        Standard error by the scatter of images; NaN with fewer than 10 images.
    """

    low: Real
    high: Real
    pairs: NDArray[np.int64]
    rho: Real
    err: Real


def rho_statistics(
    images: list[dict[str, ArrayLike]], edges_arcmin: ArrayLike = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
) -> RhoStatistics:
    """Compute rho1 to rho5 of stars that were kept out of the fits.

    Parameters
    ----------
    images : list of dict
        For each image the columns ``x_arcmin``, ``y_arcmin`` (places on a plane), ``ixx``, ``iyy``, ``ixy`` of stars
        and ``ixxPSF``, ``iyyPSF``, ``ixyPSF`` of the model there [px**2]; rows with NaN are left out.
    edges_arcmin : array_like
        Limits of the bins, rising.

    Returns
    -------
    RhoStatistics
    """
    edges = np.asarray(edges_arcmin, np.float64)
    sums, counts = [], []
    for image in images:
        columns = {name: np.asarray(value, np.float64) for name, value in image.items()}
        good = np.all([np.isfinite(value) for value in columns.values()], axis=0)
        columns = {name: np.ascontiguousarray(value[good]) for name, value in columns.items()}
        real, imaginary = _quantities(columns)
        total, number = pair_correlations(columns["x_arcmin"], columns["y_arcmin"], real, imaginary, edges)
        sums.append(total[[3, 1, 5, 4, 2]])  # (de, de), (e, de), (w, w), (de, w), (e, w)
        counts.append(number)
    total, pairs = np.sum(sums, axis=0), np.sum(counts, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = total / pairs
        departure = np.array(sums) - rho * np.array(counts)[:, None, :]
        err = np.sqrt((departure**2).sum(axis=0)) / pairs
    enough = np.count_nonzero(counts, axis=0) >= 10
    return RhoStatistics(edges[:-1], edges[1:], pairs, rho, np.where(enough, err, np.nan))


def _quantities(columns: dict[str, Real]) -> tuple[Real, Real]:
    """Return real and imaginary parts of e, de and e dT / T, shape (3, n)."""
    size, model = columns["ixx"] + columns["iyy"], columns["ixxPSF"] + columns["iyyPSF"]
    e1, e2 = (columns["ixx"] - columns["iyy"]) / size, 2.0 * columns["ixy"] / size
    m1, m2 = (columns["ixxPSF"] - columns["iyyPSF"]) / model, 2.0 * columns["ixyPSF"] / model
    wrong = (size - model) / size
    return np.stack([e1, e1 - m1, e1 * wrong]), np.stack([e2, e2 - m2, e2 * wrong])
