"""Run single quanta of a saved graph with one shared quantum-backed Butler."""

import resource
import sys
import time
import uuid
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from lsst.daf.butler import ButlerConfig, DatasetRef, Quantum, QuantumBackedButler, StorageClass
from lsst.daf.butler.datastores.fileDatastore import FileDatastore
from lsst.pipe.base import QuantumSuccessCaveats, TaskFactory
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from etendue.disk import disk_trouble
from etendue.middleware.datastores import file_datastores
from etendue.middleware.derive import plain_data_id
from etendue.middleware.execution.failures import classify, where
from etendue.middleware.execution.input_cache import InputCache
from etendue.middleware.execution.limits import forget_peak, peak_mib
from etendue.middleware.journal import QuantumOutcome, Status

_PACKAGES = ("etendue", "numpy", "scipy", "numba", "astropy", "lsst-daf-butler", "lsst-pipe-base")
_MEMORY_UNIT = 2**20 if sys.platform == "darwin" else 2**10  # getrusage: bytes there, KiB here


class SharedButler(QuantumBackedButler):
    """A quantum-backed Butler that serves many quanta: Rubin's executor closes it after each."""

    _cache: InputCache | None = None
    _shared: frozenset[uuid.UUID] = frozenset()

    def close(self) -> None:
        """Keep the database: the next quantum needs it."""

    def expect(self, quantum: Quantum, shared: Collection[uuid.UUID] = ()) -> None:
        """Allow the inputs and outputs of one more quantum.

        Parameters
        ----------
        quantum : Quantum
            Which one.
        shared : collection of UUID
            Those of its inputs that are worth keeping, because other quanta read them too.
        """
        self._predicted_inputs = {ref.id for refs in quantum.inputs.values() for ref in refs}
        self._predicted_inputs |= {ref.id for ref in quantum.initInputs.values()}
        self._predicted_outputs = {ref.id for refs in quantum.outputs.values() for ref in refs}
        for known in (self._available_inputs, self._unavailable_inputs, self._actual_inputs, self._actual_output_refs):
            known.clear()  # of the quantum before: nobody asks for them any more
        self._shared = frozenset(shared)

    def keep_inputs(self, cache: InputCache) -> None:
        """Read inputs that several quanta share only once, as far as they fit."""
        self._cache = cache

    def get(
        self,
        ref: DatasetRef,
        /,
        *,
        parameters: dict[str, Any] | None = None,
        storageClass: StorageClass | str | None = None,
    ) -> Any:
        """Read a dataset, or take it from those kept."""
        if self._cache is None or parameters or ref.id not in self._shared:
            return super().get(ref, parameters=parameters, storageClass=storageClass)
        key = (ref.id, ref.datasetType.name, str(storageClass))
        value = self._cache.get(key)
        if value is None:
            value = super().get(ref, storageClass=storageClass)
            self._cache.put(key, value)
        return value

    def note_files(self, files: "NotedFiles") -> None:
        """Note every file written from now on.

        Asking the database for them takes as long as everything else that etendue adds to a quantum.

        Parameters
        ----------
        files : NotedFiles
            Filled in place.
        """
        for store in file_datastores(self):
            _note_files(store, files)


class NotedFiles:
    """The files that a quantum writes, by dataset ID."""

    def __init__(self) -> None:
        self.paths: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.checksums: dict[str, tuple[str | None, ...]] = {}

    def clear(self) -> None:
        """Begin with the next quantum."""
        self.__init__()  # type: ignore[misc]

    def of(self, outputs: Iterable[str]) -> dict[str, Any]:
        """Return ``files`` and ``checksums`` of an outcome.

        Parameters
        ----------
        outputs : iterable of str
            IDs of the datasets written.
        """
        paths = [self.paths[output] for output in outputs if output in self.paths]
        return {
            "files": {path: self.sizes[path] for path in paths},
            "checksums": {path: self.checksums[path] for path in paths},
        }


