"""One of several processes that write into a repository at once: waits for a line on stdin after it is ready.

Usage: python concurrent_writers.py REPO WHAT NAME [FRAME...]; answers one line of JSON.
"""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from fault_commands import DRAWINGS
from frames import CAMERA
from toy_survey import INPUTS

from etendue.errors import EtendueError
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository

PUTS = 40


def register(repository: Repository, name: str, frames: list[Path]) -> Any:
    """Register the same camera, dataset type and collections as the others, and put own datasets."""
    repository.register_camera(CAMERA)
    repository.register_dataset_type("mine", ("instrument", "detector", "exposure"), "EtendueJson")
    repository.register_dataset_type("ours", ("instrument", "exposure"), "EtendueJson")
    exposures, detectors = range(1, 7), range(2)
    for k in range(PUTS):
        exposure, detector = exposures[k % 6], detectors[k // 6 % 2]
        data_id = {"instrument": "toy", "exposure": exposure, "detector": detector}
        repository.put([name, k], "mine", data_id, run=f"shared/{name}/{k // 12}")
    return PUTS


def ingest(repository: Repository, name: str, frames: list[Path]) -> Any:
    outcomes = repository.ingest(frames, camera="simcam")
    repository.define_visits("simcam")
    return [[Path(outcome.path).name, outcome.status, outcome.reason] for outcome in outcomes]


def run(repository: Repository, name: str, frames: list[Path]) -> Any:
    report = run_pipeline(
        repository, DRAWINGS, inputs=INPUTS, output=f"toy/{name}", where="detector = 1", workers=1, progress=False
    )
    return [outcome.message for outcome in report.outcomes if outcome.status != "succeeded"]


def main() -> None:
    folder, what, name, *frames = sys.argv[1:]
    repository = Repository.open(folder)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        answer = {"register": register, "ingest": ingest, "run": run}[what](repository, name, [Path(f) for f in frames])
        print(json.dumps({"ok": answer}), flush=True)
    except EtendueError as error:
        print(json.dumps({"error": str(error)}), flush=True)
    except Exception:  # the test shows it
        print(json.dumps({"error": traceback.format_exc()}), flush=True)


if __name__ == "__main__":
    main()
