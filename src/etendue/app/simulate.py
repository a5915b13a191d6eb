"""Write a simulated survey with a progress bar, and say what is in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from etendue.errors import InputError
from etendue.simulate.catalogs.write import write_catalogs
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.truth_tables import SurveyTruth
from etendue.simulate.surveys.write import write_survey


@dataclass(frozen=True, eq=False)
class SimulateResult:
    """A survey that was written.

    Parameters
    ----------
    name : str
        The survey.
    folder : Path
        Where it is.
    truth : SurveyTruth
        What is true of it.
    """

    name: str
    folder: Path
    truth: SurveyTruth

    def lines(self) -> list[str]:
        """Return what the terminal shows."""
        facts = self.to_dict()
        objects = ", ".join(f"{count} {kind}" for kind, count in facts["objects"].items())
        return [
            f"{self.name}: {facts['exposures']} exposures in {facts['bands']}, {facts['frames']} frames, {objects}",
            f"next: etendue quickstart {self.folder} --repo REPO --refcat {self.folder / 'refcat.csv'}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of what was written."""
        exposures, sources = self.truth["exposures"], self.truth["sources"]
        bands = "".join(sorted(set(exposures["band"].tolist())))
        objects = {
            name.removeprefix("objects_"): int(next(iter(table.values())).size)
            for name, table in self.truth.tables.items()
            if name.startswith("objects_") and table
        }
        return {
            "survey": self.name, "folder": str(self.folder), "exposures": int(exposures["exposure"].size),
            "nights": len(set(exposures["day_obs"].tolist())), "bands": bands,
            "frames": int(self.truth["detectors"]["visit"].size), "sources": int(sources["x"].size), "objects": objects,
        }  # fmt: skip


@dataclass(frozen=True)
class CatalogsResult:
    """Catalogs that were written without frames.

    Parameters
    ----------
    name : str
        The survey.
    folder : Path
        Where they are.
    rows : dict of str to int
        Rows by table.
    """

    name: str
    folder: Path
    rows: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of what was written."""
        return {"survey": self.name, "folder": str(self.folder), "rows": self.rows}

    def lines(self) -> list[str]:
        """Return what the terminal shows."""
        return [f"{self.name}: " + ", ".join(f"{count} rows of {table}" for table, count in self.rows.items())]


def survey_bar(progress: bool) -> Progress:
    """Return a progress bar on stderr.

    Parameters
    ----------
    progress : bool
        Show it.

    Returns
    -------
    rich.progress.Progress
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn())  # fmt: skip
    return Progress(*columns, console=Console(stderr=True, quiet=not progress))


def simulate_into(
    spec: SurveySpec, folder: Path, *, seed: int = 1, workers: int = 2, progress: bool = True
) -> SimulateResult | CatalogsResult:
    """Write a survey into an empty folder; one whose ``catalog`` is given becomes tables without frames.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated.
    folder : Path
        Made if it does not exist.
    seed : int
        Equal seeds give equal files.
    workers : int
        Processes.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    SimulateResult or CatalogsResult

    Raises
    ------
    InputError
        If the folder is in use, or something in the survey is wrong.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("exists and is not an empty folder", source=folder, remedy="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)  # what is wrong with it is said before the sky is drawn
    with survey_bar(progress) as bar:
        task = bar.add_task(f"simulating {spec.name}", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if spec.catalog is not None:
            return CatalogsResult(spec.name, folder, write_catalogs(spec, folder, seed, workers=workers, tell=tell))
        return SimulateResult(spec.name, folder, write_survey(spec, folder, seed, workers=workers, tell=tell))
