"""The configuration of a new repository: which database knows its datasets, and where their files go."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, ButlerConfig, Config
from lsst.resources import ResourcePath

from etendue.disk import disk_trouble, whole_folder
from etendue.errors import InputError
from etendue.middleware.database import database_trouble, drop_new_tables, postgresql_url, prepare_postgresql
from etendue.middleware.database_tables import complete_tables
from etendue.middleware.datastores import SIDE_FOLDER, found_files
from etendue.middleware.storage import seed_config

FORMAT = 1
"""Layout of etendue's own files in a repository; raised when an older etendue could not go on with it."""
_FILES = "lsst.daf.butler.datastores.fileDatastore.FileDatastore"
_OBJECTS = "etendue.middleware.object_store.ObjectStoreDatastore"
_CHAIN = "lsst.daf.butler.datastores.chainedDatastore.ChainedDatastore"
_OWNER = "owner"
_OTHER_VERSIONS = {"IncompatibleVersionError", "ManagerMismatchError", "MissingManagerError"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where a new repository keeps what it knows and what it holds.

    Parameters
    ----------
    database : str, optional
        ``postgresql://user@host/name``; SQLite inside the folder by default.
    schema : str, optional
        Schema of a PostgreSQL database, made when missing, so that several repositories share one database.
    files : str, optional
        Folder or URL (``s3://bucket/path``) of the files; the repository's own folder by default.
    mirrors : sequence of str
        Folders or URLs that get a copy of every file.
    checksums : bool
        Whether a checksum of every file is recorded when it is written.
    """

    database: str | None = None
    schema: str | None = None
    files: str | None = None
    mirrors: Sequence[str] = ()
    checksums: bool = True

    def outside(self) -> list[ResourcePath]:
        """Return the roots of files that are not the repository's folder."""
        named = [self.files, *self.mirrors] if self.files is not None else self.mirrors
        return [_root(name) for name in named if name is not None]


def make_repository(named: str | Path, places: Places) -> None:
    """Make a repository: its configuration, its tables, a claim on the places of its files.

    Parameters
    ----------
    named : str or Path
        Folder, missing or empty.
    places : Places
        Where everything goes.

    Raises
    ------
    InputError
        The folder is in use or cannot be written, the database cannot be used, or a place of files is in use or out
        of reach.
    """
    folder = Path(named).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("exists and is not an empty folder", source=named, remedy="choose another folder")
    outside = places.outside()
    for root in outside:
        _require_free(root, folder)
    config = _configuration(places, outside)
    try:
        with whole_folder(folder, "repository") as part, _prepared(places):
            write_repository(part, config, places_given=bool(outside))
            for root in outside:
                root.join(f"{SIDE_FOLDER}/{_OWNER}").write(f"{config['etendue', 'id']} {folder}\n".encode())
    except Exception as error:  # databases and stores have errors of their own
        raise _unmade(error, named) from error


def write_repository(folder: Path, config: Config, *, places_given: bool) -> None:
    """Write the configuration of an empty repository and make its tables.

    Parameters
    ----------
    folder : Path
        Existing folder.
    config : Config
        What is not Rubin's default.
    places_given : bool
        Whether the configuration names the roots of all files; they are the folder otherwise.
    """
    file = str(folder / "butler.yaml")  # Rubin's code takes a folder with a dot in its name for a file
    made = Butler.makeRepo(f"{folder}/", config=config, forceConfigRoot=not places_given, outfile=file)
    del made["root"]
    made.dumpToUri(file)


def opened(named: str | Path, *, writeable: bool) -> Butler:
    """Return the Butler of a repository.

    Parameters
    ----------
    named : str or Path
        Folder with ``butler.yaml``.
    writeable : bool
        Whether anything may be added.

    Raises
    ------
    InputError
        There is no repository, it was made by a newer or much older version, or it cannot be opened.
    """
    folder = Path(named).resolve()
    if not (folder / "butler.yaml").is_file():
        raise InputError("is not a repository", source=named, remedy="create one with 'etendue init'")
    try:
        config = ButlerConfig(str(folder))
        _require_known_format(config, named)
        if writeable and ("storageClasses", "EtendueTable") not in config:
            raise InputError("was made by plain Butler code, and cannot hold etendue's products yet", source=named,
                             remedy="add their formats with 'etendue repo adopt'")  # fmt: skip
        butler = Butler.from_config(config, writeable=writeable)
        if writeable:
            complete_tables(butler)
        return butler
    except InputError:
        raise
    except Exception as error:  # database and version errors have no common base
        raise _unopened(error, named) from error


def _require_known_format(config: Config, named: str | Path) -> None:
    """Refuse a layout newer than this etendue; a repository that names none is older, or made by plain Butler code."""
    layout = config.get(("etendue", "format"), 0)
    if not isinstance(layout, int) or layout > FORMAT:
        raise InputError(
            f"was made by a newer etendue: its layout is {layout}, this one knows {FORMAT}",
            source=named, remedy="pip install --upgrade etendue",
        )  # fmt: skip


def _unmade(error: Exception, named: str | Path) -> InputError:
    if isinstance(error, InputError):
        return error
    if isinstance(error, ModuleNotFoundError):
        return InputError(f"cannot create a repository: {error}", source=named,
                          remedy="pip install 'etendue[postgres,s3]'")  # fmt: skip
    if (trouble := database_trouble(error)) is not None:
        return InputError(f"cannot create a repository: {trouble}", source=named)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return InputError(f"cannot create a repository: {reason}", source=named,
                      remedy="check the folder and the database URL")  # fmt: skip


def _unopened(error: Exception, named: str | Path) -> InputError:
    if type(error).__name__ in _OTHER_VERSIONS:
        return InputError(f"its database is of another version than lsst-daf-butler {version('lsst-daf-butler')}"
                          f" reads: {error}", source=named,
                          remedy="open it with the version that made it, or migrate it")  # fmt: skip
    if (trouble := database_trouble(error)) is not None:
        return InputError(f"cannot open the repository: {trouble}", source=named)
    return InputError(f"cannot open the repository: {disk_trouble(error) or error}", source=named)


@contextmanager
def _prepared(places: Places) -> Iterator[None]:
    """Prepare the database; where the body fails, take away what it made there."""
    if places.database is None:
        yield
        return
    before = prepare_postgresql(places.database, places.schema)
    try:
        yield
    except Exception:
        with suppress(Exception):  # the database may be what failed
            drop_new_tables(places.database, places.schema, before)
        raise


def _configuration(places: Places, outside: Sequence[ResourcePath]) -> Config:
    config = seed_config()
    config["etendue"] = {"format": FORMAT, "id": uuid.uuid4().hex}
    if places.database is not None:
        config["registry", "db"] = postgresql_url(places.database)
        if places.schema is not None:
            config["registry", "namespace"] = places.schema
    elif places.schema is not None:
        raise InputError("a schema is of PostgreSQL only", value=places.schema, remedy="give --database as well")
    store: dict[str, Any] = {**config["datastore"].toDict(), "checksum": places.checksums}
    homes = [*([] if places.files is not None else [None]), *outside]
    stores = [_store(store, home, number) for number, home in enumerate(homes)]
    if len(stores) == 1:
        config["datastore"] = stores[0]
    else:
        config["datastore"] = {"cls": _CHAIN, "datastores": [{"datastore": each} for each in stores]}
    return config


def _store(common: dict[str, Any], root: ResourcePath | None, number: int) -> dict[str, Any]:
    """Return the configuration of one store of files; names stay when its root moves."""
    table = "file_datastore_records" + (f"_{number}" if number else "")
    if root is None:
        own = {"cls": _FILES, "root": "<butlerRoot>"}
    else:
        own = {"cls": _OBJECTS if root.scheme == "s3" else _FILES, "root": str(root), "name": f"files{number}"}
    return {**common, **own, "records": {"table": table}}


def _root(name: str) -> ResourcePath:
    return ResourcePath(name, forceDirectory=True)


def _require_free(root: ResourcePath, folder: Path) -> None:
    """Refuse a place with files in it: what belongs to nobody would be taken for rubbish of this repository."""
    if root.isLocal and Path(root.ospath).resolve() == folder:
        raise InputError("is the repository's own folder", value=str(root), remedy="leave it out")
    try:
        owner = root.join(f"{SIDE_FOLDER}/{_OWNER}")
        if owner.exists():
            taken = owner.read().decode().split(maxsplit=1)[-1].strip()
            raise InputError("holds the files of another repository", source=root, value=taken, remedy="choose another")
        if found_files(root):
            raise InputError("is not empty", source=root, remedy="choose another place for the files")
        root.mkdir()
    except InputError:
        raise
    except Exception as error:  # every store has errors of its own
        raise InputError(
            f"cannot be used for files: {error}", source=root,
            remedy="check the address and the credentials (docs/user/repositories.md)",
        ) from error  # fmt: skip
