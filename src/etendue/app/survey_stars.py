"""The reference catalog of a repository: given, made of a table, or fetched for its fields; and its star index."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from etendue.app.locate import LocateOutcome, locate_frames
from etendue.camera.camera import Camera
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.log import get_logger
from etendue.middleware.refcats import register_refcat
from etendue.middleware.repository import Repository
from etendue.refcat.bands import in_camera_bands
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.catalog import ReferenceCatalog
from etendue.refcat.field_cache import FieldCache
from etendue.refcat.service import service_names
from etendue.refcat.source import open_reference
from etendue.refcat.star_index import INDEX_FOLDER, build_star_index
from etendue.table.table import Table

_MARGIN_DEG = 0.1
_POINTING_MARGIN_DEG = 0.5  # where headers give a pointing only: it may be wrong
_INDEX_MARGIN_DEG = 3.0  # frames are searched so far from their pointings
Cone = tuple[float, float, float]
_log = get_logger(__name__)


@dataclass(frozen=True, eq=False)
class SurveyStars:
    """Reference stars for the frames of one camera in one repository.

    Parameters
    ----------
    name : str
        Reference catalog: see `reference_catalog`.
    home : Repository
        Writeable, with its frames ingested.
    camera : Camera
        The camera.
    index : Path, optional
        Star index, or a catalog that has one, to find frames with; the catalog's own by default, or one made of its
        stars around the frames.
    """

    name: str
    home: Repository
    camera: Camera
    index: Path | None = None

    @cached_property
    def catalog(self) -> ReferenceCatalog:
        """The catalog, opened, made or fetched when it is first needed."""
        return reference_catalog(self.name, self.home, self.camera)

    def locate(self, *, every: bool = False, workers: int = 2, progress: bool = True) -> list[LocateOutcome]:
        """Find the frames whose headers give a pointing at best; see `etendue.app.locate.locate_frames`.

        Parameters
        ----------
        every : bool
            All frames, also those searched before.
        workers : int
            Processes.
        progress : bool
            Show a progress bar on stderr.

        Returns
        -------
        list of LocateOutcome
            Empty where the catalog has too few stars for a search: then the headers' pointings stand.
        """
        try:
            return locate_frames(
                self.home, self.camera, self._star_index, every=every, workers=workers, progress=progress
            )
        except InputError as error:
            if self.index is not None:
                raise
            _log.warning("frames keep the pointings of their headers: %s", error)
            return []

    def register(self) -> int:
        """Put the catalog's stars around all frames into the repository.

        Returns
        -------
        int
            Number of datasets added.
        """
        return register_refcat(self.home, self.catalog, cones=field_cones(self.home, self.camera))

    def _star_index(self) -> Path:
        return star_index(self.catalog, self.home, self.camera) if self.index is None else self.index


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
    converted = in_camera_bands(stars, camera, catalog=source.catalog)
    if not isinstance(source.stars, FieldCache):
        return write_reference_catalog(converted, target, overwrite=True)
    edition = f"{camera.name}-{_digest([entry.model_dump() for entry in camera.filters])}"
    return write_reference_catalog(
        converted, target, name=source.stars.service.folder, edition=edition, overwrite=True
    )  # fmt: skip


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


def star_index(catalog: ReferenceCatalog, home: Repository, camera: Camera) -> Path:
    """Return a star index to find the science frames with: the catalog's own, or one of its stars around all frames.

    Parameters
    ----------
    catalog : ReferenceCatalog
        The catalog.
    home : Repository
        With raw frames; keeps what is made, under ``etendue/refcats``.
    camera : Camera
        The camera.

    Returns
    -------
    Path
        What `etendue.refcat.star_index.StarIndex.open` opens.

    Raises
    ------
    InputError
        If there are too few stars, or no frame says where it points.
    """
    if (catalog.path / INDEX_FOLDER).is_dir():
        return catalog.path
    margin = _INDEX_MARGIN_DEG
    cones = [(ra, dec, radius + margin) for ra, dec, radius in field_cones(home, camera)]
    stars = Table.concat([catalog.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius) for ra, dec, radius in cones])
    stars = stars.take(np.unique(stars["id"], return_index=True)[1])
    target = home.path / "etendue" / "refcats" / f"{catalog.path.name}.index"
    around = write_reference_catalog(stars, target, overwrite=True)
    build_star_index(around)
    return around.path


def field_cones(home: Repository, camera: Camera) -> list[Cone]:
    """Return circles that hold all science frames of a camera with a margin; frames that overlap by half share one.

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
    cones, margin = [], _MARGIN_DEG
    for info in home.raw_infos(refs):
        if info.wcs is not None:
            margin = _POINTING_MARGIN_DEG if info.wcs_is_approximate else margin
            box = camera.detector(info.detector_id).bbox
            ra, dec = (float(value) for value in info.wcs.pixel_to_sky(x=box.x.center, y=box.y.center))
            cones.append((ra, dec, 0.5 * float(np.hypot(*box.shape)) * float(info.wcs.pixel_scale()) / 3600.0))
    if not cones:
        raise InputError("no science frame has a WCS or a pointing", source=home.path, remedy="give a catalog file")
    return [(ra, dec, radius + margin) for ra, dec, radius in merged(cones)]


def merged(cones: Sequence[Cone]) -> list[Cone]:
    """Return fewer circles that hold all given ones.

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
    return [(ra, dec, radius) for ra, dec, radius in kept]
