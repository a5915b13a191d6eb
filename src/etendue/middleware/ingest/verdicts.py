"""What to do with each frame of a batch: new, known, delivered again, or in conflict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import DatasetRef

from etendue.middleware.ingest.file_reader import FoundFile, FoundFrame
from etendue.middleware.ingest.known_frames import KnownFrame
from etendue.middleware.ingest.outcome import IngestOutcome, Redelivered

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What to do with a batch.

    Parameters
    ----------
    outcomes : list of IngestOutcome
        One per frame, in order, and one per fault.
    fresh : dict
        Frames to enter, by exposure and detector.
    outdated : list of DatasetRef
        Datasets whose place new deliveries take.
    """

    outcomes: list[IngestOutcome] = field(default_factory=list)
    fresh: dict[Key, FoundFrame] = field(default_factory=dict)
    outdated: list[DatasetRef] = field(default_factory=list)


def judge(
    files: Iterable[FoundFile], known: Mapping[Key, KnownFrame], *, originals: bool, redelivered: Redelivered
) -> Verdicts:
    """Judge the frames of a batch.

    Parameters
    ----------
    files : iterable of FoundFile
        The batch.
    known : mapping
        Frames of the repository, by exposure and detector.
    originals : bool
        Whether the repository refers to files where they are: two with equal bytes are worth a word then.
    redelivered : {"refuse", "replace"}
        What becomes of a frame that is there with other bytes.

    Returns
    -------
    Verdicts
    """
    verdicts, taken = Verdicts(), dict(known)
    for file in files:
        for frame in file.found:
            if isinstance(frame, str):
                verdicts.outcomes.append(IngestOutcome(file.path, "refused", frame))
                continue
            other = taken.get(frame.key)
            outcome = _judge(frame, file, other, originals=originals, replace=redelivered == "replace")
            verdicts.outcomes.append(outcome)
            if outcome.status in ("ingested", "replaced"):
                verdicts.fresh[frame.key] = frame
                taken[frame.key] = KnownFrame.of_file(file)
            if outcome.status == "replaced" and other is not None and other.ref is not None:
                verdicts.outdated.append(other.ref)
    return verdicts


def _judge(
    frame: FoundFrame, file: FoundFile, other: KnownFrame | None, *, originals: bool, replace: bool
) -> IngestOutcome:
    facts = _facts(frame)
    if other is None:
        return IngestOutcome(file.path, "ingested", **facts)
    if other.is_file(file.path):
        if not other.changed(file):
            return IngestOutcome(file.path, "already there", **facts)
        conflict = f"{file.path}: its bytes are others than when it was ingested"
    elif other.has_bytes_of(file):
        # A file that was copied in before is no news; two files of the user's with equal bytes are.
        doubled = originals or other.ref is None
        reason = f"{file.path}: the same bytes as {other.shown}, passed over" if doubled else ""
        return IngestOutcome(file.path, "already there", reason, **facts)
    else:
        conflict = (
            f"{file.path}: exposure {facts['exposure']} detector {facts['detector']} is already there from"
            f" {other.shown} with other bytes; keep one of the two, or correct the time or number in the header"
        )
    if replace:
        return IngestOutcome(file.path, "replaced" if other.ref is not None else "ingested", **facts)
    return IngestOutcome(file.path, "refused", f"{conflict}; --redelivered replace takes the new one", **facts)


def _facts(frame: FoundFrame) -> dict[str, Any]:
    info = frame.info
    return {
        "exposure": info.exposure_id,
        "observation_type": info.observation_type,
        "physical_filter": info.physical_filter,
        "detector": info.detector_id,
    }


def keys_of(files: Sequence[FoundFile]) -> set[Key]:
    """Return the exposures and detectors of a batch."""
    return {frame.key for file in files for frame in file.frames}
