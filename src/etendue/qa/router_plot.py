"""What a data router found and delivered, over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.qa.figure import ACCENT, INK, SECOND, new_figure, png, styled

_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))


@dataclass(frozen=True, slots=True)
class SinkHistory:
    """Times of one sink.

    Parameters
    ----------
    name, kind : str
        Of the sink.
    found, done, dead : sequence of float
        When datasets were found, delivered, given up, each sorted [s since 1970].
    """

    name: str
    kind: str
    found: Sequence[float]
    done: Sequence[float]
    dead: Sequence[float]


@styled
def router_plot(histories: Sequence[SinkHistory]) -> bytes:
    """Draw how many datasets were known and how many delivered, a panel per sink: the area between is what waits.

    Parameters
    ----------
    histories : sequence of SinkHistory
        At least one, with something found.

    Returns
    -------
    bytes
        PNG.
    """
    begin = min(history.found[0] for history in histories)
    end = max(max([*history.found[-1:], *history.done[-1:], *history.dead[-1:]]) for history in histories)
    unit, size = next(((name, size) for name, size in _UNITS if end - begin >= 2.0 * size), _UNITS[-1])
    figure, axes = new_figure(7.2, 0.6 + 1.7 * len(histories), len(histories), 1, sharex=True, squeeze=False)
    for axis, history in zip(axes[:, 0], histories, strict=True):
        times = np.unique(np.concatenate([[begin, end], history.found, history.done, history.dead]))
        known, settled = _count(history.found, times), _count(history.done, times) + _count(history.dead, times)
        hours = (times - begin) / size
        axis.fill_between(hours, settled, known, step="post", color=SECOND, alpha=0.3, label="waiting")
        axis.step(hours, known, where="post", color=INK, lw=1.0, label="found")
        axis.step(hours, _count(history.done, times), where="post", color=ACCENT, lw=1.6, label="delivered")
        if len(history.dead):
            axis.plot((np.asarray(history.dead) - begin) / size, _count(history.done, np.asarray(history.dead)), "x",
                      color=SECOND, label="dead letter")  # fmt: skip
        axis.set(ylabel="datasets", ylim=(0, None), title=f"{history.name} ({history.kind})")
        axis.legend(loc="lower right", ncols=4, fontsize=8)
    axes[-1, 0].set_xlabel(f"time [{unit}]")
    return png(figure)


def _count(events: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.searchsorted(np.asarray(events, float), times, side="right")
