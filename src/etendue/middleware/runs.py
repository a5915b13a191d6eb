"""The runs of a repository: which there are, in which order they were begun, and who may begin the next."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from etendue.errors import InputError
from etendue.faults import clock_shift_s, fault_point
from etendue.middleware.journal import Journal, locked


def journals(folder: Path) -> list[Journal]:
    """Return the journals of all prepared runs, the latest first.

    The order is that of the numbers that runs get when they begin, so that neither a clock that is set back nor a
    copied repository changes it.

    Parameters
    ----------
    folder : Path
        ``Repository.runs_folder``.

    Returns
    -------
    list of Journal
    """
    found = [Journal(path.parent) for path in folder.rglob("run.json")]
    return sorted(found, key=lambda journal: (_number(journal), journal.folder.name), reverse=True)


def latest(folder: Path, output: str) -> Journal | None:
    """Return the journal of the latest run of an output.

    Parameters
    ----------
    folder : Path
        ``Repository.runs_folder``.
    output : str
        Chain of the runs.

    Returns
    -------
    Journal or None
    """
    return next((j for j in journals(folder) if j.description()["output"] == output), None)


def next_number(folder: Path) -> int:
    """Return a number larger than that of every run."""
    return max((_number(journal) for journal in journals(folder)), default=0) + 1


def new_journal(folder: Path, output: str, name: str | None) -> Journal:
    """Return the journal of a run to be prepared.

    Parameters
    ----------
    folder : Path
        ``Repository.runs_folder``.
    output : str
        Chain of the runs.
    name : str, optional
        Name of the run inside the output; the UTC time by default.

    Returns
    -------
    Journal
        Not prepared yet.

    Raises
    ------
    InputError
        A run of this name exists.
    """
    if name is None:
        fault_point("run.clock")
        now = datetime.now(tz=UTC) + timedelta(seconds=clock_shift_s())
        while Journal(folder / output / f"{now:%Y%m%dT%H%M%S%fZ}").exists:  # the clock was set back
            now += timedelta(microseconds=1)
        name = f"{now:%Y%m%dT%H%M%S%fZ}"
    journal = Journal(folder / output / name)
    if journal.exists:
        raise InputError(
            "a run of this name exists", value=f"{output}/{name}", remedy="choose another name, or resume it"
        )
    return journal


@contextmanager
def held_output(folder: Path, output: str) -> Iterator[None]:
    """Let one process at a time run into an output.

    Parameters
    ----------
    folder : Path
        ``Repository.runs_folder``.
    output : str
        Chain of the runs.

    Raises
    ------
    InputError
        Another process runs into it.
    """
    home = folder / output
    home.mkdir(parents=True, exist_ok=True)
    with locked(home, f"another process is running into output {output}"):
        yield


def _number(journal: Journal) -> int:
    return int(journal.description().get("number", 0))
