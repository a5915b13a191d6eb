"""Reference catalogs as datasets of a repository, one per HTM trixel, with margins; versions beside each other."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from lsst.daf.butler import Butler, CollectionType, DatasetRef
from lsst.sphgeom import Angle, Circle, HtmPixelization, UnitVector3d

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.healpix import center_of, pixel_of
from etendue.geom.sphere import sky_position, unit_vector
from etendue.log import get_logger
from etendue.middleware.calibrations import chain_members
from etendue.middleware.rename import rename_collections
from etendue.middleware.repository import Repository
from etendue.refcat.catalog import ReferenceCatalog
from etendue.table.table import Table

REFCATS = "refcats"
"""Chain that means the version in use."""
EARLIER = "earlier"
"""Version of the stars that a repository held before there were versions."""
_FOR_FLUXES = ".fluxes"  # ends the names of versions on which only the flux scale rests
_NEW_CHAIN = f"{REFCATS}-chain"
WHOLE_SKY = ((0.0, 0.0, 180.0),)
_LEVEL = 7  # Rubin's common pixelization: the only one that graphs can join with visits and tracts
_CELL_ORDER = 8
_CELL_RADIUS_DEG = 0.24  # no corner of an order-8 HEALPix pixel is farther from its centre
_MARGIN_ARCSEC = 300.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefcatVersion:
    """One version of a reference catalog in a repository.

    Parameters
    ----------
    name : str
        Name and edition of the catalog.
    runs : tuple of str
        RUN collections that hold it, the first found first.
    trixels : int
        Number of trixels with stars.
    about : str
        What it was made of.
    in_use : bool
        Whether the chain `REFCATS` means it.
    """

    name: str
    runs: tuple[str, ...]
    trixels: int
    about: str
    in_use: bool


def register_refcat(
    repository: Repository,
    catalog: ReferenceCatalog,
    *,
    cones: Sequence[tuple[float, float, float]] = WHOLE_SKY,
    margin_arcsec: float = _MARGIN_ARCSEC,
    version: str | None = None,
    use: bool = True,
    for_fluxes: bool = False,
) -> int:
    """Put a reference catalog, or the parts of it around some fields, into a repository, and use it.

    Every dataset also holds the stars up to ``margin_arcsec`` outside its trixel, so that an image whose pointing is
    wrong by less still finds its stars. Trixels of this version that are there already are left as they are, unless a
    part of a larger catalog has grown: then the whole ones go before them.

    Parameters
    ----------
    repository : Repository
        Writeable.
    catalog : ReferenceCatalog
        The catalog.
    cones : sequence of (float, float, float)
        Right ascension, declination, radius of the fields [deg]; the whole sky by default. Trixels that hold stars of
        a field are put whole.
    margin_arcsec : float
        Width of the margin [arcsec].
    version : str, optional
        Name of the version; the catalog's name and edition by default.
    use : bool
        Let pipelines find it, instead of the version that they found before.
    for_fluxes : bool
        Let the flux scale alone rest on it, beside another version that positions rest on.

    Returns
    -------
    int
        Number of datasets added.
    """
    name = version_name(catalog) if version is None else _checked(version)
    name = f"{name}{_FOR_FLUXES}" if for_fluxes and not name.endswith(_FOR_FLUXES) else name
    dataset = _dataset(name)
    repository.register_dataset_type(dataset, ("htm7",), "EtendueTable")
    _give_version(repository, (catalog, name, margin_arcsec))
    base = f"{REFCATS}/{name}"
    about = f"{catalog.name}: {len(catalog)} stars, bands {' '.join(catalog.bands) or 'none'}"
    added = 0
    with repository.writing() as butler:
        butler.collections.register(base, CollectionType.RUN, doc=about)
        runs = _runs_of(butler, name)
        known = {int(ref.dataId["htm7"]): ref for ref in repository.query(dataset, collections=runs)}
        for trixel, ra, dec, radius in _trixels(catalog, cones):
            if trixel in known and not catalog.grows:
                continue
            shard = _shard(catalog, ra, dec, radius, margin_arcsec)
            run = base if trixel not in known else f"{base}/{len(runs) + 1}"
            if len(shard) > (len(repository.get(known[trixel])) if trixel in known else 0):
                butler.collections.register(run, CollectionType.RUN)
                butler.put(shard, dataset, htm7=trixel, run=run)
                added += 1
                fault_point("refcat.between-shards")
    repository.butler.registry.refresh()
    if use or added:
        _follow(repository, name, use=use)
    return added


def version_name(catalog: ReferenceCatalog) -> str:
    """Return what a catalog's version is called unless it is named: its name and edition.

    Parameters
    ----------
    catalog : ReferenceCatalog
        The catalog.

    Returns
    -------
    str
    """
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", f"{catalog.name}-{catalog.edition}")


def refcat_versions(repository: Repository) -> tuple[RefcatVersion, ...]:
    """Return the reference catalogs of a repository, sorted by name.

    Parameters
    ----------
    repository : Repository
        The repository.

    Returns
    -------
    tuple of RefcatVersion
        The stars of a repository that was made before there were versions are called `EARLIER`.
    """
    butler = repository.butler
    if _is_earlier(repository):
        number = len(repository.query("refcat", collections=REFCATS))
        return (RefcatVersion(EARLIER, (REFCATS,), number, "registered before there were versions", True),)
    used = chain_members(butler, REFCATS)
    found: dict[str, tuple[str, list[str]]] = {}
    for info in butler.collections.query_info(f"{REFCATS}/*", CollectionType.RUN, include_doc=True):
        name = info.name.split("/")[1]
        if info.name.count("/") == 1:
            found[name] = (info.doc or "", _runs_of(butler, name))
    return tuple(
        RefcatVersion(
            name, tuple(runs), len(repository.query(_dataset(name), collections=runs)), about, runs[0] in used
        )
        for name, (about, runs) in sorted(found.items())
    )


def use_refcat(repository: Repository, version: str) -> None:
    """Let pipelines find a version of a reference catalog, and no other; of those for fluxes alone, also one.

    Parameters
    ----------
    repository : Repository
        Writeable.
    version : str
        Its name, as of `refcat_versions`.

    Raises
    ------
    InputError
        There is no such version.
    """
    known = [one.name for one in refcat_versions(repository)]
    if version not in known:
        raise InputError("no such version of a reference catalog", source=repository.path, value=version,
                         remedy=f"there are {', '.join(known) or 'none'}")  # fmt: skip
    _give_version(repository)
    _follow(repository, version, use=True)


def _follow(repository: Repository, name: str, *, use: bool) -> None:
    """Make the chain the runs of a version; if it is not to be used, only where it is in use already."""
    with repository.writing() as butler:
        runs, present = _runs_of(butler, name), chain_members(butler, REFCATS)
        beside = [run for run in present if _dataset_of_run(run) != _dataset(name)]
        chain = sorted(runs + beside, key=_dataset_of_run)  # stable: the runs of a version keep their order
        if (use or set(runs) & set(present)) and chain != present:
            butler.collections.register(REFCATS, CollectionType.CHAINED)
            butler.collections.redefine_chain(REFCATS, chain)
    repository.butler.registry.refresh()


def _dataset(version: str) -> str:
    """Return the dataset type of a version's stars."""
    return "refcat_photometry" if version.endswith(_FOR_FLUXES) else "refcat"


