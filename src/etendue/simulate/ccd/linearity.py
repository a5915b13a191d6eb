"""Non-linearity of the output amplifiers."""

from itertools import pairwise
from typing import Self

import numpy as np
from pydantic import Field, model_validator
from scipy.interpolate import CubicSpline

from etendue.simulate.ccd.effect import EffectSpec, Vector, scattered
from etendue.simulate.ccd.streams import Streams

_NODES = 2049


class LinearitySpec(EffectSpec):
    """Output over input is ``1 + deviation(input)``: a polynomial, or a spline through knots."""

    coefficients: tuple[float, ...] = (-0.01,)
    """Coefficients of the first, second... power of input over `scale_electrons`."""

    knots: tuple[tuple[float, float], ...] = ()
    """Pairs of input [e] and deviation, ascending; if given, a cubic spline in place of the polynomial."""

    scale_electrons: float = Field(100_000.0, gt=0.0)
    """Charge at which a polynomial's powers are 1 [e]."""

    scatter: float = Field(0.2, ge=0.0, le=1.0)
    """Relative standard deviation of the deviation between amplifiers."""

    highest_electrons: float = Field(400_000.0, gt=0.0)
    """The deviation stays as it is here above this charge [e]."""

    @model_validator(mode="after")
    def _check_knots(self) -> Self:
        inputs = [knot[0] for knot in self.knots]
        if self.knots and (len(inputs) < 4 or any(b <= a for a, b in pairwise(inputs))):
            raise ValueError("knots must be at least four, with ascending inputs")
        return self

    def deviation(self, electrons: Vector) -> Vector:
        """Return the deviation of a typical amplifier.

        Parameters
        ----------
        electrons : ndarray, float64, shape (n,)
            Input [e].

        Returns
        -------
        ndarray, float64, shape (n,)
        """
        if self.knots:
            knots = np.array(self.knots)
            return np.asarray(CubicSpline(*knots.T)(np.clip(electrons, knots[0, 0], knots[-1, 0])))
        powers = electrons / self.scale_electrons
        return np.asarray(np.polynomial.polynomial.polyval(powers, (0.0, *self.coefficients)), float)


def response_tables(spec: LinearitySpec, count: int, streams: Streams) -> tuple[Vector, Vector, float]:
    """Return output over input for each amplifier.

    Parameters
    ----------
    spec : LinearitySpec
        Deviations.
    count : int
        Number of amplifiers.
    streams : Streams
        The detector's.

    Returns
    -------
    strength : ndarray, float64, shape (count,)
        Deviation of each amplifier over the typical one.
    tables : ndarray, float64, shape (count, n)
        Output over input at even steps.
    step : float
        Spacing [e].
    """
    strength = scattered(1.0, spec.scatter, count, streams.rng("linearity"))
    step = spec.highest_electrons / (_NODES - 1)
    deviation = spec.deviation(np.linspace(0.0, spec.highest_electrons, _NODES))
    return strength, 1.0 + strength[:, None] * deviation[None, :], step
