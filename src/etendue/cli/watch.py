"""Command that processes frames as they arrive."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.repository import AS_JSON
from etendue.cli.stopping import asked_to_stop

if TYPE_CHECKING:
    from etendue.app.watching.events import Event, FrameDone

_FOLDER = click.Path(path_type=Path)
_SHOWN = 15  # frames in the live table


@click.command(short_help="Process the frames of a growing folder as they arrive.")
@click.argument("directory", type=_FOLDER)
@click.option("--repo", required=True, type=_FOLDER, help="The repository, made if needed.")
@click.option("--refcat", help="gaia, ps1 or 2mass (fetched and cached), a catalog's folder, or a table of stars.")
@click.option("--template", "templates", multiple=True, metavar="[BAND=]IMAGE", help="FITS image with a WCS to "
              "subtract, repeatable; default the repository's templates of earlier nights.")  # fmt: skip
@click.option("--calib-from", type=_FOLDER, help="Folder with bias and flat frames, combined first.")
@click.option("--camera", help="Shipped camera or YAML file; default recognised or guessed from the frames.")
@click.option("--until-idle", type=click.FloatRange(0.0), metavar="S", help="End when nothing has come for so long.")
@click.option("--once", is_flag=True, help="Process what is there, then end.")
@click.option("--rest", type=click.FloatRange(0.0), default=2.0, show_default=True, metavar="S",
              help="A file that has not changed for so long is complete if its FITS structure is whole.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(0.0), default=120.0, show_default=True, metavar="S",
              help="A file that is not whole counts as truncated after so long without a change.")  # fmt: skip
@click.option("--no-report", is_flag=True, help="Do not rewrite REPO/report.html after every batch.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@AS_JSON
def watch(
    directory: Path, repo: Path, refcat: str | None, templates: tuple[str, ...], calib_from: Path | None,
    camera: str | None, until_idle: float | None, once: bool, rest: float, patience: float, no_report: bool,
    workers: int, as_json: bool,
) -> None:  # fmt: skip
    """Process frames as they arrive in DIRECTORY: images, differences, movers, light curves, report.

    Ctrl-C ends it after the step that is running; started again it goes on where it was. With --json every event is a
    line of JSON.
    """
    from etendue.app.watch import WatchOptions
    from etendue.app.watch import watch as run
    from etendue.app.watching.template import GivenTemplate

    options = WatchOptions(
        directory, repo, refcat, tuple(GivenTemplate.parse(text) for text in templates), calib_from, camera, workers,
        until_idle, once, rest, patience, report=not no_report,
    )  # fmt: skip
    with asked_to_stop() as stop, _without_lines_of_stages(), _shown(as_json) as tell:
        result = run(options, tell=tell, stop=stop)
    summary = {"event": "end", "repository": str(result.repository), "frames": result.frames,
               "refused": result.refused, "stopped": result.stopped}  # fmt: skip
    if as_json:
        click.echo(json.dumps(summary))
    else:
        ended = "stopped; the same command goes on" if result.stopped else "done"
        click.echo(f"{ended}: {result.frames} frames, {result.refused} files refused, in {result.repository}")


@contextmanager
def _without_lines_of_stages() -> Iterator[None]:
    """Keep what stages say about every frame off the terminal: it is in their logs, and the watch sums it up."""

    def is_shown(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not record.name.startswith("etendue.stages")

    handlers = list(logging.getLogger().handlers)
    for handler in handlers:
        handler.addFilter(is_shown)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_shown)


@contextmanager
def _shown(as_json: bool) -> "Iterator[Callable[[Event], None]]":
    """Give the function that shows events: lines of JSON, a live table on a terminal, plain lines elsewhere."""
    from rich.console import Console

    if as_json:
        yield lambda event: click.echo(json.dumps(event.to_dict()))
    elif not Console().is_terminal:
        yield lambda event: None if event.kind == "status" else click.echo(_line(event))
    else:
        with _live() as show:
            yield show


@contextmanager
def _live() -> "Iterator[Callable[[Event], None]]":
    """Show the last frames and what is going on in place; all other lines stay above them, with their time."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    frames: list[FrameDone] = []
    doing = [""]
    with Live(refresh_per_second=2) as live:

        def show(event: "Event") -> None:
            if event.kind == "frame":
                frames.append(event)
            elif event.kind == "status":
                doing[0] = event.text
            else:
                style = "" if event.kind == "note" else "bold red"
                live.console.print(Text(f"{time.strftime('%H:%M:%S')} {_line(event)}", style), soft_wrap=True)
            live.update(Group(_table(frames), Text(f"{time.strftime('%H:%M:%S')} {doing[0]}")))

        yield show


def _line(event: "Event") -> str:
    if event.kind == "frame":
        return "  ".join(f"{name} {value}" for name, value in _cells(event).items() if value)
    return event.text if event.kind == "note" else f"{event.kind}: {event.text}"


def _table(frames: "list[FrameDone]") -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"{len(frames)} frame{'s'[: len(frames) != 1]}",
        title_justify="left",
    )
    for name in ("frame", "band", "seeing", "zero", "sources", "differences", "new movers", "s", "problem"):
        table.add_column(name, justify="left" if name in ("frame", "band", "problem") else "right", overflow="fold")
    for frame in frames[-_SHOWN:]:
        table.add_row(*_cells(frame).values())
    return table


def _cells(done: "FrameDone") -> dict[str, str]:
    known = done.seeing_arcsec == done.seeing_arcsec
    zero = "relative" if done.zero_point_kind == "relative" else f"{done.zero_point_mag:.2f}"
    return {
        "frame": done.frame,
        "band": done.band,
        "seeing": f'{done.seeing_arcsec:.2f}"' if known else "",
        "zero": zero if known else "",
        "sources": str(done.n_source) if done.n_source >= 0 else "",
        "differences": str(done.n_dia_source) if done.n_dia_source >= 0 else "",
        "new movers": str(done.new_movers or ""),
        "s": f"{done.latency_s:.0f}" if done.latency_s == done.latency_s else "",
        "problem": done.problem,
    }
