"""Versions of curated calibrations in a repository: each a collection of its own, one of them in use."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lsst.daf.butler import Butler, CollectionType, DatasetRef, FileDataset, Timespan

from etendue.camera.camera import Camera
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.calibrations import CURATED_DESCRIPTION, calibration_chain, chain_members
from etendue.middleware.curated.folder import CuratedFile, CuratedFolder, kinds, read_folder
from etendue.middleware.repository import Repository

Prefer = Literal["curated", "measured"]
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class CuratedVersion:
    """One version of a camera's curated calibrations.

    Parameters
    ----------
    label : str
        Its name.
    collection : str
        CALIBRATION collection that says from when to when its calibrations are valid.
    files : mapping of str to str
        SHA-256 of the files that it was made of, by path.
    digest : str
        SHA-256 of all of them.
    in_use : bool
        Whether pipelines find it.
    """

    label: str
    collection: str
    files: Mapping[str, str]
    digest: str
    in_use: bool


def curated_chain(camera: str) -> str:
    """Return the chain with the version in use, a member of the camera's chain of calibrations."""
    return f"{calibration_chain(camera)}/curated"


def load_curated(
    home: Repository, folder: Path, *, camera: str | None = None, label: str | None = None, prefer: Prefer | None = None
) -> tuple[CuratedVersion, bool]:
    """Make the calibrations of a folder a version in a repository, and use it; the same folder again changes nothing.

    Parameters
    ----------
    home : Repository
        Writeable.
    folder : Path
        See `etendue.middleware.curated.folder.read_folder`.
    camera : str, optional
        Registered camera; may be left out when only one is registered.
    label : str, optional
        Name of the version; by default the date of its latest file and the first digits of a hash of its files.
    prefer : {"curated", "measured"}, optional
        See `use_version`.

    Returns
    -------
    version : CuratedVersion
    new : bool
        Whether it was not there before.

    Raises
    ------
    InputError
        A file is wrong, or the label is taken by other files; nothing has changed then.
    """
    chosen = home.camera(camera)
    found = read_folder(folder, chosen)
    same = [one.label for one in versions(home, chosen.name) if one.digest == found.digest]
    name = label or next(iter(same), found.own_label)
    _check_label(name)
    collection = f"{curated_chain(chosen.name)}/{name}"
    known = _description(home, chosen.name, collection)
    if known is not None and known["digest"] != found.digest:
        raise InputError("this version was made of other files", source=collection, value=str(folder),
                         remedy="versions never change: give another --label, or none")  # fmt: skip
    if known is None:
        _write(home, chosen, found, collection)
    use_version(home, name, camera=chosen.name, prefer=prefer)
    return next(one for one in versions(home, chosen.name) if one.label == name), known is None


def versions(home: Repository, camera: str | None = None) -> tuple[CuratedVersion, ...]:
    """Return the versions of a camera's curated calibrations, sorted by label.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str, optional
        Registered camera; may be left out when only one is registered.

    Returns
    -------
    tuple of CuratedVersion
    """
    name = home.camera(camera).name
    chain = curated_chain(name)
    used = chain_members(home.butler, chain)
    found = []
    for info in home.butler.collections.query_info(f"{chain}/*", CollectionType.CALIBRATION):
        said = _description(home, name, info.name)
        if said is not None:
            label = info.name.removeprefix(f"{chain}/")
            found.append(CuratedVersion(label, info.name, said["files"], said["digest"], info.name in used))
    return tuple(sorted(found, key=lambda one: one.label))


def use_version(
    home: Repository, label: str | None, *, camera: str | None = None, prefer: Prefer | None = None
) -> None:
    """Let pipelines find a version of curated calibrations, and no other.

    Parameters
    ----------
    home : Repository
        Writeable.
    label : str or None
        Which version; None for none.
    camera : str, optional
        Registered camera; may be left out when only one is registered.
    prefer : {"curated", "measured"}, optional
        Which is taken where both are valid; by default as it was, at first ``curated``.

    Raises
    ------
    InputError
        There is no such version.
    """
    chosen = home.camera(camera).name
    known = {one.label: one.collection for one in versions(home, chosen)}
    if label is not None and label not in known:
        raise InputError("no such version of curated calibrations", source=home.path, value=label,
                         remedy=f"there are {', '.join(known) or 'none'}")  # fmt: skip
    chain, measured = curated_chain(chosen), home.calibration_collection(chosen)
    with home.writing() as butler:
        butler.collections.register(chain, CollectionType.CHAINED)
        _set_members(butler, chain, [] if label is None else [known[label]])
        present = chain_members(butler, calibration_chain(chosen))
        first = prefer or ("curated" if chain not in present or present.index(chain) < present.index(measured)
                           else "measured")  # fmt: skip
        pair = [chain, measured] if first == "curated" else [measured, chain]
        others = [name for name in present if name not in pair]
        _set_members(butler, calibration_chain(chosen), [*pair, *others])
    home.butler.registry.refresh()


