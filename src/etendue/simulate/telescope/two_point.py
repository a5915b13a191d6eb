"""A measured two-point function of displacements, and the spectrum that gives it."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0

from etendue.simulate.population.given_table import GivenTable

Vector = NDArray[np.float64]

_STEPS = 4000
_FREQUENCIES = 1500
_HIGHEST = 400.0  # in units of 1 / reach


@dataclass(frozen=True, slots=True, eq=False)
class TwoPoint:
    """Correlation of displacements over their separation.

    Parameters
    ----------
    separation_deg : ndarray, float64, shape (n,)
        Ascending from 0 [deg].
    correlation_mas2 : ndarray, float64, shape (n,)
        Summed over both axes [mas**2]; linear in between, 0 beyond the end.
    frequency, power : ndarray, float64, shape (m,)
        Its spectrum [1/deg, mas**2 deg**2].
    """

    separation_deg: Vector
    correlation_mas2: Vector
    frequency: Vector
    power: Vector

    @property
    def rms_mas(self) -> float:
        """Standard deviation per axis [mas]."""
        return float(np.sqrt(0.5 * self.correlation_mas2[0]))

    @property
    def reach_deg(self) -> float:
        """Separation beyond which nothing correlates [deg]."""
        return float(self.separation_deg[-1])

    def spectrum(self, frequency: Vector, scale_deg: float) -> Vector:
        """Return the power spectrum.

        Parameters
        ----------
        frequency : ndarray, float64
            Spatial frequencies [1/deg].
        scale_deg : float
            Not used: the table has its own scale.

        Returns
        -------
        ndarray, float64
            Hankel transform of the correlation, not below 0: no field has a negative one [mas**2 deg**2].
        """
        return np.interp(frequency, self.frequency, self.power, right=0.0)


@lru_cache(maxsize=4)
def read_two_point(path: Path) -> TwoPoint:
    """Read a measured two-point function.

    Parameters
    ----------
    path : Path
        Table of ``separation_deg``, from 0, and ``correlation_mas2``.

    Returns
    -------
    TwoPoint

    Raises
    ------
    InputError
        If columns are missing, separations do not rise from 0, or nothing varies.
    """
    table = GivenTable.read(path, {})
    separation, correlation = table.numbers("separation_deg", low=0.0), table.numbers("correlation_mas2")
    first = np.arange(separation.size) == 0
    table.refuse("separation_deg", first & (separation != 0.0), "is not 0", "begin with the variance, at separation 0")
    table.refuse(
        "separation_deg", ~first & (np.diff(separation, prepend=-1.0) <= 0.0), "does not rise", "sort the rows"
    )
    table.refuse("correlation_mas2", first & (correlation <= 0.0), "is no variance", "give the sum over both axes")
    frequency = np.linspace(0.0, _HIGHEST / separation[-1], _FREQUENCIES)
    fine = np.linspace(0.0, separation[-1], _STEPS)
    weight = 2.0 * np.pi * fine * np.interp(fine, separation, correlation) * (fine[1] - fine[0])
    power = np.array([np.sum(weight * j0(2.0 * np.pi * k * fine)) for k in frequency])
    return TwoPoint(separation, correlation, frequency, np.maximum(power, 0.0))
