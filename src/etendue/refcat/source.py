"""Whatever a user names as reference catalog, opened: a service, a sharded catalog, or any table of stars."""

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


class ReferenceSource(Protocol):
    """Stars by position."""

    @property
    def catalog(self) -> str:
        """Whose colour terms hold: ``gaia``, ``ps1``, ``2mass``, or ``any`` for magnitudes that are AB as given."""

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle [deg], schema ``refcat``, at the catalog's epochs."""


class ServiceSource:
    """A catalog service behind the cache of this user.

    Parameters
    ----------
    cache : FieldCache
        The cache.
    """

    def __init__(self, cache: FieldCache):
        self._cache = cache

    @property
    def catalog(self) -> str:
        """Name of the service."""
        return self._cache.service.name

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle, fetched where they are not cached.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].

        Returns
        -------
        Table
        """
        return self._cache.load_cone(ra_deg=ra_deg, dec_deg=dec_deg, radius_deg=radius_deg)


class CatalogSource:
    """A sharded catalog on disk.

    Parameters
    ----------
    stars : ReferenceCatalog
        The catalog.
    """

    catalog = "any"

    def __init__(self, stars: ReferenceCatalog):
        self._stars = stars

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].

        Returns
        -------
        Table
        """
        return self._stars.load_cone(ra_deg=ra_deg, dec_deg=dec_deg, radius_deg=radius_deg)


class TableSource:
    """A table of stars in memory.

    Parameters
    ----------
    stars : Table
        Schema ``refcat``.
    """

    catalog = "any"

    def __init__(self, stars: Table):
        self._stars = stars

    def load_cone(self, *, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
        """Return the stars in a circle.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            Circle [deg].

        Returns
        -------
        Table
        """
        stars = self._stars
        return stars.take(separation_deg(ra_deg, dec_deg, stars["ra"], stars["dec"]) <= radius_deg)


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
        return ServiceSource(FieldCache(load_service(name)))
    path = Path(name)
    if path.is_dir():
        return CatalogSource(ReferenceCatalog(path))
    if path.is_file():
        return TableSource(read_reference_table(path))
    known = ", ".join(service_names())
    raise InputError("no such reference catalog", source=name, remedy=f"give one of {known}, a folder or a file")
