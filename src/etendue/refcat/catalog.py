"""Load parts of a reference catalog at an epoch."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.healpix import cone, polygon
from etendue.geom.sphere import separation_deg, unit_vector
from etendue.refcat.proper_motion import apply_proper_motion
from etendue.table.parquet import read_table
from etendue.table.table import Table

METADATA_FILE = "refcat.json"
METADATA_VERSION = 1
_EDITION_DIGITS = 8
_DEG_PER_MAS = 1.0 / 3.6e6


def shard_name(order: int, pixel: int) -> str:
    """Return the file name of a shard.

    Parameters
    ----------
    order : int
        HEALPix order.
    pixel : int
        Nested pixel.

    Returns
    -------
    str
    """
    return f"order{order}_pixel{pixel}.parquet"


class ReferenceCatalog:
    """A directory of HEALPix shards with a metadata file, read only where needed.

    Parameters
    ----------
    path : str or path
        Directory that `build_reference_catalog` made.

    Raises
    ------
    InputError
        If the directory holds no reference catalog, or one of a newer version.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        try:
            metadata = json.loads((self.path / METADATA_FILE).read_text())
            self._version, self.name = int(metadata["version"]), str(metadata["name"])
            self.healpix_order, self.bands = int(metadata["healpix_order"]), tuple(metadata["bands"])
            self._shards = {int(pixel) for pixel in metadata["shards"]}
            self._rows, self._max_motion = int(metadata["rows"]), float(metadata["max_proper_motion_mas_per_yr"])
            self._epochs: list[float] | None = metadata["epoch_mjd_range"]
            self._edition, self._content = metadata.get("edition"), metadata.get("content")  # older ones have none
        except OSError as error:
            remedy = "make it with etendue refcat"
            raise InputError(f"no reference catalog: {error.strerror}", source=self.path, remedy=remedy) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("damaged reference catalog metadata", source=self.path / METADATA_FILE) from error
        if self._version > METADATA_VERSION:
            raise InputError("reference catalog is of a newer version", source=self.path, value=self._version)

    def __len__(self) -> int:
        return self._rows

    @property
    def grows(self) -> bool:
        """Whether this is the part around some fields of a larger catalog, which may hold more later."""
        return self._edition is not None

    @cached_property
    def edition(self) -> str:
        """Which edition of the catalog this is: as it was named, or the first digits of a hash of the stars."""
        if self._edition is not None:
            return str(self._edition)
        content = self._content
        if content is None:
            digest = hashlib.sha256()
            for shard in self.shards():
                digest.update(shard.content_hash().encode())
            content = digest.hexdigest()
        return str(content)[:_EDITION_DIGITS]

    def shards(self) -> Iterator[Table]:
        """Return the stars shard by shard, each star once.

        Yields
        ------
        Table
            Schema ``refcat``, in order of the pixels.
        """
        for pixel in sorted(self._shards):
            yield read_table(self.path / shard_name(self.healpix_order, pixel))

    def load_cone(
        self,
        *,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        epoch_mjd: float | None = None,
        padding_arcsec: float = 0.0,
    ) -> Table:
        """Load the stars in a cone.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Center and radius [deg].
        epoch_mjd : float, optional
            Move the stars to this epoch [MJD]; they stay at the catalog's by default.
        padding_arcsec : float
            Added to the radius, for pointing errors [arcsec].

        Returns
        -------
        Table
            Schema ``refcat``, at the epoch, sorted by shard; empty where the catalog has no star.
        """
        radius = radius_deg + padding_arcsec / 3600.0
        reach = min(radius + self._motion_deg(epoch_mjd), 180.0)
        table = self._load(cone(self.healpix_order, ra_deg, dec_deg, reach), epoch_mjd)
        return table.take(separation_deg(ra_deg, dec_deg, table["ra"], table["dec"]) <= radius)

    def load_polygon(
        self,
        *,
        ra_deg: ArrayLike,
        dec_deg: ArrayLike,
        epoch_mjd: float | None = None,
        padding_arcsec: float = 0.0,
    ) -> Table:
        """Load the stars in a convex polygon.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            Corners in order, either sense, joined by great circles [deg].
        epoch_mjd : float, optional
            Move the stars to this epoch [MJD].
        padding_arcsec : float
            Width added around the polygon, for pointing errors [arcsec].

        Returns
        -------
        Table
            Schema ``refcat``, at the epoch, sorted by shard.
        """
        margin = padding_arcsec / 3600.0
        pixels = polygon(self.healpix_order, ra_deg, dec_deg, margin + self._motion_deg(epoch_mjd))
        table = self._load(pixels, epoch_mjd)
        return table.take(_inside(unit_vector(table["ra"], table["dec"]), unit_vector(ra_deg, dec_deg), margin))

    def _motion_deg(self, epoch_mjd: float | None) -> float:
        """Return how far the fastest star moves to the epoch."""
        if epoch_mjd is None or self._epochs is None:
            return 0.0
        years = max(abs(epoch_mjd - limit) for limit in self._epochs) / 365.25
        return self._max_motion * years * _DEG_PER_MAS

    def _load(self, pixels: NDArray[np.int64], epoch_mjd: float | None) -> Table:
        wanted = sorted(self._shards.intersection(pixels.tolist()))
        parts = [read_table(self.path / shard_name(self.healpix_order, pixel)) for pixel in wanted]
        table = Table.concat(parts) if parts else Table.empty("refcat", bands=self.bands)
        return table if epoch_mjd is None else at_epoch(table, epoch_mjd)


def at_epoch(table: Table, epoch_mjd: float) -> Table:
    """Move a reference catalog to an epoch.

    Parameters
    ----------
    table : Table
        Schema ``refcat``. Stars without epoch or proper motion stay where they are.
    epoch_mjd : float
        New epoch [MJD].

    Returns
    -------
    Table
        With positions, their errors and epochs changed.
    """
    known = np.isfinite(table["epoch"]) & np.isfinite(table["pmra"]) & np.isfinite(table["pmdec"])
    days = np.where(known, epoch_mjd - table["epoch"], 0.0)
    ra, dec = apply_proper_motion(table["ra"], table["dec"], table["pmra"], table["pmdec"], days)
    changes: dict[str, Any] = {"ra": ra, "dec": dec, "epoch": np.where(known, epoch_mjd, table["epoch"])}
    for error, motion_error in (("raErr", "pmraErr"), ("decErr", "pmdecErr")):
        growth = np.nan_to_num(table[motion_error].astype(float)) * days / 365.25 * _DEG_PER_MAS
        changes[error] = np.hypot(table[error], growth)
    return table.with_columns(changes)


def _inside(vector: NDArray[np.float64], corners: NDArray[np.float64], margin_deg: float) -> NDArray[np.bool_]:
    """Tell which directions lie on the inner side of every edge, or less than the margin outside it."""
    normals = np.cross(corners, np.roll(corners, -1, axis=0))
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals * np.sign((normals @ corners.mean(axis=0))[:, None])
    return np.asarray((vector @ normals.T >= -np.sin(np.radians(margin_deg))).all(axis=1))
