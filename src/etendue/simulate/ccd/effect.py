"""What the specifications of all effects share."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Vector = NDArray[np.float64]


class EffectSpec(BaseModel):
    """One effect of the CCD; a field of `CcdSpec` that is None switches it off exactly."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def scattered(value: float, scatter: float, count: int, rng: np.random.Generator) -> Vector:
    """Return a value for each amplifier.

    Parameters
    ----------
    value : float
        Typical value.
    scatter : float
        Relative standard deviation; deviations are cut at 3 of them, and no value changes its sign.
    count : int
        Number of amplifiers.
    rng : Generator
        Source of the deviations.

    Returns
    -------
    ndarray, float64, shape (count,)
    """
    deviation = scatter * np.clip(rng.standard_normal(count), -3.0, 3.0)
    return np.asarray(value * np.maximum(1.0 + deviation, 0.0))
