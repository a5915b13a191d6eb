"""Do the same with many frames, in several processes, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from etendue.errors import EtendueError

Result = TypeVar("Result")


def each_frame(
    action: Callable[[Path], Result], frames: Sequence[Path], title: str, *, workers: int, progress: bool
) -> list[Result]:
    """Call a function with every frame.

    Parameters
    ----------
    action : callable
        Can be pickled; its errors end everything.
    frames : sequence of Path
        Its arguments.
    title : str
        Stands before the progress bar.
    workers : int
        Processes; 1 works in this one.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    list
        Results in the order of the frames.

    Raises
    ------
    EtendueError
        If a process was killed.
    """
    found: dict[int, Result] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True, quiet=not progress)) as bar:
        task = bar.add_task(title, total=len(frames))
        for number, result in _results(action, frames, min(workers, len(frames))):
            found[number] = result
            bar.advance(task)
    return [found[number] for number in range(len(frames))]


def _results(action: Callable[[Path], Result], frames: Sequence[Path], workers: int) -> Iterator[tuple[int, Result]]:
    if workers <= 1:
        yield from enumerate(map(action, frames))
        return
    context = get_context("forkserver")
    context.set_forkserver_preload(["etendue.app.solving.frame_search"])  # imports once, not once per worker
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(action, path): number for number, path in enumerate(frames)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise EtendueError(
                    "a worker process was killed; run again, with fewer workers if memory is short"
                ) from None
