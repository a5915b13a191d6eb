"""Compare a run to come with the runs before it: what changed, what has to run again, what can be kept."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from lsst.daf.butler import CollectionType, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base import Pipeline
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from rich.table import Table as RichTable

from etendue.disk import whole_file
from etendue.middleware import calibrations
from etendue.middleware.graphs import QuantumKey, build_graph
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.overrides import DATASET_TYPE as FRAME_OVERRIDE
from etendue.middleware.repository import Repository
from etendue.middleware.signatures import RunSignatures, Signature
from etendue.middleware.verification import FailedProducts, judged

_KEPT = "kept"
_FILE = "reasons.json"
_MOST_REASONS = 4


@dataclass(frozen=True)
class Changes:
    """What a run has to do, against what earlier runs of its output did.

    Parameters
    ----------
    output : str
        Chain of the runs.
    total : dict of str to int
        Quanta by task.
    reasons : dict
        By quantum that has to run, why: one or more short texts.
    """

    output: str
    total: dict[str, int]
    reasons: dict[QuantumKey, tuple[str, ...]]

    @property
    def everything(self) -> bool:
        """Whether nothing can be kept."""
        return len(self.reasons) == sum(self.total.values())

    @property
    def counts(self) -> dict[str, int]:
        """Quanta that run, by task."""
        return dict(Counter(label for label, _ in self.reasons))

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per task: what changed, quanta to run, quanta kept."""
        return [self._row(label, count) for label, count in self.total.items()]

    def table(self) -> RichTable:
        """Return the table for the terminal."""
        table = RichTable("task", "rerun", "kept", "what changed", title=f"changes since the last run of {self.output}")
        for row in self.rows():
            table.add_row(row["task"], str(row["rerun"] or ""), str(row["kept"] or ""), row["what changed"])
        return table

    def save(self, folder: Path) -> None:
        """Write the reasons into the folder of a run, atomically.

        Parameters
        ----------
        folder : Path
            Of the run's journal.
        """
        texts = sorted({reason for reasons in self.reasons.values() for reason in reasons})
        number = {reason: i for i, reason in enumerate(texts)}
        quanta = [[label, list(values), [number[reason] for reason in reasons]]
                  for (label, values), reasons in self.reasons.items()]  # fmt: skip
        with whole_file(folder / _FILE, "reasons") as part:
            part.write_text(json.dumps({"texts": texts, "quanta": quanta}))

    def _row(self, label: str, count: int) -> dict[str, Any]:
        mine = [reasons for (task, _), reasons in self.reasons.items() if task == label]
        counted = Counter(reason for reasons in mine for reason in reasons).most_common()
        told = [reason if n == len(mine) else f"{reason} ({n})" for reason, n in counted[:_MOST_REASONS]]
        if len(counted) > _MOST_REASONS:
            told.append(f"{len(counted) - _MOST_REASONS} more")
        return {"task": label, "rerun": len(mine), "kept": count - len(mine), "what changed": "; ".join(told)}


def saved_reasons(folder: Path) -> dict[QuantumKey, tuple[str, ...]]:
    """Return what `Changes.save` wrote; nothing for runs that have none.

    Parameters
    ----------
    folder : Path
        Of the run's journal.

    Returns
    -------
    dict
        By quantum, why it ran.
    """
    path = folder / _FILE
    if not path.is_file():
        return {}
    state = json.loads(path.read_text())
    return {(label, tuple(values)): tuple(state["texts"][i] for i in told) for label, values, told in state["quanta"]}


@dataclass(frozen=True)
class Plan:
    """A graph to run, and what it leaves alone.

    Parameters
    ----------
    changes : Changes
        Why each of its quanta runs.
    components : PredictedQuantumGraphComponents
        The graph; None where nothing has to run.
    signatures : RunSignatures
        Of the quanta of the graph.
    kept : frozenset of str
        IDs of the datasets of earlier runs that stay valid.
    graph : PredictedQuantumGraph
        The components put together; None where nothing has to run.
    """

    changes: Changes
    components: PredictedQuantumGraphComponents | None
    signatures: RunSignatures
    kept: frozenset[str] = frozenset()
    graph: PredictedQuantumGraph | None = None


