"""Command that compiles every kernel once."""

import click


@click.command(short_help="Compile all kernels into the cache.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def warm(workers: int) -> None:
    """Compile all kernels into the cache, so that nothing compiles in the middle of a run."""
    import pkgutil
    import time
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from etendue import kernels

    names = [info.name for info in pkgutil.iter_modules(kernels.__path__, f"{kernels.__name__}.")]
    begin = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as bar,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        task = bar.add_task("compiling kernels", total=len(names))
        for done in as_completed([pool.submit(_compile, name) for name in names]):
            done.result()
            bar.advance(task)
    click.echo(f"{len(names)} kernel modules ready after {time.monotonic() - begin:.1f} s")


def _compile(name: str) -> None:
    import importlib

    importlib.import_module(name)  # explicit signatures compile at import, or load from the cache
