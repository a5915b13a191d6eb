"""Bring raw frames into a repository: idempotent, with a reason for every file that is refused."""

import filecmp
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from astropy.time import Time
from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, Timespan
from lsst.resources import ResourcePath

from etendue.camera.camera import Camera
from etendue.camera.frame_file import FrameHeader, frames_in
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.translate import identify_frame, translate
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.cameras import NO_FILTER, filter_record
from etendue.middleware.database import lost_race
from etendue.middleware.datastores import local_file
from etendue.middleware.formatters import RawFormatter

RAW_DIMENSIONS = ("instrument", "exposure", "detector")
Transfer = Literal["copy", "link", "direct"]
_ATTEMPTS = 5  # with other processes that ingest the same frames
_SHORTEST_DAYS = 1e-3 / 86400.0  # a bias lasts no time, but Rubin's time spans must not be empty


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of one frame, or of a file that is refused as a whole.

    Parameters
    ----------
    path : str
        File as given; it may hold several frames.
    status : str
        ``ingested``, ``already there`` or ``refused``.
    reason : str
        Why it was refused, in one line.
    exposure : int or None
        Exposure ID where the header could be read.
    observation_type, physical_filter : str
        As in the header; empty where unknown.
    detector : int or None
        Detector ID where the header could be read.
    """

    path: str
    status: Literal["ingested", "already there", "refused"]
    reason: str = ""
    exposure: int | None = None
    observation_type: str = ""
    physical_filter: str = ""
    detector: int | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    path: Path
    info: ObservationInfo


def ingest_files(
    butler: Butler,
    camera: Camera,
    paths: Iterable[str | Path],
    *,
    transfer: Transfer,
    override_of: Callable[[str, int, int], FrameOverride | None] = lambda *_: None,
) -> tuple[IngestOutcome, ...]:
    """Ingest raw frames of one camera.

    Parameters
    ----------
    butler : Butler
        Writeable, with ``run`` set to the collection of raws.
    camera : Camera
        Registered camera whose translation applies.
    paths : iterable
        FITS files, laid out as the camera says.
    transfer : {"copy", "link", "direct"}
        Copy into the repository, link from it, or refer to the file where it is.
    override_of : callable
        From file name, exposure and detector to what people say instead of the header.

    Returns
    -------
    tuple of IngestOutcome
        One per frame, in the order of the files; one for a file that is refused as a whole.
    """
    butler.registry.registerDatasetType(DatasetType("raw", RAW_DIMENSIONS, "EtendueRaw", universe=butler.dimensions))
    frames = [frame for path in map(Path, paths) for frame in _read(path, camera, override_of)]
    for attempts_left in reversed(range(_ATTEMPTS)):
        fresh: dict[tuple[int, int], _Frame] = {}
        outcomes = [
            frame if isinstance(frame, IngestOutcome) else _judge(butler, frame, fresh, originals=transfer == "direct")
            for frame in frames
        ]
        try:
            if fresh:
                _insert(butler, list(fresh.values()), transfer)
            break
        except Exception as error:  # the database has several for what another process wrote meanwhile
            if not attempts_left or not lost_race(error):
                raise
            butler.registry.refresh()
    return tuple(outcomes)


def _read(
    path: Path, camera: Camera, override_of: Callable[[str, int, int], FrameOverride | None]
) -> list[_Frame | IngestOutcome]:
    try:
        headers = frames_in(path, camera)
    except InputError as error:
        return [IngestOutcome(str(path), "refused", str(error))]
    found: list[_Frame | IngestOutcome] = []
    for header in headers:
        try:
            found.append(_Frame(path, _read_info(header, camera, override_of)))
        except InputError as error:
            found.append(IngestOutcome(str(path), "refused", str(error)))
    return found


def _read_info(
    frame: FrameHeader, camera: Camera, override_of: Callable[[str, int, int], FrameOverride | None]
) -> ObservationInfo:
    override = override_of(frame.path.name, *identify_frame(frame.header, camera, frame.path, snap=frame.snap))
    info = translate(frame.header, camera, frame.path, override, snap=frame.snap)
    camera.detector(info.detector_id).check_shape(frame.shape, frame.path)
    return info


def _judge(butler: Butler, frame: _Frame, fresh: dict[tuple[int, int], _Frame], *, originals: bool) -> IngestOutcome:
    info = frame.info
    facts: dict[str, Any] = {
        "exposure": info.exposure_id,
        "observation_type": info.observation_type,
        "physical_filter": info.physical_filter,
        "detector": info.detector_id,
    }
    key = (info.exposure_id, info.detector_id)
    if key in fresh:
        other: ResourcePath | None = ResourcePath(fresh[key].path.resolve().as_uri())
    else:
        other = _stored_file(butler, info)
    if other is None:
        fresh[key] = frame
        return IngestOutcome(str(frame.path), "ingested", **facts)
    if other.isLocal and Path(other.ospath).resolve() == frame.path.resolve():
        return IngestOutcome(str(frame.path), "already there", **facts)
    if _same_bytes(other, frame.path):
        # A file that was copied in before is no news; two files of the user's with equal bytes are.
        reason = f"{frame.path}: the same bytes as {_shown(other)}, passed over" if originals or key in fresh else ""
        return IngestOutcome(str(frame.path), "already there", reason, **facts)
    reason = (
        f"{frame.path}: exposure {info.exposure_id} detector {info.detector_id} is already there from"
        f" {_shown(other)} with other bytes; keep one of the two, or correct the time or number in the header"
    )
    return IngestOutcome(str(frame.path), "refused", reason, **facts)


def _same_bytes(stored: ResourcePath, path: Path) -> bool:
    if not stored.exists() or stored.size() != path.stat().st_size:
        return False
    with local_file(stored) as other:
        return filecmp.cmp(other, path, shallow=False)


def _shown(stored: ResourcePath) -> str:
    return stored.ospath if stored.isLocal else str(stored)


def _stored_file(butler: Butler, info: ObservationInfo) -> ResourcePath | None:
    data_id = {"instrument": info.instrument, "exposure": info.exposure_id, "detector": info.detector_id}
    refs = butler.query_datasets("raw", collections=butler.run, data_id=data_id, explain=False)
    return butler.getURI(refs[0]) if refs else None


def _insert(butler: Butler, frames: Sequence[_Frame], transfer: Transfer) -> None:
    modes = {"copy": "copy", "link": "link", "direct": "direct"}
    with butler.transaction():
        _insert_records(butler, [frame.info for frame in frames])
        fault_point("ingest.after-records")
        dataset_type = butler.get_dataset_type("raw")
        assert butler.run is not None
        refs: dict[str, list[DatasetRef]] = {}
        for frame in frames:
            info = frame.info
            data_id = butler.registry.expandDataId(
                instrument=info.instrument, exposure=info.exposure_id, detector=info.detector_id
            )
            uri = frame.path.resolve().as_uri()  # a path would be cut at "#" and "?"
            refs.setdefault(uri, []).append(DatasetRef(dataset_type, data_id, run=butler.run))
        files = [FileDataset(uri, members, formatter=RawFormatter) for uri, members in refs.items()]
        butler.ingest(*files, transfer=modes[transfer])
        fault_point("ingest.after-copy")
    fault_point("ingest.after-commit")


def _insert_records(butler: Butler, infos: Sequence[ObservationInfo]) -> None:
    registry = butler.registry
    unique = {info.exposure_id: info for info in infos}.values()
    _insert_filters(butler, unique)
    days = {info.day_obs: {"instrument": info.instrument, "id": info.day_obs} for info in unique}
    groups = {info.group: {"instrument": info.instrument, "name": info.group} for info in unique}
    registry.insertDimensionData("day_obs", *days.values(), skip_existing=True)
    registry.insertDimensionData("group", *groups.values(), skip_existing=True)
    names = _obs_ids(butler, unique)
    records = (_exposure_record(info, names[info.exposure_id]) for info in unique)
    registry.insertDimensionData("exposure", *records, skip_existing=True)


def update_records(butler: Butler, infos: Iterable[ObservationInfo]) -> None:
    """Make the records of exposures say what their corrected headers say.

    Parameters
    ----------
    butler : Butler
        Writeable.
    infos : iterable of ObservationInfo
        One per exposure that is there already.
    """
    unique = {info.exposure_id: info for info in infos}.values()
    with butler.transaction():
        _insert_filters(butler, unique)
        names = _obs_ids(butler, unique)
        for info in unique:
            record = _exposure_record(info, names[info.exposure_id])
            butler.registry.syncDimensionData("exposure", record, update=True)


def _obs_ids(butler: Butler, infos: Collection[ObservationInfo]) -> dict[int, str]:
    """Return the observatory's own names of exposures; those that are not unique, as the database wants, get our id."""
    wanted = {info.observation_id: info for info in infos if info.observation_id}
    names = {info.exposure_id: str(info.exposure_id) for info in infos}
    if not wanted:
        return names
    instrument = next(iter(wanted.values())).instrument
    taken = {
        record.obs_id: int(record.id)
        for record in butler.query_dimension_records(
            "exposure", instrument=instrument, where="exposure.obs_id IN (wanted)", bind={"wanted": tuple(wanted)},
            explain=False, limit=None,
        )
    }  # fmt: skip
    counts = Counter(info.observation_id for info in infos)
    for name, info in wanted.items():
        if counts[name] == 1 and taken.get(name, info.exposure_id) == info.exposure_id:
            names[info.exposure_id] = name
    return names


