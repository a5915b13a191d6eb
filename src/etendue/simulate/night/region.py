"""A part of the sky that is tiled with fields."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Vector = NDArray[np.float64]

_OBLIQUITY = np.radians(23.4393)


class RegionSpec(BaseModel):
    """A rectangle in longitude and latitude, tiled with fields in rows like a honeycomb."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    name: str = "R"
    """Beginning of the names of its fields; numbers follow."""

    frame: Literal["equatorial", "ecliptic"] = "equatorial"
    """What longitude and latitude are."""

    longitude_deg: tuple[float, float]
    """Limits of the centres; the second may exceed 360 [deg]."""

    latitude_deg: tuple[float, float]
    """Limits of the centres [deg]."""

    spacing_deg: float = Field(ge=0.01)
    """From field to field; an area of 0.866 times its square for each [deg]."""

    weight: float = Field(1.0, gt=0.0)
    """How much more often its fields are visited than those of weight 1."""

    def centres(self) -> tuple[Vector, Vector]:
        """Return the centres of its fields.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Row by row from low latitudes; neither limit is exceeded [deg].
        """
        (west, east), (south, north) = self.longitude_deg, self.latitude_deg
        rows = np.arange(south, north + 1e-9, self.spacing_deg * np.sqrt(0.75))
        longitude, latitude = [], []
        for number, row in enumerate(rows):
            step = self.spacing_deg / max(np.cos(np.radians(row)), 1e-3)
            along = np.arange(west + 0.5 * step * (number % 2), east + 1e-9, step)
            longitude.append(along)
            latitude.append(np.full(along.size, row))
        lon, lat = np.concatenate(longitude or [np.zeros(0)]), np.concatenate(latitude or [np.zeros(0)])
        return (lon % 360.0, lat) if self.frame == "equatorial" else _equatorial(lon, lat)


def _equatorial(longitude_deg: Vector, latitude_deg: Vector) -> tuple[Vector, Vector]:
    """Return right ascension and declination of ecliptic places, equinox J2000 [deg]."""
    lon, lat = np.radians(longitude_deg), np.radians(latitude_deg)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    y, z = y * np.cos(_OBLIQUITY) - z * np.sin(_OBLIQUITY), y * np.sin(_OBLIQUITY) + z * np.cos(_OBLIQUITY)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))
