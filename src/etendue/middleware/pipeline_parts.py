"""What a pipeline consists of, in plain words: tasks, the datasets between them, who writes and who reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from lsst.daf.butler import DimensionUniverse
from lsst.pipe.base.pipeline_graph import PipelineGraph, ReadEdge, TaskNode, WriteEdge

Role = Literal["input", "prerequisite", "intermediate", "output"]


@dataclass(frozen=True, slots=True)
class Link:
    """A task reads or writes a dataset type.

    Parameters
    ----------
    task, dataset : str
        Label, and name without component.
    writes : bool
        Whether it is written.
    dimensions : tuple of str
        What the task takes one dataset to be of, sorted.
    storage : str
        Storage class that the task expects or makes.
    component : str
        Part that is read, if not all.
    prerequisite, calibration, multiple : bool
        Looked up before the run; by validity; several data IDs enter one quantum.
    """

    task: str
    dataset: str
    writes: bool
    dimensions: tuple[str, ...]
    storage: str
    component: str = ""
    prerequisite: bool = False
    calibration: bool = False
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class TaskPart:
    """A task of a pipeline.

    Parameters
    ----------
    label, class_name : str
        Its name in the pipeline, and its class.
    dimensions : tuple of str
        What one quantum is of.
    reads, writes : tuple of Link
        Its datasets, without metadata, logs and configurations.
    """

    label: str
    class_name: str
    dimensions: tuple[str, ...]
    reads: tuple[Link, ...]
    writes: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """A dataset type of a pipeline.

    Parameters
    ----------
    name : str
        Of the type.
    role : str
        ``input`` and ``prerequisite`` come from outside, ``intermediate`` is read again, ``output`` is not.
    dimensions : tuple of str
        What one dataset is of.
    """

    name: str
    role: Role
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelineParts:
    """Tasks in the order of dependence, and the dataset types that they share.

    Parameters
    ----------
    description : str
        Of the pipeline.
    tasks : tuple of TaskPart
        In order.
    datasets : tuple of DatasetPart
        By name.
    subsets : dict of str to tuple of str
        Named groups of tasks.
    """

    description: str
    tasks: tuple[TaskPart, ...]
    datasets: tuple[DatasetPart, ...]
    subsets: dict[str, tuple[str, ...]]

    def links(self) -> Iterator[Link]:
        """Give everything that is read or written."""
        for task in self.tasks:
            yield from task.reads
            yield from task.writes

    def writers(self, dataset: str) -> list[Link]:
        """Return who writes a dataset type."""
        return [link for task in self.tasks for link in task.writes if link.dataset == dataset]

    def readers(self, dataset: str) -> list[Link]:
        """Return who reads a dataset type."""
        return [link for task in self.tasks for link in task.reads if link.dataset == dataset]


def parts_of(graph: PipelineGraph) -> PipelineParts:
    """Return the parts of a pipeline.

    Parameters
    ----------
    graph : PipelineGraph
        Of `check_pipeline`; dimensions need not be resolved.

    Returns
    -------
    PipelineParts
    """
    universe = _default_universe()
    tasks = tuple(_task(task, universe) for task in graph.tasks.values())
    written = {link.dataset: link for task in tasks for link in task.writes}
    read: dict[str, list[Link]] = {}
    for task in tasks:
        for link in task.reads:
            read.setdefault(link.dataset, []).append(link)
    names = sorted({*written, *read})
    datasets = tuple(
        DatasetPart(name, _role(name, written, read), (written.get(name) or read[name][0]).dimensions) for name in names
    )
    subsets = {label: tuple(sorted(subset)) for label, subset in graph.task_subsets.items()}
    return PipelineParts(graph.description, tasks, datasets, subsets)


def _role(name: str, written: dict[str, Link], read: dict[str, list[Link]]) -> Role:
    if name in written:
        return "intermediate" if name in read else "output"
    return "prerequisite" if all(link.prerequisite for link in read[name]) else "input"


def _task(task: TaskNode, universe: DimensionUniverse) -> TaskPart:
    connections = task.get_connections()

    def link(name: str, edge: ReadEdge | WriteEdge) -> Link:
        return Link(
            task.label, edge.parent_dataset_type_name, isinstance(edge, WriteEdge),
            _concise(edge.raw_dimensions, universe), edge.storage_class_name, getattr(edge, "component", None) or "",
            getattr(edge, "is_prerequisite", False), edge.is_calibration, bool(getattr(connections, name).multiple),
        )  # fmt: skip

    reads = tuple(link(name, edge) for name, edge in {**task.inputs, **task.prerequisite_inputs}.items())
    writes = tuple(link(name, edge) for name, edge in task.outputs.items())
    return TaskPart(task.label, task.task_class_name, _concise(task.raw_dimensions, universe), reads, writes)


def _concise(names: frozenset[str], universe: DimensionUniverse) -> tuple[str, ...]:
    """Return dimensions without those that others imply: ``visit, detector`` and not ``instrument, band...``."""
    known = frozenset(name for name in names if name in universe.dimensions.names)
    group = universe.conform(known)
    implied = {other for name in group.required for other in universe[name].dimensions.names if other != name}
    kept = [name for name in group.required if name not in implied] or list(group.required)
    return (*kept, *sorted(names - known))


@cache
def _default_universe() -> DimensionUniverse:
    """Return Rubin's dimensions; making them reads a file of YAML, which takes 20 ms."""
    return DimensionUniverse()


def full_dimensions(names: tuple[str, ...]) -> frozenset[str]:
    """Return dimensions with all that they imply.

    Parameters
    ----------
    names : tuple of str
        Known ones.

    Returns
    -------
    frozenset of str
    """
    universe = _default_universe()
    return frozenset(universe.conform([name for name in names if name in universe.dimensions.names]).names)
