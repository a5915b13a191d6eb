"""Dark current: heat sets charge free, in some pixels much more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

_BOLTZMANN_EV_K = 8.617333e-5
_ZERO_C = 273.15


class DarkSpec(EffectSpec):
    """Dark current of all pixels and of hot ones."""

    rate_e_s: float = Field(0.02, ge=0.0)
    """Dark current of an ordinary pixel at the reference temperature [e/s]."""

    reference_c: float = Field(-100.0, gt=-200.0)
    """Temperature at which the rates hold [C]."""

    temperature_c: float = Field(-100.0, gt=-200.0)
    """Temperature of the detector [C]."""

    hot_fraction: float = Field(1e-4, ge=0.0, le=0.1)
    """Fraction of the pixels that are hot."""

    hot_rate_e_s: float = Field(5.0, gt=0.0)
    """Mean of the exponential distribution of the hot pixels' rates at the reference temperature [e/s]."""

    def warming(self) -> float:
        """Return dark current at the temperature over that at the reference (Widenhorn et al. 2002, SPIE 4669).

        Returns
        -------
        float
            From ``T**1.5 exp(-gap / 2kT)`` with Varshni's gap of silicon.
        """
        return _diffusion_current(self.temperature_c + _ZERO_C) / _diffusion_current(self.reference_c + _ZERO_C)


@dataclass(frozen=True, slots=True, eq=False)
class DarkCurrent:
    """Dark current of one detector at its temperature.

    Parameters
    ----------
    rate : float
        Of an ordinary pixel [e/s].
    hot : ndarray, int64, shape (n,)
        Hot pixels, as indices into the flattened trimmed frame.
    hot_rate : ndarray, float64, shape (n,)
        Their rates on top of the ordinary one [e/s].
    """

    rate: float
    hot: NDArray[np.int64]
    hot_rate: Vector

    @classmethod
    def make(cls, spec: DarkSpec, shape: tuple[int, int], streams: Streams) -> "DarkCurrent":
        """Draw the hot pixels.

        Parameters
        ----------
        spec : DarkSpec
            Rates.
        shape : tuple of int
            ``(ny, nx)`` of the trimmed frame.
        streams : Streams
            The detector's.

        Returns
        -------
        DarkCurrent
        """
        rng = streams.rng("hot pixels")
        size = shape[0] * shape[1]
        hot = np.unique(rng.integers(0, size, rng.binomial(size, spec.hot_fraction)))
        warming = spec.warming()
        return cls(spec.rate_e_s * warming, hot, warming * rng.exponential(spec.hot_rate_e_s, hot.size))

    def add(self, light: NDArray[np.float32], seconds: float) -> None:
        """Add the expected dark charge.

        Parameters
        ----------
        light : ndarray, float32, shape (ny, nx)
            Changed in place [e].
        seconds : float
            Time from clearing to reading [s].
        """
        light += np.float32(self.rate * seconds)
        light.reshape(-1)[self.hot] += (self.hot_rate * seconds).astype(np.float32)


def _diffusion_current(kelvin: float) -> float:
    gap = 1.1557 - 7.021e-4 * kelvin**2 / (1108.0 + kelvin)
    return float(kelvin**1.5 * np.exp(-gap / (2.0 * _BOLTZMANN_EV_K * kelvin)))
