"""Score the demo survey on fresh seeds, and the lowell42 night if it is there; write the figures as JSON.

Usage: python benchmarks/campaign.py [--seeds 101 102 ...] [--out benchmarks/results] [--add] [--lowell42 DIR]
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import HERE, machine_facts, rounded
from side import cpu_seconds

SEEDS = (101, 102, 103, 104, 105)
NIGHT = HERE.parent.parent / "shared" / "data" / "lowell42"
Row = dict[str, Any]


def run_seed(seed: int, *, workers: int) -> dict[str, Any]:
    """Run the demo on one seed in a folder of its own and return its truth rows and costs."""
    from etendue.app.demo import run_demo
    from etendue.app.truth_check.row import to_json

    start, cpu = time.perf_counter(), cpu_seconds()
    with tempfile.TemporaryDirectory(prefix="campaign") as scratch:
        result = run_demo(Path(scratch) / "demo", seed=seed, workers=workers, progress=False)
        rows = to_json(result.truth)
    cost = {"wall_s": time.perf_counter() - start}
    if workers == 1:  # the time of workers is not counted for this process
        cost["cpu_s"] = cpu_seconds() - cpu
    return {"seed": seed, "ok": result.ok, **cost, "rows": rows}


def aggregate(seeds: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by quantity how often it was ok and the mean of each number over seeds."""
    kinds = dict.fromkeys(row["what"] for seed in seeds for row in seed["rows"])
    return {kind: _summary([[row for row in seed["rows"] if row["what"] == kind] for seed in seeds]) for kind in kinds}


def _summary(by_seed: Sequence[list[Row]]) -> dict[str, Any]:
    rows = [row for seed in by_seed for row in seed]
    numbers = dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value))
    summary: dict[str, Any] = {"rows": len(rows), "ok": sum(row["ok"] for row in rows)}
    for name in numbers:
        per_seed = [[row[name] for row in seed if _is_number(row.get(name))] for seed in by_seed]
        summary[name] = mean_and_error([statistics.fmean(values) for values in per_seed if values])
    return summary


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def mean_and_error(values: Sequence[float]) -> dict[str, float | int]:
    """Return the mean over seeds, the standard error of it (NaN for one seed), and the extremes."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {
        "mean": statistics.fmean(values),
        "standard_error": error,
        "min": min(values),
        "max": max(values),
        "seeds": len(values),
    }


def failures(seeds: Iterable[dict[str, Any]]) -> list[Row]:
    """Return every row that is not ok, with its seed."""
    return [{"seed": seed["seed"], **row} for seed in seeds for row in seed["rows"] if not row["ok"]]


def table_lines(summary: dict[str, dict[str, Any]]) -> list[str]:
    """Return the aggregate as lines of Markdown."""
    lines = ["| quantity | ok | mean over seeds ± standard error |", "|---|---|---|"]
    for kind, found in summary.items():
        numbers = [
            f"{name} {item['mean']:.3g} ± {item['standard_error']:.2g}"
            for name, item in found.items()
            if isinstance(item, dict)
        ]
        lines.append(f"| {kind} | {found['ok']}/{found['rows']} | {', '.join(numbers)} |")
    return lines


def run_demo_campaign(
    seeds: Sequence[int], path: Path, *, workers: int, date: str, add: bool = False
) -> dict[str, Any]:
    """Score the demo on every seed; the file is rewritten after each, so that it holds exactly the seeds scored.

    With `add` seeds that the file holds already are kept: a campaign can be run in pieces.
    """
    kept = json.loads(path.read_text())["by_seed"] if add and path.is_file() else []
    scored = [item for item in kept if item["seed"] not in seeds]
    for seed in seeds:
        facts = machine_facts()
        scored.append(run_seed(seed, workers=workers) | {"machine": facts})
        print(f"seed {seed}: {'ok' if scored[-1]['ok'] else 'not ok'}, {scored[-1]['wall_s']:.0f} s", flush=True)
        result = {
            "what": "etendue demo on fresh seeds: recovered against true",
            "date": date,
            "seeds": [item["seed"] for item in scored],
            "workers": workers,
            "machine": facts,
            "summary": aggregate(scored),
            "not_ok": failures(scored),
            "by_seed": scored,
        }
        write_json(result, path)
    return result


def run_lowell42(folder: Path, repository: Path, *, workers: int) -> dict[str, Any]:
    """Process the night with `quickstart` into `repository` and measure the products."""
    from lowell42 import measure

    from etendue.app.quickstart import quickstart

    start = time.perf_counter()
    run = quickstart([folder], repository=repository, workers=workers, progress=False)
    cost = {"wall_s": time.perf_counter() - start, "workers": workers}
    return {"machine": machine_facts(), "cost": cost, "wall_by_step_s": run.wall_s, **measure(repository)}


def write_json(result: dict[str, Any], path: Path) -> None:
    """Write `result` with floats rounded to four significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rounded(result), indent=1, ensure_ascii=False) + "\n")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score the demo on fresh seeds; write the figures as JSON.")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="none of them used in tuning")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--add", action="store_true", help="keep the seeds that the file holds already")
    parser.add_argument("--label", default="demo", help="the file is campaign-LABEL-DATE.json")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--lowell42", type=Path, metavar="DIR", help="also process the night into this new repository", default=None
    )
    parser.add_argument("--night", type=Path, default=NIGHT, help="folder of the raw frames of the night")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    options, date = parsed(arguments), f"{clock():%Y-%m-%d}"
    if options.seeds:
        path = options.out / f"campaign-{options.label}-{date}.json"
        result = run_demo_campaign(options.seeds, path, workers=options.workers, date=date, add=options.add)
        print("\n".join(table_lines(result["summary"])))
        for row in result["not_ok"]:
            print(f"not ok: seed {row['seed']}: {row['what']}: {row['recovered']} (true: {row['true']})")
    if options.lowell42 and not options.night.is_dir():
        print(f"lowell42 skipped: the frames are not there ({options.night.name})")
    elif options.lowell42:
        night = run_lowell42(options.night, options.lowell42, workers=options.workers)
        write_json({"what": "lowell42 by quickstart", "date": date, **night}, options.out / f"lowell42-{date}.json")
        print(json.dumps(rounded(night), indent=1))


if __name__ == "__main__":
    main()
