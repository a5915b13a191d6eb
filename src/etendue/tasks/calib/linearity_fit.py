"""Joint fit of amplifiers' curves and a lamp that fluctuates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Lit:
    """Levels of exposures and amplifiers.

    Parameters
    ----------
    level, error : ndarray, float64, shape (exposures, amplifiers)
        Mean signals and their errors [ADU].
    light : ndarray, float64, shape (exposures,)
        Expected light, in any unit.
    seconds : ndarray, float64, shape (exposures,)
        Exposure times [s].
    """

    level: Vector
    error: Vector
    light: Vector
    seconds: Vector


@dataclass(frozen=True, slots=True, eq=False)
class LinearityFit:
    """What was fitted.

    Parameters
    ----------
    curves : ndarray, float64, shape (amplifiers, size)
        Coefficients of the logarithmic deviations.
    lamp : ndarray, float64, shape (exposures,)
        Logarithm of the lamp's level over its mean; 0 for exposures that were not used.
    left : ndarray, float64, shape (exposures, amplifiers)
        Logarithm of the level over the fit; NaN where not used.
    """

    curves: Vector
    lamp: Vector
    left: Vector


def fit_linearity(
    lit: Lit, used: NDArray[np.bool_], basis: Vector, *, stiffness: Vector, lamp_sigma: float, shutter: bool
) -> LinearityFit:
    """Solve ``log(level) + D(level) = log(light) + response + lamp + shutter / time`` by weighted least squares.

    Parameters
    ----------
    lit : Lit
        Levels.
    used : ndarray, bool, shape (exposures, amplifiers)
        Levels to use.
    basis : ndarray, float64, shape (exposures, amplifiers, size)
        Functions of the level whose sum is ``D``; 0 without light.
    stiffness : ndarray, float64, shape (m, size)
        Combinations of the coefficients that are 0 within 1, a priori: what curve is left where there are no levels.
    lamp_sigma : float
        Standard deviation of the lamp's logarithm.
    shutter : bool
        Whether there is a common error of the exposure times.

    Returns
    -------
    LinearityFit
    """
    exposures, amplifiers = used.shape
    size = basis.shape[2]
    row, amplifier = np.nonzero(used)
    index = np.arange(row.size)
    levels, stiff = row.size + exposures, stiffness.shape[0]
    design = np.zeros((levels + amplifiers * stiff, amplifiers * (size + 1) + exposures + 1))
    value, weight = np.zeros(design.shape[0]), np.ones(design.shape[0])
    weight[row.size : levels] = 1.0 / lamp_sigma
    for k in range(amplifiers):
        design[levels + k * stiff : levels + (k + 1) * stiff, k * size : (k + 1) * size] = stiffness
    for k in range(size):
        design[index, amplifier * size + k] = -basis[row, amplifier, k]
    design[index, amplifiers * size + amplifier] = 1.0
    first_lamp = amplifiers * (size + 1)
    design[index, first_lamp + row] = 1.0
    if shutter:
        design[index, -1] = 1.0 / lit.seconds[row]
    design[row.size + np.arange(exposures), first_lamp + np.arange(exposures)] = 1.0
    value[: row.size] = np.log(lit.level[row, amplifier] / lit.light[row])
    weight[: row.size] = lit.level[row, amplifier] / lit.error[row, amplifier]
    found = np.linalg.lstsq(design * weight[:, None], value * weight, rcond=1e-12)[0]
    left = np.full(used.shape, np.nan)
    left[row, amplifier] = (value - design @ found)[: row.size]
    lamp = found[first_lamp : first_lamp + exposures]
    return LinearityFit(found[: amplifiers * size].reshape(amplifiers, size), lamp, left)
