"""Sources to add to images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.simulate.drawing.sersic import INDICES

_OPTIONAL = {"n": 1.0, "half_light_radius": 0.0, "q": 1.0, "position_angle": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class InjectionCatalog:
    """Stars and galaxies with a Sersic profile, in columns of one length.

    Parameters
    ----------
    injection_id : ndarray, int64
        Number of each source.
    ra, dec : ndarray, float64
        Position [deg].
    mag : ndarray, float64
        AB magnitude of all its light.
    half_light_radius : ndarray, float64
        Of the circle of the same area [arcsec]; 0 for stars.
    n : ndarray, float64
        Sersic index, 0.5 to 6.
    q : ndarray, float64
        Axis ratio, above 0 to 1.
    position_angle : ndarray, float64
        Of the long axis, east of north [deg].

    Raises
    ------
    InputError
        If lengths differ or a value is out of its range.
    """

    injection_id: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    mag: NDArray[np.float64]
    half_light_radius: NDArray[np.float64]
    n: NDArray[np.float64]
    q: NDArray[np.float64]
    position_angle: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {name: getattr(self, name).shape for name in self.__slots__}
        if set(lengths.values()) != {self.ra.shape} or self.ra.ndim != 1:
            raise InputError("columns of an injection catalog differ in length", value=lengths)
        limits = {
            "ra": (-360.0, 360.0), "dec": (-90.0, 90.0), "mag": (-30.0, 60.0), "half_light_radius": (0.0, 3600.0),
            "n": (INDICES[0], INDICES[-1]), "q": (0.01, 1.0), "position_angle": (-360.0, 360.0),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            column = getattr(self, name)
            wrong = ~((column >= low - 1e-9) & (column <= high + 1e-9))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(
                    f"{name} of row {row} of the injection catalog is out of range", value=float(column[row]),
                    remedy=f"give {low:g} to {high:g}",
                )  # fmt: skip

    def __len__(self) -> int:
        return int(self.ra.size)

    @classmethod
    def from_columns(cls, columns: Mapping[str, ArrayLike]) -> "InjectionCatalog":
        """Make a catalog of columns, of which ``ra``, ``dec`` and ``mag`` are needed.

        Parameters
        ----------
        columns : mapping of str to array_like, shape (n,)
            By name; those that are left out mean stars, ids from 1.

        Returns
        -------
        InjectionCatalog

        Raises
        ------
        InputError
            If a column is missing or a value out of range.
        """
        missing = [name for name in ("ra", "dec", "mag") if name not in columns]
        if missing:
            raise InputError("the injection catalog lacks columns", value=", ".join(missing))
        ra = np.atleast_1d(np.asarray(columns["ra"], np.float64))
        real: dict[str, Any] = {
            name: np.atleast_1d(np.asarray(columns[name], np.float64)) if name in columns else np.full(ra.size, default)
            for name, default in {"dec": 0.0, "mag": 0.0, **_OPTIONAL}.items()
        }
        number = columns.get("injection_id", np.arange(1, ra.size + 1))
        return cls(injection_id=np.atleast_1d(np.asarray(number, np.int64)), ra=ra, **real)
