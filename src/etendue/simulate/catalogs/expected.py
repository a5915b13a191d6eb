"""What a perfect, noiseless image or difference holds."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.blends import merge, summed

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

KINDS = ("object", "noise", "near_star", "dipole", "artefact")
"""Kinds of rows; `Expected.kind` is a place in this list."""


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Sources without noise; columns of shape (n,).

    Parameters
    ----------
    object_id : ndarray, int64
        Object; 0 for a false detection.
    kind : ndarray, int8
        Place in `KINDS`.
    field_x, field_y : ndarray, float64
        Field angles at mid-exposure [deg].
    flux : ndarray, float64
        Total flux, in a difference without the template's [nJy].
    psf_flux : ndarray, float64
        What a fit of the PSF gives of it [nJy].
    template : ndarray, float64
        Flux on the template [nJy].
    length_arcsec, bearing_deg : ndarray, float64
        Length and direction of the trail, the latter from north through east, 0 to 180.
    moments : ndarray, float64, shape (n, 3)
        Extent along east, along north, mixed [arcsec**2].
    snr : ndarray, float64
        Signal-to-noise ratio of a false detection; NaN for objects, whose noise is yet to be drawn.
    """

    object_id: Rows
    kind: NDArray[np.int8]
    field_x: Vector
    field_y: Vector
    flux: Vector
    psf_flux: Vector
    template: Vector
    length_arcsec: Vector
    bearing_deg: Vector
    moments: Vector
    snr: Vector

    def __len__(self) -> int:
        return int(self.kind.size)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Return some rows.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Expected
        """
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def concat(cls, parts: "Sequence[Expected]") -> Self:
        """Join rows.

        Parameters
        ----------
        parts : sequence of Expected
            At least one.

        Returns
        -------
        Expected
        """
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def blended(self, radius_deg: float) -> tuple[Self, Rows]:
        """Merge sources that are too near to each other.

        Parameters
        ----------
        radius_deg : float
            Nearest distance of two sources [deg].

        Returns
        -------
        merged : Expected
            As many rows: fluxes are summed and places averaged where others merge into a row, as it was else.
        into : ndarray, int64, shape (n,)
            Row that each has merged into.
        """
        into = merge(self.field_x, self.field_y, self.psf_flux, radius_deg)
        if np.array_equal(into, np.arange(len(self))):
            return self, into
        weight = np.abs(self.psf_flux)
        total = summed(into, weight)
        shared = total > weight  # rows that others have merged into
        scale = np.where(total > 0.0, total, 1.0)
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("field_x", "field_y"):
            columns[name] = np.where(shared, summed(into, weight * columns[name]) / scale, columns[name])
        for name in ("flux", "psf_flux", "template"):
            columns[name] = np.where(shared, summed(into, columns[name]), columns[name])
        return type(self)(**columns), into
