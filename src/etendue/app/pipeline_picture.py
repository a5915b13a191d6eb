"""Draw a pipeline, with the number of quanta where a repository tells it."""

from collections.abc import Mapping

from etendue.middleware.pipeline_parts import PipelineParts
from etendue.qa.pipeline_plot import Box, pipeline_plot


def draw_pipeline(
    parts: PipelineParts, title: str, *, quanta: Mapping[str, int] | None = None, vector: bool = False
) -> bytes:
    """Return a picture of a pipeline.

    Parameters
    ----------
    parts : PipelineParts
        The pipeline.
    title : str
        Above.
    quanta : mapping of str to int, optional
        Number of quanta by task.
    vector : bool
        SVG instead of PNG.

    Returns
    -------
    bytes
    """
    boxes = [Box(task.label, "task", _detail(task.dimensions, (quanta or {}).get(task.label))) for task in parts.tasks]
    labels = {task.label for task in parts.tasks}
    names = {d.name: f"{d.name} " if d.name in labels else d.name for d in parts.datasets}  # a dataset called as a task
    boxes += [Box(names[d.name], d.role, ", ".join(d.dimensions)) for d in parts.datasets]
    links = list(parts.links())
    lines = [(link.task, names[link.dataset]) if link.writes else (names[link.dataset], link.task) for link in links]
    dashed = [line for line, link in zip(lines, links, strict=True) if link.prerequisite]
    return pipeline_plot(boxes, list(dict.fromkeys(lines)), title=title, dashed=dashed, vector=vector)


def _detail(dimensions: tuple[str, ...], quanta: int | None) -> str:
    told = ", ".join(dimensions) or "one for all"
    return told if quanta is None else f"{told}: {quanta} quanta"
