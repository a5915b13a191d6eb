"""Commands of the data router."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, REPO

if TYPE_CHECKING:
    from etendue.middleware.router.courier import Notice
    from etendue.middleware.router.router import Router

_SHOWN = 8  # troubles below a table
_RULES = click.argument("rules", type=click.Path(path_type=Path))
_STATE = click.option("--state", type=click.Path(path_type=Path),
                      help="Folder of the queues; default REPO/etendue/router.")  # fmt: skip


@click.group(short_help="Send new datasets to other repositories, folders, streams, programs.")
def router() -> None:
    """Send datasets that appear in a repository to sinks, by rules in a YAML file (docs/user/router.md)."""


@router.command(short_help="Deliver what RULES name, until stopped.")
@REPO
@_RULES
@click.option("--once", is_flag=True, help="Try everything that is there once, then end.")
@click.option("--poll", type=click.FloatRange(0.05), default=2.0, show_default=True, metavar="S",
              help="Time between two looks at a database server; a SQLite file is watched.")  # fmt: skip
@_STATE
@AS_JSON
def run(repo: Path, rules: Path, once: bool, poll: float, state: Path | None, as_json: bool) -> None:
    """Deliver the datasets of REPO that RULES name, old and new, until Ctrl-C.

    Whatever ends it, the same command goes on where it was: nothing is lost. With --once it exits with 1 if something
    could not be delivered. With --json every event is a line of JSON.
    """
    from etendue.errors import EtendueError
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.router import Router, state_folder
    from etendue.middleware.router.rules import Rules
    from etendue.middleware.router.status import statuses

    home = Repository.open(repo, writeable=False)
    read = Rules.read(rules)
    made = Router(home, read, rules, state=state, poll_s=poll, tell=_teller(as_json))
    with _stopping(made):
        made.run(once=once, ready=_announce(as_json))
    if once:
        mine = [found for found in statuses(state_folder(home, state)) if found.name in read.sinks]
        left = {kind: sum(found.counts.get(kind, 0) for found in mine) for kind in ("waiting", "dead")}
        if any(left.values()):
            raise EtendueError(f"{left['waiting']} deliveries are left, {left['dead']} are dead letters; "
                               f"see 'etendue router status {repo}'")  # fmt: skip


@router.command(short_help="Show what was delivered, what waits, and why.")
@REPO
@click.option("--picture", type=click.Path(path_type=Path), help="Also draw the history of all sinks into this PNG.")
@_STATE
@AS_JSON
def status(repo: Path, picture: Path | None, state: Path | None, as_json: bool) -> None:
    """Show how every sink of REPO stands: delivered, waiting, dead letters with reasons."""
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.history import draw_history
    from etendue.middleware.router.router import state_folder
    from etendue.middleware.router.status import statuses, troubles

    folder = state_folder(Repository.open(repo, writeable=False), state)
    found, failed = statuses(folder), troubles(folder, _SHOWN)
    if picture is not None:
        draw_history(folder, picture)
    if as_json:
        listed = [{"sink": sink, "state": kind, "attempts": n, "reason": why, **event.to_dict()}
                  for sink, kind, event, n, why in failed]  # fmt: skip
        print_json({"sinks": [one.to_dict() for one in found], "troubles": listed})
        return
    print_table([one.row() for one in found], title="router")
    print_lines([f"{one.name} is down: {one.reason}" for one in found if one.down_since is not None])
    print_lines([f"{one.name}: {one.trouble}" for one in found if one.trouble])
    words = {"dead": "dead letter", "waiting": "to be tried again"}
    print_lines([f"{sink}: {words[kind]} after {n} attempts: {event.key} ({event.dataset_type}): {why}"
                 for sink, kind, event, n, why in failed])  # fmt: skip


@router.command(short_help="Put dead letters back into the queues.")
@REPO
@click.option("--sink", "sinks", multiple=True, help="Only of this sink, repeatable.")
@click.option("--key", "keys", multiple=True, help="Only this delivery (RULE/DATASET/REVISION), repeatable; "
              "one that was made is made again.")  # fmt: skip
@_STATE
def retry(repo: Path, sinks: tuple[str, ...], keys: tuple[str, ...], state: Path | None) -> None:
    """Put the dead letters of REPO back into the queues; a router that runs takes them up."""
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.queue import Queue
    from etendue.middleware.router.router import state_folder

    folder = state_folder(Repository.open(repo, writeable=False), state)
    known = {path.parent.name: path for path in sorted(folder.glob("*/queue.sqlite3"))}
    if unknown := next((name for name in sinks if name not in known), None):
        raise InputError("no such sink", value=unknown, remedy=f"there are {', '.join(known) or 'none'}")
    count = 0
    for name in sinks or known:
        queue = Queue(known[name])
        count += queue.retry(keys)
        queue.close()
    click.echo(f"{count} deliveries are in the queues again")


@router.command(short_help="Read back everything that was delivered and compare.")
@REPO
@_RULES
@click.option("--repair", is_flag=True, help="Have what is missing or damaged delivered again.")
@_STATE
@AS_JSON
def check(repo: Path, rules: Path, repair: bool, state: Path | None, as_json: bool) -> None:
    """Check RULES, that everything they name was found, and that what was delivered is there with its checksum.

    Exits with 1 if something is not where it should be.
    """
    from etendue.errors import EtendueError
    from etendue.middleware.repository import Repository
    from etendue.middleware.router.checkup import check as look
    from etendue.middleware.router.router import Router
    from etendue.middleware.router.rules import Rules

    home, read = Repository.open(repo, writeable=False), Rules.read(rules)
    Router(home, read, rules, state=state)  # refuses rules that do not fit
    found = look(home, read, state=state, repair=repair)
    lost = [{"sink": one.name, "reason": why, **event.to_dict()} for one in found for event, why in one.lost]
    if as_json:
        print_json({"sinks": [one.row() | {"down": one.down} for one in found], "lost": lost})
    else:
        print_table([one.row() for one in found], title="router check")
        print_lines([f"{one.name} is down: {one.down}" for one in found if one.down])
        print_lines([f"{row['sink']}: {row['key']} ({row['dataset_type']}): {row['reason']}" for row in lost])
    if not all(one.ok for one in found):
        remedy = "run the router" if repair else "see above; --repair has what is lost delivered again"
        raise EtendueError(f"not everything is where it should be; {remedy}")


def _teller(as_json: bool) -> Any:
    def tell(notice: "Notice") -> None:
        if as_json:
            said = {"event": notice.kind, "sink": notice.sink, "count": notice.count, "text": notice.text}
            click.echo(json.dumps(said))
        elif notice.kind == "dead":
            click.echo(f"{notice.sink}: {notice.count} dead letters, the last: {notice.text}", err=True)
        elif notice.kind in ("down", "trouble"):
            where = f"{notice.sink} is down" if notice.kind == "down" else notice.sink or "the source"
            click.echo(f"{where}: {notice.text}; it is tried again", err=True)
        elif notice.kind == "up":
            click.echo(f"{notice.sink} is up again")
        else:
            click.echo(f"{notice.sink}: {notice.kind} {notice.count}")

    return tell


def _announce(as_json: bool) -> Any:
    def announce(made: "Router") -> None:
        for name, url in made.urls.items():
            click.echo(json.dumps({"event": "served", "sink": name, "url": url}) if as_json else f"{name}: {url}")

    return announce


@contextmanager
def _stopping(made: "Router") -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into a request; a second one interrupts at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt("the same command goes on")
        asked.append(number)
        made.stop()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