def plan_run(
    repository: Repository,
    pipeline: Pipeline,
    run: str,
    *,
    inputs: Sequence[str],
    output: str,
    where: str,
    reuse: bool,
    skip_existing: bool = False,
) -> Plan:
    """Build the graph of a run; where products may be reused, only of what changed and what is downstream of it.

    Parameters
    ----------
    repository : Repository
        Where the inputs and the earlier runs are.
    pipeline : Pipeline
        What to run.
    run : str
        RUN of the products.
    inputs : sequence of str
        Collections searched after the earlier runs.
    output : str
        Chain of the runs.
    where : str
        Data ID expression.
    reuse : bool
        Whether products of earlier runs are taken where nothing changed.
    skip_existing : bool
        With ``reuse``: take what earlier runs finished whatever changed since.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        The graph cannot be built.
    """
    earlier = own_collections(repository, output)
    searched = list(dict.fromkeys([*earlier, *inputs]))
    with repository.writing(collections=searched) as butler:
        whole = build_graph(pipeline, butler, run, output=output, where=where)
        if not whole.quantum_datasets:
            return Plan(Changes(output, {}, {}), None, RunSignatures({}, {}))
        graph = whole.assemble()
        of_run = _signatures_by_run(repository)
        signatures = RunSignatures.of(graph, of_run)
        total = dict(Counter(label for label, _ in signatures.quanta))
        before = _earlier_signatures(repository, earlier, list(total), of_run) if reuse else _Earlier({}, {})
        reasons = _reasons(signatures, before, trusting=skip_existing)
        stale = frozenset(reasons)
        if len(stale) == len(signatures.quanta):
            kept = _kept(repository, earlier, _outputs(graph, stale)) if reuse else frozenset()
            return Plan(Changes(output, total, reasons), whole, signatures, kept, graph)
        part = build_graph(pipeline, butler, run, output=output, where=where, stale=stale, earlier=earlier)
    rest = part.assemble() if stale and part.quantum_datasets else None
    mine = set() if rest is None else _keys(rest)
    chosen = replace(signatures, quanta={key: one for key, one in signatures.quanta.items() if key in mine})
    reasons = {key: told for key, told in reasons.items() if key in mine}
    kept = _kept(repository, earlier, _outputs(graph, stale))
    pruned = Counter(label for label, _ in stale - mine)  # what they need is not made any more
    total = {label: count - pruned[label] for label, count in total.items()}
    return Plan(Changes(output, total, reasons), part if mine else None, chosen, kept, rest)


def own_collections(repository: Repository, output: str) -> list[str]:
    """Return the members of an output that hold its products, the latest first: its runs, and what they kept.

    Parameters
    ----------
    repository : Repository
        The repository.
    output : str
        Chain of the runs.

    Returns
    -------
    list of str
        Empty where there was no run.
    """
    if not repository.has_collection(output):
        return []
    members = repository.butler.collections.query(output, flatten_chains=True)
    return [name for name in members if name.startswith(f"{output}/")]


def kept_collection(run: str) -> str:
    """Return the name of the TAGGED collection of what a run keeps of earlier ones."""
    return f"{run}/{_KEPT}"


def keep_products(repository: Repository, run: str, output: str, kept: Iterable[str]) -> str:
    """Gather the products of earlier runs that stay valid beside a run; doing it again changes nothing.

    Parameters
    ----------
    repository : Repository
        Writeable.
    run, output : str
        The run, not in its chain yet.
    kept : iterable of str
        IDs of the datasets.

    Returns
    -------
    str
        Name of the TAGGED collection.
    """
    name, wanted = kept_collection(run), frozenset(kept)
    with repository.writing() as butler:
        butler.collections.register(name, CollectionType.TAGGED)
        visible = visible_datasets(repository, own_collections(repository, output))
        refs = [ref for ref in visible if str(ref.id) in wanted]
        butler.registry.associate(name, refs)
    return name


def certify_current(repository: Repository, output: str, dataset_types: Sequence[str], *, camera: str) -> int:
    """Certify the calibrations of an output for all times, and withdraw those that it holds no more.

    What failed its verification is not certified.

    Parameters
    ----------
    repository : Repository
        Writeable.
    output : str
        Chain of the runs that made them.
    dataset_types : sequence of str
        Which calibrations.
    camera : str
        The camera.

    Returns
    -------
    int
        Number of datasets certified.
    """
    own = own_collections(repository, output)
    failed = FailedProducts(judged(repository.butler, own))
    count = sum(
        repository.certify(dataset_types, run=name, camera=camera, replace=True, failed=failed)
        for name in reversed(own)
    )
    with repository.writing() as butler:
        for name in dataset_types:
            current = {ref.dataId for ref in repository.query(name, collections=own) if ref not in failed}
            calibrations.withdraw_others(butler, name, repository.calibration_collection(camera), output, current)
    return count


def current_outcomes(latest_first: Iterable[Journal], output: str) -> tuple[QuantumOutcome, ...]:
    """Return how every quantum of an output ended that its products depend on.

    Parameters
    ----------
    latest_first : iterable of Journal
        Journals of runs.
    output : str
        Chain of the runs.

    Returns
    -------
    tuple of QuantumOutcome
        The latest outcome per task and data ID, back to the last run that kept nothing of others.
    """
    found: list[QuantumOutcome] = []
    later: set[tuple[str, tuple[tuple[str, int | str], ...]]] = set()
    for journal in latest_first:
        description = journal.description()
        if description["output"] != output:
            continue
        outcomes = [(o, (o.label, tuple(sorted(o.data_id.items())))) for o in journal.outcomes().values()]
        found += [outcome for outcome, key in outcomes if key not in later]
        later.update(key for _, key in outcomes)
        if not description.get("reuse"):
            break
    return tuple(found)


