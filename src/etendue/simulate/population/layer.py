"""What a layer of the sky is, the ids that it may use, and the piece of sky that is filled."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import sky_position, unit_vector
from etendue.simulate.population.lights import Lights
from etendue.simulate.population.moment import Moment

Columns = dict[str, NDArray[Any]]
Vector = NDArray[np.float64]

KINDS = (
    "stars",
    "galaxies",
    "crowded",
    "table",
    "variables",
    "transients",
    "moving",
    "satellites",
    "comets",
    "flashes",
    "lenses",
    "agn",
    "curves",
)
"""Kinds of layers; the place in this list is part of every id, so new ones go to the end."""

_ROW_BITS = 32
_COPY_BITS = 8


class Layer(Protocol):
    """Objects of one kind, a pure function of a spec, a field and a seed."""

    @property
    def name(self) -> str:
        """Name in the truth."""

    @property
    def objects(self) -> Columns:
        """Truth: one row per object, ``object_id`` first."""

    def lights(self, moment: Moment) -> Lights:
        """Return what shines inside the moment's circle.

        Parameters
        ----------
        moment : Moment
            When, where and in which light.

        Returns
        -------
        Lights
            At least all that lies in the circle; what lies outside may be given or not.
        """


def layer_ids(kind: str, count: int, copy: int = 0) -> NDArray[np.int64]:
    """Return the ids of a layer's objects; no two layers share one.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    count : int
        Number of objects.
    copy : int
        Number of the layer among those of its kind, below 256.

    Returns
    -------
    ndarray, int64, shape (count,)
        Consecutive, positive and exact as float64.
    """
    if not 0 <= copy < 1 << _COPY_BITS or count >= 1 << _ROW_BITS:
        raise ValueError(f"layer {kind} {copy} of {count} objects: ids hold 256 layers of a kind, 2**32 objects each")
    block = (KINDS.index(kind) + 1 << _COPY_BITS) + copy
    return np.arange(count, dtype=np.int64) + (block << _ROW_BITS)


def kind_of(object_id: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the kinds of layers that ids come from.

    Parameters
    ----------
    object_id : ndarray, int64, shape (n,)
        Ids made by `layer_ids`.

    Returns
    -------
    ndarray, str, shape (n,)
        Of `KINDS`.
    """
    return np.array(KINDS)[(object_id >> (_ROW_BITS + _COPY_BITS)) - 1]


@dataclass(frozen=True, slots=True)
class Field:
    """A rectangle of sky in longitude and latitude of a frame whose origin is its centre.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Centre [deg].
    half_width_deg : float
        Longitudes ``-half_width_deg`` to ``half_width_deg``, growing eastwards, at most 180 [deg].
    half_height_deg : float
        Latitudes ``-half_height_deg`` to ``half_height_deg``, growing northwards, at most 90 [deg].
    """

    ra_deg: float
    dec_deg: float
    half_width_deg: float
    half_height_deg: float

    @property
    def area_deg2(self) -> float:
        """Solid angle [deg**2]."""
        return 2.0 * self.half_width_deg * float(np.degrees(2.0 * np.sin(np.radians(self.half_height_deg))))

    def to_sky(self, east_deg: Vector, north_deg: Vector) -> tuple[Vector, Vector]:
        """Return the sky positions of longitudes and latitudes of the field's frame.

        Parameters
        ----------
        east_deg, north_deg : ndarray, float64, shape (n,)
            Longitude and latitude [deg].

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Positions [deg].
        """
        return sky_position(unit_vector(east_deg, north_deg) @ self._axes())

    def from_sky(self, ra_deg: Vector, dec_deg: Vector) -> tuple[Vector, Vector]:
        """Return longitudes and latitudes in the field's frame.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Positions [deg].

        Returns
        -------
        east_deg, north_deg : ndarray, float64, shape (n,)
            Longitude, -180 to 180, and latitude [deg].
        """
        east, north = sky_position(unit_vector(ra_deg, dec_deg) @ self._axes().T)
        return np.where(east > 180.0, east - 360.0, east), north

    def contains(self, ra_deg: Vector, dec_deg: Vector) -> NDArray[np.bool_]:
        """Tell which positions lie in the field.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Positions [deg].

        Returns
        -------
        ndarray, bool, shape (n,)
        """
        east, north = self.from_sky(ra_deg, dec_deg)
        return (np.abs(east) <= self.half_width_deg) & (np.abs(north) <= self.half_height_deg)

    def scatter(self, rng: np.random.Generator, count: int) -> tuple[Vector, Vector]:
        """Draw positions that are uniform in solid angle.

        Parameters
        ----------
        rng : numpy.random.Generator
            Random numbers.
        count : int
            How many.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (count,)
            Positions [deg].
        """
        top = np.sin(np.radians(self.half_height_deg))
        east = rng.uniform(-self.half_width_deg, self.half_width_deg, count)
        return self.to_sky(east, np.degrees(np.arcsin(rng.uniform(-top, top, count))))

    def _axes(self) -> NDArray[np.float64]:
        """Rows: the centre, east of it, north of it."""
        centre = unit_vector(self.ra_deg, self.dec_deg)
        north = unit_vector(self.ra_deg + 180.0, 90.0 - self.dec_deg)
        return np.stack([centre, np.cross(north, centre), north])
