"""Cost of looking after a repository: checks, backup, restore and transfer of many datasets.

Usage: python benchmarks/upkeep.py [DATASETS] [-o FILE.json]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import machine_facts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "middleware"))

from lsst.daf.butler import DatasetRef, FileDataset
from toy_survey import exposure_record

from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.backup import backup, restore
from etendue.middleware.upkeep.check import check
from etendue.middleware.upkeep.copying import transfer

_FILE_BYTES = 20_000


def filled(folder: Path, datasets: int) -> Repository:
    """Make a repository of files of 20 kB, one per exposure."""
    home = Repository.create(folder / "repo")
    insert = home.butler.registry.insertDimensionData
    insert("instrument", {"name": "toy", "class_name": "etendue.middleware.cameras.toy", "detector_max": 1})
    insert("physical_filter", {"instrument": "toy", "name": "none", "band": "none"})
    insert("day_obs", {"instrument": "toy", "id": 20230225})
    insert("group", *({"instrument": "toy", "name": str(k)} for k in range(datasets)))
    insert("exposure", *(exposure_record(k, "science") for k in range(datasets)))
    home.register_dataset_type("text", ("instrument", "exposure"), "EtendueText")
    (folder / "files").mkdir()
    with home.writing(run="toy/text") as butler:
        kind = butler.get_dataset_type("text")
        files = []
        for k, data_id in enumerate(butler.registry.queryDataIds(["exposure"], instrument="toy").expanded()):
            path = folder / "files" / f"{k}.txt"
            path.write_text(f"{k:9d}\n" * (_FILE_BYTES // 10))
            files.append(FileDataset(str(path), [DatasetRef(kind, data_id, run="toy/text")]))
        butler.ingest(*files, transfer="move")
    return home


def measured(action: Callable[[], Any]) -> dict[str, float]:
    """Return CPU and wall time of an action [s]."""
    begin, cpu = time.perf_counter(), sum(os.times()[:4])
    action()
    return {"wall_s": time.perf_counter() - begin, "cpu_s": sum(os.times()[:4]) - cpu}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=int, nargs="?", default=10_000)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        home = filled(folder, arguments.datasets)
        steps = {
            "check, names and sizes": lambda: check(home, depth="exists", workers=1),
            "check, checksums": lambda: check(home, workers=1),
            "check, opened": lambda: check(home, depth="open", workers=1),
            "backup": lambda: backup(home, folder / "all.tar"),
            "restore": lambda: restore(folder / "all.tar", folder / "again"),
            "transfer": lambda: transfer(home, Repository.create(folder / "copy")),
        }
        figures = {step: measured(action) for step, action in steps.items()}
    result = {"machine": machine_facts(), "datasets": arguments.datasets, "file_bytes": _FILE_BYTES, "steps": figures}
    for step, cost in figures.items():
        rate = arguments.datasets / cost["cpu_s"]
        print(f"{step:24s} {cost['cpu_s']:7.1f} s CPU {cost['wall_s']:7.1f} s wall {rate:9.0f} datasets/s of CPU")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
