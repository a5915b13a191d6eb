"""What a run remembers of its quanta: inputs, configuration, code, cost."""

import uuid
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from etendue.middleware.graphs import QuantumKey
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.provenance.ancestry import DataId, Maker, Product
from etendue.middleware.repository import Repository
from etendue.middleware.signatures import RunSignatures


class SavedRun:
    """One run of a repository, opened once; only the quanta that are asked for are read.

    Parameters
    ----------
    home : Repository
        The repository.
    run : str
        RUN collection.
    """

    def __init__(self, home: Repository, run: str):
        self._home, self.run = home, run
        self._packages: dict[str, dict[str, str]] = {}
        self.journal = Journal(home.runs_folder / run)

    @property
    def is_known(self) -> bool:
        """Whether etendue ran it and its files are there."""
        return self.journal.exists and self.journal.graph_path.is_file()

    @cached_property
    def quantum_of(self) -> dict[str, str]:
        """Quantum that wrote each dataset."""
        return {output: key for key, outcome in self.outcomes.items() for output in outcome.outputs}

    @cached_property
    def outcomes(self) -> dict[str, QuantumOutcome]:
        """How each quantum ended."""
        return self.journal.outcomes()

    @cached_property
    def _signatures(self) -> RunSignatures:
        return RunSignatures.load(self.journal.folder)

    def makers(self, quantum_ids: list[str]) -> tuple[list[Maker], list[Product]]:
        """Return how some quanta made their products, and what they read.

        Parameters
        ----------
        quantum_ids : list of str
            Quanta of this run.

        Returns
        -------
        list of Maker, list of Product
            In the order asked for; the inputs are without their makers.
        """
        models, pipeline = self._read(quantum_ids)
        made, read = [], []
        for one in quantum_ids:
            model = models[uuid.UUID(one)]
            read += [
                Product(str(entry.dataset_id), entry.dataset_type_name, _data_id(pipeline, entry), entry.run)
                for entries in model.inputs.values()
                for entry in entries
            ]
            count = len(pipeline.tasks[model.task_label].dimensions.required)
            key = model.task_label, tuple(model.data_coordinate[:count])
            made.append(self._maker(one, key, dict.fromkeys(map(str, model.iter_input_dataset_ids()))))
        return made, read

    def _read(self, quantum_ids: list[str]) -> tuple[Any, Any]:
        with PredictedQuantumGraph.open(str(self.journal.graph_path)) as reader:
            reader.read_quantum_datasets([uuid.UUID(one) for one in quantum_ids])
            return reader.components.quantum_datasets, reader.components.pipeline_graph

    def _maker(self, quantum_id: str, key: QuantumKey, inputs: Iterable[str]) -> Maker:
        outcome, signature = self.outcomes[quantum_id], self._signatures.quanta.get(key)
        return Maker(
            quantum_id, key[0], outcome.data_id, self.run, signature.code if signature else "",
            self._signatures.configs.get(key[0], {}), self._versions(outcome), outcome.wall_s, outcome.cpu_s,
            outcome.memory_mb, tuple(inputs),
        )  # fmt: skip

    def _versions(self, outcome: QuantumOutcome) -> dict[str, str]:
        """Return the packages that the metadata of a quantum name; its task's other quanta ran with the same."""
        if outcome.label not in self._packages:
            refs = (self._home.butler.get_dataset(uuid.UUID(one)) for one in outcome.outputs)
            metadata = [ref for ref in refs if ref is not None and ref.datasetType.name == f"{outcome.label}_metadata"]
            job = self._home.butler.get(metadata[0]).to_dict().get("job", {}) if metadata else {}
            self._packages[outcome.label] = {name: str(number) for name, number in sorted(job.items())}
        return self._packages[outcome.label]


def _data_id(pipeline: Any, entry: Any) -> DataId:
    """Return the required part of a data ID that a graph keeps as plain values."""
    names = pipeline.dataset_types[entry.dataset_type_name].dimensions.required
    return dict(zip(names, entry.data_coordinate, strict=False))
