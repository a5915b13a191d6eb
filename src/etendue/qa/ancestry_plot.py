"""A picture of where a product comes from."""

from collections.abc import Sequence
from typing import NamedTuple

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled

_WIDTH_IN, _HEIGHT_IN = 1.65, 0.8
_BOX = {"boxstyle": "round,pad=0.35", "edgecolor": "none"}


class Generation(NamedTuple):
    """All products of one type in the family."""

    name: str
    """Dataset type."""
    products: int
    """Products."""
    level: int
    """Tasks between it and what nothing made."""


class Step(NamedTuple):
    """What a task read and made."""

    read: str
    """Dataset type."""
    made: str
    """Dataset type."""
    task: str
    """The task."""


@styled
def ancestry_plot(generations: Sequence[Generation], steps: Sequence[Step], *, title: str) -> bytes:
    """Draw types of products in columns, each to the right of all that it was made of, and lines for what was read.

    Parameters
    ----------
    generations : sequence of Generation
        At least one.
    steps : sequence of Step
        Between them.
    title : str
        Above.

    Returns
    -------
    bytes
        PNG.
    """
    columns: dict[int, list[Generation]] = {}
    for generation in sorted(generations, key=lambda one: (one.level, one.name)):
        columns.setdefault(generation.level, []).append(generation)
    tallest = max(len(column) for column in columns.values())
    figure, axes = new_figure(width=max(_WIDTH_IN * len(columns), 4.0), height=_HEIGHT_IN * tallest + 0.8)
    place = {
        one.name: (float(x), 0.5 * (len(column) - 1) - y)
        for x, column in columns.items()
        for y, one in enumerate(column)
    }
    makers = {step.made: step.task for step in steps}
    for step in steps:
        if step.read != step.made:
            axes.annotate("", place[step.made], place[step.read],
                          arrowprops={"arrowstyle": "->", "color": INK, "alpha": 0.35, "shrinkA": 34, "shrinkB": 34,
                                      "connectionstyle": "arc3,rad=0.08"})  # fmt: skip
    for one in generations:
        x, y = place[one.name]
        text = f"{one.name}\n{one.products} x" + (f" by {makers[one.name]}" if one.name in makers else "")
        axes.text(x, y, text, ha="center", va="center", color="white", fontsize=6.5,
                  bbox=_BOX | {"facecolor": ACCENT if one.name in makers else SECOND})  # fmt: skip
    axes.set(xlim=(-0.6, max(columns) + 0.6), ylim=(-0.5 * tallest, 0.5 * tallest), title=title)
    axes.axis("off")
    return png(figure)
