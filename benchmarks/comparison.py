"""What is compared with what, in turn and in processes of their own; medians, ratios and a table."""

import statistics
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from side import Side


@dataclass(frozen=True)
class Contender:
    """A name, the work, and what it computes."""

    name: str
    prepare: Any  # Callable[..., Work]
    computes: str
    most: int = 99  # runs at most, for the heavy ones, which are not warmed up either


@dataclass(frozen=True)
class Comparison:
    """Ours against peers on the same input; ``key`` is the figure compared."""

    name: str
    ours: Contender
    peers: tuple[Contender, ...]
    equal_work: str
    key: str = "cpu_s"
    unit: str = "s"


def compare(comparison: Comparison, folder: Path, options: dict[str, Any], repeat: int) -> dict[str, Any]:
    """Run ours and the peers in turn, each in its own process, and summarize."""
    contenders = (comparison.ours, *comparison.peers)
    runs: dict[str, list[dict[str, Any]]] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        sides = {}
        for contender in contenders:
            side = stack.enter_context(closing(Side(contender.prepare, folder, options, warm=contender.most > repeat)))
            if reason := side.ready():
                skipped[contender.name] = reason
            else:
                sides[contender.name] = side
        most = {contender.name: contender.most for contender in contenders}
        for turn in range(repeat):
            for name, side in sides.items():
                if turn < most[name]:
                    runs.setdefault(name, []).append(side.measure())
    return {
        "equal_work": comparison.equal_work,
        "compared": f"{comparison.key}, CPU time user + system, median of {repeat}",
        "sides": [_summary(contender, comparison, runs, skipped) for contender in contenders],
    }


def _summary(
    contender: Contender, comparison: Comparison, runs: dict[str, list[dict[str, Any]]], skipped: dict[str, str]
) -> dict[str, Any]:
    about = {"name": contender.name, "computes": contender.computes}
    if contender.name in skipped:
        return about | {"skipped": skipped[contender.name]}
    own, ours = runs[contender.name], runs.get(comparison.ours.name)
    values = [run[comparison.key] for run in own]
    summary = about | {
        "median": statistics.median(values),
        "unit": comparison.unit,
        "values": values,
        "wall_s_best": min(run["wall_s"] for run in own),
        "peak_mib": max(max(run["peak_mib"], run.get("worker_peak_mib", 0.0)) for run in own),
        "facts": {k: statistics.median([run[k] for run in own]) for k in own[0] if k not in _COSTS | {comparison.key}},
    }
    if ours and contender is not comparison.ours:
        summary["ours_over_this"] = statistics.median([run[comparison.key] for run in ours]) / summary["median"]
    return summary


_COSTS = {"cpu_s", "wall_s", "peak_mib"}


def table_of(results: dict[str, dict[str, Any]]) -> Table:
    """Return one row per side."""
    table = Table("comparison", "side", "CPU median", "ours / peer", "wall best", "peak", width=100)
    for column in table.columns[2:]:
        column.justify = "right"
    for name, result in results.items():
        for i, side in enumerate(result["sides"]):
            label = "" if i else name
            if "skipped" in side:
                table.add_row(label, side["name"], "skipped", "", "", "")
                continue
            ratio = f"{side['ours_over_this']:.2f}" if "ours_over_this" in side else ""
            costs = f"{side['wall_s_best']:.2f} s", f"{side['peak_mib']:.0f} MiB"
            table.add_row(label, side["name"], f"{side['median']:.3g} {side['unit']}", ratio, *costs)
        table.add_section()
    return table


def show(results: dict[str, dict[str, Any]], console: Console) -> None:
    """Print the table, and what each side computes."""
    console.print(table_of(results))
    for name, result in results.items():
        console.print(f"[bold]{name}[/]: equal work: {result['equal_work']}", highlight=False)
        for side in result["sides"]:
            console.print(f"  {side['name']}: {side['computes']}{_remark(side)}", highlight=False)


def _remark(side: dict[str, Any]) -> str:
    if "skipped" in side:
        return f" (skipped: {side['skipped']})"
    return f" ({', '.join(f'{name} {value:.4g}' for name, value in side['facts'].items())})"
