"""Do the same with many frames, in several processes, with a progress bar."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from etendue.processes import in_processes

Frame = TypeVar("Frame")
Result = TypeVar("Result")


def each_frame(
    action: Callable[[Frame], Result], frames: Sequence[Frame], title: str, *, workers: int, progress: bool
) -> list[Result]:
    """Call a function with every frame.

    Parameters
    ----------
    action : callable
        Can be pickled; its errors end everything.
    frames : sequence
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
        made = in_processes(action, frames, workers=workers, preload="etendue.app.solving.frame_search")
        for number, result in made:
            found[number] = result
            bar.advance(task)
    return [found[number] for number in range(len(frames))]
