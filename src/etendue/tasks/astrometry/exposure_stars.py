"""Stars measured on one exposure, as joint calibration needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.table.table import Table

_COLUMNS = ("x", "y", "x_err", "y_err", "flux", "flux_err")


@dataclass(frozen=True, slots=True, eq=False)
class ExposureStars:
    """Point sources of one detector of one visit.

    Parameters
    ----------
    visit, detector : int
        Which exposure.
    wcs : SkyWcs
        Starting WCS.
    x, y, x_err, y_err : array_like, shape (n,)
        Centers and errors [px].
    flux, flux_err : array_like, shape (n,)
        Fluxes and errors, image units.
    usable : array_like, bool, shape (n,), optional
        False for sources that must not calibrate (saturated, on bad pixels, extended). Sources with
        a number that is not finite, or without positive flux, are never usable.

    Raises
    ------
    InputError
        If the columns differ in length.
    """

    visit: int
    detector: int
    wcs: SkyWcs
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    usable: NDArray[np.bool_] = field(default_factory=lambda: np.ones(1, bool))

    def __post_init__(self) -> None:
        columns = [np.asarray(getattr(self, name), np.float64) for name in _COLUMNS]
        lengths = {name: column.shape for name, column in zip(_COLUMNS, columns, strict=True)}
        if len(set(lengths.values())) != 1 or columns[0].ndim != 1:
            raise InputError("star columns differ in length", source=f"visit {self.visit}", value=lengths)
        usable = np.asarray(self.usable, bool)
        finite = np.isfinite(columns).all(axis=0)
        positive = (columns[4] > 0.0) & (columns[5] > 0.0) if columns[0].size else finite
        for name, column in zip(_COLUMNS, columns, strict=True):
            object.__setattr__(self, name, column)
        object.__setattr__(self, "usable", usable & finite & positive)

    @property
    def pixel_scale(self) -> float:
        """Side of a pixel in the middle of the stars [arcsec]."""
        x, y = (float(np.mean(c[np.isfinite(c)])) if np.isfinite(c).any() else 0.0 for c in (self.x, self.y))
        return float(self.wcs.pixel_scale(x=x, y=y))

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, ArrayLike] | Table,
        *,
        visit: int,
        detector: int,
        wcs: SkyWcs,
        flux_column: str = "psfFlux",
        bad_flags: tuple[str, ...] = (),
        max_extendedness: float | None = None,
    ) -> "ExposureStars":
        """Read the columns of a ``single_visit_star`` or ``source`` table.

        Parameters
        ----------
        columns : mapping of str to array_like, or Table
            With x, y, xErr, yErr, and a flux with its error.
        visit, detector : int
            Which exposure.
        wcs : SkyWcs
            Starting WCS.
        flux_column : str
            Name of the flux; its error has the same name with ``Err``.
        bad_flags : tuple of str
            Flag columns that make a source unusable.
        max_extendedness : float, optional
            Sources whose ``extendedness`` exceeds this are unusable; all count by default.

        Returns
        -------
        ExposureStars
        """
        names = ("x", "y", "xErr", "yErr", flux_column, f"{flux_column}Err")
        x, y, x_err, y_err, flux, flux_err = (np.asarray(columns[name], np.float64) for name in names)
        usable = np.ones(x.size, bool)
        for flag in bad_flags:
            usable &= ~np.asarray(columns[flag], bool)
        if max_extendedness is not None:
            extendedness = np.asarray(columns["extendedness"], np.float64)
            usable &= ~(extendedness > max_extendedness)
        return cls(visit, detector, wcs, x, y, x_err, y_err, flux, flux_err, usable)
