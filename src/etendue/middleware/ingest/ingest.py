"""Bring raw frames into a repository: idempotent, with a reason for every file that is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lsst.daf.butler import Butler, DatasetType

from etendue.middleware.database import lost_race
from etendue.middleware.ingest.file_reader import FileReader, FoundFile
from etendue.middleware.ingest.insertion import insert
from etendue.middleware.ingest.known_frames import known_frames
from etendue.middleware.ingest.outcome import Redelivered, Transfer
from etendue.middleware.ingest.verdicts import Verdicts, judge, keys_of
from etendue.processes import in_processes

RAW_DIMENSIONS = ("instrument", "exposure", "detector")
_ATTEMPTS = 5  # with other processes that ingest the same frames
_PER_CALL = 40  # files that a process reads before it answers
_PER_BATCH = 1000  # files of one transaction
_WORTH_A_PROCESS = 200  # files, below which it costs more to start than to read them


@dataclass(frozen=True, slots=True)
class Batch:
    """Some files, entered in one transaction.

    Parameters
    ----------
    files : tuple of FoundFile
        As they were read.
    verdicts : Verdicts
        What became of them.
    """

    files: tuple[FoundFile, ...]
    verdicts: Verdicts


def ingest_files(
    butler: Butler,
    reader: FileReader,
    paths: Sequence[str],
    *,
    transfer: Transfer,
    redelivered: Redelivered = "refuse",
    workers: int = 1,
) -> Iterator[Batch]:
    """Ingest raw frames of one camera: several processes read headers while this one makes entries.

    Parameters
    ----------
    butler : Butler
        Writeable, with ``run`` set to the collection of raws.
    reader : FileReader
        Of the camera.
    paths : sequence of str
        FITS files, laid out as the camera says.
    transfer : {"copy", "link", "direct"}
        Copy into the repository, link from it, or refer to the file where it is.
    redelivered : {"refuse", "replace"}
        What becomes of a frame that is there with other bytes.
    workers : int
        Processes that read, at most.

    Yields
    ------
    Batch
        In the order of the files; what was given is in the repository for good.
    """
    butler.registry.registerDatasetType(DatasetType("raw", RAW_DIMENSIONS, "EtendueRaw", universe=butler.dimensions))
    for files in _batches(reader, paths, workers):
        yield Batch(files, _enter(butler, reader.camera.name, files, transfer, redelivered))


def _batches(reader: FileReader, paths: Sequence[str], workers: int) -> Iterator[tuple[FoundFile, ...]]:
    """Give files in their order, whichever process read them, as many at once as one transaction takes."""
    calls = [paths[begin : begin + _PER_CALL] for begin in range(0, len(paths), _PER_CALL)]
    answers: dict[int, list[FoundFile]] = {}
    following, batch = 0, []
    needed = min(workers, -(-len(paths) // _WORTH_A_PROCESS))
    for number, answer in in_processes(reader.read_many, calls, workers=needed, preload=__name__):
        answers[number] = answer
        while following in answers:
            batch += answers.pop(following)
            following += 1
        while len(batch) >= _PER_BATCH:
            yield tuple(batch[:_PER_BATCH])
            del batch[:_PER_BATCH]
    if batch:
        yield tuple(batch)


def _enter(
    butler: Butler, camera: str, files: Sequence[FoundFile], transfer: Transfer, redelivered: Redelivered
) -> Verdicts:
    checksums: Mapping[str, str] = {file.path: file.checksum for file in files}
    decide = partial(judge, files, originals=transfer == "direct", redelivered=redelivered)
    for attempts_left in reversed(range(_ATTEMPTS)):
        verdicts = decide(known_frames(butler, camera, keys_of(files)))
        try:
            if verdicts.outdated:
                butler.pruneDatasets(verdicts.outdated, disassociate=True, unstore=True, purge=True)
            if verdicts.fresh:
                insert(butler, verdicts.fresh.values(), transfer, checksums)
            break
        except Exception as error:  # the database has several for what another process wrote meanwhile
            if not attempts_left or not lost_race(error):
                raise
            butler.registry.refresh()
    return verdicts
