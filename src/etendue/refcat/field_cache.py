"""Fields of the big catalogs, fetched once and kept on disk in HEALPix tiles."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.healpix import circle_around, cone, pixel_of
from etendue.geom.sphere import separation_deg
from etendue.refcat.catalog import at_epoch, shard_name
from etendue.refcat.service import Service
from etendue.refcat.service_rows import reference_rows
from etendue.refcat.tap import ServiceUnavailableError, TooManyRowsError, query_cone
from etendue.table.parquet import read_table, write_table
from etendue.table.table import Table

_CACHE_VARIABLE = "ETENDUE_CACHE"
_MOTION_MARGIN_DEG = 30.0 / 3600.0  # of all stars but a few hundred, over three decades
_SMALLEST_ORDER = 13  # 26 arcsec: no part of the sky holds more stars than an answer may there


def cache_folder() -> Path:
    """Return the folder for fetched catalogs: ``$ETENDUE_CACHE``, else the user's cache folder.

    Returns
    -------
    Path
        It may not exist yet.
    """
    given = os.environ.get(_CACHE_VARIABLE)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(given) if given else home / "etendue") / "refcats"


class FieldCache:
    """The tiles of one catalog on disk, completed from its servers when a field needs more of them.

    A tile is one Parquet file, which appears whole or not at all; an empty tile is an empty table. Several processes
    may use the folder at a time: each tile is fetched by one of them. To take a field to a machine without network,
    copy the folder.

    Parameters
    ----------
    service : Service
        The catalog.
    folder : Path, optional
        Where catalogs are cached; `cache_folder` by default.
    """

    def __init__(self, service: Service, folder: Path | None = None):
        self.service = service
        self.folder = (folder or cache_folder()) / service.folder

    def missing(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> list[int]:
        """Return the tiles of a circle that are not on disk yet.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].

        Returns
        -------
        list of int
            Nested HEALPix pixels of the service's order.
        """
        return [tile for tile in self._tiles(ra_deg, dec_deg, radius_deg) if not self._path(tile).exists()]

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float, epoch_mjd: float | None = None) -> Table:
        """Return the stars in a circle, and fetch what is not on disk.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].
        epoch_mjd : float, optional
            Move the stars to this epoch [MJD]; they stay at the catalog's by default.

        Returns
        -------
        Table
            Schema ``refcat``, in the catalog's own bands on the AB scale.

        Raises
        ------
        InputError
            If tiles are missing and no server answers, or the survey does not reach there.
        """
        if dec_deg + radius_deg < self.service.southernmost_dec_deg:
            raise InputError(
                f"{self.service.name} does not reach south of {self.service.southernmost_dec_deg:g} deg",
                value=dec_deg, remedy="use gaia",
            )  # fmt: skip
        tiles = self._tiles(ra_deg, dec_deg, radius_deg)
        self._complete(tiles, f"RA {ra_deg:.4f} Dec {dec_deg:+.4f} radius {radius_deg:.3f} deg")
        table = Table.concat([Table.empty("refcat", bands=tuple(self.service.bands)), *map(self._read, tiles)])
        if epoch_mjd is not None:
            table = at_epoch(table, epoch_mjd)
        return table.take(separation_deg(ra_deg, dec_deg, table["ra"], table["dec"]) <= radius_deg)

    def _tiles(self, ra_deg: float, dec_deg: float, radius_deg: float) -> list[int]:
        return cone(self.service.tile_order, ra_deg % 360.0, dec_deg, radius_deg + _MOTION_MARGIN_DEG).tolist()

    def _path(self, tile: int) -> Path:
        return self.folder / shard_name(self.service.tile_order, tile)

    def _read(self, tile: int) -> Table:
        return read_table(self._path(tile))

    def _whole(self, tile: int) -> bool:
        """Tell whether a tile is there and readable."""
        try:
            self._read(tile)
        except InputError:
            return False
        return True

    def _complete(self, tiles: Sequence[int], field: str) -> None:
        wanted = [tile for tile in tiles if not self._whole(tile)]
        if not wanted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for tile in wanted:  # one after the other: public servers dislike more, and VOTable parsers share state
                self._fetch(tile)
        except ServiceUnavailableError as error:
            raise InputError(
                f"{self.service.name}: {len(wanted)} of {len(tiles)} tiles of the field at {field} are not in the cache"
                f" and no server answers: {error}",
                source=self.folder,
                remedy="run 'etendue refcat fetch' where there is a network and copy this folder, or give a file",
            ) from error

    def _fetch(self, tile: int) -> None:
        with self._lock(tile):
            if not self._whole(tile):  # else another process has fetched it meanwhile
                write_table(self._ask(self.service.tile_order, tile), self._path(tile))

    def _ask(self, order: int, pixel: int) -> Table:
        """Return the stars of a HEALPix pixel, asked for in quarters where there are too many for one answer."""
        ra, dec, radius = circle_around(order, pixel)
        try:
            columns = query_cone(self.service, ra_deg=ra, dec_deg=dec, radius_deg=radius)
        except TooManyRowsError as error:
            if order >= _SMALLEST_ORDER:
                raise ServiceUnavailableError(f"more than {error} stars within {3600.0 * radius:.0f} arcsec") from error
            return Table.concat([self._ask(order + 1, 4 * pixel + quarter) for quarter in range(4)])
        table = reference_rows(columns, self.service)
        return table.take(_inside(order, pixel, table))

    @contextmanager
    def _lock(self, tile: int) -> Iterator[None]:
        locks = self.folder / "locks"
        locks.mkdir(exist_ok=True)
        with (locks / f"{tile}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go by the system when the process ends in any way
            yield


def _inside(order: int, pixel: int, table: Table) -> NDArray[np.intp]:
    return np.flatnonzero(pixel_of(order, table["ra"], table["dec"]) == pixel)
