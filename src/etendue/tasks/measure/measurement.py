"""The one interface of all measurements, and the list of those that exist."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.tasks.measure.scene import Scene
from etendue.tasks.task import Task, TaskConfig

Columns = dict[str, NDArray[Any]]

C = TypeVar("C", bound=TaskConfig)
M = TypeVar("M", bound="type[Measurement[Any]]")

ENTRY_POINTS = "etendue.measurements"
REFERENCE = "reference_"  # what columns of another band are called among the known ones
_registered: "dict[str, type[Measurement[Any]]]" = {}


class Measurement(Task[C], ABC):
    """Measures one kind of thing on all sources of a scene at once.

    A subclass adds ``run``. Columns have LSST's names where LSST has one; those that end in ``Flux`` or ``FluxErr``
    are in image units and are put on the flux scale of the image later, all others stay as they are. What could not
    be measured is NaN, with a column that ends in ``_flag``.
    """

    @abstractmethod
    def run(self, scene: Scene, known: Mapping[str, NDArray[Any]]) -> Columns:
        """Measure.

        Parameters
        ----------
        scene : Scene
            An image taken apart into sources.
        known : mapping of str to ndarray, shape (n,)
            What measurements before this one found.

        Returns
        -------
        dict of str to ndarray, shape (n,)
            New columns.
        """


def measurement(name: str) -> Callable[[M], M]:
    """Register a measurement under a name.

    Parameters
    ----------
    name : str
        By which configurations ask for it.

    Returns
    -------
    callable
        Decorator of the class.
    """

    def keep(cls: M) -> M:
        _registered[name] = cls
        return cls

    return keep


def find_measurement(name: str) -> "type[Measurement[Any]]":
    """Return the measurement of a name: etendue's own, or one that an installed package offers.

    Packages offer theirs by an entry point of the group ``etendue.measurements``.

    Parameters
    ----------
    name : str
        As registered.

    Returns
    -------
    type

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in _registered:
        for entry in entry_points(group=ENTRY_POINTS, name=name):
            _registered[name] = entry.load()
    if name not in _registered:
        raise InputError("unknown measurement", value=name, remedy=f"choose from {', '.join(sorted(_registered))}")
    return _registered[name]


def checked(name: str, columns: Columns, n: int) -> Columns:
    """Return the columns of a measurement, if they have one row per source.

    Parameters
    ----------
    name : str
        Of the measurement.
    columns : dict of str to ndarray
        What it returned.
    n : int
        Number of sources.

    Returns
    -------
    dict of str to ndarray, shape (n,)

    Raises
    ------
    InputError
        If a column has another shape.
    """
    for column, value in columns.items():
        if np.shape(value) != (n,):
            raise InputError(
                f"column {column} of measurement {name} has not one value per source", value=np.shape(value)
            )
    return columns
