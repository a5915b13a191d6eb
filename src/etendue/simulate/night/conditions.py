"""Seeing, clouds and sky of every exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.night.spec import ConditionsSpec
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_STEP_H = 0.1
_STEPS = 240


@dataclass(frozen=True, slots=True, eq=False)
class NightConditions:
    """Histories of one night on a grid of six minutes from local noon, and what holds all night.

    Parameters
    ----------
    seeing_arcsec, cloud_mag : ndarray, float64, shape (240,)
        At the zenith at 500 nm; grey.
    sky_mag : float
        Offset of the dark sky [mag].
    """

    seeing_arcsec: Vector
    cloud_mag: Vector
    sky_mag: float

    def at(self, hours: float) -> tuple[float, float]:
        """Return seeing and clouds at a time.

        Parameters
        ----------
        hours : float
            Hours after local noon.

        Returns
        -------
        seeing_arcsec, cloud_mag : float
        """
        grid = np.arange(_STEPS) * _STEP_H
        return float(np.interp(hours, grid, self.seeing_arcsec)), float(np.interp(hours, grid, self.cloud_mag))


def night_conditions(spec: ConditionsSpec, day_obs: int, seed: int) -> NightConditions:
    """Draw the conditions of a night, whatever is observed in it.

    Parameters
    ----------
    spec : ConditionsSpec
        Medians and scatters.
    day_obs : int
        Night, YYYYMMDD.
    seed : int
        Seed of the survey.

    Returns
    -------
    NightConditions
    """
    rng = stream(seed, "conditions", day_obs)
    night, cloudy, depth, sky = rng.standard_normal(), rng.uniform(), rng.standard_normal(), rng.standard_normal()
    drift = [_drift(rng, spec.correlation_h) for _ in range(2)]
    seeing = spec.seeing_arcsec * np.exp(spec.seeing_scatter * (night + 0.5 * drift[0]))
    clouds = np.zeros(_STEPS)
    if cloudy < spec.cloudy_nights:
        clouds = spec.cloud_mag * np.exp(0.5 * depth + 0.7 * drift[1])
    return NightConditions(seeing, clouds, float(spec.sky_scatter_mag * sky))


def _drift(rng: np.random.Generator, correlation_h: float) -> Vector:
    """Return a Gauss-Markov process of unit variance."""
    keep = np.exp(-_STEP_H / correlation_h)
    noise = rng.standard_normal(_STEPS)
    values = np.empty(_STEPS)
    values[0] = noise[0]
    for k in range(1, _STEPS):
        values[k] = keep * values[k - 1] + np.sqrt(1.0 - keep**2) * noise[k]
    return values
