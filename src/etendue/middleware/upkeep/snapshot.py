"""A copy of what a repository knows at one moment, in SQLite, whatever its own database is."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler, ButlerConfig, Config, DatasetRef
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.datastore.stored_file_info import StoredFileInfo
from sqlalchemy.engine import make_url

from etendue.middleware.configuration import write_repository
from etendue.middleware.datastores import file_datastores
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.copying import copy_collections, copy_registry
from etendue.middleware.upkeep.holdings import Holdings, all_datasets, holdings

_FILES = "lsst.daf.butler.datastores.fileDatastore.FileDatastore"
_DATABASE = "gen3.sqlite3"
_ONLY = "files0"  # name of the only store of a copied registry
_REPEATABLE = "-c default_transaction_isolation=repeatable\\ read"


@dataclass(frozen=True)
class Snapshot:
    """What a repository knew at one moment.

    Parameters
    ----------
    folder : Path
        With ``butler.yaml`` and ``gen3.sqlite3`` of a repository whose files lie in the same folder.
    held : Holdings
        Its files, at their roots now.
    """

    folder: Path
    held: Holdings


@contextmanager
def snapshot(repository: Repository, near: Path) -> Iterator[Snapshot]:
    """Copy what a repository knows while others may be writing to it.

    A SQLite database is copied by its own means. Of PostgreSQL, and of chains of stores, everything is read as it was
    at one moment and registered again.

    Parameters
    ----------
    repository : Repository
        The repository.
    near : Path
        Folder with room for the copy.

    Yields
    ------
    Snapshot
        Until the end of the block.
    """
    stores = file_datastores(repository.butler)
    with tempfile.TemporaryDirectory(prefix=".etendue-snapshot-", dir=near) as name:
        folder = Path(name)
        if _sqlite_file(repository) is not None and len(stores) == 1:
            _local_configuration(repository, stores[0].name).dumpToUri(str(folder / "butler.yaml"))
            _copy_database(repository, folder)
            with _butler(ButlerConfig(str(folder))) as butler:
                held = holdings(butler)
        else:
            held = _registered_again(repository, folder)
        yield Snapshot(folder, Holdings(tuple(store.root for store in stores), held.refs, held.copies))


def _sqlite_file(repository: Repository) -> Path | None:
    database = repository.butler._registry._db
    return Path(str(database.filename)) if database.dialect.name == "sqlite" else None


def _copy_database(repository: Repository, folder: Path) -> None:
    """Copy a SQLite database as it is at this moment; writers wait meanwhile."""
    source = sqlite3.connect(f"file:{_sqlite_file(repository)}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(folder / _DATABASE)) as target:
        source.backup(target)


def _local_configuration(repository: Repository, name: str) -> Config:
    """Return the configuration of a repository with SQLite and one store of files, all in one folder."""
    config = Config(str(repository.path / "butler.yaml"))
    store = config["datastore"].toDict()
    if "datastores" in store:
        first = store["datastores"][0]
        store = first.get("datastore", first)
    config["datastore"] = {**store, "cls": _FILES, "root": "<butlerRoot>", "name": name}
    config["registry", "db"] = f"sqlite:///<butlerRoot>/{_DATABASE}"
    if ("registry", "namespace") in config:
        del config["registry", "namespace"]
    return config


def _registered_again(repository: Repository, folder: Path) -> Holdings:
    write_repository(folder, _local_configuration(repository, _ONLY), places_given=False)
    with _frozen(repository, folder) as source, _butler(ButlerConfig(str(folder)), writeable=True) as target:
        refs = all_datasets(source)
        copy_registry(source, target, refs, everything=True, transfer="unsafe_direct")
        copy_collections(source, target, source.collections.query_info("*", include_doc=True), refs)
        _record(source, target, refs)
        return holdings(source, refs)


@contextmanager
def _frozen(repository: Repository, folder: Path) -> Iterator[Butler]:
    """Give a Butler that sees the repository as it is now, until the end of the block."""
    config = ButlerConfig(str(repository.path))
    if _sqlite_file(repository) is not None:
        frozen = folder / "frozen"
        frozen.mkdir()
        _copy_database(repository, frozen)
        config["registry", "db"] = f"sqlite:///{frozen / _DATABASE}"
        with _butler(config) as butler:
            yield butler
        shutil.rmtree(frozen)
        return
    url = make_url(config["registry", "db"]).update_query_dict({"options": _REPEATABLE})
    config["registry", "db"] = url.render_as_string(hide_password=False)
    with _butler(config) as butler, butler.transaction():
        yield butler


@contextmanager
def _butler(config: ButlerConfig, *, writeable: bool = False) -> Iterator[Butler]:
    butler = Butler.from_config(config, writeable=writeable)
    try:
        yield butler
    finally:
        butler.close()


def _record(source: Butler, target: Butler, refs: Sequence[DatasetRef]) -> None:
    """Make the records of files in a copied registry those of the source: paths below the root, sizes, checksums."""
    [store] = file_datastores(target)
    found: dict[object, list[StoredFileInfo]] = {}
    for origin in file_datastores(source):
        for key, records in origin.get_file_info_for_transfer([ref.id for ref in refs]).items():
            found.setdefault(key, [record.file_info for record in records])
    stored = [ref for ref in refs if ref.id in found]
    records = {ref.id: {store._table.name: found[ref.id]} for ref in stored}
    with target.transaction():
        store.forget(stored)
        store.import_records({store.name: DatastoreRecordData(records=records)})
