"""What a repository says it holds: the files of every dataset, as recorded in its database."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from lsst.daf.butler import Butler, CollectionType, DatasetRef
from lsst.resources import ResourcePath

from etendue.middleware.datastores import file_datastores


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """One file of a dataset, in one store of files.

    Parameters
    ----------
    ref : DatasetRef
        The dataset.
    store : int
        Number of the store, in the order in which they are read.
    path : str
        Below the root of the store; absolute where the file lies outside of it, as it was ingested.
    size : int
        As recorded [bytes]; -1 where none was.
    checksum : str or None
        As recorded.
    """

    ref: DatasetRef
    store: int
    path: str
    size: int
    checksum: str | None

    @property
    def outside(self) -> bool:
        """Whether the file is the user's own, referred to where it is."""
        return "://" in self.path or self.path.startswith("/")

    def uri(self, root: ResourcePath) -> ResourcePath:
        """Return where the file is.

        Parameters
        ----------
        root : ResourcePath
            Of the store.
        """
        return ResourcePath(self.path) if self.outside else root.join(self.path, forceDirectory=False)


@dataclass(frozen=True)
class Holdings:
    """Everything that a repository knows.

    Parameters
    ----------
    roots : tuple of ResourcePath
        Of the stores of files.
    refs : tuple of DatasetRef
        All datasets.
    copies : tuple of StoredCopy
        Their files, sorted by store and path.
    """

    roots: tuple[ResourcePath, ...]
    refs: tuple[DatasetRef, ...]
    copies: tuple[StoredCopy, ...]

    def without_file(self) -> list[DatasetRef]:
        """Return the datasets that no store has: their files were deleted on purpose, the entries were kept."""
        stored = {copy.ref.id for copy in self.copies}
        return [ref for ref in self.refs if ref.id not in stored]

    def of(self, wanted: Collection[UUID]) -> Iterator[StoredCopy]:
        """Give the files of some datasets.

        Parameters
        ----------
        wanted : collection of UUID
            Their IDs.
        """
        return (copy for copy in self.copies if copy.ref.id in wanted)


def all_datasets(
    butler: Butler, collections: Sequence[str] | None = None, *, where: str = "", records: bool = False
) -> list[DatasetRef]:
    """Return the datasets of RUN collections, of every type, shadowed ones too.

    Parameters
    ----------
    butler : Butler
        Of the repository.
    collections : sequence of str, optional
        Names or patterns of collections; all by default.
    where : str
        Data ID expression.
    records : bool
        Whether their data IDs hold dimension records, which names of files are made of.

    Returns
    -------
    list of DatasetRef
        By dataset type.
    """
    every = butler.collections.query_info(
        list(collections) if collections is not None else "*", include_summary=True, flatten_chains=True
    )
    holding: dict[str, list[str]] = {}
    for info in every:
        if info.type is CollectionType.RUN or collections is not None:
            for name in info.dataset_types or ():
                holding.setdefault(name, []).append(info.name)
    found: dict[UUID, DatasetRef] = {}
    for name in sorted(holding):
        # A Butler that searches them by default knows which instrument an expression means.
        searching = butler.clone(collections=holding[name]) if where else butler
        for ref in searching.query_datasets(
            name, collections=holding[name], where=where, find_first=False, with_dimension_records=records,
            explain=False, limit=None,
        ):  # fmt: skip
            found[ref.id] = ref
    return list(found.values())


def holdings(butler: Butler, refs: Sequence[DatasetRef] | None = None) -> Holdings:
    """Return what a repository says it holds.

    Parameters
    ----------
    butler : Butler
        Of the repository.
    refs : sequence of DatasetRef, optional
        Only of these; all by default.
    """
    wanted = list(refs) if refs is not None else all_datasets(butler)
    known = {ref.id: ref for ref in wanted}
    copies = []
    stores = file_datastores(butler)
    for number, store in enumerate(stores):
        for key, records in store.get_file_info_for_transfer(known).items():
            for record in records:
                info = record.file_info
                path = info.path.partition("#")[0]  # what follows is a member of a zip
                copies.append(StoredCopy(known[key], number, path, int(info.file_size), info.checksum))
    copies.sort(key=lambda copy: (copy.store, copy.path))
    return Holdings(tuple(store.root for store in stores), tuple(wanted), tuple(copies))
