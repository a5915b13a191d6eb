"""Reference catalogs as datasets of a repository, one per HEALPix pixel, with margins."""

import numpy as np

from etendue.geom.healpix import center_of, pixel_of
from etendue.middleware.repository import Repository
from etendue.refcat.catalog import ReferenceCatalog

REFCAT_RUN = "refcats"
_ORDER = 5
_PIXEL_RADIUS_DEG = 1.6  # no corner of an order-5 pixel is farther from its centre


def register_refcat(repository: Repository, catalog: ReferenceCatalog, *, margin_arcsec: float = 300.0) -> int:
    """Put a reference catalog into a repository.

    Every dataset also holds the stars up to ``margin_arcsec`` outside its pixel, so that an image whose pointing is
    wrong by less still finds its stars. Pixels that are there already are left as they are.

    Parameters
    ----------
    repository : Repository
        Writeable.
    catalog : ReferenceCatalog
        The catalog.
    margin_arcsec : float
        Width of the margin [arcsec].

    Returns
    -------
    int
        Number of datasets added.
    """
    repository.register_dataset_type("refcat", ("healpix5",), "EtendueTable")
    stars = catalog.load_cone(ra_deg=0.0, dec_deg=0.0, radius_deg=180.0)
    pixels = np.unique(pixel_of(_ORDER, stars["ra"], stars["dec"]))
    known = {int(ref.dataId["healpix5"]) for ref in _present(repository)}
    missing = [int(pixel) for pixel in pixels if int(pixel) not in known]
    with repository.writing(run=REFCAT_RUN, collections=[REFCAT_RUN]) as butler:
        for pixel in missing:
            ra, dec = center_of(_ORDER, np.array([pixel]))
            shard = catalog.load_cone(
                ra_deg=float(ra[0]), dec_deg=float(dec[0]), radius_deg=_PIXEL_RADIUS_DEG + margin_arcsec / 3600.0
            )
            butler.put(shard, "refcat", healpix5=pixel)
    return len(missing)


def _present(repository: Repository) -> tuple:
    return repository.query("refcat", collections=REFCAT_RUN) if repository.has_collection(REFCAT_RUN) else ()