def preference(home: Repository, camera: str) -> Prefer | None:
    """Return which calibrations go before the others where both are valid; None where no curated ones are in use.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Registered camera.
    """
    members = chain_members(home.butler, calibration_chain(camera))
    chain, measured = curated_chain(camera), home.calibration_collection(camera)
    if chain not in members or not chain_members(home.butler, chain):
        return None
    return "curated" if members.index(chain) < members.index(measured) else "measured"


def refuse_version(camera: str, collection: str) -> None:
    """Refuse to change what is valid in a version of curated calibrations.

    Parameters
    ----------
    camera : str
        Name of the camera.
    collection : str
        What is to be changed.

    Raises
    ------
    InputError
        It is such a version.
    """
    if collection.startswith(f"{curated_chain(camera)}/"):
        raise InputError("is a version of curated calibrations, which never change", source=collection,
                         remedy="change the files and load them again, or use another version")  # fmt: skip


def _write(home: Repository, camera: Camera, folder: CuratedFolder, collection: str) -> None:
    """Put the files into runs by date, which nothing reads, then certify all of them at once."""
    values = [(file, *file.read()) for file in folder.files if _is_text(file)]  # what is wrong is said before a write
    images = [file for file in folder.files if not _is_text(file)]
    for file in images:
        file.read()
    _register_types(home)
    with home.writing() as butler:
        _remove_unfinished(butler, collection)
        spans: dict[Timespan, list[DatasetRef]] = defaultdict(list)
        for file, value, _ in values:
            spans[file.span].append(_put(butler, camera, file, value, collection))
        for file in images:
            spans[file.span].append(_put_image(butler, camera, file, collection))
        run = f"{collection}/description"
        butler.collections.register(run, CollectionType.RUN)
        content = {"digest": folder.digest, "files": dict(folder.hashes)}
        said = butler.put(content, CURATED_DESCRIPTION, instrument=camera.name, run=run)
        fault_point("curated.after-files")
        butler.collections.register(collection, CollectionType.CALIBRATION)
        with butler.transaction():
            for span, refs in spans.items():
                butler.registry.certify(collection, refs, span)
            butler.registry.certify(collection, [said], Timespan(None, None))
    fault_point("curated.after-certify")
    home.butler.registry.refresh()


def _put(butler: Butler, camera: Camera, file: CuratedFile, value: Any, collection: str) -> DatasetRef:
    run = f"{collection}/{file.date}"
    butler.collections.register(run, CollectionType.RUN)
    ref = butler.put(value, file.kind, {"instrument": camera.name, **file.data_id}, run=run)
    fault_point("curated.between-files")
    return ref


def _put_image(butler: Butler, camera: Camera, file: CuratedFile, collection: str) -> DatasetRef:
    """Store a file of etendue as it is, so that its pixels are not quantised once more; others are converted."""
    value, own = file.read()
    if not own:
        return _put(butler, camera, file, value, collection)
    run = f"{collection}/{file.date}"
    butler.collections.register(run, CollectionType.RUN)
    data_id = butler.registry.expandDataId(instrument=camera.name, **file.data_id)
    ref = DatasetRef(butler.get_dataset_type(file.kind), data_id, run=run)
    butler.ingest(FileDataset(file.path.resolve().as_uri(), [ref]), transfer="copy")
    fault_point("curated.between-files")
    return ref


def _register_types(home: Repository) -> None:
    for kind in kinds().values():
        home.register_dataset_type(kind.name, kind.dimensions, kind.storage, calibration=True)
    home.register_dataset_type(CURATED_DESCRIPTION, ("instrument",), "EtendueJson", calibration=True)


def _remove_unfinished(butler: Butler, collection: str) -> None:
    """Remove what a killed process had put; nothing refers to it."""
    runs = list(butler.collections.query(f"{collection}/*", collection_types=CollectionType.RUN))
    if runs:
        butler.removeRuns(runs)


def _description(home: Repository, camera: str, collection: str) -> dict[str, Any] | None:
    """Return of what files a version was made; None if it is not whole."""
    if not home.has_collection(collection):
        return None
    refs = home.query(CURATED_DESCRIPTION, collections=collection, where=f"instrument='{camera}'", find_first=False)
    return home.get(refs[0]) if refs else None


def _check_label(label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise InputError("no label", value=label, remedy="use letters, digits, '.', '_' and '-'")


def _is_text(file: CuratedFile) -> bool:
    return not file.path.name.endswith((".fits", ".fits.fz"))


def _set_members(butler: Butler, chain: str, members: Sequence[str]) -> None:
    if chain_members(butler, chain) != list(members):
        butler.collections.redefine_chain(chain, members)