@dataclass(frozen=True)
class _Earlier:
    """What earlier runs have said about the quanta whose products are visible."""

    quanta: dict[QuantumKey, Signature]
    configs: dict[QuantumKey, Any]
    finished: frozenset[QuantumKey] = frozenset()  # also by other tools, which leave no signature


def _signatures_by_run(repository: Repository) -> Callable[[str], RunSignatures]:
    @cache
    def of_run(run: str) -> RunSignatures:
        return RunSignatures.load(Journal(repository.runs_folder / run).folder)

    return of_run


def _earlier_signatures(
    repository: Repository, earlier: Sequence[str], labels: Sequence[str], of_run: Callable[[str], RunSignatures]
) -> _Earlier:
    quanta, configs, finished = {}, {}, set()
    for label in labels:
        for ref in repository.query(f"{label}_metadata", collections=earlier) if earlier else ():
            assert ref.run is not None
            key = (label, tuple(ref.dataId.required_values))
            finished.add(key)
            if key in of_run(ref.run).quanta:
                quanta[key] = of_run(ref.run).quanta[key]
                configs[key] = of_run(ref.run).configs[label]
    return _Earlier(quanta, configs, frozenset(finished))


def _reasons(
    signatures: RunSignatures, before: _Earlier, *, trusting: bool = False
) -> dict[QuantumKey, tuple[str, ...]]:
    found: dict[QuantumKey, tuple[str, ...]] = {}
    for key, now in signatures.quanta.items():
        then = before.quanta.get(key)
        if trusting and key in before.finished:
            continue
        if then is None:
            found[key] = ("not finished before",)
        elif then.digest != now.digest:
            found[key] = tuple(_differences(then, now, before.configs[key], signatures.configs[key[0]]))
    return found


def _differences(then: Signature, now: Signature, config_then: Any, config_now: Any) -> list[str]:
    """Return what differs between two signatures, in words."""
    told = [] if then.code == now.code else [f"another version: {then.code.split()[-1]} -> {now.code.split()[-1]}"]
    if then.config != now.config:
        names = sorted(name for name in {*config_then, *config_now} if config_then.get(name) != config_now.get(name))
        told += [f"config {name}: {config_then.get(name)} -> {config_now.get(name)}" for name in names]
    for kind in sorted({*then.inputs, *now.inputs}):
        old, new = then.inputs.get(kind, (0, "")), now.inputs.get(kind, (0, ""))
        if old != new:
            name = "override" if kind == FRAME_OVERRIDE else kind
            told.append(f"{name}: {old[0]} -> {new[0]}" if old[0] != new[0] else f"another {name}")
    changed = [label for label in sorted({*then.upstream, *now.upstream})
               if then.upstream.get(label) != now.upstream.get(label)]  # fmt: skip
    return told + [f"after {label}" for label in changed]


def _keys(graph: PredictedQuantumGraph) -> set[QuantumKey]:
    nodes = graph.quantum_only_xgraph.nodes.values()
    return {(node["task_label"], tuple(node["data_id"].required_values)) for node in nodes}


def _outputs(graph: PredictedQuantumGraph, stale: frozenset[QuantumKey]) -> set[tuple[str, tuple[Any, ...]]]:
    """Return type and data ID of everything that some quanta would make."""
    bipartite, found = graph.bipartite_xgraph, set()
    for quantum, node in graph.quantum_only_xgraph.nodes.items():
        if (node["task_label"], tuple(node["data_id"].required_values)) in stale:
            for dataset in bipartite.successors(quantum):
                made = bipartite.nodes[dataset]
                found.add((made["dataset_type_name"], tuple(made["data_id"].required_values)))
    return found


def _kept(repository: Repository, earlier: Sequence[str], replaced: set[tuple[str, tuple[Any, ...]]]) -> frozenset[str]:
    return frozenset(
        str(ref.id)
        for ref in visible_datasets(repository, earlier)
        if (ref.datasetType.name, tuple(ref.dataId.required_values)) not in replaced
    )


def visible_datasets(repository: Repository, collections: Sequence[str]) -> list[DatasetRef]:
    """Return the first dataset of every type and data ID.

    Parameters
    ----------
    repository : Repository
        The repository.
    collections : sequence of str
        Searched in order.

    Returns
    -------
    list of DatasetRef
    """
    butler = repository.butler
    infos = butler.collections.query_info(list(collections), include_summary=True) if collections else ()
    refs: list[DatasetRef] = []
    for name in sorted({name for info in infos for name in (info.dataset_types or ())}):
        try:
            refs += butler.query_datasets(name, collections=list(collections), explain=False, limit=None)
        except MissingDatasetTypeError:
            continue
    return refs
