"""Do the same with many things, in several processes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    with ProcessPoolExecutor(
        min(workers, len(items)), mp_context=context, initializer=take_environment, initargs=(dict(os.environ),)
    ) as pool:
        futures = {pool.submit(action, item): number for number, item in enumerate(items)}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise EtendueError(
                    "a worker process was killed; run again, with fewer workers if memory is short"
                ) from None


def take_environment(environment: Mapping[str, str]) -> None:
    """Give this process the environment variables of the one that asked for it.

    The server that forks processes keeps those of the moment when the first was asked for: keys of a store that were
    set, or changed, later would be missing.

    Parameters
    ----------
    environment : mapping
        All variables.
    """
    os.environ.clear()
    os.environ.update(environment)
