"""What shines at one moment, in parallel columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.shapes import Shapes

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Lights:
    """Sources above the atmosphere; all columns have shape (n,).

    Parameters
    ----------
    object_id : ndarray, int64
        Object of the truth.
    ra_deg, dec_deg : ndarray, float64
        Direction at mid-exposure: proper motion, parallax and light time are in, refraction is not [deg].
    mag : ndarray, float64
        AB magnitude in the band; the Galaxy's extinction is in, the atmosphere's is not.
    wavelength_nm : ndarray, float64
        Effective wavelength in the band [nm].
    rate_ra, rate_dec : ndarray, float64
        Motion on the sky, along the parallel and along the meridian [arcsec/h].
    shape : ndarray, int64
        Row of ``shapes``; -1 for a point.
    shapes : Shapes
        Shapes of what is not a point.
    """

    object_id: NDArray[np.int64]
    ra_deg: Vector
    dec_deg: Vector
    mag: Vector
    wavelength_nm: Vector
    rate_ra: Vector
    rate_dec: Vector
    shape: NDArray[np.int64]
    shapes: Shapes

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        sizes = {name: getattr(self, name).size for name in _columns()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"columns of different lengths: {sizes}")

    def __len__(self) -> int:
        return int(self.object_id.size)

    @classmethod
    def points(
        cls, object_id: NDArray[np.int64], ra_deg: Vector, dec_deg: Vector, mag: Vector, wavelength_nm: Vector
    ) -> "Lights":
        """Return points at rest.

        Parameters
        ----------
        object_id : ndarray, int64, shape (n,)
            Objects.
        ra_deg, dec_deg, mag, wavelength_nm : ndarray, float64, shape (n,)
            As in the class.

        Returns
        -------
        Lights
        """
        still = np.zeros(object_id.size)
        shape = np.full(object_id.size, -1, np.int64)
        return cls(object_id, ra_deg, dec_deg, mag, wavelength_nm, still, still, shape, Shapes.none())

    @classmethod
    def none(cls) -> "Lights":
        """Return no light."""
        empty = np.zeros(0)
        return cls.points(np.zeros(0, np.int64), empty, empty, empty, empty)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Lights":
        """Return some rows; all shapes are kept.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Lights
        """
        return type(self)(**{name: getattr(self, name)[rows] for name in _columns()}, shapes=self.shapes)

    @classmethod
    def concat(cls, parts: Sequence["Lights"]) -> "Lights":
        """Join the lights of several layers.

        Parameters
        ----------
        parts : sequence of Lights
            Any number.

        Returns
        -------
        Lights
        """
        parts = parts or [cls.none()]
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _columns()}
        first = np.cumsum([0, *(len(part.shapes) for part in parts)])
        columns["shape"] = np.concatenate(
            [np.where(part.shape < 0, -1, part.shape + start) for part, start in zip(parts, first, strict=False)]
        )
        return cls(**columns, shapes=Shapes.concat([part.shapes for part in parts]))


def _columns() -> list[str]:
    return [field.name for field in fields(Lights) if field.name != "shapes"]
