"""Do the same with many things, in several processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from etendue.errors import EtendueError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    action: Callable[[Item], Result], items: Sequence[Item], *, workers: int, preload: str
) -> Iterator[tuple[int, Result]]:
    """Call a function with every item.

    Parameters
    ----------
    action : callable
        Can be pickled; its errors end everything.
    items : sequence
        Its arguments.
    workers : int
        Processes, at most one per item; 1 works in this one.
    preload : str
        Module that the processes need: it is imported once, not once per process.

    Yields
    ------
    number : int
        Place of an item.
    result
        What the function returned for it, as soon as it is there.

    Raises
    ------
    EtendueError
        If a process was killed.
    """
    if min(workers, len(items)) <= 1:
        yield from enumerate(map(action, items))
        return
    context = get_context("forkserver")
    context.set_forkserver_preload([preload])
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
        futures = {pool.submit(action, item): number for number, item in enumerate(items)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise EtendueError(
                    "a worker process was killed; run again, with fewer workers if memory is short"
                ) from None