def _insert_filters(butler: Butler, infos: Collection[ObservationInfo]) -> None:
    for instrument, name, band in {(info.instrument, _filter(info), info.band or NO_FILTER) for info in infos}:
        butler.registry.syncDimensionData("physical_filter", filter_record(instrument, name, band))


def _filter(info: ObservationInfo) -> str:
    return info.physical_filter if info.band and info.physical_filter else NO_FILTER


def _exposure_record(info: ObservationInfo, obs_id: str) -> dict[str, Any]:
    on_sky = info.observation_type == "science"
    return {
        "instrument": info.instrument,
        "id": int(info.exposure_id),
        "obs_id": obs_id,
        "physical_filter": _filter(info),
        "group": info.group,
        "day_obs": int(info.day_obs),
        "exposure_time": float(info.exposure_time_s),
        "dark_time": float(info.exposure_time_s),
        "observation_type": info.observation_type,
        "observation_reason": info.observation_type,
        "seq_num": int(info.seq),
        "seq_start": int(info.seq),
        "seq_end": int(info.seq),
        "target_name": info.object[:64],
        "science_program": "",
        "tracking_ra": _finite(info.ra_deg) if on_sky else None,
        "tracking_dec": _finite(info.dec_deg) if on_sky else None,
        "sky_angle": _finite(info.rotation_deg) if on_sky else None,
        "azimuth": None,
        "zenith_angle": zenith_angle_deg(info),
        "has_simulated": False,
        "can_see_sky": on_sky,
        "timespan": timespan(info),
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None  # numpy scalars fail on PostgreSQL


def zenith_angle_deg(info: ObservationInfo) -> float | None:
    """Return the zenith angle from the airmass, plane-parallel; None where unknown."""
    return math.degrees(math.acos(1.0 / info.airmass)) if math.isfinite(info.airmass) and info.airmass >= 1 else None


def timespan(info: ObservationInfo) -> Timespan:
    """Return the time span of an exposure, at least a millisecond long."""
    end = max(info.mjd_tai_end, info.mjd_tai_begin + _SHORTEST_DAYS)
    return Timespan(
        Time(float(info.mjd_tai_begin), format="mjd", scale="tai"), Time(float(end), format="mjd", scale="tai")
    )
