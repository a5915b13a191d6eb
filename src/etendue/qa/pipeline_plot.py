"""A picture of a pipeline: tasks and the datasets between them, from top to bottom."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import networkx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path as Curve
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, THIRD, new_figure, png, styled

_CHARACTER_IN, _PADDING_IN, _GAP_IN = 0.072, 0.22, 0.16  # of a text, beside it, between two boxes [inch]
_BOX_IN, _LAYER_IN, _MARGIN_IN, _TITLE_IN, _LEGEND_IN = 0.36, 0.74, 0.15, 0.4, 0.25
_LARGEST_IN = 60.0
_SWEEPS = 24
_FILLS = {"task": ACCENT, "input": SECOND, "prerequisite": "#8a6d3b", "intermediate": "#e6ebef", "output": THIRD}
_MEANINGS = {
    "task": "task", "input": "read from outside", "prerequisite": "looked up before the run (dashed)",
    "intermediate": "written and read", "output": "written only",
}  # fmt: skip
_LIGHT = ("intermediate",)


@dataclass(frozen=True, slots=True)
class Box:
    """A task or a dataset type.

    Parameters
    ----------
    name : str
        What stands in it.
    kind : str
        ``task``, ``input``, ``prerequisite``, ``intermediate`` or ``output``.
    detail : str
        Below the name, smaller.
    """

    name: str
    kind: Literal["task", "input", "prerequisite", "intermediate", "output"]
    detail: str = ""


@dataclass(frozen=True)
class Layout:
    """Where boxes stand.

    Parameters
    ----------
    place : dict of str to (float, float)
        Middle of every box, by name; y grows downwards [inch].
    bends : dict of (str, str) to list of (float, float)
        Points between the ends of long connections [inch].
    width, height : float
        Of everything [inch].
    """

    place: dict[str, tuple[float, float]]
    bends: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


@styled
def pipeline_plot(
    boxes: Sequence[Box], lines: Sequence[tuple[str, str]], *, title: str, dashed: Sequence[tuple[str, str]] = (),
    vector: bool = False,
) -> bytes:  # fmt: skip
    """Draw tasks and datasets; what is read stands above what reads it.

    Parameters
    ----------
    boxes : sequence of Box
        With unique names.
    lines : sequence of (str, str)
        From what is read to what reads it, by name; without cycles.
    title : str
        Above.
    dashed : sequence of (str, str)
        Which of the lines are looked up before the run.
    vector : bool
        SVG instead of PNG.

    Returns
    -------
    bytes
        PNG or SVG.
    """
    sizes = {box.name: width_of(box) for box in boxes}
    layout = arrange(sizes, lines)
    width, height = (min(size, _LARGEST_IN) for size in (layout.width, layout.height + _TITLE_IN + _LEGEND_IN))
    figure, axes = new_figure(max(width, 4.0), height)
    for line in lines:
        _draw_line(axes, layout, line, dashed=line in set(dashed))
    for box in boxes:
        _draw_box(axes, box, layout.place[box.name], sizes[box.name])
    axes.set(xlim=(0.0, layout.width), ylim=(layout.height, -_TITLE_IN))
    axes.set_aspect("equal")
    axes.axis("off")
    axes.text(0.5 * layout.width, -0.5 * _TITLE_IN, title, ha="center", va="center", weight="bold", fontsize=10)
    kinds = [kind for kind in _FILLS if kind in {box.kind for box in boxes}]
    marks = [Patch(facecolor=_FILLS[kind], label=_MEANINGS[kind]) for kind in kinds]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=6.5, handlelength=1.2)
    if not vector:
        return png(figure, dpi=150)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def width_of(box: Box) -> float:
    """Return how wide a box is drawn [inch].

    Parameters
    ----------
    box : Box
        Which one.

    Returns
    -------
    float
    """
    return _CHARACTER_IN * max(len(box.name), 0.85 * len(box.detail)) + _PADDING_IN


def arrange(sizes: Mapping[str, float], lines: Sequence[tuple[str, str]]) -> Layout:
    """Put boxes into layers so that lines go downwards, are short and cross little.

    Layers are longest paths, with sources just above their first reader. Lines over several layers get a point in
    each of them. The order inside layers follows the means of neighbours, swept down and up; of all orders on the way
    the one with the fewest crossings is kept. Then positions follow neighbours as far as widths allow
    (Sugiyama, Tagawa and Toda 1981, with isotonic regression for the positions).

    Parameters
    ----------
    sizes : mapping of str to float
        Width by name [inch].
    lines : sequence of (str, str)
        From above to below; without cycles.

    Returns
    -------
    Layout
    """
    graph = networkx.DiGraph()
    graph.add_nodes_from(sizes)
    graph.add_edges_from(lines)
    rank = _ranks(graph)
    widths = {node: sizes[node] for node in graph}
    chains: dict[tuple[str, str], list[str]] = {}
    for above, below in list(graph.edges):
        chains[above, below] = _split(graph, above, below, rank, widths)
    layers = [[node for node in graph if rank[node] == k] for k in range(1 + max(rank.values(), default=0))]
    layers = _order(graph, layers)
    x = _positions(graph, layers, widths)
    depth = {node: _MARGIN_IN + 0.5 * _BOX_IN + _LAYER_IN * k for k, layer in enumerate(layers) for node in layer}
    place = {name: (x[name], depth[name]) for name in sizes}
    bends = {line: [(x[node], depth[node]) for node in chain] for line, chain in chains.items() if chain}
    right = max((x[node] + 0.5 * widths[node] for node in x), default=0.0)
    return Layout(place, bends, right + _MARGIN_IN, 2.0 * _MARGIN_IN + _BOX_IN + _LAYER_IN * (len(layers) - 1))


def crossings(graph: networkx.DiGraph, above: Sequence[str], below: Sequence[str]) -> int:
    """Return how many lines between two layers cross.

    Parameters
    ----------
    graph : networkx.DiGraph
        With the lines.
    above, below : sequence of str
        The nodes of the layers in their order.

    Returns
    -------
    int
    """
    at = {node: i for i, node in enumerate(below)}
    ends = [
        at[to] for node in above for to in sorted(graph.successors(node), key=lambda to: at.get(to, -1)) if to in at
    ]
    values = np.asarray(ends)
    return int(sum((values[:i] > end).sum() for i, end in enumerate(ends)))


def _ranks(graph: networkx.DiGraph) -> dict[str, int]:
    order = list(networkx.topological_sort(graph))
    rank: dict[str, int] = {}
    for node in order:
        rank[node] = max((rank[above] + 1 for above in graph.predecessors(node)), default=0)
    for node in reversed(order):
        if not graph.pred[node] and graph.succ[node]:
            rank[node] = min(rank[below] for below in graph.successors(node)) - 1
    return rank


def _split(
    graph: networkx.DiGraph, above: str, below: str, rank: dict[str, int], widths: dict[str, float]
) -> list[str]:
    """Replace a line over several layers by one that has a point in each of them, and return the points."""
    points = [f"{above} -> {below} {k}" for k in range(rank[above] + 1, rank[below])]
    if points:
        graph.remove_edge(above, below)
        networkx.add_path(graph, [above, *points, below])
        rank.update({point: rank[above] + 1 + k for k, point in enumerate(points)})
        widths.update(dict.fromkeys(points, 0.0))
    return points


def _order(graph: networkx.DiGraph, layers: list[list[str]]) -> list[list[str]]:
    best, fewest = layers, _all_crossings(graph, layers)
    for sweep in range(_SWEEPS):
        layers = [list(layer) for layer in layers]
        down = sweep % 2 == 0
        for k in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            neighbours = graph.predecessors if down else graph.successors
            at = {node: i for i, node in enumerate(layers[k - 1 if down else k + 1])}
            own = {node: i for i, node in enumerate(layers[k])}
            means = {node: _mean([at[other] for other in neighbours(node)], own[node]) for node in layers[k]}
            layers[k].sort(key=lambda node, means=means: means[node])  # type: ignore[misc]
        count = _all_crossings(graph, layers)
        if count < fewest:
            best, fewest = layers, count
    return best


def _all_crossings(graph: networkx.DiGraph, layers: Sequence[Sequence[str]]) -> int:
    return sum(crossings(graph, above, below) for above, below in pairwise(layers))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _positions(
    graph: networkx.DiGraph, layers: Sequence[Sequence[str]], widths: Mapping[str, float]
) -> dict[str, float]:
    x: dict[str, float] = {}
    for layer in layers:
        edges = np.cumsum([0.0, *(widths[node] + _GAP_IN for node in layer)])
        x.update({node: float(edges[i] + 0.5 * widths[node]) for i, node in enumerate(layer)})
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = [_mean([x[other] for other in (*graph.predecessors(node), *graph.successors(node))], x[node])
                      for node in layer]  # fmt: skip
            spaces = np.cumsum([0.0, *(0.5 * (widths[a] + widths[b]) + _GAP_IN
                                       for a, b in pairwise(layer))])  # fmt: skip
            fitted = _isotonic(np.asarray(wanted) - spaces) + spaces
            x.update(zip(layer, map(float, fitted), strict=True))
    left = min((x[node] - 0.5 * widths[node] for node in x), default=0.0)
    return {node: value - left + _MARGIN_IN for node, value in x.items()}


def _isotonic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the closest sequence that never falls (pooling adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while blocks and blocks[-1][0] > mean:
            other, n = blocks.pop()
            mean, size = (mean * size + other * n) / (size + n), size + n
        blocks.append((mean, size))
    return np.concatenate([np.full(size, mean) for mean, size in blocks]) if blocks else values


def _draw_line(axes: Axes, layout: Layout, line: tuple[str, str], *, dashed: bool) -> None:
    (x0, y0), (x1, y1) = layout.place[line[0]], layout.place[line[1]]
    points = [(x0, y0 + 0.5 * _BOX_IN), *layout.bends.get(line, ()), (x1, y1 - 0.5 * _BOX_IN)]
    vertices, codes = [points[0]], [Curve.MOVETO]
    for (xa, ya), (xb, yb) in pairwise(points):
        middle = 0.5 * (ya + yb)
        vertices += [(xa, middle), (xb, middle), (xb, yb)]
        codes += [Curve.CURVE4] * 3
    style = "--" if dashed else "-"
    axes.add_patch(PathPatch(Curve(vertices, codes), facecolor="none", edgecolor=INK, alpha=0.4, lw=0.9, ls=style))


def _draw_box(axes: Axes, box: Box, place: tuple[float, float], width: float) -> None:
    x, y = place
    shape = "round,pad=0,rounding_size=0.04" if box.kind == "task" else "round,pad=0,rounding_size=0.17"
    axes.add_patch(FancyBboxPatch((x - 0.5 * width, y - 0.5 * _BOX_IN), width, _BOX_IN, boxstyle=shape,
                                  facecolor=_FILLS[box.kind], edgecolor="none", zorder=2))  # fmt: skip
    colour, shift = INK if box.kind in _LIGHT else "white", 0.07 if box.detail else 0.0
    axes.text(x, y - shift, box.name, ha="center", va="center", color=colour, fontsize=7.5, zorder=3,
              weight="bold" if box.kind == "task" else "normal")  # fmt: skip
    if box.detail:
        axes.text(x, y + 0.09, box.detail, ha="center", va="center", color=colour, fontsize=5.5, zorder=3, alpha=0.9)
