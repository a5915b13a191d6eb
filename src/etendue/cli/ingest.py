"""Commands that bring raw frames into a repository."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, FRAMES, REPO
from etendue.cli.stopping import asked_to_stop

if TYPE_CHECKING:
    from etendue.app.ingest import IngestSummary
    from etendue.middleware.ingest.intake import IntakeRules
    from etendue.middleware.ingest.outcome import IngestOutcome

_MOST_LINES = 40
_CAMERA = click.option("--camera", help="Registered camera; needed only if there are several.")


def _rules(command: Any) -> Any:
    """Add the options of how files are taken."""
    for option in (
        click.option("-j", "--workers", type=click.IntRange(0), default=0, help="Processes; default one per core."),
        click.option("--verify", is_flag=True, help="Compare files with their CHECKSUM and DATASUM cards."),
        click.option("--manifest", "manifests", multiple=True, type=click.Path(path_type=Path),
                     help="Checksums that files must have, as sha256sum writes; repeatable."),
        click.option("--redelivered", type=click.Choice(["refuse", "replace"]), default="refuse", show_default=True,
                     help="What to do with a frame that is there with other bytes."),
        click.option("--transfer", type=click.Choice(["copy", "link", "direct"]), default="copy", show_default=True,
                     help="Copy the files, link them, or use them where they are."),
    ):  # fmt: skip
        command = option(command)
    return command


def _rules_of(quarantine: Path | None, manifests: tuple[Path, ...], **options: Any) -> "IntakeRules":
    from etendue.middleware.ingest.intake import IntakeRules
    from etendue.middleware.ingest.manifest import Manifest

    manifest = Manifest.read(manifests) if manifests else None
    return IntakeRules(**options, manifest=manifest, quarantine=quarantine)


@click.command(short_help="Bring raw frames into REPO and define visits.")
@REPO
@click.argument("paths", nargs=-1, required=True, type=FRAMES)
@_CAMERA
@_rules
@click.option("--quarantine", type=click.Path(path_type=Path), help="Folder that refused files are moved to.")
@click.option("--watch", is_flag=True, help="Take files as they arrive in a folder, until Ctrl-C.")
@click.option("--until-idle", type=click.FloatRange(0.0), metavar="S",
              help="With --watch: end when nothing has come for so long.")  # fmt: skip
@click.option("--rest", type=click.FloatRange(0.0), default=2.0, show_default=True, metavar="S",
              help="With --watch: a file unchanged for so long is complete if its structure is whole.")  # fmt: skip
@click.option("--patience", type=click.FloatRange(0.0), default=120.0, show_default=True, metavar="S",
              help="With --watch: a file that is not whole is refused after so long without a change.")  # fmt: skip
@AS_JSON
def ingest(
    repo: Path, paths: tuple[Path, ...], camera: str | None, quarantine: Path | None, watch: bool,
    until_idle: float | None, rest: float, patience: float, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Bring raw frames (files, or folders of any depth) into REPO and define visits.

    Frames that are there already are passed over. Every refused file is named with the reason; see also "etendue
    quarantine".
    """
    import math

    from etendue.app.frame_finder import files_in
    from etendue.app.ingest import GrowingFolder, Patience
    from etendue.app.ingest import ingest as take
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository

    rules = _rules_of(quarantine, **options)
    home = Repository.open(repo)
    chosen = home.camera(camera).name
    if watch:
        if len(paths) != 1 or not paths[0].is_dir():
            raise InputError("--watch takes one folder", value=" ".join(map(str, paths)), remedy="give one")
        waiting = Patience(rest, patience, math.inf if until_idle is None else until_idle)
        growing = GrowingFolder(home, chosen, paths[0], rules, waiting, lambda found: _tell(found, as_json))
        with asked_to_stop() as stop:
            growing.watch(stop)
        return
    files = files_in(paths)
    with _progress(len(files), shown=not as_json) as seen:
        found = take(home, chosen, files, rules, seen)
    _show(found, as_json)
    if found.outcomes and len(found.refused) == len(found.outcomes):
        raise InputError("no file could be ingested", source=repo, remedy="see the reasons above")


