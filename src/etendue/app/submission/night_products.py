"""The products that submissions are made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from etendue.app.report.reader import Reader
from etendue.errors import InputError
from etendue.geom.box import Box, Interval
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals
from etendue.table.table import Table


@dataclass(frozen=True)
class NightProducts:
    """Tables and stamps of one collection.

    Parameters
    ----------
    home : Repository
        The repository.
    collection : str
        Chain or run.
    """

    home: Repository
    collection: str

    @classmethod
    def of(cls, home: Repository, collection: str | None) -> "NightProducts":
        """Choose a collection: that given, the latest night that was watched, or the alert pipeline's.

        Parameters
        ----------
        home : Repository
            The repository.
        collection : str, optional
            What the user asked for.

        Returns
        -------
        NightProducts

        Raises
        ------
        InputError
            If it does not exist.
        """
        camera = home.camera().name
        if collection is None:
            outputs = {str(journal.description()["output"]) for journal in journals(home.runs_folder)}
            watched = sorted(output for output in outputs if output.startswith(f"{camera}/watch/"))
            collection = watched[-1] if watched else f"{camera}/ap"
        if not home.has_collection(collection):
            raise InputError("no such collection", source=home.path, value=collection,
                             remedy="run 'etendue watch' or 'etendue run ap' first")  # fmt: skip
        return cls(home, collection)

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.home, [self.collection])

    def table(self, name: str) -> Table:
        """Return all tables of a type in one.

        Parameters
        ----------
        name : str
            Dataset type.

        Returns
        -------
        Table

        Raises
        ------
        InputError
            If there is none.
        """
        found = self._reader.table(name)
        if found is None:
            raise InputError(f"no {name} in {self.collection}", source=self.home.path,
                             remedy="run 'etendue watch' with a template, or 'etendue run ap' first")  # fmt: skip
        return found

    @cached_property
    def visits(self) -> Table:
        """One row per visit and detector, in order of time."""
        return self.table("visit_summary").sort_by("expMidptMJD")

    @property
    def is_absolute(self) -> bool:
        """Whether fluxes are on the AB scale."""
        return set(np.asarray(self.visits["photoCalibKind"]).tolist()) == {"absolute"}

    def stamp(self, name: str, visit: int, detector: int, *, x: float, y: float, half: int) -> NDArray[np.float32]:
        """Return a square of an image.

        Parameters
        ----------
        name : str
            Dataset type.
        visit, detector : int
            Which image.
        x, y : float
            Middle [px].
        half : int
            Half-size [px].

        Returns
        -------
        ndarray, float32, shape (2 half + 1, 2 half + 1)
            NaN outside the image, or where there is no image.
        """
        side = 2 * half + 1
        stamp = np.full((side, side), np.nan, np.float32)
        column, row = round(x) - half, round(y) - half
        wanted = Box(y=Interval(row, row + side), x=Interval(column, column + side))
        for ref in self._reader.refs(name):
            if (int(ref.dataId["visit"]), int(ref.dataId["detector"])) == (visit, detector):
                inside = wanted.intersection(self._reader.get(ref, "bbox") or Box.from_shape((0, 0)))
                if not inside.is_empty and (image := self._reader.get(ref, "image", box=inside)) is not None:
                    stamp[inside.slices_in(wanted)] = image.array
        return stamp
