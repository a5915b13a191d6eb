"""Tree rings: rings of uneven doping in the silicon push charge inwards and outwards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.charge_collection import displace_radially
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

_STEP = 0.5  # px of the radial table


class TreeRingSpec(EffectSpec):
    """Radial displacement of charge: it moves stars, and thins and piles up flat light (Plazas et al. 2014)."""

    rms_px: float = Field(0.02, ge=0.0, le=0.2)
    """Standard deviation of the displacement at the corner farthest from the rings' centre [px]."""

    period_px: tuple[float, float] = (25.0, 120.0)
    """Shortest and longest period of the waves that make up the rings [px]."""

    waves: int = Field(40, ge=1)
    """Number of waves."""

    growth: float = Field(2.0, ge=0.0)
    """The displacement grows as this power of the radius."""

    center_px: tuple[float, float] | None = None
    """Centre ``(x, y)`` in trimmed pixels; None puts it beyond one of the corners, by seed."""


@dataclass(frozen=True, slots=True, eq=False)
class TreeRings:
    """The displacement field of one detector.

    Parameters
    ----------
    x0, y0 : float
        Centre of the rings [px].
    table : ndarray, float64, shape (n,)
        Displacement outwards at every half pixel of the radius [px].
    """

    x0: float
    y0: float
    table: Vector

    @classmethod
    def make(cls, spec: TreeRingSpec, shape: tuple[int, int], streams: Streams) -> "TreeRings":
        """Draw the rings.

        Parameters
        ----------
        spec : TreeRingSpec
            Sizes.
        shape : tuple of int
            ``(ny, nx)`` of the trimmed frame.
        streams : Streams
            The detector's.

        Returns
        -------
        TreeRings
        """
        rng = streams.rng("tree rings")
        ny, nx = shape
        corner_x, corner_y = rng.integers(0, 2, 2)
        away = rng.uniform(0.05, 0.25, 2)
        x0, y0 = (
            size * (1.0 + d if c else -d) for size, c, d in zip((nx, ny), (corner_x, corner_y), away, strict=True)
        )
        if spec.center_px is not None:
            x0, y0 = spec.center_px
        farthest = np.hypot(max(abs(x0), abs(nx - x0)), max(abs(y0), abs(ny - y0)))
        radius = np.arange(0.0, farthest + 4.0, _STEP)
        short, long = spec.period_px
        period = short * (long / short) ** rng.random(spec.waves)
        phase = 2.0 * np.pi * rng.random(spec.waves)
        height = spec.rms_px * np.sqrt(2.0 / spec.waves)
        table = np.zeros(radius.size)
        for k in range(spec.waves):
            table += height * np.cos(2.0 * np.pi * radius / period[k] + phase[k])
        return cls(float(x0), float(y0), table * (radius / farthest) ** spec.growth)

    def apply(self, light: NDArray[np.float32]) -> None:
        """Displace light.

        Parameters
        ----------
        light : ndarray, float32, shape (ny, nx)
            Changed in place [e].
        """
        displace_radially(light, self.x0, self.y0, self.table, _STEP)

    def displacement(self, x: Vector, y: Vector) -> tuple[Vector, Vector]:
        """Return where charge goes: the truth for astrometry.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Where light falls [px].

        Returns
        -------
        dx, dy : ndarray, float64, shape (n,)
            Displacement [px].
        """
        radius = np.hypot(x - self.x0, y - self.y0)
        value = np.interp(radius, np.arange(self.table.size) * _STEP, self.table)
        scale = value / np.maximum(radius, 1e-6)
        return (x - self.x0) * scale, (y - self.y0) * scale