def _dataset_of_run(run: str) -> str:
    return _dataset(run.split("/")[1])


def _runs_of(butler: Butler, name: str) -> list[str]:
    """Return the runs of a version, that of whole trixels before those that they replace."""
    base = f"{REFCATS}/{name}"
    later = butler.collections.query(f"{base}/*", collection_types=CollectionType.RUN)
    return [*sorted(later, key=lambda run: -int(run.rpartition("/")[2])), base]


def _is_earlier(repository: Repository) -> bool:
    return (
        repository.has_collection(REFCATS)
        and repository.butler.collections.get_info(REFCATS).type is CollectionType.RUN
    )


def _give_version(repository: Repository, like: tuple[ReferenceCatalog, str, float] | None = None) -> None:
    """Make the stars of a repository that knew no versions one: that of a catalog if it has the same stars."""
    if not _is_earlier(repository):
        return
    refs = repository.query("refcat", collections=REFCATS)
    name = EARLIER if like is None or not _same(repository, refs, like[0], like[2]) else like[1]
    with repository.writing() as butler:
        butler.collections.register(_NEW_CHAIN, CollectionType.CHAINED)
        butler.collections.redefine_chain(_NEW_CHAIN, [REFCATS])
        rename_collections(butler, {REFCATS: f"{REFCATS}/{name}", _NEW_CHAIN: REFCATS})
    repository.butler.registry.refresh()
    _log.warning("the reference stars that were registered before there were versions are now version %s", name)


def _same(repository: Repository, refs: Sequence[DatasetRef], catalog: ReferenceCatalog, margin_arcsec: float) -> bool:
    return all(
        repository.get(ref).content_hash()
        == _shard(catalog, *_circle(int(ref.dataId["htm7"])), margin_arcsec).content_hash()
        for ref in refs
    )


def _checked(version: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", version):
        raise InputError("no name of a version", value=version, remedy="use letters, digits, '.', '_', '+' and '-'")
    return version


def _shard(catalog: ReferenceCatalog, ra: float, dec: float, radius: float, margin_arcsec: float) -> Table:
    return catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius + margin_arcsec / 3600.0)


def _trixels(
    catalog: ReferenceCatalog, cones: Sequence[tuple[float, float, float]]
) -> Iterator[tuple[int, float, float, float]]:
    """Give the trixels that may hold stars of the cones, with centre and radius of their bounding circles [deg]."""
    parts = [catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius) for ra, dec, radius in cones]
    cells = np.unique(np.concatenate([pixel_of(_CELL_ORDER, stars["ra"], stars["dec"]) for stars in parts]))
    pixels = HtmPixelization(_LEVEL)
    found: set[int] = set()
    for vector in unit_vector(*center_of(_CELL_ORDER, cells)):
        circle = Circle(UnitVector3d(*map(float, vector)), Angle.fromDegrees(_CELL_RADIUS_DEG))
        found.update(index for first, last in pixels.envelope(circle) for index in range(first, last))
    for trixel in sorted(found):
        yield trixel, *_circle(trixel)


def _circle(trixel: int) -> tuple[float, float, float]:
    """Return centre and radius of the bounding circle of a trixel [deg]."""
    bound = HtmPixelization(_LEVEL).triangle(trixel).getBoundingCircle()
    center = bound.getCenter()
    ra, dec = sky_position(np.array([center.x(), center.y(), center.z()]))
    return float(ra), float(dec), float(bound.getOpeningAngle().asDegrees())
