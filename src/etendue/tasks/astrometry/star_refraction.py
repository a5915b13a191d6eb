"""How much the air moves each star for its colour, from exposures at different zenith distances alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_ROUNDS = 20


@dataclass(frozen=True, slots=True, eq=False)
class StarRefraction:
    """Differential chromatic refraction of stars whose colours nobody gave.

    Where exposures are in several bands, a star counts once in each: all stars of the first band, then of the next.

    Parameters
    ----------
    arcsec : ndarray, float64, shape (n_stars,)
        Shift towards the zenith per unit of ``tan z``, relative to the mean of the stars [arcsec]: the most probable
        value, drawn towards 0 as much as the scatter of all stars asks. Polynomials fitted to each exposure take up
        what varies smoothly over the field.
    err_arcsec : ndarray, float64, shape (n_stars,)
        Its 1-sigma error [arcsec].
    scatter_arcsec : float
        Scatter of the true values over the stars [arcsec]; 0 where noise explains all.
    """

    arcsec: Vector
    err_arcsec: Vector
    scatter_arcsec: float

    def shift(self, star: NDArray[np.int64], toward_zenith: Vector) -> Vector:
        """Return where measurements are, relative to where they were without this effect.

        Parameters
        ----------
        star : ndarray, int64, shape (n,)
            Star of each measurement.
        toward_zenith : ndarray, float64, shape (n, 2)
            East and north of the direction to the zenith of its exposure, of length ``tan z``.

        Returns
        -------
        ndarray, float64, shape (n, 2)
            Shifts east and north [arcsec].
        """
        return np.asarray(self.arcsec[star][:, None] * toward_zenith)


def fit_star_refraction(
    star: NDArray[np.int64], n_stars: int, residual: Vector, variance: Vector, toward_zenith: Vector
) -> StarRefraction:
    """Fit one coefficient per star to its deviations from its mean position.

    Parameters
    ----------
    star : ndarray, int64, shape (n,)
        Star of each measurement.
    n_stars : int
        Number of stars.
    residual : ndarray, float64, shape (n, 2)
        Measured minus mean position, east and north [arcsec].
    variance : ndarray, float64, shape (n, 2)
        Variances of the measurements [arcsec**2]; infinite leaves one out.
    toward_zenith : ndarray, float64, shape (n, 2)
        East and north of the direction to the zenith of its exposure, of length ``tan z``.

    Returns
    -------
    StarRefraction
        0 with the scatter as its error for stars that were not seen in different directions.

    Notes
    -----
    Each star's mean position is fitted along. The coefficients are Gaussian about 0 with a scatter that maximises the
    likelihood of all stars (empirical Bayes; fixed-point iteration of the marginal likelihood).
    """
    weight = 1.0 / variance
    total = np.stack([np.bincount(star, weight[:, axis], n_stars) for axis in (0, 1)], axis=1)
    total = np.where(total > 0.0, total, 1.0)
    mean = np.stack(
        [np.bincount(star, (weight * toward_zenith)[:, axis], n_stars) for axis in (0, 1)], axis=1
    ) / total  # fmt: skip
    lever = toward_zenith - mean[star]
    information = np.bincount(star, (weight * lever**2).sum(axis=1), n_stars)
    product = np.bincount(star, (weight * lever * residual).sum(axis=1), n_stars)
    # Exposures in the same direction leave a lever of rounding errors only.
    seen = information > 1e-9 * np.bincount(star, (weight * toward_zenith**2).sum(axis=1), n_stars)
    if not seen.any():
        return StarRefraction(np.zeros(n_stars), np.zeros(n_stars), 0.0)
    raw, noise = product[seen] / information[seen], 1.0 / information[seen]
    scatter2 = max(float(np.median(raw**2)) / 0.455 - float(np.median(noise)), 0.0)
    for _ in range(_ROUNDS):
        share = 1.0 / (scatter2 + noise) ** 2
        scatter2 = max(float((share * (raw**2 - noise)).sum() / share.sum()), 0.0)
    prior = 1.0 / scatter2 if scatter2 > 0.0 else np.inf
    return StarRefraction(
        np.where(np.isfinite(prior), product / (information + prior), 0.0),
        np.where(np.isfinite(prior), (information + prior) ** -0.5, 0.0),
        float(np.sqrt(scatter2)),
    )
