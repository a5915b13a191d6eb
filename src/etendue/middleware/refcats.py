"""Reference catalogs as datasets of a repository, one per HTM trixel, with margins."""

from collections.abc import Iterator, Sequence

import numpy as np
from lsst.sphgeom import Angle, Circle, HtmPixelization, UnitVector3d

from etendue.faults import fault_point
from etendue.geom.healpix import center_of, pixel_of
from etendue.geom.sphere import sky_position, unit_vector
from etendue.middleware.repository import Repository
from etendue.refcat.catalog import ReferenceCatalog

REFCAT_RUN = "refcats"
WHOLE_SKY = ((0.0, 0.0, 180.0),)
_LEVEL = 7  # Rubin's common pixelization: the only one that graphs can join with visits and tracts
_CELL_ORDER = 8
_CELL_RADIUS_DEG = 0.24  # no corner of an order-8 HEALPix pixel is farther from its centre


def register_refcat(
    repository: Repository,
    catalog: ReferenceCatalog,
    *,
    cones: Sequence[tuple[float, float, float]] = WHOLE_SKY,
    margin_arcsec: float = 300.0,
) -> int:
    """Put a reference catalog, or the parts of it around some fields, into a repository.

    Every dataset also holds the stars up to ``margin_arcsec`` outside its trixel, so that an image whose pointing is
    wrong by less still finds its stars. Trixels that are there already are left as they are.

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

    Returns
    -------
    int
        Number of datasets added.
    """
    repository.register_dataset_type("refcat", ("htm7",), "EtendueTable")
    known = {int(ref.dataId["htm7"]) for ref in _present(repository)}
    added = 0
    with repository.writing(run=REFCAT_RUN, collections=[REFCAT_RUN]) as butler:
        for trixel, ra, dec, radius in _trixels(catalog, cones):
            if trixel in known:
                continue
            shard = catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius + margin_arcsec / 3600.0)
            if len(shard):
                butler.put(shard, "refcat", htm7=trixel)
                added += 1
                fault_point("refcat.between-shards")
    repository.butler.registry.refresh()
    return added


def _present(repository: Repository) -> tuple:
    return repository.query("refcat", collections=REFCAT_RUN) if repository.has_collection(REFCAT_RUN) else ()


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
        bound = pixels.triangle(trixel).getBoundingCircle()
        center = bound.getCenter()
        ra, dec = sky_position(np.array([center.x(), center.y(), center.z()]))
        yield trixel, float(ra), float(dec), float(bound.getOpeningAngle().asDegrees())
