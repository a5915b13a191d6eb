"""Contracts of a pipeline: what one task writes is what the next one can read, and what nobody writes is there."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lsst.daf.butler import MissingDatasetTypeError, StorageClassFactory

from etendue.errors import InputError
from etendue.middleware.pipeline_parts import DatasetPart, Link, PipelineParts, TaskPart, full_dimensions
from etendue.middleware.repository import Repository
from etendue.middleware.stage_registry import all_stages

_ALIKE = 0.85  # of difflib: names that differ in a letter or two


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a pipeline that is wrong or strange.

    Parameters
    ----------
    severity : str
        ``error``: it cannot run as it is; ``warning``: it can, perhaps not as meant.
    subject : str
        Task or dataset type.
    message : str
        What it is, in one line.
    """

    severity: Literal["error", "warning"]
    subject: str
    message: str


def check_links(parts: PipelineParts) -> list[Finding]:
    """Check tasks against each other.

    Parameters
    ----------
    parts : PipelineParts
        The pipeline.

    Returns
    -------
    list of Finding
        Dimensions that differ between writer and reader, storage classes that cannot be converted, quanta that
        would write the same dataset, inputs of which there may be many where one is expected.
    """
    found: list[Finding] = []
    for dataset in parts.datasets:
        found += _compare(dataset, parts)
    for task in parts.tasks:
        found += _check_task(task)
    return found


def check_origins(
    parts: PipelineParts, repository: Repository | None = None, inputs: Sequence[str] = ()
) -> list[Finding]:
    """Check that what no task writes is in a repository; without one, that somebody could have written it.

    Parameters
    ----------
    parts : PipelineParts
        The pipeline.
    repository : Repository, optional
        Where it will run.
    inputs : sequence of str
        Collections that it will read; all by default.

    Returns
    -------
    list of Finding
    """
    outside = [dataset for dataset in parts.datasets if dataset.role in ("input", "prerequisite")]
    return [finding for dataset in outside for finding in _check_origin(dataset, parts, repository, inputs)]


def require_consistent(parts: PipelineParts, source: str) -> None:
    """Refuse a pipeline whose tasks do not fit together.

    Parameters
    ----------
    parts : PipelineParts
        The pipeline.
    source : str
        Named in the error.

    Raises
    ------
    InputError
        Says the first error, and how many more there are.
    """
    errors = [finding for finding in check_links(parts) if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InputError(f"{errors[0].subject}: {errors[0].message}{more}", source=source,
                         remedy="'etendue pipeline check' lists all")  # fmt: skip


def _compare(dataset: DatasetPart, parts: PipelineParts) -> Iterator[Finding]:
    writers = parts.writers(dataset.name)
    if len(writers) > 1:
        yield Finding("error", dataset.name, f"written by {' and by '.join(link.task for link in writers)}")
    reference, *others = [*writers[:1], *parts.readers(dataset.name)]
    for other in others:
        yield from _compare_two(reference, other, "writes" if reference.writes else "reads")


def _compare_two(reference: Link, reader: Link, verb: str) -> Iterator[Finding]:
    own = f"{reference.task} {verb}"
    if not _same_dimensions(reference, reader):
        message = (
            f"{reader.task} reads one per {_said(reader.dimensions)}, but {own} one per {_said(reference.dimensions)}"
        )
    elif not reader.component and not _convertible(reference.storage, reader.storage):
        message = f"{reader.task} reads it as {reader.storage}, but {own} it as {reference.storage}"
    elif reader.component and not _has_component(reference.storage, reader.component):
        message = (
            f"{reader.task} reads its part {reader.component}, but {own} it as {reference.storage}, which has none"
        )
    else:
        return
    yield Finding("error", reader.dataset, message)


def _check_task(task: TaskPart) -> Iterator[Finding]:
    own = full_dimensions(task.dimensions)
    for link in task.writes:
        lacking = own - full_dimensions(link.dimensions)
        required = [name for name in task.dimensions if name in lacking]
        if required:
            yield Finding("error", task.label, f"its quanta are of {_said(task.dimensions)}, so several of them would "
                          f"write the same {link.dataset} of {_said(link.dimensions)}")  # fmt: skip
    for link in task.reads:
        extra = full_dimensions(link.dimensions) - own
        if extra and not link.multiple and not link.prerequisite and not link.calibration:
            yield Finding("warning", task.label, f"it takes one {link.dataset} of {_said(link.dimensions)}, but there "
                          f"can be several per {_said(task.dimensions)}: is 'multiple' meant?")  # fmt: skip


def _check_origin(
    dataset: DatasetPart, parts: PipelineParts, repository: Repository | None, inputs: Sequence[str]
) -> Iterator[Finding]:
    readers = (
        f"no task writes it, read by {', '.join(dict.fromkeys(link.task for link in parts.readers(dataset.name)))}"
    )
    maker, meant = _maker(dataset.name), _meant(dataset.name, parts)
    if repository is None:
        if maker is None and meant is not None:
            yield Finding("warning", dataset.name, f"{readers}; is {meant} meant?")
        return
    hint = f"; the stage {maker} makes it" if maker is not None else f"; is {meant} meant?" if meant is not None else ""
    try:
        registered = repository.butler.get_dataset_type(dataset.name)
    except MissingDatasetTypeError:
        severity: Literal["error", "warning"] = "warning" if dataset.role == "prerequisite" else "error"
        yield Finding(severity, dataset.name, f"not in the repository; {readers}{hint}")
        return
    there = Link("the repository", dataset.name, True, tuple(registered.dimensions.names), registered.storageClass_name)
    for link in parts.readers(dataset.name):
        yield from _compare_two(there, link, "has")
    if not _exists(dataset.name, repository, inputs):
        where = f"none in {', '.join(inputs)}" if inputs else "none in the repository"
        yield Finding("warning", dataset.name, f"{where}; {readers}{hint}")


def _exists(name: str, repository: Repository, inputs: Sequence[str]) -> bool:
    infos = repository.butler.collections.query_info(list(inputs) or "*", flatten_chains=True, include_summary=True)
    return any(name in (info.dataset_types or ()) for info in infos)


def _maker(name: str) -> str | None:
    """Return the stage that makes a dataset."""
    makers = {output.name: stage for stage, found in all_stages().items() for output in found.outputs().values()}
    return makers.get(name)


def _meant(name: str, parts: PipelineParts) -> str | None:
    """Return a name of the pipeline that is nearly the same."""
    others = sorted(dataset.name for dataset in parts.datasets if dataset.name != name)
    return next(iter(difflib.get_close_matches(name, others, n=1, cutoff=_ALIKE)), None)


def _same_dimensions(one: Link, other: Link) -> bool:
    unknown = {"skypix"}
    if unknown & {*one.dimensions, *other.dimensions}:  # known only once the type is registered
        return True
    return full_dimensions(one.dimensions) == full_dimensions(other.dimensions)


def _convertible(made: str, wanted: str) -> bool:
    factory = StorageClassFactory()
    try:
        return made == wanted or factory.getStorageClass(wanted).can_convert(factory.getStorageClass(made))
    except (KeyError, ImportError):  # a class of somebody else's, whose types are not here
        return True


def _has_component(storage: str, component: str) -> bool:
    try:
        return component in StorageClassFactory().getStorageClass(storage).allComponents()
    except (KeyError, ImportError):
        return True


def _said(dimensions: Sequence[str]) -> str:
    return ", ".join(dimensions) or "nothing (one for all)"
