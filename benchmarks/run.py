"""Compare the cost of ours with that of a peer, in turn, in one run; write the figures as JSON.

Usage: python benchmarks/run.py [--size 2048] [--repeat 5] [--only NAME ...] [--quick] [--out benchmarks/results]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from comparison import Comparison, Contender, compare, show
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
from star_field import render

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


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
            "six-tap kernel, image, variance and mask, flux-conserving, noise correlation; WCS on a grid to 1e-4 px",
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
