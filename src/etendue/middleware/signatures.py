"""What the products of a quantum depend on, in a form that two runs can be compared by."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import networkx
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
        Hash of the signatures of all producing quanta, by task.
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
    """

    configs: dict[str, Config]
    quanta: dict[QuantumKey, Signature]

    @classmethod
    def of(cls, graph: PredictedQuantumGraph) -> "RunSignatures":
        """Return the signatures of a graph.

        Parameters
        ----------
        graph : PredictedQuantumGraph
            With all quanta.

        Returns
        -------
        RunSignatures
        """
        tasks = graph.pipeline_graph.tasks
        configs: dict[str, Config] = {label: _flat(task.config.toDict()) for label, task in tasks.items()}
        code = {label: f"{task.task_class_name} of etendue {code_version()}" for label, task in tasks.items()}
        bipartite, found = graph.bipartite_xgraph, {}
        digests: dict[Any, str] = {}
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
                if not producers:
                    inputs.setdefault(kind, []).append(str(dataset))
            signature = Signature(
                code[label],
                _hash(configs[label]),
                {kind: (len(ids), _hash(sorted(ids))) for kind, ids in sorted(inputs.items())},
                {task: _hash(sorted(made)) for task, made in sorted(upstream.items())},
            )
            digests[quantum] = signature.digest
            found[label, tuple(node["data_id"].required_values)] = signature
        return cls(configs, found)

    def save(self, folder: Path) -> None:
        """Write them into the folder of a run, atomically.

        Parameters
        ----------
        folder : Path
            Of the run's journal.
        """
        quanta = [[label, list(values), asdict(signature)] for (label, values), signature in self.quanta.items()]
        with whole_file(folder / _FILE, "signatures") as part:
            part.write_text(json.dumps({"configs": self.configs, "quanta": quanta}))

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
