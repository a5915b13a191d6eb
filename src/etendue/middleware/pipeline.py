"""Load pipelines by name or path, with config overrides checked before anything runs."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import networkx
import yaml
from lsst.pex.config import Config
from lsst.pipe.base import LabelSpecifier, Pipeline
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.pipeline_graph.visualization import show_dot

from etendue import stages
from etendue.errors import InputError
from etendue.middleware.pipeline_checks import require_consistent
from etendue.middleware.pipeline_parts import parts_of

_SHIPPED = Path(stages.__file__).with_name("pipelines")


def pipeline_names() -> list[str]:
    """Return the names of the shipped pipelines."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_pipeline(
    name: str | Path,
    overrides: Sequence[str] = (),
    *,
    first: str | None = None,
    last: str | None = None,
    consistent: bool = True,
) -> Pipeline:
    """Load a shipped pipeline by name, or any pipeline by path.

    Parameters
    ----------
    name : str or Path
        ``"drp"``, ``"my/pipeline.yaml"``; a ``#label,label`` at the end selects tasks or subsets.
    overrides : sequence of str
        ``"label:field=value"``, the value in YAML: ``calibrate_image:psf.order=2``.
    first, last : str, optional
        Only the task ``first`` and what is downstream of it, only the task ``last`` and what is upstream of it; with
        both what lies between them.
    consistent : bool
        Refuse tasks that do not fit together.

    Returns
    -------
    Pipeline

    Raises
    ------
    InputError
        No such pipeline, task, field, or a forbidden value; nothing lies between the tasks.
    """
    uri = _resolve(str(name))
    try:
        pipeline = Pipeline.from_uri(uri)
    except Exception as error:  # Rubin raises many types for a bad file
        raise InputError(f"cannot read the pipeline: {error}", source=name, remedy="correct it") from error
    for override in overrides:
        _override(pipeline, override)
    graph = check_pipeline(pipeline, source=str(name))
    if consistent:
        require_consistent(parts_of(graph), str(name))
    return pipeline if first is last is None else _part(pipeline, graph, first, last)


def _part(pipeline: Pipeline, graph: PipelineGraph, first: str | None, last: str | None) -> Pipeline:
    tasks = networkx.relabel_nodes(graph.make_task_xgraph(), lambda key: key.name)
    for label in (first, last):
        if label is not None and label not in tasks:
            raise _no_such_task(pipeline, label)
    chosen = set(tasks)
    if first is not None:
        chosen &= {first, *networkx.descendants(tasks, first)}
    if last is not None:
        chosen &= {last, *networkx.ancestors(tasks, last)}
    if not chosen:
        raise InputError(f"no task lies between {first} and {last}", remedy="see 'etendue pipeline show'")
    return pipeline.subsetFromLabels(LabelSpecifier(labels=chosen))


def _no_such_task(pipeline: Pipeline, label: str) -> InputError:
    return InputError("no such task", value=label, remedy=f"tasks: {', '.join(sorted(pipeline.task_labels))}")


def check_pipeline(pipeline: Pipeline, source: str = "pipeline") -> PipelineGraph:
    """Validate every config against the pydantic model of its stage, and the connections among tasks.

    Parameters
    ----------
    pipeline : Pipeline
        What will run.
    source : str
        Named in the error.

    Returns
    -------
    PipelineGraph

    Raises
    ------
    InputError
        Names the field and the value.
    """
    try:
        return pipeline.to_graph()
    except InputError as error:
        raise InputError(str(error), source=source) from None
    except Exception as error:  # field, import and connection errors have no common base
        raise InputError(str(error).split("For more information")[0].rstrip(". \n"), source=source,
                         remedy="correct the task, field or value") from error  # fmt: skip


class ConfigField(NamedTuple):
    """A field of the configuration of a task."""

    name: str
    """With dots where configurations are nested."""
    value: Any
    """What it is."""
    doc: str
    """What it means."""


def config_fields(pipeline: Pipeline, label: str) -> list[ConfigField]:
    """Return the configuration of a task, without what Rubin's middleware adds.

    Parameters
    ----------
    pipeline : Pipeline
        Loaded.
    label : str
        The task.

    Returns
    -------
    list of ConfigField

    Raises
    ------
    InputError
        There is no such task.
    """
    if label not in pipeline.task_labels:
        raise _no_such_task(pipeline, label)
    return list(_fields(pipeline.to_graph().tasks[label].config, ""))


def _fields(config: Config, prefix: str) -> Iterator[ConfigField]:
    for name, field in config._fields.items():
        value = getattr(config, name)
        if isinstance(value, Config):
            if name != "connections":
                yield from _fields(value, f"{prefix}{name}.")
        else:
            plain = json.loads(json.dumps(value, default=_plain))
            yield ConfigField(f"{prefix}{name}", plain, " ".join(str(field.doc or "").split()))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, Iterable) else str(value)


def dot_text(pipeline: Pipeline) -> str:
    """Return a pipeline in the language of Graphviz, as Rubin's tools write it.

    Parameters
    ----------
    pipeline : Pipeline
        Loaded.

    Returns
    -------
    str
    """
    stream = io.StringIO()
    show_dot(pipeline.to_graph(visualization_only=True), stream, dataset_types=True)
    return stream.getvalue()


def _resolve(name: str) -> str:
    base, hash_mark, labels = name.partition("#")
    shipped = _SHIPPED / f"{base}.yaml"
    path = shipped if shipped.is_file() else Path(base)
    if not path.is_file():
        known = ", ".join(pipeline_names()) or "none"
        raise InputError("no such pipeline", value=base, remedy=f"shipped pipelines: {known}; or give a YAML file")
    return f"{path.resolve()}{hash_mark}{labels}"


def _override(pipeline: Pipeline, override: str) -> None:
    label, colon, assignment = override.partition(":")
    field, equals, text = assignment.partition("=")
    if not (label and colon and field and equals):
        raise InputError("a config override reads label:field=value", value=override,
                         remedy="for instance calibrate_image:characterize.detect.threshold_snr=6")  # fmt: skip
    if label not in pipeline.task_labels:
        raise _no_such_task(pipeline, label)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    pipeline.addConfigOverride(label, field, value)
