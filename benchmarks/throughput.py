"""Process the demo and real nights from raw frames to alerts or light curves: frames per minute, CPU per stage.

Usage: python benchmarks/throughput.py [--only demo lowell42 hatp32] [--refcat DIR] [--workers 2] [--repository DIR]
       [--out DIR]

hatp32, whose frames have no pointing, needs a reference catalog with a star index (etendue refcat tycho2, index). With
--repository nothing is run: the stages of a processed repository are read from its journals. Nights of one day go into
one file, so that they can be processed one at a time.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from machine import HERE, machine_facts, rounded

NIGHTS = HERE.parent.parent / "shared" / "data"
PIPELINES: dict[str, Literal["drp", "series"]] = {"lowell42": "drp", "hatp32": "series"}
NAMES = ("demo", *PIPELINES)


def stages_of(repository: Path) -> dict[str, Any]:
    """Return quanta, CPU time and memory of every stage, and the CPU time per science frame in all."""
    from etendue.app.report.reader import Reader
    from etendue.app.report.timings import gather
    from etendue.middleware.repository import Repository

    reader = Reader(Repository.open(repository, writeable=False))
    rows = gather(reader)
    frames = next((row["quanta"] for row in rows["stages"] if row["stage"] == "calibrate_image"), 0)
    kept = ("stage", "quanta", "succeeded", "cpu_median_s", "cpu_total_s", "memory_mb")
    return {
        "frames": frames,
        "cpu_s_per_frame": rows["cpu_total_s"] / max(frames, 1),
        "memory_mb": rows["memory_mb"],
        "stages": [
            {name: row[name] for name in kept} | {"cpu_s_per_frame": row["cpu_total_s"] / max(frames, 1)}
            for row in rows["stages"]
        ],
    }


def process(name: str, folder: Path, workers: int, refcat: Path | None) -> tuple[Path, float]:
    """Process one survey into a new repository below `folder`; return that and the wall time without simulation [s]."""
    from etendue.app.demo import run_demo
    from etendue.app.quickstart import quickstart

    if name == "demo":
        run = run_demo(folder / "demo", workers=workers, progress=False).run
        return folder / "demo" / "repository", sum(run.wall_s.values())
    run = quickstart(
        [NIGHTS / name], repository=folder / "night", workers=workers, progress=False, pipeline=PIPELINES[name],
        refcat=refcat if name == "hatp32" else None,
    )  # fmt: skip
    return folder / "night", sum(run.wall_s.values())


def measure(name: str, workers: int, refcat: Path | None) -> dict[str, Any]:
    """Process a survey and return its wall time, frames per minute and stages."""
    facts = machine_facts()
    with tempfile.TemporaryDirectory(prefix="throughput") as scratch:
        repository, wall_s = process(name, Path(scratch), workers, refcat)
        found = stages_of(repository)
    speed = {"workers": workers, "wall_s": wall_s, "frames_per_minute": 60.0 * found["frames"] / wall_s}
    return {"machine": facts, "load_1min_at_end": os.getloadavg()[0], **speed, **found}


def table_lines(found: dict[str, Any]) -> list[str]:
    """Return the stages as lines of Markdown."""
    lines = ["| stage | quanta | CPU, median [s] | CPU per frame [s] |", "|---|--:|--:|--:|"]
    for row in found["stages"]:
        numbers = f"{row['cpu_median_s']:.2f} | {row['cpu_s_per_frame']:.2f}"
        lines.append(f"| `{row['stage']}` | {row['quanta']} | {numbers} |")
    return lines


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Frames per minute, CPU time per frame and stage.")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES), help="one of them")
    parser.add_argument("--refcat", type=Path, help="reference catalog of hatp32")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repository", type=Path, help="read this one instead of processing anything")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options, date = parsed(arguments), f"{datetime.now(UTC):%Y-%m-%d}"
    if options.repository:
        print("\n".join(table_lines(stages_of(options.repository))))
        return
    path = options.out / f"throughput-{date}.json"
    result = json.loads(path.read_text()) if path.exists() else {"what": "raw frames to products", "date": date}
    for name in options.only:
        if name in PIPELINES and not (NIGHTS / name).is_dir():
            print(f"{name}: skipped (the frames are not beside the checkout)")
            continue
        if name == "hatp32" and not options.refcat:
            print(f"{name}: skipped (--refcat is needed)")
            continue
        result[name] = measure(name, options.workers, options.refcat)
        print(f"{name}: {result[name]['frames_per_minute']:.2f} frames/min", *table_lines(result[name]), sep="\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
