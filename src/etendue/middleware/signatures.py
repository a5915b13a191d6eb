"""What the products of a quantum depend on, in a form that two runs can be compared by."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import networkx
from lsst.daf.butler import DataCoordinate
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

import etendue
from etendue.disk import whole_file
from etendue.middleware.graphs import QuantumKey

_FILE = "signatures.json"
_PACKAGES = ("stages", "tasks", "kernels", "geom", "image", "camera", "table", "schema", "refcat", "alerts")
_SOURCES = (".py", ".yaml")
Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything that the products of one quantum depend on.

    Parameters
    ----------
    code : str
        Class of the task, version of etendue, and hash of the source code that products depend on.
    config : str
        Hash of the task's configuration.
    inputs : dict of str to (int, str)
        Number and hash of the datasets of every type that no task of the pipeline makes.
    upstream : dict of str to str
        Hash of the signatures of all producing quanta, by task; also of quanta of earlier runs, whose products are
        inputs of this graph: so a quantum has one signature whether its pipeline runs whole or in parts.
    """

    code: str
    config: str
    inputs: dict[str, tuple[int, str]]
    upstream: dict[str, str]

    @property
    def digest(self) -> str:
        """Hash of all of it; equal ones mean equal products."""
        return _hash(asdict(self))


@dataclass(frozen=True, slots=True)
class RunSignatures:
    """Signatures of the quanta of a run.

    Parameters
    ----------
    configs : dict
        Task label to the flat configuration, field to value.
    quanta : dict
        Signature by quantum.
    makers : dict
        Dataset type to the task that makes it and that task's required dimensions.
    """

    configs: dict[str, Config]
    quanta: dict[QuantumKey, Signature]
    makers: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    def maker(self, kind: str, data_id: DataCoordinate) -> tuple[str, str] | None:
        """Return which quantum of this run made a dataset.

        Parameters
        ----------
        kind : str
            Dataset type.
        data_id : DataCoordinate
            Its data ID.

        Returns
        -------
        (str, str) or None
            Task, and digest of the quantum's signature; None where that is not known.
        """
        label, dimensions = self.makers.get(kind, ("", ()))
        known = data_id.mapping
        if not label or not set(dimensions) <= known.keys():
            return None
        signature = self.quanta.get((label, tuple(known[name] for name in dimensions)))
        return None if signature is None else (label, signature.digest)

    @classmethod
    def of(
        cls, graph: PredictedQuantumGraph, run_signatures: "Callable[[str], RunSignatures] | None" = None
    ) -> "RunSignatures":
        """Return the signatures of a graph.

        Parameters
        ----------
        graph : PredictedQuantumGraph
            With all quanta.
        run_signatures : callable, optional
            From the name of a RUN collection to its signatures, empty ones where it has none.

        Returns
        -------
        RunSignatures
        """
        tasks = graph.pipeline_graph.tasks
        configs: dict[str, Config] = {label: _flat(task.config.toDict()) for label, task in tasks.items()}
        code = {label: f"{task.task_class_name} of etendue {code_version()}" for label, task in tasks.items()}
        bipartite, found = graph.bipartite_xgraph, {}
        digests: dict[Any, str] = {}
        makers: dict[Any, tuple[str, str] | None] = {}  # of datasets of earlier runs
        for quantum in networkx.topological_sort(graph.quantum_only_xgraph):
            node = graph.quantum_only_xgraph.nodes[quantum]
            label = node["task_label"]
            inputs: dict[str, list[str]] = {}
            upstream: dict[str, list[str]] = {}
            for dataset in bipartite.predecessors(quantum):
                kind = bipartite.nodes[dataset]["dataset_type_name"]
                producers = list(bipartite.predecessors(dataset))
                for producer in producers:
                    of_task = upstream.setdefault(graph.quantum_only_xgraph.nodes[producer]["task_label"], [])
                    of_task.append(f"{kind} {digests[producer]}")
                if producers:
                    continue
                if dataset not in makers and run_signatures is not None:
                    made = bipartite.nodes[dataset]
                    makers[dataset] = run_signatures(made["run"]).maker(kind, made["data_id"])
                if (maker := makers.get(dataset)) is not None:
                    upstream.setdefault(maker[0], []).append(f"{kind} {maker[1]}")
                else:
                    inputs.setdefault(kind, []).append(str(dataset))
            signature = Signature(
                code[label],
                _hash(configs[label]),
                {kind: (len(ids), _hash(sorted(ids))) for kind, ids in sorted(inputs.items())},
                {task: _hash(sorted(made)) for task, made in sorted(upstream.items())},
            )
            digests[quantum] = signature.digest
            found[label, tuple(node["data_id"].required_values)] = signature
        made_by = {
            edge.parent_dataset_type_name: (label, tuple(task.dimensions.required))
            for label, task in tasks.items()
            for edge in task.outputs.values()
        }
        return cls(configs, found, made_by)

    def save(self, folder: Path) -> None:
        """Write them into the folder of a run, atomically.

        Parameters
        ----------
        folder : Path
            Of the run's journal.
        """
        quanta = [[label, list(values), asdict(signature)] for (label, values), signature in self.quanta.items()]
        with whole_file(folder / _FILE, "signatures") as part:
            part.write_text(json.dumps({"configs": self.configs, "quanta": quanta, "makers": self.makers}))

    @classmethod
    def load(cls, folder: Path) -> "RunSignatures":
        """Return what `save` wrote; empty for runs that have none.

        Parameters
        ----------
        folder : Path
            Of the run's journal.

        Returns
        -------
        RunSignatures
        """
        path = folder / _FILE
        if not path.is_file():
            return cls({}, {})
        state = json.loads(path.read_text())
        return cls(
            state["configs"],
            {(label, tuple(values)): _restored(signature) for label, values, signature in state["quanta"]},
            {kind: (label, tuple(names)) for kind, (label, names) in state.get("makers", {}).items()},
        )


@cache
def code_version() -> str:
    """Return version and hash of the code that products depend on, so that an edited checkout is another version."""
    root = Path(etendue.__file__).parent
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(path for name in _PACKAGES for path in (root / name).rglob("*") if path.suffix in _SOURCES):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{version('etendue')}+{digest.hexdigest()}"


def _restored(state: dict[str, Any]) -> Signature:
    inputs = {kind: (int(count), str(digest)) for kind, (count, digest) in state["inputs"].items()}
    return Signature(state["code"], state["config"], inputs, state["upstream"])


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested configuration as dotted fields with values that JSON keeps."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = json.loads(json.dumps(value, default=str))
    return found


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=12).hexdigest()
