"""Define visits: the science exposures taken as one, with the sky regions of their detectors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, DimensionRecord, Timespan
from lsst.sphgeom import ConvexPolygon

from etendue.camera.camera import Camera
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import read_info
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.cameras import VISIT_SYSTEMS
from etendue.middleware.datastores import local_file
from etendue.middleware.ingest.file_reader import FoundFrame
from etendue.middleware.ingest.records import exposure_records
from etendue.middleware.sky_outline import SkyOutline, outline_of

_PER_BATCH = 300  # visits of one transaction
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class VisitOutcome:
    """What became of one science exposure.

    Parameters
    ----------
    exposure : int
        Exposure ID.
    defined : bool
        Whether it is (part of) a visit now.
    reason : str
        Why not, in one line.
    """

    exposure: int
    defined: bool
    reason: str = ""


@dataclass(slots=True)
class _Visit:
    """A visit to be made or completed: its exposures, and the regions of their detectors."""

    id: int
    exposures: dict[int, DimensionRecord] = field(default_factory=dict)
    regions: dict[int, ConvexPolygon] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """The dimension record: that of the first exposure, with the times of all."""
        first = self.exposures[min(self.exposures)]
        spans = [exposure.timespan for exposure in self.exposures.values()]
        return {
            "instrument": first.instrument,
            "id": self.id,
            "name": str(self.id),
            "physical_filter": first.physical_filter,
            "day_obs": first.day_obs,
            "seq_num": first.seq_num,
            "exposure_time": sum(exposure.exposure_time for exposure in self.exposures.values()),
            "target_name": first.target_name,
            "observation_reason": first.observation_reason,
            "science_program": first.science_program,
            "azimuth": None,
            "zenith_angle": first.zenith_angle,
            "timespan": Timespan(min(span.begin for span in spans), max(span.end for span in spans)),
            "region": ConvexPolygon([vertex for region in self.regions.values() for vertex in region.getVertices()]),
        }


def define_visits(
    butler: Butler,
    camera: Camera,
    *,
    padding_px: int,
    again: Collection[int] = (),
    only: Collection[int] | None = None,
    said: Mapping[Key, FrameOverride] | None = None,
    read: Mapping[Key, FoundFrame] | None = None,
) -> tuple[VisitOutcome, ...]:
    """Define visits of all science exposures of a camera, and add detectors that came later to those that are there.

    Parameters
    ----------
    butler : Butler
        Writeable, searching the collection of raws.
    camera : Camera
        Its header translation, geometry, and rule of what belongs to one visit.
    padding_px : int
        Regions grow by this much on every side, because pointing keywords err [px].
    again : collection of int
        Exposures to define anew although they are visits already.
    only : collection of int, optional
        Exposures to look at; all by default.
    said : mapping, optional
        What people say instead of the headers, by exposure and detector.
    read : mapping, optional
        Headers that were read already, by exposure and detector; others are read now.

    Returns
    -------
    tuple of VisitOutcome
        Sorted by exposure; exposures of which nothing is missing are left out.
    """
    if only is not None and camera.visits == "group":
        only = _with_their_groups(butler, camera, only)
    raws = _science_raws(butler, camera, only)
    known = _known(butler, camera, only)
    wanted = [key for key in sorted(raws) if key not in known or key[0] in again]
    outcomes: dict[int, VisitOutcome] = {}
    outlines: dict[Key, SkyOutline] = {}
    for key in wanted:
        frame = read.get(key) if read is not None and key[0] not in again else None
        found = outlines[key] = _outline(butler, camera, raws[key], padding_px, said or {}, frame)
        if key[0] not in outcomes or found.fault:
            outcomes[key[0]] = VisitOutcome(key[0], not found.fault, found.fault)
    exposures = {key[0]: raws[key].dataId.records["exposure"] for key in outlines}
    numbers = _numbers(butler, camera, exposures, known)
    for late in (exposure for exposure in outcomes if exposure < numbers[exposure]):
        reason = f"exposure {late}: visit {numbers[late]} was made of the later snaps of its group before it came"
        outcomes[late] = VisitOutcome(late, False, reason)
    usable = {key: outline for key, outline in outlines.items() if outcomes[key[0]].defined}
    there = {key: place for key, place in known.items() if key[0] not in again}
    visits = list(_visits(butler, camera, usable, exposures, numbers, there))
    for begin in range(0, len(visits), _PER_BATCH):
        with butler.transaction():
            _insert(butler, camera, visits[begin : begin + _PER_BATCH])
        fault_point("visit.between-visits")
    return tuple(outcomes.values())


def _with_their_groups(butler: Butler, camera: Camera, exposures: Collection[int]) -> set[int]:
    """Return exposures with all others of their groups, whose visits they join."""
    groups = {record.group for record in exposure_records(butler, camera.name, exposures).values()}
    return {int(record.id) for record in _members(butler, camera, groups)}


def _members(butler: Butler, camera: Camera, groups: Collection[str]) -> list[DimensionRecord]:
    """Return the science exposures of groups, sorted by number."""
    records = butler.query_dimension_records(
        "exposure", instrument=camera.name, where="group IN (wanted)", bind={"wanted": sorted(groups)}, explain=False,
        limit=None,
    )  # fmt: skip
    return sorted((r for r in records if r.observation_type == "science"), key=lambda record: record.id)


def _science_raws(butler: Butler, camera: Camera, only: Collection[int] | None) -> dict[Key, DatasetRef]:
    chosen = "" if only is None else " AND exposure IN (chosen)"
    refs = butler.query_datasets(
        "raw", where=f"instrument = camera_name AND exposure.observation_type = 'science'{chosen}",
        bind={"camera_name": camera.name, "chosen": sorted(only or (0,))}, with_dimension_records=True, explain=False,
        limit=None,
    )  # fmt: skip
    return {(int(ref.dataId["exposure"]), int(ref.dataId["detector"])): ref for ref in refs}


def _known(butler: Butler, camera: Camera, only: Collection[int] | None) -> dict[Key, tuple[int, ConvexPolygon]]:
    """Return visit and region of the detectors that are defined, by exposure and detector."""
    members: dict[int, list[int]] = {}
    for record in butler.query_dimension_records(
        "visit_definition", instrument=camera.name, explain=False, limit=None, **_among("exposure", only)
    ):
        members.setdefault(int(record.visit), []).append(int(record.exposure))
    regions = butler.query_dimension_records(
        "visit_detector_region", instrument=camera.name, explain=False, limit=None,
        **_among("visit", None if only is None else members),
    )  # fmt: skip
    return {
        (exposure, int(record.detector)): (int(record.visit), record.region)
        for record in regions
        for exposure in members.get(int(record.visit), ())
    }


def _among(dimension: str, ids: Collection[int] | None) -> dict[str, Any]:
    """Return the arguments of a query that restrict it to some IDs; None for all."""
    return {} if ids is None else {"where": f"{dimension} IN (among)", "bind": {"among": sorted(ids) or [0]}}


def _outline(
    butler: Butler, camera: Camera, ref: DatasetRef, padding_px: int, said: Mapping[Key, FrameOverride],
    read: FoundFrame | None,
) -> SkyOutline:  # fmt: skip
    """Return the outline of a frame, from its header unless that was read already."""
    if read is not None and read.outline is not None:
        return read.outline
    key = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
    try:
        return outline_of(camera, raw_info(butler, camera, ref, said.get(key)), padding_px)
    except InputError as error:
        return SkyOutline.unknown(str(error))


def raw_info(butler: Butler, camera: Camera, ref: DatasetRef, override: FrameOverride | None = None) -> ObservationInfo:
    """Return the translated header of a raw frame, or what people say instead; its pixels are not read."""
    exposure, detector = int(ref.dataId["exposure"]), int(ref.dataId["detector"])
    with local_file(butler.getURI(ref)) as path:
        return read_info(str(path), camera, override, detector=detector, exposure=exposure)


def _visits(
    butler: Butler, camera: Camera, outlines: Mapping[Key, SkyOutline], exposures: dict[int, DimensionRecord],
    numbers: Mapping[int, int], known: Mapping[Key, tuple[int, ConvexPolygon]],
) -> Iterator[_Visit]:  # fmt: skip
    """Put frames together to visits, with what is known of them."""
    visits: dict[int, _Visit] = {}
    for (exposure, detector), outline in outlines.items():
        number = numbers[exposure]
        visit = visits.setdefault(number, _Visit(number))
        visit.exposures[exposure] = exposures[exposure]
        visit.regions.setdefault(detector, ConvexPolygon(outline.vectors()))
    missing = {exposure for (exposure, _), (number, _) in known.items() if number in visits} - exposures.keys()
    exposures |= exposure_records(butler, camera.name, missing) if missing else {}
    for (exposure, detector), (number, region) in known.items():
        if number in visits:
            visits[number].exposures[exposure] = exposures[exposure]
            visits[number].regions.setdefault(detector, region)
    yield from visits.values()


def _numbers(
    butler: Butler, camera: Camera, exposures: Mapping[int, DimensionRecord],
    known: Mapping[Key, tuple[int, ConvexPolygon]],
) -> dict[int, int]:  # fmt: skip
    """Return the visit of every exposure: itself, or that of its group, which is numbered as its first exposure."""
    if camera.visits == "one":
        return {exposure: exposure for exposure in exposures}
    number_of = {exposure: visit for (exposure, _), (visit, _) in known.items()}
    members = _members(butler, camera, {record.group for record in exposures.values()})
    of_group: dict[str, int] = {}
    for record in members:
        of_group.setdefault(record.group, int(record.id))
    of_group |= {record.group: number_of[int(record.id)] for record in members if int(record.id) in number_of}
    return {int(record.id): of_group[record.group] for record in members}


def _insert(butler: Butler, camera: Camera, visits: Sequence[_Visit]) -> None:
    """Make records of visits; those that are there are brought up to date."""
    registry = butler.registry
    there = _present(butler, camera, visits)
    registry.insertDimensionData("visit", *[v.record for v in visits if v.id not in there], skip_existing=True)
    for visit in visits:
        if visit.id in there:
            registry.syncDimensionData("visit", visit.record, update=True)
    fault_point("visit.after-record")
    keys = {visit.id: {"instrument": camera.name, "visit": visit.id} for visit in visits}
    definitions = [{**keys[visit.id], "exposure": exposure} for visit in visits for exposure in visit.exposures]
    registry.insertDimensionData("visit_definition", *definitions, skip_existing=True)
    memberships = [{**key, "visit_system": VISIT_SYSTEMS[camera.visits]} for key in keys.values()]
    registry.insertDimensionData("visit_system_membership", *memberships, skip_existing=True)
    regions = [{**keys[v.id], "detector": int(d), "region": region} for v in visits for d, region in v.regions.items()]
    registry.insertDimensionData("visit_detector_region", *regions, replace=bool(there), skip_existing=not there)


def _present(butler: Butler, camera: Camera, visits: Sequence[_Visit]) -> set[int]:
    found = butler.query_dimension_records(
        "visit", instrument=camera.name, where="visit IN (wanted)", bind={"wanted": [visit.id for visit in visits]},
        explain=False, limit=None,
    )  # fmt: skip
    return {int(record.id) for record in found}
