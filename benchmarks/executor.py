"""CPU time of an empty quantum: our pool, the stock executor in process, and ``pipetask run -j2``, in turn in one run.

Usage: python benchmarks/executor.py [--quanta 300] [--repeat 5] [--pipetask-quanta 10] [--pipetask-repeat 3]

All run the same stage on the same graph. ``pipetask`` starts an interpreter for every quantum, which takes seconds, and
therefore runs the first quanta of the graph only. A short run is subtracted: what remains is the cost of a further
quantum.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from executor_sides import FEW, INPUTS, WORKERS, fill, our_executor, stock_executor
from machine import HERE, machine_facts, rounded
from side import Side, Work

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
BAR_MS, BAR_RATIO = 20.0, 3.0
OURS, STOCK, PIPETASK = "etendue worker pool", "SeparablePipelineExecutor", "pipetask run -j2"
COMPUTES = {
    OURS: f"graph, quanta in {WORKERS} workers, journal synced after each, registration; driver and workers counted",
    STOCK: "graph, quanta in process, registration one by one; no journal",
    PIPETASK: "graph, one process per quantum, two at a time, registration one by one; no journal",
}
PIPELINE = "description: Nothing but machinery\ntasks:\n  empty:\n    class: empty_step.Empty\n"
VERY_FEW = 2  # quanta of pipetask's short run


def pipetask(folder: Path, *, quanta: int, **_: Any) -> Work:
    """Return the work of a short and a longer ``pipetask run``, each quantum in an interpreter of its own."""
    repository = fill(folder / "pipetask", VERY_FEW + quanta)
    (folder / "empty.yaml").write_text(PIPELINE)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    number = count()

    def run(n: int) -> float:
        before = _children_s()
        subprocess.run(
            [str(Path(sys.executable).parent / "pipetask"), "--log-level", "ERROR", "run", "-b", repository.root,
             "-p", str(folder / "empty.yaml"), "-i", INPUTS[0], "--output-run", f"empty/{next(number)}",
             "-d", f"instrument = 'none' AND exposure <= {n}", "--register-dataset-types", "-j", str(WORKERS)],
            check=True, env=environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return _children_s() - before

    def work() -> dict[str, float]:
        few = run(VERY_FEW)
        return {"ms_per_quantum": 1e3 * (run(VERY_FEW + quanta) - few) / quanta}

    return work


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(folder: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Return the cost of a quantum [ms] by side, all sides in turn."""
    quanta = {OURS: options.quanta, STOCK: options.quanta, PIPETASK: options.pipetask_quanta}
    prepare = {OURS: our_executor, STOCK: stock_executor, PIPETASK: pipetask}
    names = [name for name in prepare if quanta[name]]
    costs: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        sides = {}
        for name in names:
            sides[name] = stack.enter_context(closing(Side(prepare[name], folder, {"quanta": quanta[name]})))
            if reason := sides[name].ready():
                raise RuntimeError(f"{name}: {reason}")
        for i in range(options.repeat):
            for name, side in sides.items():
                if name != PIPETASK or i < options.pipetask_repeat:
                    costs[name].append(side.measure()["ms_per_quantum"])
    return costs


def summary(costs: dict[str, list[float]]) -> dict[str, Any]:
    """Return medians, ratios to ours and whether the bars are met."""
    medians = {name: statistics.median(values) for name, values in costs.items()}
    sides = [
        {
            "name": name,
            "computes": COMPUTES[name],
            "cpu_ms_per_quantum": medians[name],
            "values": values,
            "times_ours": medians[name] / medians[OURS],
        }
        for name, values in costs.items()
    ]
    met = {
        "at_most_20_ms": medians[OURS] <= BAR_MS,
        "at_least_3_times_less": medians[STOCK] >= BAR_RATIO * medians[OURS],
    }
    return {"sides": sides, "bars_met": met}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU time of an empty quantum.")
    parser.add_argument(
        "--quanta", type=int, default=300, help="quanta of the long run of ours and of the stock executor"
    )
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--pipetask-quanta", type=int, default=10, help="the same for pipetask; 0 leaves it out")
    parser.add_argument("--pipetask-repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    date, facts = f"{datetime.now(UTC):%Y-%m-%d}", machine_facts()
    with tempfile.TemporaryDirectory(prefix="executor") as scratch:
        costs = measure(Path(scratch), options)
    sizes = {"quanta": options.quanta, "pipetask_quanta": options.pipetask_quanta, "subtracted": [FEW, VERY_FEW]}
    result = {
        "what": "CPU time of an empty quantum",
        "date": date,
        "options": sizes,
        "machine": facts,
        **summary(costs),
    }
    result["load_1min_at_end"] = os.getloadavg()[0]
    text = json.dumps(rounded(result), indent=1)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"executor-{date}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
