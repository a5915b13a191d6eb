"""Run single quanta of a saved graph with one shared quantum-backed Butler."""

import resource
import sys
import time
import uuid
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsst.daf.butler import ButlerConfig, Quantum, QuantumBackedButler
from lsst.pipe.base import QuantumSuccessCaveats, TaskFactory
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from etendue.disk import disk_trouble
from etendue.middleware.derive import plain_data_id
from etendue.middleware.journal import QuantumOutcome, Status

_PACKAGES = ("etendue", "numpy", "scipy", "numba", "astropy", "lsst-daf-butler", "lsst-pipe-base")
_MEMORY_UNIT = 2**20 if sys.platform == "darwin" else 2**10  # getrusage: bytes there, KiB here


class SharedButler(QuantumBackedButler):
    """A quantum-backed Butler that serves many quanta: Rubin's executor closes it after each."""

    def close(self) -> None:
        """Keep the database: the next quantum needs it."""

    def note_files(self, files: dict[str, tuple[str, int]]) -> None:
        """Put path and size [bytes] of every file written from now on into a mapping, by dataset ID.

        Asking the database for them takes as long as everything else that etendue adds to a quantum.

        Parameters
        ----------
        files : dict
            Filled in place.
        """
        record = self._datastore._register_datasets

        def noting(refs_and_infos: Any, *args: Any, **kwargs: Any) -> None:
            written = list(refs_and_infos)
            files.update({str(ref.id): (str(info.path), int(info.file_size)) for ref, info in written})
            record(written, *args, **kwargs)

        self._datastore._register_datasets = noting


class QuantumRunner:
    """Runs quanta of one graph in this process.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph.
    """

    def __init__(self, root: str, graph_path: Path):
        self._graph = PredictedQuantumGraph.read_execution_quanta(str(graph_path))
        self._butler = make_graph_butler(root, self._graph)
        self._files: dict[str, tuple[str, int]] = {}
        self._butler.note_files(self._files)
        self._known_inputs: set[uuid.UUID] = set()
        self._executors = {retry: self._executor(retry) for retry in (False, True)}
        self._tasks = self._graph.pipeline_graph.tasks

    def run(self, quantum_id: str, *, retry: bool) -> QuantumOutcome:
        """Run one quantum; whatever it raises becomes part of the outcome.

        Parameters
        ----------
        quantum_id : str
            Which one.
        retry : bool
            Whether an earlier attempt may have left outputs, which are then removed first.

        Returns
        -------
        QuantumOutcome
        """
        begin, cpu = time.perf_counter(), _cpu_seconds()
        key = uuid.UUID(quantum_id)
        self._files.clear()
        [quantum] = self._graph.build_execution_quanta([key]).values()
        node = self._graph.quantum_only_xgraph.nodes[key]
        ended = self._execute(node["task_label"], quantum, key, retry)
        return replace(
            ended,
            files=dict(self._files[output] for output in ended.outputs if output in self._files),
            wall_s=time.perf_counter() - begin,
            cpu_s=_cpu_seconds() - cpu,
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEMORY_UNIT,
        )

    def _execute(self, label: str, quantum: Quantum, key: uuid.UUID, retry: bool) -> QuantumOutcome:
        begun = QuantumOutcome(str(key), label, plain_data_id(quantum.dataId), "failed")
        try:
            result = self._executors[retry].execute(self._tasks[label], quantum, key)
        except Exception as error:  # any failure of a quantum is recorded, never fatal for the run
            return replace(begun, message=_one_line(error), disk_trouble=disk_trouble(error))
        status, message, written = _judged(label, quantum, result)
        return replace(begun, status=status, message=message, outputs=written)

    def _executor(self, retry: bool) -> SingleQuantumExecutor:
        return SingleQuantumExecutor(
            limited_butler_factory=self._butler_for,
            task_factory=TaskFactory(),
            clobber_outputs=retry,
            assume_no_existing_outputs=not retry,
            raise_on_partial_outputs=False,
            job_metadata=_versions(),
        )

    def _butler_for(self, quantum: Quantum) -> SharedButler:
        new = {}
        for name, records in quantum.datastore_records.items():
            fresh = set(records.records.keys()) - self._known_inputs
            if fresh:
                new[name] = records.subset(fresh)
                self._known_inputs |= fresh
        if new:
            self._butler._datastore.import_records({k: v for k, v in new.items() if v is not None})
        return self._butler


def make_graph_butler(root: str, graph: PredictedQuantumGraph) -> SharedButler:
    """Return a Butler that may read and write every dataset of a graph.

    Parameters
    ----------
    root : str
        Repository.
    graph : PredictedQuantumGraph
        Complete graph.

    Returns
    -------
    SharedButler
    """
    datasets = [key for key, node in graph.bipartite_xgraph.nodes.items() if "dataset_type_name" in node]
    return SharedButler.from_predicted(
        ButlerConfig(root),
        predicted_inputs=datasets,
        predicted_outputs=datasets,
        dimensions=graph.pipeline_graph.universe,
        datastore_records={},
        dataset_types={d.name: d.dataset_type for d in graph.pipeline_graph.dataset_types.values()},
    )


def _judged(label: str, quantum: Quantum, result: Any) -> tuple[Status, str, tuple[str, ...]]:
    metadata = result.task_metadata
    caveats = QuantumSuccessCaveats(0 if metadata is None else metadata["quantum"]["caveats"])
    written = _written(label, quantum, metadata)
    if QuantumSuccessCaveats.PARTIAL_OUTPUTS_ERROR & caveats:
        failure = metadata[label].get_dict("failure")
        return "defeated", str(failure["message"]), written
    if result.adjusted_no_work or QuantumSuccessCaveats.NO_WORK & caveats:
        return "no work", "too few inputs were made upstream", written
    return "succeeded", "", written


def _written(label: str, quantum: Quantum, metadata: Any) -> tuple[str, ...]:
    # The executor lists what the task put; it writes metadata and log itself.
    own = [str(ref.id) for name in (f"{label}_metadata", f"{label}_log") for ref in quantum.outputs.get(name, ())]
    put = metadata["quantum"].getArray("outputs") if metadata is not None and "outputs" in metadata["quantum"] else []
    return (*(str(item) for item in put), *own)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}
