"""Tell from the zero point of an exposure, and from its evenness, whether clouds were in the way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]


class TransparencyConfig(TaskConfig):
    """What a clear sky would give, and what counts as cloudy."""

    nominal_zero_point: float | None = None
    """AB magnitude of one electron per second above the air at airmass 0 (or, without an airmass term, on a clear
    night) [mag]; without it extinction is unknown."""

    airmass_term: float = Field(0.0, ge=0.0)
    """Extinction of the clear air per airmass [mag]."""

    cloudy_extinction: float = Field(0.3, gt=0.0)
    """More extinction than this, beyond the clear air's, is called clouds [mag]."""

    cloudy_structure: float = Field(0.03, gt=0.0)
    """A zero point that varies by more than this over the detector is called clouds [mag]."""

    cells: int = Field(4, ge=2, le=32)
    """The detector is divided into so many cells per side; fewer where stars are few."""

    stars_per_cell: int = Field(5, ge=2)
    """Mean number of stars that a cell must have."""


@dataclass(frozen=True, slots=True)
class Transparency:
    """The state of the sky during an exposure.

    Parameters
    ----------
    extinction_mag : float
        Light lost beyond the clear air's share [mag]; NaN without a nominal zero point.
    structure_mag : float
        Root mean square of the zero point over the detector in cells, their noise taken out [mag]; NaN where the stars
        are too few. Errors of the flat count too.
    structure_err_mag : float
        What noise alone would leave [mag].
    cloudy : bool
        Whether either is over its limit; the structure also has to be three times its noise.
    """

    extinction_mag: float
    structure_mag: float
    structure_err_mag: float
    cloudy: bool


class TransparencyTask(Task[TransparencyConfig]):
    """Compare a zero point with that of a clear night, and the residuals of its stars with each other."""

    def run(
        self,
        *,
        zero_point_mag: float,
        exposure_time_s: float,
        airmass: float,
        x: ArrayLike,
        y: ArrayLike,
        residual_mag: ArrayLike,
        residual_err_mag: ArrayLike,
    ) -> Transparency:
        """Judge one exposure.

        Parameters
        ----------
        zero_point_mag : float
            Magnitude of one electron in the exposure [mag].
        exposure_time_s : float
            Its duration [s].
        airmass : float
            Its airmass; needed where an airmass term is configured.
        x, y : array_like, shape (n,)
            Calibration stars [px].
        residual_mag, residual_err_mag : array_like, shape (n,)
            Their calibrated minus reference magnitudes and errors [mag]; NaN leaves a star out.

        Returns
        -------
        Transparency
        """
        extinction = self._extinction(zero_point_mag, exposure_time_s, airmass)
        columns = [np.asarray(c, np.float64) for c in (x, y, residual_mag, residual_err_mag)]
        good = np.isfinite(columns).all(axis=0) & (columns[3] > 0.0)
        structure, noise = self._structure(*(column[good] for column in columns))
        patchy = structure > self.config.cloudy_structure and structure > 3.0 * noise
        return Transparency(extinction, structure, noise, bool(patchy or extinction > self.config.cloudy_extinction))

    def _extinction(self, zero_point_mag: float, exposure_time_s: float, airmass: float) -> float:
        nominal, term = self.config.nominal_zero_point, self.config.airmass_term
        if nominal is None or not exposure_time_s > 0.0:
            return float("nan")
        clear_air = term * airmass if term > 0.0 else 0.0
        return float(nominal - clear_air + 2.5 * np.log10(exposure_time_s) - zero_point_mag)

    def _structure(self, x: Vector, y: Vector, residual: Vector, error: Vector) -> tuple[float, float]:
        """Return the scatter of the cells' means with their noise subtracted, and what noise alone may leave."""
        side = min(self.config.cells, int(np.sqrt(x.size / self.config.stars_per_cell)))
        if side < 2:
            return float("nan"), float("nan")
        column, row = (np.minimum((side * (v - v.min()) / max(np.ptp(v), 1e-9)).astype(int), side - 1) for v in (x, y))
        cell = row * side + column
        # Stars scatter by more than their errors (variables, flat fields): their own scatter is the noise of a cell.
        scatter = 1.4826 * np.median(np.abs(residual - np.median(residual)))
        weight = 1.0 / (error**2 + scatter**2)
        weight = weight * (np.abs(residual - np.median(residual)) < 5.0 * np.hypot(error, scatter))
        total = np.bincount(cell, weight, side * side)
        filled = total > 0.0
        mean = np.bincount(cell, weight * residual, side * side)[filled] / total[filled]
        if mean.size < 4:
            return float("nan"), float("nan")
        freedom = mean.size - 1
        noise = float(np.mean(1.0 / total[filled]))
        left = mean - np.average(mean, weights=total[filled])
        square = float((left**2).sum() / freedom)
        return float(np.sqrt(max(square - noise, 0.0))), float(np.sqrt(noise * np.sqrt(2.0 / freedom)))