@contextmanager
def _progress(total: int, *, shown: bool) -> "Iterator[Callable[[Sequence[IngestOutcome]], None]]":
    """Show a bar on terminals while files are taken."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("ingesting"), BarColumn(), MofNCompleteColumn(), TextColumn("files"),
               TextColumn("{task.speed:.0f}/s"), TimeRemainingColumn())  # fmt: skip
    if not (shown and console.is_terminal):
        yield lambda _: None
        return
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda some: bar.advance(task, len({outcome.path for outcome in some}))


def _show(found: "IngestSummary", as_json: bool) -> None:
    if as_json:
        print_json(_facts(found))
        return
    lines = [f"refused {outcome.reason}" for outcome in found.refused]
    lines += [outcome.reason for outcome in found.outcomes if outcome.reason and outcome.status != "refused"]
    lines += [f"no visit of exposure {visit.exposure}: {visit.reason}" for visit in found.without_visit]
    print_lines(lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        print_lines([f"... and {len(lines) - _MOST_LINES} more; 'etendue quarantine list REPO' has all"])
    if kinds := found.by_kind():
        print_table(kinds)
    counts = ", ".join(f"{n} {name}" for name, n in sorted(found.counts.items()))
    print_lines([f"{counts}; {found.new_visits} new visits"])


def _facts(found: "IngestSummary") -> dict[str, Any]:
    return {
        "counts": found.counts,
        "new": found.by_kind(),
        "new_visits": found.new_visits,
        "refused": [{"path": o.path, "reason": o.reason} for o in found.refused],
        "passed_over": [{"path": o.path, "reason": o.reason} for o in found.outcomes
                        if o.status == "already there" and o.reason],
        "no_visit": [{"exposure": str(v.exposure), "reason": v.reason} for v in found.without_visit],
    }  # fmt: skip


def _tell(found: "IngestSummary", as_json: bool) -> None:
    """Say what one look at a growing folder gave: a line of JSON, or what `_show` prints."""
    if as_json:
        click.echo(json.dumps(_facts(found)))
    else:
        _show(found, as_json=False)


@click.group(short_help="Files that were refused: list them, take them again.")
def quarantine() -> None:
    """See which raw files a repository would not take, and take them once the cause is repaired."""


@quarantine.command("list", short_help="List refused files with the reasons.")
@REPO
@AS_JSON
def list_refused(repo: Path, as_json: bool) -> None:
    """List the files, and exposures without a visit, that REPO would not take, with the reasons."""
    from dataclasses import asdict

    from etendue.middleware.repository import Repository

    refused = [asdict(refusal) for refusal in Repository.open(repo, writeable=False).refusals.current()]
    if as_json:
        print_json(refused)
    else:
        print_table([{"camera": row["camera"], "since": row["time"], "reason": row["reason"]} for row in refused],
                    title="refused")  # fmt: skip


@quarantine.command("retry", short_help="Take the files of a quarantine folder again.")
@REPO
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@_CAMERA
@_rules
@AS_JSON
def retry(repo: Path, folder: Path, camera: str | None, as_json: bool, **options: Any) -> None:
    """Move the files of the quarantine FOLDER back to where they came from, and take them into REPO.

    Those that are refused again go back into quarantine.
    """
    from etendue.app.ingest import retry as take
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    _show(take(home, home.camera(camera).name, folder, _rules_of(folder, **options)), as_json)


@click.command(short_help="List calibration sequences, revisits and series of every night.")
@REPO
@_CAMERA
@click.option("--night", type=int, help="Only this one, yyyymmdd.")
@AS_JSON
def sequences(repo: Path, camera: str | None, night: int | None, as_json: bool) -> None:
    """List what the exposures in REPO belong together for.

    Calibration sequences (bias, dark, flat, flat pairs over exposure times), series of one field without a pause,
    revisits of a field within hours, on which movers show, and other visits.
    """
    from etendue.app.sequences import sequences as recognise
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    rows = [found.row() for found in recognise(home, home.camera(camera).name)]
    chosen = [row for row in rows if night in (None, row["night"])]
    if as_json:
        print_json(chosen)
    else:
        print_table(chosen, title="sequences")
