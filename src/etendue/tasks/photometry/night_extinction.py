"""Find what a clear sky gives from the zero points of a night: the nominal zero point and the airmass term."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.errors import AlgorithmError
from etendue.kernels.astrometry import weighted_fit
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]


class NightExtinctionConfig(TaskConfig):
    """Which exposures count as clear."""

    usual_airmass_term: float = Field(0.12, ge=0.0)
    """Extinction per airmass with which the search for clear exposures begins, and which is kept where the airmasses
    are too much alike to fit one [mag]."""

    min_airmass_range: float = Field(0.25, gt=0.0)
    """Smallest range of airmasses from which the term is fitted."""

    clear_mag: float = Field(0.05, gt=0.0)
    """Exposures that lose no more than this against the better ones begin as clear [mag]."""

    clip_sigma: float = Field(3.0, gt=1.0)
    """Exposures that lose more than so many times the scatter of the clear ones are cloudy."""

    iterations: int = Field(10, ge=1)
    """Rounds of fitting and choosing."""

    min_clear: int = Field(3, ge=2)
    """Fewest clear exposures."""


@dataclass(frozen=True, slots=True, eq=False)
class NightExtinction:
    """A night's transparency.

    Parameters
    ----------
    nominal_zero_point, nominal_zero_point_err : float
        Magnitude of one electron per second at airmass 0, and its error [mag].
    airmass_term, airmass_term_err : float
        Extinction per airmass [mag]; the error is 0 where the usual one was kept.
    clear : ndarray, bool, shape (n,)
        Exposures in the fit.
    extinction_mag : ndarray, float64, shape (n,)
        Light lost beyond the clear air's share [mag].
    scatter_mag : float
        Root mean square of the clear exposures [mag].
    """

    nominal_zero_point: float
    nominal_zero_point_err: float
    airmass_term: float
    airmass_term_err: float
    clear: NDArray[np.bool_]
    extinction_mag: Vector
    scatter_mag: float


class NightExtinctionTask(Task[NightExtinctionConfig]):
    """Fit a line to the zero points of clear exposures against airmass; clouds can only take light away."""

    def run(
        self,
        *,
        zero_point_mag: ArrayLike,
        zero_point_err_mag: ArrayLike,
        exposure_time_s: ArrayLike,
        airmass: ArrayLike,
    ) -> NightExtinction:
        """Fit the exposures of one filter and night.

        Parameters
        ----------
        zero_point_mag, zero_point_err_mag : array_like, shape (n,)
            Magnitude of one electron in each exposure, and its error [mag]; NaN leaves an exposure out.
        exposure_time_s : array_like, shape (n,) or scalar
            Exposure times [s].
        airmass : array_like, shape (n,)
            Airmasses.

        Returns
        -------
        NightExtinction

        Raises
        ------
        AlgorithmError
            If too few exposures are clear.
        """
        given = (zero_point_mag, zero_point_err_mag, exposure_time_s, airmass)
        zero, error, seconds, air = np.broadcast_arrays(*(np.asarray(c, np.float64) for c in given))
        with np.errstate(invalid="ignore", divide="ignore"):
            value = zero - 2.5 * np.log10(seconds)
        good = np.isfinite(value) & np.isfinite(error) & np.isfinite(air)
        if good.sum() < self.config.min_clear:
            raise AlgorithmError("too few exposures for a night's extinction", exposures=int(good.sum()))
        above = value + self.config.usual_airmass_term * air
        clear = good & (above >= np.quantile(above[good], 0.75) - self.config.clear_mag)
        for _ in range(self.config.iterations):
            line, covariance = self._line(value, error, air, clear)
            lost = line[0] - line[1] * air - value
            scatter = float(np.sqrt(np.mean(lost[clear] ** 2)))
            chosen = good & (np.abs(lost) <= self.config.clip_sigma * np.hypot(max(scatter, 1e-3), error))
            if chosen.sum() < self.config.min_clear or (chosen == clear).all():
                break
            clear = chosen
        errors = np.sqrt(np.diag(covariance)) * max(scatter, 1e-6)
        return NightExtinction(float(line[0]), float(errors[0]), float(line[1]), float(errors[1]), clear, lost, scatter)

    def _line(self, value: Vector, error: Vector, air: Vector, clear: NDArray[np.bool_]) -> tuple[Vector, Vector]:
        """Return zero point and airmass term of the clear exposures, and their covariance for unit scatter."""
        if clear.sum() < self.config.min_clear:
            raise AlgorithmError("too few clear exposures for a night's extinction", clear=int(clear.sum()))
        weight = np.ones(int(clear.sum()))  # errors of single zero points are far below the scatter of the air
        if np.ptp(air[clear]) < self.config.min_airmass_range:
            term = self.config.usual_airmass_term
            fit = weighted_fit(np.ones((weight.size, 1)), value[clear] + term * air[clear], weight)
            return np.array([fit.coefficients[0], term]), np.diag([fit.covariance[0, 0], 0.0])
        fit = weighted_fit(np.stack([np.ones(weight.size), -air[clear]], axis=1), value[clear], weight)
        return fit.coefficients, fit.covariance
