"""Damage FITS headers and files by the hundred, and count what the readers of raw frames make of them.

Usage: python benchmarks/fuzz.py [--headers 300] [--files 300] [--seed 7] [--out RESULT.json]
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from machine import HERE, machine_facts

sys.path.insert(0, str(HERE.parent / "tests"))
sys.path.insert(0, str(HERE.parent / "tests" / "fuzz"))

from examine import LIMIT_S, as_rows, examine
from mutator import write_mutants
from originals import corner_camera, write_originals


def run(headers: int, files: int, seed: int) -> dict[str, Any]:
    """Examine freshly damaged files; warnings count as defects, as in the tests."""
    from etendue.middleware.repository import Repository

    start, verdicts, slowest = time.perf_counter(), [], 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz") as scratch, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(scratch)
        home = Repository.create(folder / "repo")
        home.register_camera(corner_camera())
        originals = write_originals(folder / "originals")
        mutants = write_mutants(originals, folder / "mutants", headers=headers, files=files, seed=seed)
        for path, what in mutants.items():
            begin = time.perf_counter()
            verdicts += examine(path, what, home, corner_camera())
            slowest = max(slowest, time.perf_counter() - begin)
    counts = Counter(f"{verdict.step} {verdict.status}" for verdict in verdicts)
    return {
        "headers": headers,
        "files": files,
        "seed": seed,
        "limit_s": LIMIT_S,
        "wall_s": round(time.perf_counter() - start, 1),
        "slowest_file_s": round(slowest, 2),
        "counts": dict(sorted(counts.items())),
        "defects": as_rows([verdict for verdict in verdicts if verdict.status == "defect"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--headers", type=int, default=300)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    result = {"machine": machine_facts(), **run(arguments.headers, arguments.files, arguments.seed)}
    text = json.dumps(result, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    print(text)
    sys.exit(bool(result["defects"]))


if __name__ == "__main__":
    main()
