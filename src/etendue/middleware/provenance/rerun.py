"""Make a product once more, from the recorded inputs with the recorded configuration, and compare."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import Butler, CollectionType, DatasetRef, Quantum
from lsst.pipe.base import TaskFactory
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from etendue.errors import InputError
from etendue.middleware.content_hash import RECORDS, content_hash
from etendue.middleware.provenance.ancestry import Ancestry, Maker
from etendue.middleware.provenance.saved_run import SavedRun
from etendue.middleware.repository import Repository
from etendue.middleware.signatures import code_version

_SCRATCH = "etendue/rerun"
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Remade:
    """A product beside what was made in its place.

    Parameters
    ----------
    dataset_type : str
        Its type.
    data_id : mapping
        Its data ID.
    before, after : str
        Content hashes; the second is empty where nothing was made.
    """

    dataset_type: str
    data_id: Mapping[str, int | str]
    before: str
    after: str

    @property
    def equal(self) -> bool:
        """Whether both have the same content."""
        return self.before == self.after


def code_has_changed(quanta: list[Maker]) -> bool:
    """Return whether some quanta ran with code other than that of this process.

    Parameters
    ----------
    quanta : list of Maker
        How the products were made.

    Returns
    -------
    bool
        False where nothing recorded the code.
    """
    return any(maker.code and not maker.code.endswith(code_version()) for maker in quanta)


def quanta_of(ancestry: Ancestry, *, upstream: bool) -> list[Maker]:
    """Return the quanta that have to run to make a product once more, in order.

    Parameters
    ----------
    ancestry : Ancestry
        The product and all that it was made of.
    upstream : bool
        Also what made its inputs, from the raw frames on.

    Returns
    -------
    list of Maker

    Raises
    ------
    InputError
        If etendue did not make the product here.
    """
    last = ancestry.maker_of(ancestry.root)
    if last is None:
        raise InputError("was not made by a run of etendue in this repository",
                         value=ancestry.products[ancestry.root].dataset_type,
                         remedy="ask for a product of a pipeline")  # fmt: skip
    if not upstream:
        return [last]
    order: dict[str, Maker] = {}
    waiting = [(last, False)]
    while waiting:
        maker, is_ready = waiting.pop()
        if is_ready:
            order.setdefault(maker.quantum_id, maker)
        elif maker.quantum_id not in order:
            makers = (ancestry.maker_of(one) for one in maker.inputs)
            waiting += [(maker, True), *((one, False) for one in makers if one is not None)]
    return list(order.values())


def rerun(home: Repository, quanta: list[Maker], *, keep: str = "", tell: Tell | None = None) -> list[Remade]:
    """Run some quanta once more, on what they read then, and compare contents.

    A quantum reads what the others made anew where they did, and the recorded inputs otherwise.

    Parameters
    ----------
    home : Repository
        Writeable.
    quanta : list of Maker
        In order, from `quanta_of`.
    keep : str
        RUN collection, which must not exist, that keeps what is made; nothing stays by default.
    tell : callable, optional
        Called with the number of quanta that are done, and that are wanted.

    Returns
    -------
    list of Remade
        Every product of every quantum; logs, metadata and configurations are none.

    Raises
    ------
    InputError
        If the collection exists, or an input is gone.
    """
    remade: list[Remade] = []
    replaced: dict[uuid.UUID, DatasetRef] = {}
    runs: dict[str, SavedRun] = {}
    with _collection(home, keep) as (butler, run):
        executor = SingleQuantumExecutor(
            butler=butler, task_factory=TaskFactory(), assume_no_existing_outputs=True, raise_on_partial_outputs=False
        )
        for number, maker in enumerate(quanta, 1):
            saved = runs.setdefault(maker.run, SavedRun(home, maker.run))
            node, old = _recorded(saved, maker)
            new = _moved(old, run, replaced)
            executor.execute(node, new)
            for before, after in _pairs(old, new):
                replaced[before.id] = after
                if not before.datasetType.name.endswith(RECORDS):
                    remade.append(_compared(home, butler, before, after))
            if tell is not None:
                tell(number, len(quanta))
    return remade


@contextmanager
def _collection(home: Repository, keep: str) -> Iterator[tuple[Butler, str]]:
    """Give a Butler that writes into a new RUN, which goes away afterwards unless it is to be kept."""
    run = keep or f"{_SCRATCH}/{uuid.uuid4().hex}"
    if home.has_collection(run):
        raise InputError("a run of this name exists", source=home.path, value=run, remedy="choose another name")
    with home.writing(run=run) as butler:
        butler.collections.register(run, CollectionType.RUN)
        try:
            yield butler, run
        except BaseException:
            butler.removeRuns([run])
            raise
        if not keep:
            butler.removeRuns([run])


def _recorded(saved: SavedRun, maker: Maker) -> tuple[Any, Quantum]:
    """Return the task with its recorded configuration, and the quantum."""
    key = uuid.UUID(maker.quantum_id)
    graph = PredictedQuantumGraph.read_execution_quanta(str(saved.journal.graph_path), [key])
    [quantum] = graph.build_execution_quanta([key]).values()
    return graph.pipeline_graph.tasks[maker.task], quantum


def _moved(old: Quantum, run: str, replaced: Mapping[uuid.UUID, DatasetRef]) -> Quantum:
    """Return a quantum that writes into another run, and reads what was made anew."""
    inputs = {kind: [replaced.get(ref.id, ref) for ref in refs] for kind, refs in old.inputs.items()}
    outputs = {
        kind: [DatasetRef(ref.datasetType, ref.dataId, run) for ref in refs] for kind, refs in old.outputs.items()
    }
    return Quantum(taskName=old.taskName, dataId=old.dataId, initInputs=old.initInputs, inputs=inputs, outputs=outputs)


def _pairs(old: Quantum, new: Quantum) -> Iterator[tuple[DatasetRef, DatasetRef]]:
    for kind, refs in old.outputs.items():
        yield from zip(refs, new.outputs[kind], strict=True)


def _compared(home: Repository, butler: Butler, before: DatasetRef, after: DatasetRef) -> Remade:
    there = [butler.get_dataset(ref.id) is not None and butler.stored(ref) for ref in (before, after)]
    hashes = [content_hash(home, ref) if here else "" for ref, here in zip((before, after), there, strict=True)]
    data_id = {name: value if isinstance(value, str) else int(value) for name, value in before.dataId.required.items()}
    return Remade(before.datasetType.name, data_id, *hashes)
