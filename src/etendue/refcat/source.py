"""Whatever a user names as reference catalog, opened: a service, a sharded catalog, or any table of stars."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.refcat.build import read_reference_table
from etendue.refcat.catalog import ReferenceCatalog
from etendue.refcat.field_cache import FieldCache
from etendue.refcat.service import load_service, service_names
from etendue.table.table import Table


class Stars(Protocol):
    """Stars by position."""

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle [deg], schema ``refcat``, at the catalog's epochs."""


@dataclass(frozen=True, slots=True)
class ReferenceSource:
    """An opened reference catalog.

    Parameters
    ----------
    catalog : str
        Whose colour terms hold: ``gaia``, ``ps1``, ``2mass``, or ``any`` for magnitudes that are AB as given.
    stars : Stars
        The cache of a service, a sharded catalog, or a table in memory.
    """

    catalog: str
    stars: Stars

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle; those of a service are fetched where they are not cached.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].

        Returns
        -------
        Table
            Schema ``refcat``, at the catalog's epochs.
        """
        return self.stars.load_cone(ra_deg=ra_deg, dec_deg=dec_deg, radius_deg=radius_deg)


@dataclass(frozen=True, slots=True)
class _TableStars:
    """A table of stars in memory, schema ``refcat``."""

    table: Table

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        table = self.table
        return table.take(separation_deg(ra_deg, dec_deg, table["ra"], table["dec"]) <= radius_deg)


@lru_cache(maxsize=4)
def open_reference(name: str) -> ReferenceSource:
    """Open what the user calls the reference catalog.

    Parameters
    ----------
    name : str
        ``gaia``, ``ps1``, ``2mass``; the folder of a catalog made by ``etendue refcat build``; or a CSV, FITS, Parquet
        or VOTable file, whose magnitudes are taken as AB. A file or folder with the name of a service needs ``./``.

    Returns
    -------
    ReferenceSource

    Raises
    ------
    InputError
        If it is nothing of these.
    """
    if name in service_names():
        return ReferenceSource(name, FieldCache(load_service(name)))
    path = Path(name)
    if path.is_dir():
        return ReferenceSource("any", ReferenceCatalog(path))
    if path.is_file():
        return ReferenceSource("any", _TableStars(read_reference_table(path)))
    known = ", ".join(service_names())
    raise InputError("no such reference catalog", source=name, remedy=f"give one of {known}, a folder or a file")
