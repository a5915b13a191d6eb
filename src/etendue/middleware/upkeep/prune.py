"""Delete what a repository does not need any more: superseded products, scratch, files that belong to nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from lsst.daf.butler import Butler, CollectionType, DatasetRef, MissingCollectionError
from lsst.resources import ResourcePath

from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.changes import kept_collection
from etendue.middleware.datastores import file_datastores, found_files
from etendue.middleware.repository import Repository
from etendue.middleware.runs import journals
from etendue.middleware.upkeep.holdings import all_datasets, holdings
from etendue.middleware.upkeep.orphans import YOUNG_S, Orphan, orphans

Reason = Literal["superseded", "scratch"]
_BATCH = 1000  # datasets deleted in one transaction
_ALWAYS_KEPT = ("raw", "camera", "skyMap", "refcat", "refcat_photometry")


@dataclass(frozen=True)
class PrunePolicy:
    """What may go.

    Parameters
    ----------
    superseded : bool
        Products of earlier runs of an output that its later runs replaced.
    scratch : tuple of str
        Everything in these collections (names, or patterns as ``scratch/*``).
    types : tuple of str
        Of these dataset types only; all by default.
    older_days : float
        Only what was registered longer ago than this [day].
    orphans : bool
        Files that belong to no dataset, and were not written within the last hour.
    """

    superseded: bool = False
    scratch: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    older_days: float = 0.0
    orphans: bool = False


@dataclass(frozen=True)
class PrunePlan:
    """What would be deleted.

    Parameters
    ----------
    datasets : dict of UUID to (DatasetRef, str)
        Which datasets, and why.
    sizes : dict of UUID to int
        Of their files in all stores [bytes].
    orphans : tuple of Orphan
        Files that belong to no dataset.
    kept : int
        Datasets in scratch collections that stay, because calibrations or other collections need them.
    runs : frozenset of str
        RUN collections that go when they are empty.
    """

    datasets: Mapping[UUID, tuple[DatasetRef, Reason]]
    sizes: Mapping[UUID, int]
    orphans: tuple[Orphan, ...] = ()
    kept: int = 0
    runs: frozenset[str] = frozenset()

    @property
    def bytes(self) -> int:
        """Size of everything that would go [bytes]."""
        return sum(self.sizes.values()) + sum(orphan.size for orphan in self.orphans)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per reason and collection, the largest first."""
        sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        for key, (ref, reason) in self.datasets.items():
            entry = sums[reason, str(ref.run)]
            entry[0] += 1
            entry[1] += self.sizes.get(key, 0)
        for orphan in self.orphans:
            entry = sums["orphan", f"unfinished {orphan.kind}s" if orphan.kind == "part" else "files"]
            entry[0] += 1
            entry[1] += orphan.size
        ordered = sorted(sums.items(), key=lambda item: -item[1][1])
        return [{"why": why, "where": where, "number": n, "bytes": size} for (why, where), (n, size) in ordered]


def plan_prune(repository: Repository, policy: PrunePolicy) -> PrunePlan:
    """Find what a policy lets go; nothing is deleted.

    Raw frames, cameras, skymaps and reference catalogs stay whatever the policy says, and so do datasets that are
    certified, tagged, or found first in a chain.

    Parameters
    ----------
    repository : Repository
        Where to look.
    policy : PrunePolicy
        What may go.

    Returns
    -------
    PrunePlan

    Raises
    ------
    InputError
        A collection of scratch does not exist.
    """
    butler = repository.butler
    bound = _bound(butler)
    chosen: dict[UUID, tuple[DatasetRef, Reason]] = {}
    kept = 0
    earlier = _earlier_runs(repository) if policy.superseded else []
    scratch = _scratch_runs(repository, policy.scratch)
    visible = _visible(butler) if earlier else set()
    for ref in _chosen(repository, earlier, policy):
        if ref.id not in bound and ref.id not in visible:
            chosen[ref.id] = ref, "superseded"
    for ref in _chosen(repository, scratch, policy):
        if ref.id in bound:
            kept += 1
        else:
            chosen[ref.id] = ref, "scratch"
    sizes: dict[UUID, int] = defaultdict(int)
    listings = [found_files(store.root) for store in file_datastores(butler)] if chosen or policy.orphans else []
    for copy in holdings(butler, [ref for ref, _ in chosen.values()]).copies if chosen else ():
        file = listings[copy.store].get(copy.path)
        sizes[copy.ref.id] += file.size if file is not None else 0
    loose: Sequence[Orphan] = ()
    if policy.orphans:
        older_s = max(YOUNG_S, policy.older_days * 86400.0)
        loose, _ = orphans(repository, holdings(butler), listings, older_s=older_s)
    return PrunePlan(chosen, sizes, tuple(loose), kept, frozenset((*earlier, *scratch)))


def prune(repository: Repository, plan: PrunePlan) -> int:
    """Delete what a plan says; killed, it is done again with a new plan.

    Parameters
    ----------
    repository : Repository
        Writeable.
    plan : PrunePlan
        From `plan_prune`, shortly before.

    Returns
    -------
    int
        Number of files and datasets deleted.
    """
    with repository.writing() as butler:
        butler._datastore.emptyTrash()  # what a killed prune left
        refs = [ref for ref, _ in plan.datasets.values()]
        for start in range(0, len(refs), _BATCH):
            batch = refs[start : start + _BATCH]
            butler.pruneDatasets(batch, disassociate=True, unstore=True, purge=True)
            fault_point("prune.between-batches")
        _remove_empty_runs(butler, plan.runs)
        roots = [store.root for store in file_datastores(butler)]
        for orphan in plan.orphans:
            uri = roots[orphan.store].join(orphan.path, forceDirectory=False)
            with suppress(FileNotFoundError):
                uri.remove()
                _remove_empty_folders(uri, roots[orphan.store])
    repository.butler.registry.refresh()
    return len(plan.datasets) + len(plan.orphans)


def _bound(butler: Butler) -> set[UUID]:
    """Return the datasets that some collection holds on to: calibrations, tagged ones, what current runs kept."""
    chains = butler.collections.query_info("*", CollectionType.CHAINED)
    current = {child for chain in chains for child in chain.children}
    found: set[UUID] = set()
    wanted = {CollectionType.TAGGED, CollectionType.CALIBRATION}
    for info in butler.collections.query_info("*", wanted, include_summary=True):
        if info.name.endswith(kept_collection("")) and info.name not in current:
            continue  # what an earlier run kept, which the current one does not
        found |= {ref.id for ref in _first_or_all(butler, info.name, info.dataset_types or (), find_first=False)}
    return found


def _visible(butler: Butler) -> set[UUID]:
    """Return the datasets that are found first in some chain."""
    found: set[UUID] = set()
    for chain in butler.collections.query_info("*", CollectionType.CHAINED):
        members = [
            info for info in butler.collections.query_info(chain.name, flatten_chains=True, include_summary=True)
            if info.type in (CollectionType.RUN, CollectionType.TAGGED)
        ]  # fmt: skip
        types = sorted({name for info in members for name in (info.dataset_types or ())})
        names = [info.name for info in members]
        found |= {ref.id for ref in _first_or_all(butler, names, types, find_first=True)}
    return found


def _first_or_all(
    butler: Butler, collections: str | Sequence[str], types: Iterable[str], *, find_first: bool
) -> Iterable[DatasetRef]:
    for name in types:
        yield from butler.query_datasets(
            name, collections=collections, find_first=find_first, explain=False, limit=None
        )


def _earlier_runs(repository: Repository) -> list[str]:
    newest, earlier = set(), []
    for journal in journals(repository.runs_folder):  # the latest first
        description = journal.description()
        if description["output"] in newest:
            earlier.append(str(description["run"]))
        newest.add(description["output"])
    return [run for run in earlier if repository.has_collection(run)]


def _scratch_runs(repository: Repository, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    try:
        runs = list(repository.butler.collections.query(list(names), CollectionType.RUN, flatten_chains=True))
    except MissingCollectionError:
        runs = []
    if not runs:
        raise InputError("no RUN collection matches", source=repository.path, value=", ".join(names),
                         remedy="see 'butler query-collections REPO'")  # fmt: skip
    return runs


def _chosen(repository: Repository, runs: Sequence[str], policy: PrunePolicy) -> list[DatasetRef]:
    """Return the datasets of some runs that are of the types and the age of a policy, without what always stays."""
    refs = all_datasets(repository.butler, runs) if runs else []
    kept = [ref for ref in refs if ref.datasetType.name not in _ALWAYS_KEPT]
    if policy.types:
        kept = [ref for ref in kept if ref.datasetType.name in policy.types]
    if policy.older_days <= 0.0 or not kept:
        return kept
    before = datetime.now(UTC) - timedelta(days=policy.older_days)
    old: set[UUID] = set()
    for name in sorted({ref.datasetType.name for ref in kept}):
        found = repository.butler.query_datasets(
            name, collections=list(runs), find_first=False, explain=False, limit=None,
            where=f"{name}.ingest_date < T'iso/{before:%Y-%m-%d %H:%M:%S}'",
        )  # fmt: skip
        old |= {ref.id for ref in found}
    return [ref for ref in kept if ref.id in old]


def _remove_empty_runs(butler: Butler, runs: Collection[str]) -> None:
    """Remove RUN collections that hold nothing any more, and what belongs to them, from all chains."""
    for run in sorted(runs):
        if all_datasets(butler, [run]):
            continue
        for name in (kept_collection(run), run):
            with suppress(MissingCollectionError):
                for chain in butler.collections.query_info("*", CollectionType.CHAINED):
                    if name in chain.children:
                        butler.collections.remove_from_chain(chain.name, name)
                butler.collections.x_remove(name)


def _remove_empty_folders(uri: ResourcePath, root: ResourcePath) -> None:
    if not uri.isLocal:
        return
    top = Path(root.ospath)
    for folder in Path(uri.ospath).parents:
        if folder == top or not folder.is_relative_to(top):
            return
        try:
            folder.rmdir()
        except OSError:  # something else is in it
            return
