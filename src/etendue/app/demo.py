"""Simulate a small survey, run everything on it, and compare with the truth."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from etendue.app.quickstart import QuickstartResult, quickstart
from etendue.app.truth_check import Catalogs, TruthRow, all_ok, compare, to_json
from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.simulate.simulate import simulate_survey
from etendue.table.table import Table

_PRESET = "demo"


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Parameters
    ----------
    run : QuickstartResult
        Everything that was run.
    truth : list of TruthRow
        Recovered against true.
    """

    run: QuickstartResult
    truth: list[TruthRow]

    @property
    def ok(self) -> bool:
        """Whether everything was recovered."""
        return all_ok(self.truth)

    def lines(self) -> list[Any]:
        """Return what the terminal shows: the truth table and the report's path."""
        table = RichTable("", "recovered", "true", title="Recovered against true", width=100)
        for row in self.truth:
            verdict = Text.assemble(("ok ", "green") if row.ok else ("no ", "red"), row.what)
            table.add_row(verdict, row.recovered, row.true)
        return [*self.run.lines()[:-1], table, self.run.lines()[-1]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able numbers."""
        return {"run": self.run.to_dict(), "truth": to_json(self.truth), "ok": self.ok}


def run_demo(
    directory: Path, *, seed: int = 1, workers: int = 2, overwrite: bool = False, progress: bool = True
) -> DemoResult:
    """Simulate the ``demo`` survey and process it with `quickstart`.

    Parameters
    ----------
    directory : Path
        Gets ``frames`` (raws, truth, reference catalog) and ``repository``.
    seed : int
        Of the simulation.
    workers : int
        Processes.
    overwrite : bool
        Replace what an earlier demo left there.
    progress : bool
        Show progress bars.

    Returns
    -------
    DemoResult

    Raises
    ------
    InputError
        If the directory is in use and ``overwrite`` is False, or holds something else than a demo.
    """
    frames, repository = directory / "frames", directory / "repository"
    _clear(directory, (frames, repository), overwrite)
    truth = simulate_survey(_PRESET, frames, seed=seed)
    folders = [frames / name for name in ("bias", "flat", "raw")]
    run = quickstart(folders, repository=repository, refcat=frames / "refcat.csv", workers=workers, progress=progress)
    return DemoResult(run, compare(truth, catalogs_of(Repository.open(repository, writeable=False), run.camera)))


def _clear(directory: Path, ours: tuple[Path, ...], overwrite: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise InputError("is a file", source=directory, remedy="give a folder")
    if directory.exists() and any(directory.iterdir()):
        if not overwrite:
            raise InputError("exists and is not empty", source=directory, remedy="give --overwrite or another folder")
        strangers = [path.name for path in directory.iterdir() if path not in ours]
        if strangers:
            raise InputError("holds something else than a demo", source=directory, value=strangers[0],
                             remedy="give another folder")  # fmt: skip
        for path in ours:
            shutil.rmtree(path, ignore_errors=True)


def catalogs_of(home: Repository, camera: str) -> Catalogs:
    """Read all tables that are compared with the truth.

    Parameters
    ----------
    home : Repository
        Processed by `quickstart`.
    camera : str
        Its camera.

    Returns
    -------
    Catalogs
    """

    def every(name: str) -> Table:
        return Table.concat(home.get(ref) for ref in home.query(name, collections=f"{camera}/ap"))

    return Catalogs(
        sources=every("source"),
        dia_sources=every("dia_source"),
        dia_objects=every("dia_object"),
        forced_sources=every("forced_source"),
        objects=every("object"),
        tracklets=every("tracklet"),
        tracklet_sources=every("tracklet_source"),
    )
