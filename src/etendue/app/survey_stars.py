"""The reference catalog of a repository: given, made of a table, or fetched for its fields."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from etendue.camera.camera import Camera
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.middleware.repository import Repository
from etendue.refcat.bands import in_camera_bands
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.refcat.service import service_names
from etendue.refcat.source import open_reference
from etendue.table.table import Table

_MARGIN_DEG = 0.1  # for pointing errors
Cone = tuple[float, float, float]


def reference_catalog(name: str | Path, home: Repository, camera: Camera) -> ReferenceCatalog:
    """Open a reference catalog, or make one inside the repository with fluxes in the camera's bands.

    Parameters
    ----------
    name : str or Path
        Directory of a reference catalog, which is used as it is; a CSV, FITS, Parquet or VOTable file; or ``gaia``,
        ``ps1``, ``2mass``, which is fetched (see `etendue.refcat.source.open_reference`) around all science frames.
    home : Repository
        With its frames ingested; keeps what is made, under ``etendue/refcats``.
    camera : Camera
        The camera.

    Returns
    -------
    ReferenceCatalog

    Raises
    ------
    InputError
        If there is no such catalog, it cannot be fetched, or no frame says where it points.
    """
    if str(name) not in service_names() and Path(name).is_dir():
        return ReferenceCatalog(name)
    source = open_reference(str(name))
    fields = field_cones(home, camera) if str(name) in service_names() else [(0.0, 0.0, 180.0)]
    stars = Table.concat([source.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius) for ra, dec, radius in fields])
    stars = stars.take(np.unique(stars["id"], return_index=True)[1]) if len(fields) > 1 else stars
    if len(stars) == 0:
        raise InputError("no reference star in any field", source=str(name), value=fields[0])
    target = home.path / "etendue" / "refcats" / Path(name).stem
    return write_reference_catalog(in_camera_bands(stars, camera, catalog=source.catalog), target, overwrite=True)


def field_cones(home: Repository, camera: Camera) -> list[Cone]:
    """Return circles that hold all science frames of a camera; frames that overlap by half share one.

    Parameters
    ----------
    home : Repository
        With raw frames.
    camera : Camera
        The camera.

    Returns
    -------
    list of (float, float, float)
        Right ascension, declination, radius [deg].

    Raises
    ------
    InputError
        If no frame has a WCS or a pointing.
    """
    refs = home.query("raw", collections=f"{camera.name}/raw/all", where="exposure.observation_type='science'")
    cones = []
    for info in (home.raw_info(ref) for ref in refs):
        if info.wcs is not None:
            box = camera.detector(info.detector_id).bbox
            ra, dec = (float(value) for value in info.wcs.pixel_to_sky(x=box.x.center, y=box.y.center))
            cones.append((ra, dec, 0.5 * float(np.hypot(*box.shape)) * float(info.wcs.pixel_scale()) / 3600.0))
    if not cones:
        raise InputError("no science frame has a WCS or a pointing", source=home.path, remedy="give a catalog file")
    return merged(cones)


def merged(cones: Sequence[Cone]) -> list[Cone]:
    """Return fewer circles that hold all given ones, with a margin.

    Parameters
    ----------
    cones : sequence of (float, float, float)
        Right ascension, declination, radius [deg].

    Returns
    -------
    list of (float, float, float)
        Every given circle lies inside one of them.
    """
    kept: list[list[float]] = []
    for ra, dec, radius in cones:
        near = [c for c in kept if float(separation_deg(ra, dec, c[0], c[1])) < radius]
        if near:
            near[0][2] = max(near[0][2], float(separation_deg(ra, dec, near[0][0], near[0][1])) + radius)
        else:
            kept.append([ra, dec, radius])
    return [(ra, dec, radius + _MARGIN_DEG) for ra, dec, radius in kept]
