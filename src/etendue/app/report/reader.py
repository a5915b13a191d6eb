"""Read what a report needs; whatever is missing or damaged is noted, never fatal."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box, Interval
from etendue.log import get_logger
from etendue.middleware.changes import current_outcomes, kept_collection, own_collections
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals
from etendue.table.table import Table

_log = get_logger(__name__)


class Reader:
    """Products of a repository, the latest run first.

    Parameters
    ----------
    home : Repository
        The repository.
    collections : sequence of str
        Runs or chains to read; all runs by default.

    Raises
    ------
    InputError
        A named collection does not exist.
    """

    def __init__(self, home: Repository, collections: Sequence[str] = ()):
        self.home = home
        self.unreadable: list[str] = []
        self._boxes: dict[Any, Box] = {}
        runs = self._flattened(collections) if collections else self._all_runs()
        every = journals(home.runs_folder)
        self.journals = [journal for journal in every if _run_of(journal) in runs]
        self._history = self.journals if collections else every  # what is kept was made by runs seen no more
        latest = [name for j in self.journals for name in (_run_of(j), kept_collection(_run_of(j))) if name in runs]
        self.runs = latest + sorted((run for run in runs if run not in latest), reverse=True)

    def _flattened(self, collections: Sequence[str]) -> set[str]:
        for name in collections:
            if not self.home.has_collection(name):
                raise InputError("no such collection", source=self.home.path, value=name)
        return set(self.home.butler.collections.query(list(collections), flatten_chains=True))

    def _all_runs(self) -> set[str]:
        """Return all runs but those whose output has replaced them, and what newer runs keep of them."""
        infos = self.home.butler.collections.query_info("*")
        runs = {info.name for info in infos if info.type.name == "RUN"}
        for output in {str(journal.description()["output"]) for journal in journals(self.home.runs_folder)}:
            own = own_collections(self.home, output)
            if own:
                runs = {run for run in runs if not run.startswith(f"{output}/")} | set(own)
        return runs

    def refs(self, name: str) -> tuple[Any, ...]:
        """Return the datasets of a type, the latest per data ID, sorted by data ID."""
        return self.home.query(name, collections=self.runs) if self.runs else ()

    def get(self, ref: Any, component: str | None = None, *, box: Box | None = None, **parameters: Any) -> Any:
        """Return a dataset or a part of it; None where it cannot be read, which is noted."""
        try:
            return self.home.get(ref, component=component, box=box, **parameters)
        except Exception as error:  # one damaged file of any kind must not cost the page
            message = f"{ref.datasetType.name} {data_id_text(data_id_of(ref))}: {' '.join(str(error).split())[:200]}"
            _log.warning("%s", message)
            if message not in self.unreadable:
                self.unreadable.append(message)
            return None

    @functools.cache  # noqa: B019 (a reader lives as long as its report)
    def table(self, name: str, columns: tuple[str, ...] | None = None) -> Table | None:
        """Return all tables of a type stacked; None where there is none."""
        parts = [self.get(ref, columns=list(columns) if columns else None) for ref in self.refs(name)]
        tables = [part for part in parts if part is not None]
        return Table.concat(tables) if tables else None

    def stamp(self, ref: Any, *, x: float, y: float, half: int) -> NDArray[np.float32]:
        """Return the pixels of an image around a position, shape (2 half + 1, 2 half + 1); NaN outside the image."""
        side = 2 * half + 1
        stamp = np.full((side, side), np.nan, np.float32)
        if ref not in self._boxes:
            self._boxes[ref] = self.get(ref, "bbox") or Box.from_shape((0, 0))
        column, row = round(x) - half, round(y) - half
        wanted = Box(y=Interval(row, row + side), x=Interval(column, column + side))
        inside = wanted.intersection(self._boxes[ref])
        if not inside.is_empty and (image := self.get(ref, "image", box=inside)) is not None:
            stamp[inside.slices_in(wanted)] = image.array
        return stamp

    @functools.cached_property
    def outcomes(self) -> list[tuple[str, QuantumOutcome]]:
        """Outcome of every quantum that the products depend on, with the name of the latest run of its output."""
        latest: dict[str, str] = {}
        for journal in self.journals:
            latest.setdefault(str(journal.description()["output"]), _run_of(journal))
        return [(run, o) for output, run in latest.items() for o in current_outcomes(self._history, output)]


def _run_of(journal: Journal) -> str:
    return str(journal.description().get("run", ""))


def data_id_of(ref: Any) -> dict[str, int | str]:
    """Return the required part of a data ID as plain values."""
    return {str(key): value for key, value in ref.dataId.required.items()}


def data_id_text(data_id: dict[str, int | str]) -> str:
    """Return a data ID for people; the instrument and skymap go without saying."""
    names = {"physical_filter": "filter"}
    parts = [f"{names.get(key, key)} {value}" for key, value in data_id.items() if key not in ("instrument", "skymap")]
    return ", ".join(parts)
