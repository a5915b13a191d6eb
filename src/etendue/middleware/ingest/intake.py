"""Taking deliveries of raw files into a repository, and remembering what became of each."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lsst.daf.butler import Butler

from etendue.camera.camera import Camera
from etendue.camera.overrides import Overrides
from etendue.middleware.datastores import file_datastores
from etendue.middleware.ingest.delivery_log import Delivery, DeliveryLog
from etendue.middleware.ingest.file_reader import FileReader, FoundFrame
from etendue.middleware.ingest.ingest import Batch, ingest_files
from etendue.middleware.ingest.known_frames import known_frames
from etendue.middleware.ingest.manifest import Manifest
from etendue.middleware.ingest.outcome import IngestOutcome, Redelivered, Transfer
from etendue.middleware.ingest.quarantine import Quarantine
from etendue.middleware.ingest.stamp import Stamp

if TYPE_CHECKING:
    from etendue.middleware.repository import Repository

REGION_PADDING_PX = 50
_TAKEN = ("ingested", "replaced", "already there")
_AT_ONCE = 2000  # files looked up together


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """How raw files are taken.

    Parameters
    ----------
    transfer : {"copy", "link", "direct"}
        Copy into the repository, link from it, or refer to the file where it is.
    redelivered : {"refuse", "replace"}
        What becomes of a frame that is there with other bytes.
    workers : int
        Processes that read headers, at most; 0 for one per core.
    manifest : Manifest, optional
        Checksums that the files must have.
    verify : bool
        Whether to compare files with their CHECKSUM and DATASUM cards.
    quarantine : Path, optional
        Folder that refused files are moved to.
    """

    transfer: Transfer = "copy"
    redelivered: Redelivered = "refuse"
    workers: int = 1
    manifest: Manifest | None = None
    verify: bool = False
    quarantine: Path | None = None


class Intake:
    """Takes raw files of one camera.

    Parameters
    ----------
    home : Repository
        Writeable.
    camera : Camera
        Registered there.
    rules : IntakeRules
        How.
    """

    def __init__(self, home: "Repository", camera: Camera, rules: IntakeRules):
        self._home, self._camera, self._rules = home, camera, rules
        self._overrides = home.overrides(camera.name)
        self._log = delivery_log(home, camera.name)
        self._quarantine = None if rules.quarantine is None else Quarantine(rules.quarantine)
        self.frames: dict[tuple[int, int], FoundFrame] = {}
        """What was read and taken, by exposure and detector: visits are made of it."""

    def take(self, paths: Iterable[str | Path]) -> Iterator[tuple[IngestOutcome, ...]]:
        """Take files; what is given is in the repository for good.

        Parameters
        ----------
        paths : iterable of str or Path
            FITS files. Those that were taken before and have not changed since are not read.

        Yields
        ------
        tuple of IngestOutcome
            One per frame of some files.
        """
        rules, raws = self._rules, f"{self._camera.name}/raw/all"
        with self._home.writing(run=raws, collections=[raws]) as butler:
            fresh: list[str] = []
            for some in _pieces([str(path) for path in paths]):
                known = self._taken_before(butler, some)
                fresh += [path for path in some if path not in known]
                if known:
                    yield tuple(outcome for outcomes in known.values() for outcome in outcomes)
            for batch in ingest_files(
                butler, self._reader(butler), fresh, transfer=rules.transfer, redelivered=rules.redelivered,
                workers=rules.workers or len(os.sched_getaffinity(0)),
            ):  # fmt: skip
                self._remember(batch)
                yield tuple(batch.verdicts.outcomes)

    def _reader(self, butler: Butler) -> FileReader:
        said = self._overrides.read()
        return FileReader(
            self._camera, REGION_PADDING_PX,
            override_of=None if said == Overrides() else partial(self._overrides.for_frame, said),
            checksums=records_checksums(butler), manifest=self._rules.manifest, verify=self._rules.verify,
        )  # fmt: skip

    def _taken_before(self, butler: Butler, paths: Sequence[str]) -> dict[str, list[IngestOutcome]]:
        """Return what is known of files that were taken, have not changed, and are still in the repository."""
        absolute = {str(Path(path).resolve()): path for path in paths}
        logged = {absolute[d.path]: d for d in self._log.of(list(absolute)).values() if _unchanged(d)}
        keys = {(o.exposure or 0, o.detector or 0) for d in logged.values() for o in d.frames}
        there = known_frames(butler, self._camera.name, keys) if keys else {}
        return {
            path: [replace(outcome, path=path, status="already there") for outcome in delivery.frames]
            for path, delivery in logged.items()
            if all((o.exposure or 0, o.detector or 0) in there for o in delivery.frames)
        }

    def _remember(self, batch: Batch) -> None:
        outcomes = batch.verdicts.outcomes
        self.frames |= batch.verdicts.fresh
        verdicts: dict[str, str] = {}
        for outcome in outcomes:  # of a file with several frames the refusals count
            subject = str(Path(outcome.path).resolve())
            verdicts[subject] = outcome.reason or verdicts.get(subject, "")
        self._home.refusals.record(verdicts, camera=self._camera.name)
        self._log.note(_deliveries(batch))
        if self._rules.transfer != "direct":
            self._overrides.remember_names({
                (o.exposure, o.detector): Path(o.path).name
                for o in outcomes
                if o.status in ("ingested", "replaced") and o.exposure is not None and o.detector is not None
            })  # fmt: skip
        if self._quarantine is not None:
            self._set_aside(outcomes)

    def _set_aside(self, outcomes: Sequence[IngestOutcome]) -> None:
        """Move files of which no frame was taken."""
        assert self._quarantine is not None
        taken = {outcome.path for outcome in outcomes if outcome.status in _TAKEN}
        reasons = {o.path: o.reason for o in outcomes if o.status == "refused" and o.path not in taken}
        for path, reason in reasons.items():
            self._quarantine.take(Path(path), reason)


def delivery_log(home: "Repository", camera: str) -> DeliveryLog:
    """Return the log of files taken for a camera.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Name.
    """
    return DeliveryLog(home.path / "etendue" / "deliveries" / f"{camera}.sqlite")


def records_checksums(butler: Butler) -> bool:
    """Whether a repository records checksums of files.

    Parameters
    ----------
    butler : Butler
        Of the repository.
    """
    return any(store.useChecksum for store in file_datastores(butler))


def _deliveries(batch: Batch) -> Iterator[Delivery]:
    """Give the files of which every frame was taken."""
    outcomes: dict[str, list[IngestOutcome]] = defaultdict(list)
    for outcome in batch.verdicts.outcomes:
        outcomes[outcome.path].append(outcome)
    for file in batch.files:
        frames = tuple(outcomes[file.path])
        if file.stamp is not None and frames and all(o.status in _TAKEN and not o.reason for o in frames):
            yield Delivery(str(Path(file.path).resolve()), file.stamp, file.checksum, frames)


def _unchanged(delivery: Delivery) -> bool:
    try:
        return Stamp.of(Path(delivery.path)) == delivery.stamp
    except OSError:
        return False


def _pieces(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    return (paths[begin : begin + _AT_ONCE] for begin in range(0, len(paths), _AT_ONCE))
