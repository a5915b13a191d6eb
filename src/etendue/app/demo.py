"""Simulate a small survey, run everything on it, and compare with the truth."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from etendue.app.quickstart import QuickstartResult, quickstart
from etendue.app.simulate import simulate_into
from etendue.app.truth_check.catalogs import Catalogs
from etendue.app.truth_check.compare import compare
from etendue.app.truth_check.row import TruthRow, all_ok, to_json
from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.truth_tables import read_survey_truth

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
    simulate_into(load_survey(_PRESET), frames, seed=seed, workers=workers, progress=progress)
    folders = [frames / name for name in ("bias", "flat", "raw")]
    run = quickstart(folders, repository=repository, refcat=frames / "refcat.csv", workers=workers, progress=progress)
    found = Catalogs.read(Repository.open(repository, writeable=False), run.camera)
    return DemoResult(run, compare(read_survey_truth(frames / "truth"), found))


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
