"""Datasets as a folder that Rubin's ``butler import`` reads too: a YAML file, and the files."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.daf.butler.transfers import YamlRepoImportBackend

from etendue.disk import whole_folder
from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.copying import (
    CopyReport,
    asked_collections,
    cameras_of,
    copy_cameras,
    uncopied,
    wanted_datasets,
)
from etendue.middleware.upkeep.holdings import all_datasets

_INDEX = "export.yaml"
_CAMERAS = "cameras"


def export(
    repository: Repository, folder: str | Path, *, collections: Sequence[str] | None = None,
    types: Sequence[str] = (), where: str = "",
) -> CopyReport:  # fmt: skip
    """Copy datasets with their collections and validity ranges into a folder, which appears when it is whole.

    Parameters
    ----------
    repository : Repository
        Where they are.
    folder : str or Path
        Missing or empty.
    collections : sequence of str, optional
        Names or patterns; of chains all members. Everything by default.
    types : sequence of str
        Dataset types; all by default.
    where : str
        Data ID expression.

    Returns
    -------
    CopyReport

    Raises
    ------
    InputError
        Nothing matches, or the folder is in use.
    """
    target = Path(folder).resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError("exists and is not an empty folder", source=folder, remedy="choose another folder")
    butler = repository.butler
    refs = wanted_datasets(repository, collections, types, where)
    if not refs:
        raise InputError("no dataset matches", source=repository.path, value=where or ", ".join(collections or types),
                         remedy="see 'butler query-collections REPO'")  # fmt: skip
    known = butler._datastore.knows_these(refs)
    stored = [ref for ref in refs if known[ref]]
    infos = asked_collections(butler, stored, collections)
    with whole_folder(target, "export") as part:
        index = str(part / _INDEX)
        with butler.export(directory=str(part), filename=index, transfer="copy") as writer:
            writer.saveDatasets(stored)
            for info in infos:
                writer.saveCollection(info.name)
        for path in repository.cameras_folder.glob("*") if repository.cameras_folder.is_dir() else ():
            if path.name.partition(".")[0] in cameras_of(stored):
                (part / _CAMERAS).mkdir(exist_ok=True)
                shutil.copy2(path, part / _CAMERAS)
    return CopyReport(len(refs), len(stored), len(refs) - len(stored), tuple(sorted(info.name for info in infos)))


def import_(repository: Repository, folder: str | Path, *, transfer: str = "copy") -> CopyReport:
    """Bring an exported folder into a repository; doing it again adds nothing.

    Parameters
    ----------
    repository : Repository
        Writeable.
    folder : str or Path
        From `export` or Rubin's ``butler export``.
    transfer : str
        ``copy``, ``move``, ``link``, ``hardlink``, ``symlink`` or ``direct``.

    Returns
    -------
    CopyReport

    Raises
    ------
    InputError
        It is no such folder, or the repository has other datasets or cameras under the same names.
    """
    source = Path(folder).resolve()
    if not (source / _INDEX).is_file():
        raise InputError(f"holds no {_INDEX}", source=folder, remedy="give a folder from 'etendue repo export'")
    before = {ref.id for ref in all_datasets(repository.butler)}
    copy_cameras(source / _CAMERAS, repository)
    try:
        with repository.writing() as butler, (source / _INDEX).open() as stream:
            backend = YamlRepoImportBackend(stream, butler)
            backend.register()
            _leave_out_known(backend, butler)
            with butler.transaction():
                backend.load(butler._datastore, directory=str(source), transfer=transfer)
    except InputError:
        raise
    except Exception as error:  # what conflicts depends on the database
        raise uncopied(error, folder) from error
    repository.butler.registry.refresh()
    after = all_datasets(repository.butler)
    new = [ref for ref in after if ref.id not in before]
    return CopyReport(len(after), len(new), 0, tuple(sorted({str(ref.run) for ref in new})))


def _leave_out_known(backend: YamlRepoImportBackend, butler: Butler) -> None:
    """Take out of an import what is there already: Rubin's own would fail, and delete the files that are there."""
    ids = [ref.id for files in backend.datasets.values() for file in files for ref in file.refs]
    known = {ref.id: ref for ref in butler.get_many_datasets(ids)}
    for key, files in backend.datasets.items():
        backend.datasets[key] = [file for file in files if not any(ref.id in known for ref in file.refs)]
    backend.refsByFileId.update(known)
    for collection, spans in backend.calibAssociations.items():
        names = {ref.datasetType.name for ref in known.values()}
        there = {
            (found.ref.id, found.timespan)
            for name in names
            for found in butler.registry.queryDatasetAssociations(name, collection)
        }
        for timespan, members in spans.items():
            spans[timespan] = [member for member in members if (member, timespan) not in there]
