"""One step of a survey: the datasets it reads and writes, and a pure run."""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from etendue.tasks.task import TaskConfig, config_class_of


class StageConfig(TaskConfig):
    """Configuration of a stage: usually one field per task config."""


C = TypeVar("C", bound=StageConfig)


@dataclass(frozen=True)
class Connection:
    """A dataset type that a stage reads or writes.

    Parameters
    ----------
    name : str
        Dataset type name.
    dimensions : tuple of str
        What one dataset is of: ``("instrument", "visit", "detector")``.
    storage : str
        Storage class name, for instance ``"EtendueExposure"``.
    """

    name: str
    dimensions: tuple[str, ...]
    storage: str


@dataclass(frozen=True)
class Input(Connection):
    """A dataset that another stage, or ingest, made.

    Parameters
    ----------
    multiple : bool
        Several data IDs enter one quantum: ``run`` gets a tuple sorted by data ID.
    deferred : bool
        ``run`` gets lazy handles, with ``.data_id`` and ``.get(component=None, box=None)``.
    minimum : int
        Fewest datasets without which the quantum is not run; 0 makes the input optional
        (an absent one is None, or the empty tuple when ``multiple``).
    observation_types : tuple of str, optional
        Only exposures of these types enter; the quantum is pruned where none is left.
    calibration : bool
        The dataset is a calibration product, here read from the run that made it, not by validity range.
    others : bool
        What enters are the datasets of the same exposures that other quanta of the run read through an input of the
        same name: those of the other detectors.
    switch : str, optional
        Name of a boolean field of the stage's config; while it is false nothing enters.
    """

    multiple: bool = False
    deferred: bool = False
    minimum: int = 1
    observation_types: tuple[str, ...] | None = None
    calibration: bool = False
    others: bool = False
    switch: str | None = None


@dataclass(frozen=True)
class Prerequisite(Connection):
    """A dataset that must exist before the graph is built, looked up outside the run.

    Parameters
    ----------
    multiple, deferred, minimum
        As for `Input`.
    calibration : bool
        Found by validity range at the time of the quantum's exposure or visit.
    follows : str, optional
        Name of an input with the same data IDs: only datasets of the frames that enter through it are given.
    """

    multiple: bool = False
    deferred: bool = False
    minimum: int = 1
    calibration: bool = False
    follows: str | None = None


@dataclass(frozen=True)
class Output(Connection):
    """A dataset that the stage writes, taken from the result field of the same name (None: not written).

    Parameters
    ----------
    calibration : bool
        The product can be certified, for later stages to find by validity range.
    """

    calibration: bool = False


class DatasetHandle(Protocol):
    """A deferred input: nothing is read before `get`."""

    @property
    def data_id(self) -> Mapping[str, int | str]:
        """Data ID of the dataset, required and implied dimensions."""

    def get(self, component: str | None = None, box: Any = None) -> Any:
        """Read the dataset, one of its components, or a cutout.

        Parameters
        ----------
        component : str, optional
            Part of the dataset, for instance ``"wcs"``.
        box : Box, optional
            Cutout in the dataset's own pixel coordinates.
        """


def seed_from(data_id: Mapping[str, int | str], purpose: str = "") -> int:
    """Return a 63-bit seed that depends on the data ID and the purpose only.

    Parameters
    ----------
    data_id : mapping
        Data ID of the quantum.
    purpose : str
        Separates several random streams of one quantum.

    Returns
    -------
    int
        The same for every run, machine and order of the keys.
    """
    text = ",".join(f"{key}={data_id[key]}" for key in sorted(data_id))
    digest = hashlib.blake2b(f"{purpose}|{text}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Stage(Generic[C]):
    """Base of every step: dimensions, connections as class attributes, and a pure ``run``.

    ``run`` takes one keyword per `Input` and `Prerequisite`, or several of them together as ``**name`` (and ``data_id``
    where it asks for it), and
    returns a frozen dataclass with one field per `Output`.

    Parameters
    ----------
    config : StageConfig, optional
        Instance of ``config_class``; all defaults when left out.

    Raises
    ------
    TypeError
        The config belongs to another stage or, at class definition, ``run`` does not fit the connections.
    """

    config_class: ClassVar[type[TaskConfig]] = StageConfig
    dimensions: ClassVar[tuple[str, ...]] = ()
    connections: ClassVar[dict[str, Connection]] = {}
    wants_data_id: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.config_class = config_class_of(cls, Stage) or cls.config_class
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Connection)}
        cls.connections = {**cls.connections, **own}
        run = getattr(cls, "run", None)
        if run is not None:
            cls.wants_data_id = _check_run(cls, run)

    def __init__(self, config: C | None = None):
        if config is not None and not isinstance(config, self.config_class):
            raise TypeError(
                f"{type(self).__name__} needs a {self.config_class.__name__}, got a {type(config).__name__}"
            )
        self.config: C = cast(C, self.config_class()) if config is None else config

    @classmethod
    def inputs(cls) -> dict[str, Input | Prerequisite]:
        """Return what the stage reads, by attribute name."""
        return {name: c for name, c in cls.connections.items() if isinstance(c, Input | Prerequisite)}

    @classmethod
    def outputs(cls) -> dict[str, Output]:
        """Return what the stage writes, by attribute name."""
        return {name: c for name, c in cls.connections.items() if isinstance(c, Output)}


def _check_run(cls: type[Stage], run: Any) -> bool:
    """Return whether ``run`` takes the data ID; refuse keywords that differ from the connections."""
    parameters = inspect.signature(run).parameters
    keywords = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    expected = set(cls.inputs())
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):  # it takes what it does not name together
        expected &= keywords
    if keywords - {"data_id"} != expected:
        wrong = ", ".join(sorted((keywords - {"data_id"}) ^ expected))
        raise TypeError(f"{cls.__name__}.run and its connections differ in: {wrong}")
    return "data_id" in keywords
