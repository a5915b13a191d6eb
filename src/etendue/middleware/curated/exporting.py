"""Write certified calibrations as a folder that a team keeps under version control, and `load_curated` reads back."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from lsst.resources import ResourcePath

from etendue.camera.camera import Camera
from etendue.disk import whole_folder
from etendue.errors import InputError
from etendue.image.calibration_text import write_defects, write_ptc
from etendue.middleware.curated.dates import name_of
from etendue.middleware.curated.folder import END_SUFFIX, kinds, place_of, suffixes
from etendue.middleware.repository import Repository
from etendue.middleware.validity import InForce, in_force, validities

TEXT_TYPES = ("defects", "ptc")
_WRITERS: dict[str, Callable[[Any, Path, Mapping[str, Any]], None]] = {
    "EtendueDefects": write_defects,
    "EtenduePtc": write_ptc,
}


def export_curated(
    home: Repository,
    folder: Path,
    *,
    camera: str | None = None,
    types: Sequence[str] = TEXT_TYPES,
    collection: str | None = None,
) -> list[Path]:
    """Write the calibrations that are in force as dated files.

    Parameters
    ----------
    home : Repository
        The repository.
    folder : Path
        Gets a folder of the camera's name, which must not hold any of these types yet.
    camera : str, optional
        Registered camera; may be left out when only one is registered.
    types : sequence of str
        Dataset types.
    collection : str, optional
        CALIBRATION collection; what pipelines find by default.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        There is nothing to write, a type cannot be curated, or files are there already.
    """
    chosen = home.camera(camera)
    if unknown := [name for name in types if name not in kinds()]:
        raise InputError(
            "no calibration that pipelines read", value=unknown[0], remedy=f"they read {', '.join(kinds())}"
        )
    rows = validities(home, chosen.name, collections=None if collection is None else [collection], types=types)
    if not rows:
        raise InputError(f"no {' or '.join(types)} is certified", source=home.path, remedy="see 'etendue calib list'")
    root = folder / chosen.name
    if taken := [name for name in types if (root / name).exists()]:
        raise InputError("is there already", source=root / taken[0], remedy="choose another folder, or remove it")
    written: list[Path] = []
    for kind in dict.fromkeys(row.dataset_type for row in rows):
        with whole_folder(root / kind, "curated-export") as part:
            for stretches in in_force(row for row in rows if row.dataset_type == kind).values():
                written += [root / kind / path for path in _write_series(home, part, chosen, stretches)]
    return written


def _write_series(home: Repository, part: Path, camera: Camera, stretches: Sequence[InForce]) -> list[Path]:
    """Write what is valid one after the other; return the paths inside the folder."""
    found = stretches[0].validity
    place = place_of(camera.detector(int(found.detector or 0)).name, found.physical_filter)
    (part / place).mkdir(parents=True)
    written = []
    for one, following in zip(stretches, [*stretches[1:], None], strict=True):
        written.append(place / _write(home, part / place, camera, one))
        end = one.span.end
        if end is not None and (following is None or following.span.begin != end):
            written.append(place / f"{name_of(end)}{END_SUFFIX}")
            (part / written[-1]).touch()
    return written


def _write(home: Repository, folder: Path, camera: Camera, one: InForce) -> str:
    """Write one calibration, text for people or the file as it is; return its name."""
    kind, detector = one.validity.dataset_type, one.validity.detector
    ref = home.butler.get_dataset(UUID(one.validity.dataset_id))
    assert ref is not None
    writer = _WRITERS.get(kinds()[kind].storage)
    if writer is None:
        name = f"{name_of(one.span.begin)}{suffixes(kind)[0]}"
        ResourcePath(str(folder / name)).transfer_from(home.butler.getURI(ref), transfer="copy")
        return name
    name = f"{name_of(one.span.begin)}.ecsv"
    about = {"dataset_type": kind, "camera": camera.name, "detector": camera.detector(int(detector or 0)).name}
    writer(home.get(ref), folder / name, {**about, "run": one.validity.run})
    return name
