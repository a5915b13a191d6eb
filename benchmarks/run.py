"""Compare the cost of ours with that of a peer, in turn, in one run; write the figures as JSON.

Usage: python benchmarks/run.py [--size 2048] [--repeat 5] [--only NAME ...] [--quick] [--out benchmarks/results]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from executor_sides import FEW, WORKERS, our_executor, stock_executor
from machine import HERE, machine_facts, rounded
from pixel_sides import (
    our_detection,
    our_measurement,
    our_warp,
    reproject_bicubic,
    reproject_conserving,
    sep_detection,
    sep_measurement,
)
from rich.console import Console
from rich.table import Table
from side import Side
from star_field import render

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Contender:
    """A name, the work, and what it computes."""

    name: str
    prepare: Any  # Callable[..., Work]
    computes: str


@dataclass(frozen=True)
class Comparison:
    """Ours against peers on the same input; ``key`` is the figure compared."""

    name: str
    ours: Contender
    peers: tuple[Contender, ...]
    equal_work: str
    key: str = "cpu_s"
    unit: str = "s"


_OUR_SKY = "sky in 128 px cells (two passes, sources left out), PSF-matched filter at S/N 5 with local sky"
_SEP_SKY = (
    "sky in 128 px cells (one pass), PSF-matched filter at S/N 5, isophotal pixels >= 1, deblending, moments, "
    "no cleaning"
)
COMPARISONS = (
    Comparison(
        "detection",
        Contender("etendue Detect", our_detection, f"{_OUR_SKY}, footprints, peaks tested against wings of neighbours"),
        (Contender("sep extract", sep_detection, _SEP_SKY),),
        "nearly: equal filter and threshold; ours also models the noise, sep also measures isophotes",
    ),
    Comparison(
        "measurement",
        Contender(
            "etendue Detect+Measure",
            our_measurement,
            "as detection, then joint PSF fit of positions and fluxes with covariances, 4 apertures with the "
            "neighbours subtracted, adaptive moments, extendedness, pixel flags",
        ),
        (
            Contender(
                "sep extract+sum_circle",
                sep_measurement,
                "as detection, then 4 apertures; no PSF fit, no neighbours, no shapes",
            ),
        ),
        "no: ours does much more",
    ),
    Comparison(
        "warp",
        Contender(
            "etendue Warp",
            our_warp,
            "Lanczos-3 of image, variance and mask, flux-conserving, noise autocorrelation; WCS on a grid to 1e-4 px",
        ),
        (
            Contender("reproject_interp", reproject_bicubic, "bicubic of the image only; WCS at every pixel"),
            Contender(
                "reproject_adaptive",
                reproject_conserving,
                "flux-conserving Gaussian kernel, of the image only; WCS at every pixel",
            ),
        ),
        "no: ours resamples three planes with a larger kernel, the peers one",
    ),
    Comparison(
        "executor",
        Contender(
            "etendue worker pool",
            our_executor,
            f"graph, empty quanta in {WORKERS} workers, journal, checks, registration; driver and workers counted",
        ),
        (
            Contender(
                "SeparablePipelineExecutor",
                stock_executor,
                "graph, empty quanta in process, registration one by one; no journal",
            ),
        ),
        f"yes: the same stage, products, metadata and logs; a run of {FEW} quanta is subtracted, "
        "so that only what each further quantum costs remains",
        key="ms_per_quantum",
        unit="ms/quantum",
    ),
)


def compare(comparison: Comparison, folder: Path, options: dict[str, Any], repeat: int) -> dict[str, Any]:
    """Run ours and the peers in turn, each in its own process, and summarize."""
    contenders = (comparison.ours, *comparison.peers)
    runs: dict[str, list[dict[str, Any]]] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        sides = {}
        for contender in contenders:
            side = stack.enter_context(closing(Side(contender.prepare, folder, options)))
            if reason := side.ready():
                skipped[contender.name] = reason
            else:
                sides[contender.name] = side
        for _ in range(repeat):
            for name, side in sides.items():
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


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the cost of ours with that of a peer.")
    parser.add_argument("--size", type=int, default=2048, help="side of the star field [px]")
    parser.add_argument("--repeat", type=int, default=5, help="how often each side runs")
    parser.add_argument("--quanta", type=int, default=300, help="further empty quanta of the long run")
    parser.add_argument("--only", nargs="*", choices=[c.name for c in COMPARISONS], help="some comparisons")
    parser.add_argument("--quick", action="store_true", help="small and once: does it run at all; writes no file")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.size, options.repeat, options.quanta = 256, 1, 5
    return options


def run(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Render the field and make all comparisons asked for."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    results = {}
    with tempfile.TemporaryDirectory(prefix="bench") as scratch:
        render(options.size).save(Path(scratch))
        for comparison in COMPARISONS:
            if not options.only or comparison.name in options.only:
                results[comparison.name] = compare(
                    comparison, Path(scratch), {"quanta": options.quanta}, options.repeat
                )
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    options, date = parsed(arguments), f"{datetime.now(UTC):%Y-%m-%d}"
    facts = machine_facts()
    results = run(options)
    show(results, Console(width=100, file=sys.stdout))
    if not options.quick:
        sizes = {"size": options.size, "repeat": options.repeat, "quanta": options.quanta}
        result = {"what": "CPU time of ours and of peers", "date": date, "options": sizes, "machine": facts}
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(rounded(result | {"comparisons": results}), indent=1)
        (options.out / f"bench-{date}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
