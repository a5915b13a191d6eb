"""Define visits, one per science exposure, with the sky regions of their detectors."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.daf.butler import Butler, DatasetRef
from lsst.sphgeom import ConvexPolygon, UnitVector3d

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import read_info
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.geom.sphere import unit_vector
from etendue.middleware.cameras import NO_FILTER
from etendue.middleware.datastores import local_file
from etendue.middleware.ingest import timespan, zenith_angle_deg


@dataclass(frozen=True, slots=True)
class VisitOutcome:
    """What became of one science exposure.

    Parameters
    ----------
    exposure : int
        Exposure ID, which is the visit ID too.
    defined : bool
        Whether it is a visit now.
    reason : str
        Why not, in one line.
    """

    exposure: int
    defined: bool
    reason: str = ""


def define_visits(
    butler: Butler,
    camera: Camera,
    *,
    padding_px: int,
    again: Collection[int] = (),
    said: Mapping[tuple[int, int], FrameOverride] | None = None,
) -> tuple[VisitOutcome, ...]:
    """Define a visit for every science exposure of a camera that has none yet.

    Parameters
    ----------
    butler : Butler
        Writeable, searching the collection of raws.
    camera : Camera
        Its header translation and geometry.
    padding_px : int
        Regions grow by this much on every side, because pointing keywords err [px].
    again : collection of int
        Exposures to define anew although they are visits already.
    said : mapping, optional
        What people say instead of the headers, by exposure and detector.

    Returns
    -------
    tuple of VisitOutcome
        Sorted by exposure; exposures that were visits before are left out.
    """
    raws = butler.query_datasets(
        "raw",
        where="instrument = camera_name AND exposure.observation_type = 'science'",
        bind={"camera_name": camera.name},
        with_dimension_records=True,
        explain=False,
        limit=None,
    )
    known = {
        record.id
        for record in butler.query_dimension_records("visit", instrument=camera.name, explain=False, limit=None)
    }
    frames: dict[int, list[DatasetRef]] = {}
    for ref in raws:
        exposure = int(ref.dataId["exposure"])
        if exposure not in known or exposure in again:
            frames.setdefault(exposure, []).append(ref)
    return tuple(
        _define(butler, camera, exposure, refs, padding_px, said or {}) for exposure, refs in sorted(frames.items())
    )


def _define(
    butler: Butler,
    camera: Camera,
    exposure: int,
    refs: list[DatasetRef],
    padding_px: int,
    said: Mapping[tuple[int, int], FrameOverride],
) -> VisitOutcome:
    try:
        infos = [raw_info(butler, camera, ref, said.get((exposure, int(ref.dataId["detector"])))) for ref in refs]
        corners = {info.detector_id: _corners(camera, info, padding_px) for info in infos}
    except InputError as error:
        return VisitOutcome(exposure, False, str(error))
    with butler.transaction():
        _insert(butler, infos[0], corners)
    fault_point("visit.between-visits")
    return VisitOutcome(exposure, True)


def raw_info(butler: Butler, camera: Camera, ref: DatasetRef, override: FrameOverride | None = None) -> ObservationInfo:
    """Return the translated header of a raw frame, or what people say instead; its pixels are not read."""
    exposure, detector = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
    with local_file(butler.getURI(ref)) as path:
        return read_info(str(path), camera, override, detector=detector, exposure=exposure)


def _corners(camera: Camera, info: ObservationInfo, padding_px: int) -> list[UnitVector3d]:
    if info.wcs is None:
        raise InputError(
            "no WCS and no pointing in its header", source=info.file_name, remedy="correct the header translation"
        )
    x, y = camera.detector(info.detector_id).bbox.dilated(padding_px).corners()
    corners = unit_vectors(*info.wcs.pixel_to_sky(x=x, y=y))
    try:
        ConvexPolygon(corners)
    except ValueError:
        raise InputError("its WCS covers no area of the sky", source=info.file_name,
                         remedy="correct the header, or give a WCS in overrides.yaml") from None  # fmt: skip
    return corners


def unit_vectors(ra_deg: Any, dec_deg: Any) -> list[UnitVector3d]:
    """Return sphgeom vectors of positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions [deg].

    Returns
    -------
    list of UnitVector3d
    """
    vectors = np.atleast_2d(unit_vector(ra_deg, dec_deg))
    return [UnitVector3d(float(vx), float(vy), float(vz)) for vx, vy, vz in vectors]


def _insert(butler: Butler, info: ObservationInfo, corners: dict[int, list[UnitVector3d]]) -> None:
    registry, visit = butler.registry, int(info.exposure_id)
    key = {"instrument": info.instrument, "visit": visit}
    whole = ConvexPolygon([vector for vectors in corners.values() for vector in vectors])
    registry.syncDimensionData("visit", _visit_record(info) | {"region": whole}, update=True)
    fault_point("visit.after-record")
    registry.syncDimensionData("visit_definition", {**key, "exposure": visit})
    registry.syncDimensionData("visit_system_membership", {**key, "visit_system": 0})
    for detector, vectors in corners.items():
        record = {**key, "detector": int(detector), "region": ConvexPolygon(vectors)}
        registry.syncDimensionData("visit_detector_region", record, update=True)


def _visit_record(info: ObservationInfo) -> dict[str, Any]:
    return {
        "instrument": info.instrument,
        "id": int(info.exposure_id),
        "name": str(info.exposure_id),
        "physical_filter": info.physical_filter or NO_FILTER,
        "day_obs": int(info.day_obs),
        "seq_num": int(info.seq),
        "exposure_time": float(info.exposure_time_s),
        "target_name": info.object[:64],
        "observation_reason": info.observation_type,
        "science_program": "",
        "azimuth": None,
        "zenith_angle": zenith_angle_deg(info),
        "timespan": timespan(info),
    }
