"""Commands that look at runs: ``etendue run status``, ``run log`` and ``run why``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.middleware.repository import Repository
    from etendue.middleware.run_views.quantum_view import QuantumView
    from etendue.middleware.run_views.run_view import RunView

_MOST = 20
_EVERY_S = 1.0
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_HOME = click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
_OF = click.option("-o", "--output", help="Only the runs of this output, or this run; default the latest that has it.")


@click.command(short_help="How far runs are, or how they ended.")
@click.argument("name", required=False, metavar="[OUTPUT|RUN]")
@_HOME
@click.option("-f", "--follow", is_flag=True, help="Show it again every second until the run has ended.")
@click.option("--every", is_flag=True, help="All runs, not only the latest of each output.")
@AS_JSON
def status(name: str | None, repo: Path, follow: bool, every: bool, as_json: bool) -> None:
    """Show the runs of a repository, or one run of it: its tasks, what runs now, and what failed.

    Runs of this and of other processes are shown alike; looking does not disturb them.
    """
    from etendue.middleware.repository import Repository
    from etendue.middleware.run_views.run_view import find_runs, latest_of_each

    home = Repository.open(repo, writeable=False)
    views = find_runs(home, name)
    if name is None:
        shown = views if every else latest_of_each(views)
        rows = [view.summary() for view in shown]
        print_json(rows) if as_json else print_table(
            [_summary_row(row) for row in rows], title="runs, the latest first"
        )
        return
    while True:
        view = find_runs(home, views[0].run)[0]  # read anew
        if as_json:
            print_json(_as_json(view))
        else:
            _show(view)
        if not follow or view.state != "running":
            return
        time.sleep(_EVERY_S)


@click.command(short_help="The log of a quantum.")
@click.argument("quantum", nargs=-1, required=True)
@_HOME
@_OF
@click.option("-l", "--level", type=click.Choice(list(_LEVELS)), default="info", show_default=True,
              help="Only lines of at least this level.")  # fmt: skip
@AS_JSON
def log(quantum: tuple[str, ...], repo: Path, output: str | None, level: str, as_json: bool) -> None:
    """Show the log of QUANTUM, of one that runs now what it has written so far.

    QUANTUM is the end of its ID, or a task and its data ID, as in "calibrate_image visit=12 detector=3".
    """
    from etendue.middleware.repository import Repository

    view = _only_one(Repository.open(repo, writeable=False), quantum, output)
    lines = [line for line in view.log() if _LEVELS.get(line.level.lower(), 50) >= _LEVELS[level]]
    if as_json:
        print_json([{"time": line.time.isoformat(), "level": line.level, "name": line.name, "message": line.message}
                    for line in lines])  # fmt: skip
    else:
        print_lines([f"{line.time:%H:%M:%S} {line.level:<7} {line.name}: {line.message}" for line in lines])


@click.command(short_help="Why a quantum ended as it did, and what to do.")
@click.argument("quantum", nargs=-1)
@_HOME
@_OF
@AS_JSON
def why(quantum: tuple[str, ...], repo: Path, output: str | None, as_json: bool) -> None:
    """Tell why QUANTUM failed, was skipped, waits, had no work, or ran at all; without QUANTUM, what failed in a run.

    QUANTUM is the end of its ID, or a task and its data ID, as in "calibrate_image visit=12 detector=3".
    """
    from etendue.middleware.repository import Repository
    from etendue.middleware.run_views.run_view import find_runs

    home = Repository.open(repo, writeable=False)
    if not quantum:
        rows = _problem_rows(find_runs(home, output)[0])
        print_json(rows) if as_json else _print_problems(rows, find_runs(home, output)[0].run)
        return
    view = _only_one(home, quantum, output)
    if as_json:
        print_json({
            "task": view.quantum.label, "data_id": view.quantum.data_id, "quantum": view.quantum.quantum_id,
            "run": view.run.run, "status": view.status, "why": view.explain(), "ran_because": view.reasons,
            "attempts": _attempt_rows(view), "inputs": view.inputs(),
        })  # fmt: skip
        return
    print_lines([
        f"{view.name}: {view.status}",
        *(f"  {line}" for line in view.explain()),
        f"  in {view.run.run}, quantum {view.quantum.quantum_id}",
        *([f"  it was to run because: {'; '.join(view.reasons)}"] if view.reasons else []),
    ])  # fmt: skip
    if view.attempts:
        print_table(_attempt_rows(view), title="attempts")
    print_table(view.inputs(), title="it reads")


def _only_one(home: "Repository", words: Sequence[str], output: str | None) -> "QuantumView":
    from etendue.errors import InputError
    from etendue.middleware.run_views.quantum_view import find_quanta
    from etendue.middleware.run_views.run_view import find_runs

    found = find_quanta(home, find_runs(home, output), words)
    if len(found) == 1:
        return found[0]
    failed = [view for view in found if view.status == "failed"]
    told = ", ".join(f"{view.quantum.short_id} ({view.name}: {view.status})" for view in (failed or found)[:3])
    raise InputError(f"{len(found)} quanta match", value=" ".join(words), remedy=f"say more, or give an ID: {told}...")


def _summary_row(row: dict[str, Any]) -> dict[str, Any]:
    left = row["seconds_left"]
    return {
        "output": row["output"], "run": Path(row["run"]).name,
        "state": row["state"] if left is None else f"{row['state']}, {_clock(left)} left",
        "finished": f"{row['finished']}/{row['quanta']}", "failed": row["failed"] or None,
        "CPU [s]": round(row["cpu_s"], 1),
    }  # fmt: skip


def _show(view: "RunView") -> None:
    from etendue.middleware.data_ids import data_id_text
    from etendue.middleware.run_views.run_view import short_id

    row = view.summary()
    left = "" if row["seconds_left"] is None else f", about {_clock(row['seconds_left'])} left"
    print_lines([f"{view.run}: {row['state']}, {row['finished']} of {row['quanta']} quanta are finished{left}"])
    tasks = view.tasks()
    counted = [key for key in ("succeeded", "defeated", "no work", "failed", "skipped", "running", "waiting")
               if any(task[key] for task in tasks)]  # fmt: skip
    print_table([
        {"task": task["task"], **{key: task[key] or None for key in counted}, "wall [s]": round(task["mean_wall_s"], 2),
         "CPU [s]": round(task["mean_cpu_s"], 2), "memory [MiB]": round(task["memory_mib"])}
        for task in tasks
    ])  # fmt: skip
    running = view.now.get("running", ())
    if running:
        print_table([
            {"running": item["task"], "data": data_id_text(item["data_id"]), "for": _clock(time.time() - item["began"]),
             "process": item["process"], "attempt": item["attempt"], "quantum": short_id(item["quantum"])}
            for item in running[:_MOST]
        ])  # fmt: skip
    problems = _problem_rows(view)
    if problems:
        _print_problems(problems, None)


def _as_json(view: "RunView") -> dict[str, Any]:
    return view.summary() | {
        "tasks": view.tasks(), "now": view.now.get("running", []), "problems": _problem_rows(view),
    }  # fmt: skip


def _problem_rows(view: "RunView") -> list[dict[str, Any]]:
    """Return one row per task and cause."""
    from etendue.middleware.data_ids import data_id_text
    from etendue.middleware.run_views.run_view import short_id

    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for o in view.problems():
        key = (o.label, o.status, o.failure, o.message)
        row = rows.setdefault(key, {
            "task": o.label, "status": o.status, "kind": o.failure, "quanta": 0,
            "for instance": data_id_text(o.data_id), "quantum": short_id(o.quantum_id), "message": o.message,
        })  # fmt: skip
        row["quanta"] += 1
    return sorted(rows.values(), key=lambda row: (row["status"] != "failed", -row["quanta"]))


def _print_problems(rows: list[dict[str, Any]], run_name: str | None) -> None:
    if not rows:
        print_lines([f"{run_name}: nothing failed"])
        return
    for row in rows[:_MOST]:
        kind = f" ({row['kind']})" if row["kind"] else ""
        more = f" and {row['quanta'] - 1} more" if row["quanta"] > 1 else ""
        print_lines([f"{row['task']} {row['status']}{kind} for {row['for instance']}{more} [{row['quantum']}]",
                     f"    {row['message']}"])  # fmt: skip
    if len(rows) > _MOST:
        print_lines([f"and {len(rows) - _MOST} more causes"])
    print_lines(["'etendue run why [ID] -b REPO' tells more, 'etendue run log [ID] -b REPO' shows the log"])


def _attempt_rows(view: "QuantumView") -> list[dict[str, Any]]:
    return [
        {"attempt": o.attempt, "ended": f"{o.status}{f' ({o.failure})' if o.failure else ''}",
         "wall [s]": round(o.wall_s, 3), "CPU [s]": round(o.cpu_s, 3), "memory [MiB]": round(o.memory_mb),
         "message": o.message}
        for o in view.attempts
    ]  # fmt: skip


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
