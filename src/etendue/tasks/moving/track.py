"""The track of a moving object over one night."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.geom.sphere import tangent_plane, tangent_plane_inverse

ARCSEC_PER_RADIAN = np.degrees(1.0) * 3600.0
_POSITION, _RATE, _ACCELERATION = (0, 3), (1, 4), (2, 5)
_PARALLAX = 6


@dataclass(frozen=True)
class TrackPrior:
    """What is known of any asteroid before its night is seen; it binds what a short arc leaves free.

    Parameters
    ----------
    inverse_distance, inverse_distance_err : float
        Mean and 1-sigma width of 1/distance, which scales the diurnal parallax [1/au].
    acceleration_err : float
        1-sigma width of the acceleration per axis that diurnal parallax does not explain [arcsec/h**2].
    """

    inverse_distance: float = 0.6
    inverse_distance_err: float = 0.6
    acceleration_err: float = 0.03


@dataclass(frozen=True)
class Track:
    """Uniform motion plus diurnal parallax plus a small acceleration, on a tangent plane.

    Parameters
    ----------
    ra0_deg, dec0_deg : float
        Tangent point [deg].
    mjd_tai_ref : float
        Mid-epoch of the arc [d].
    parameters : ndarray, float64, shape (7,)
        East position, rate and acceleration, the same for north [arcsec, arcsec/h, arcsec/h**2], geocentric,
        and 1/distance [1/au].
    covariance : ndarray, float64, shape (7, 7)
        Of the parameters, prior included.
    chi2 : float
        Of the residuals, without the prior's terms.
    dof : int
        Number of coordinates less the four of uniform motion.
    """

    ra0_deg: float
    dec0_deg: float
    mjd_tai_ref: float
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    chi2: float
    dof: int

    def predict(self, *, mjd_tai: ArrayLike, observer_au: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions on the tangent plane.

        Parameters
        ----------
        mjd_tai : array_like, shape (n,)
            Times [d].
        observer_au : ndarray, float64, shape (n, 3)
            Geocentric positions of the observer [au].

        Returns
        -------
        ndarray, float64, shape (n, 2)
            East and north [arcsec].
        """
        design = self._design(mjd_tai, observer_au)
        predicted: NDArray[np.float64] = design @ self.parameters
        return predicted

    def predict_err(self, *, mjd_tai: ArrayLike, observer_au: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the 1-sigma errors of `predict`, shape (n, 2) [arcsec]."""
        design = self._design(mjd_tai, observer_au)
        return np.sqrt(np.einsum("nip,pq,niq->ni", design, self.covariance, design))

    def sky(self, *, mjd_tai: ArrayLike, observer_au: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
        """Return predicted ``ra_deg, dec_deg``, shape (n,); parameters as for `predict`."""
        plane = self.predict(mjd_tai=mjd_tai, observer_au=observer_au) / 3600.0
        return tangent_plane_inverse(plane[:, 0], plane[:, 1], self.ra0_deg, self.dec0_deg)

    def rate(
        self, observer_at: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the apparent (topocentric) rate at the mid-epoch and its error.

        Parameters
        ----------
        observer_at : callable
            Takes times, shape (n,) [d], and returns positions of the observer, shape (n, 3) [au].

        Returns
        -------
        rate, rate_err : ndarray, float64, shape (2,)
            East and north [arcsec/h].
        """
        times = self.mjd_tai_ref + np.array([-0.5, 0.5]) / 24.0
        step = np.diff(self._design(times, observer_at(times)), axis=0)[0]
        return step @ self.parameters, np.sqrt(np.einsum("ip,pq,iq->i", step, self.covariance, step))

    def _design(self, mjd_tai: ArrayLike, observer_au: NDArray[np.float64]) -> NDArray[np.float64]:
        hours = (np.asarray(mjd_tai, float) - self.mjd_tai_ref) * 24.0
        return design_matrix(hours, observer_au, self.ra0_deg, self.dec0_deg)


def design_matrix(
    hours: NDArray[np.float64], observer_au: NDArray[np.float64], ra0_deg: float, dec0_deg: float
) -> NDArray[np.float64]:
    """Return the derivative of track positions with respect to the seven parameters of `Track`.

    Parameters
    ----------
    hours : ndarray, float64, shape (n,)
        Times since the mid-epoch [h].
    observer_au : ndarray, float64, shape (n, 3)
        Geocentric positions of the observer [au].
    ra0_deg, dec0_deg : float
        Tangent point [deg].

    Returns
    -------
    ndarray, float64, shape (n, 2, 7)
        Axis 1 is east, north.
    """
    ra, dec = np.radians(ra0_deg), np.radians(dec0_deg)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    design = np.zeros((hours.size, 2, 7))
    for axis, direction in enumerate((east, north)):
        design[:, axis, _POSITION[axis]] = 1.0
        design[:, axis, _RATE[axis]] = hours
        design[:, axis, _ACCELERATION[axis]] = 0.5 * hours**2
        design[:, axis, _PARALLAX] = -(observer_au @ direction) * ARCSEC_PER_RADIAN
    return design


def fit_track(
    *,
    mjd_tai: NDArray[np.float64],
    ra_deg: NDArray[np.float64],
    dec_deg: NDArray[np.float64],
    err_arcsec: NDArray[np.float64],
    observer_au: NDArray[np.float64],
    prior: TrackPrior,
) -> Track:
    """Fit a track by least squares with Gaussian priors on distance and acceleration.

    Parameters
    ----------
    mjd_tai, ra_deg, dec_deg : ndarray, float64, shape (n,)
        Detections, n >= 2 at two or more times.
    err_arcsec : ndarray, float64, shape (n, 2)
        1-sigma errors east and north [arcsec].
    observer_au : ndarray, float64, shape (n, 3)
        Geocentric positions of the observer [au]; zeros leave parallax to the acceleration.
    prior : TrackPrior
        Widths of the priors.

    Returns
    -------
    Track
    """
    ra0, dec0 = float(ra_deg[0]), float(dec_deg[0])
    reference = 0.5 * float(mjd_tai.min() + mjd_tai.max())
    plane = np.stack(tangent_plane(ra_deg, dec_deg, ra0, dec0), axis=-1) * 3600.0
    design = design_matrix((mjd_tai - reference) * 24.0, observer_au, ra0, dec0)
    weight = 1.0 / err_arcsec
    rows, values = (design * weight[..., None]).reshape(-1, 7), (plane * weight).ravel()
    precision = np.zeros(7)
    precision[list(_ACCELERATION)] = prior.acceleration_err**-2
    precision[_PARALLAX] = prior.inverse_distance_err**-2
    expected = np.zeros(7)
    expected[_PARALLAX] = prior.inverse_distance
    covariance = np.asarray(np.linalg.inv(rows.T @ rows + np.diag(precision)), np.float64)
    parameters = covariance @ (rows.T @ values + precision * expected)
    chi2 = float(np.sum((values - rows @ parameters) ** 2))
    return Track(ra0, dec0, reference, parameters, covariance, chi2, max(values.size - 4, 1))
