"""Many frames in parallel: a frame that fails is one line, and the others go on."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from etendue.app.process import process
from etendue.app.processing.frame_files import check_free, frame_name
from etendue.disk import disk_trouble
from etendue.errors import EtendueError, InputError


@dataclass(frozen=True)
class ProcessOptions:
    """What is done with every frame.

    Parameters
    ----------
    out : Path
        Folder of the outputs.
    arguments : dict
        Keywords of `process`.
    file_format : str
        Of the catalogs.
    plots : bool
        Whether to draw.
    overwrite : bool
        Whether earlier outputs may be replaced.
    """

    out: Path
    arguments: dict[str, Any] = field(default_factory=dict)
    file_format: str = "parquet"
    plots: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class ProcessOutcome:
    """What became of a frame.

    Parameters
    ----------
    frame : Path
        Raw file.
    folder : Path or None
        Its outputs; None if it failed.
    summary : dict
        Numbers; empty if it failed.
    reason : str
        Why it failed, in one line.
    """

    frame: Path
    folder: Path | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able facts."""
        folder = None if self.folder is None else str(self.folder)
        return {"path": str(self.frame), "output": folder, "reason": self.reason, **self.summary}


def process_frames(
    frames: Sequence[Path], options: ProcessOptions, *, workers: int = 2, progress: bool = True
) -> list[ProcessOutcome]:
    """Process frames and write their outputs.

    Parameters
    ----------
    frames : sequence of Path
        Raw frames.
    options : ProcessOptions
        What to do with them.
    workers : int
        Processes; with one frame or one worker all is done in this process. A script that asks for more needs
        ``if __name__ == "__main__":``.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    list of ProcessOutcome
        In the order of the frames.

    Raises
    ------
    InputError
        If two frames would be written to one folder.
    """
    _check_names(frames, options.out)
    done: dict[Path, ProcessOutcome] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
        task = bar.add_task("processing", total=len(frames))
        for outcome in _outcomes(frames, options, min(workers, len(frames))):
            done[outcome.frame] = outcome
            bar.advance(task)
    return [done[frame] for frame in frames]


def _check_names(frames: Sequence[Path], out: Path) -> None:
    taken: dict[str, Path] = {}
    for frame in frames:
        other = taken.setdefault(frame_name(frame), frame)
        if other is not frame:
            raise InputError(
                f"would be written to {out / frame_name(frame)} as {other} is", source=frame,
                remedy="process them into different folders",
            )  # fmt: skip


def _outcomes(frames: Sequence[Path], options: ProcessOptions, workers: int) -> Iterator[ProcessOutcome]:
    if workers <= 1:
        yield from (process_one(frame, options) for frame in frames)
        return
    left = list(frames)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        futures = {pool.submit(process_one, frame, options): frame for frame in frames}
        for future in as_completed(futures):
            outcome = _result(future)
            if outcome is not None:
                left.remove(outcome.frame)
                yield outcome
    for frame in left:  # a worker died, and took the frames of the others with it: each alone, to find out which kills
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_quiet) as pool:
            outcome = _result(pool.submit(process_one, frame, options))
        yield outcome or ProcessOutcome(frame, reason=f"{frame}: its process was killed; is there memory enough?")


def _result(future: "Future[ProcessOutcome]") -> ProcessOutcome | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return None


@contextmanager
def _silent() -> Iterator[None]:
    """Keep warnings for the notes, which name each once for all frames."""
    logger = logging.getLogger("etendue")
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before


def _quiet() -> None:
    """Leave warnings to the notes of each frame: what workers print would tear the progress bar."""
    logging.getLogger("etendue").addHandler(logging.NullHandler())


def process_one(frame: Path, options: ProcessOptions) -> ProcessOutcome:
    """Process one frame and write its outputs; whatever is wrong with it becomes one line.

    Parameters
    ----------
    frame : Path
        Raw frame.
    options : ProcessOptions
        What to do.

    Returns
    -------
    ProcessOutcome
    """
    try:
        check_free(options.out / frame_name(frame, options.arguments.get("detector")), options.overwrite)
        with threadpool_limits(1), _silent():
            result = process(frame, **options.arguments)
        folder = result.write(
            options.out, file_format=options.file_format, plots=options.plots, overwrite=options.overwrite
        )
        return ProcessOutcome(frame, folder, result.summary())
    except (EtendueError, OSError) as error:
        text = " ".join(str(error).split())
        return ProcessOutcome(frame, reason=text if str(frame) in text else f"{frame}: {disk_trouble(error) or text}")