def _note_files(store: FileDatastore, files: NotedFiles) -> None:
    record = store._register_datasets

    def noting(refs_and_infos: Any, *args: Any, **kwargs: Any) -> None:
        written = list(refs_and_infos)
        for ref, info in written:
            path = str(info.path)
            earlier = files.checksums.get(path, ()) if path in files.sizes else ()
            files.paths[str(ref.id)], files.sizes[path] = path, int(info.file_size)
            files.checksums[path] = (*earlier, info.checksum)
        record(written, *args, **kwargs)

    store._register_datasets = noting


class QuantumRunner:
    """Runs quanta of one graph in this process.

    Parameters
    ----------
    root : str
        Repository.
    graph_path : Path
        Saved quantum graph; of it only the quanta that run are read.
    cache_bytes : int
        How much of the inputs that other quanta read too is kept.
    """

    def __init__(self, root: str, graph_path: Path, *, cache_bytes: int = 0):
        self._open = ExitStack()
        self._reader = self._open.enter_context(PredictedQuantumGraph.open(str(graph_path)))
        self._reader.read_init_quanta()
        self._reader.read_dimension_data()
        self._pipeline_graph = self._reader.components.pipeline_graph
        self._butler = make_graph_butler(root, self._reader.finish(), datasets=())
        self._butler.keep_inputs(InputCache(cache_bytes))
        self._files = NotedFiles()
        self._butler.note_files(self._files)
        self._known_inputs: set[uuid.UUID] = set()
        self._executors = {retry: self._executor(retry) for retry in (False, True)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def run(
        self, quantum_id: str, *, retry: bool, attempt: int = 1, shared: Collection[uuid.UUID] = ()
    ) -> QuantumOutcome:
        """Run one quantum; whatever it raises becomes part of the outcome.

        Parameters
        ----------
        quantum_id : str
            Which one.
        retry : bool
            Whether an earlier attempt may have left outputs, which are then removed first.
        attempt : int
            Number of the attempt in this run, from 1.
        shared : collection of UUID
            Inputs that other quanta read too, worth keeping for them.

        Returns
        -------
        QuantumOutcome
        """
        begin, cpu, began = time.perf_counter(), _cpu_seconds(), time.time()
        forget_peak()
        key = uuid.UUID(quantum_id)
        self._files.clear()
        quantum, label = self._read(key)
        self._butler.expect(quantum, shared)
        ended = self._execute(label, quantum, key, retry)
        return replace(
            ended,
            **self._files.of(ended.outputs),
            wall_s=time.perf_counter() - begin,
            cpu_s=_cpu_seconds() - cpu,
            memory_mb=peak_mib() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEMORY_UNIT,
            attempt=attempt,
            began=began,
        )

    def _read(self, key: uuid.UUID) -> tuple[Quantum, str]:
        components = self._reader.components
        components.quantum_datasets = {}
        self._reader.read_quantum_datasets([key])
        [quantum] = self._reader.finish().build_execution_quanta([key]).values()
        return quantum, components.quantum_datasets[key].task_label

    def _execute(self, label: str, quantum: Quantum, key: uuid.UUID, retry: bool) -> QuantumOutcome:
        begun = QuantumOutcome(str(key), label, plain_data_id(quantum.dataId), "failed")
        try:
            result = self._executors[retry].execute(self._pipeline_graph.tasks[label], quantum, key)
        except Exception as error:  # any failure of a quantum is recorded, never fatal for the run
            return replace(
                begun, message=_one_line(error), disk_trouble=disk_trouble(error), failure=classify(error),
                where=where(error),
            )  # fmt: skip
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


def make_graph_butler(
    root: str, graph: PredictedQuantumGraph, datasets: Iterable[uuid.UUID] | None = None
) -> SharedButler:
    """Return a Butler that may read and write datasets of a graph.

    Parameters
    ----------
    root : str
        Repository.
    graph : PredictedQuantumGraph
        Graph.
    datasets : iterable of UUID, optional
        Which ones; all that were read of the graph by default.

    Returns
    -------
    SharedButler
    """
    if datasets is None:
        datasets = [key for key, node in graph.bipartite_xgraph.nodes.items() if "dataset_type_name" in node]
    chosen = list(datasets)
    return SharedButler.from_predicted(
        ButlerConfig(root),
        predicted_inputs=chosen,
        predicted_outputs=chosen,
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
