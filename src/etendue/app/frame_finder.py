"""Find the raw frames in folders and the camera that took them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from etendue.camera.camera import Camera
from etendue.camera.guess import guess_camera
from etendue.camera.raw import read_header
from etendue.camera.shipped import identify_camera
from etendue.errors import InputError

_ENDINGS = (".fits", ".fit", ".fts", ".fits.fz", ".fits.gz", ".fit.gz")

_CALIBRATION_FOLDERS = ("bias", "zero", "dark", "flat")


@dataclass(frozen=True)
class FoundFrames:
    """The frames of one camera.

    Parameters
    ----------
    camera : Camera
        Shipped or guessed.
    guessed : bool
        Whether no shipped camera knows the headers.
    paths : tuple of Path
        Its files, sorted.
    refused : tuple of (Path, str)
        Other files and why they are left out.
    """

    camera: Camera
    guessed: bool
    paths: tuple[Path, ...]
    refused: tuple[tuple[Path, str], ...]


def find_frames(directories: Iterable[Path], *, camera: Camera | None = None) -> FoundFrames:
    """Look through folders, and settle on the camera that took most of the frames.

    Parameters
    ----------
    directories : iterable of Path
        Folders, searched to any depth, or single files.
    camera : Camera, optional
        The camera, if it is known.

    Returns
    -------
    FoundFrames

    Raises
    ------
    InputError
        If a folder does not exist, or no FITS file is in any of them.
    """
    files = sorted({path for directory in directories for path in _fits_files(Path(directory))})
    if not files:
        raise InputError("no FITS files found", source=", ".join(map(str, directories)))
    if camera is not None:
        return FoundFrames(camera, False, tuple(files), ())
    taken: dict[Path, Camera | None] = {}
    refused = []
    for path in files:
        try:
            taken[path] = identify_camera(read_header(path))
        except InputError as error:
            refused.append((path, str(error)))
    names = Counter(found.name if found else "" for found in taken.values())
    if not names:
        raise InputError(refused[0][1])
    chosen = names.most_common(1)[0][0]
    mine = [path for path, found in taken.items() if (found.name if found else "") == chosen]
    others = [(path, f"is a frame of camera {found.name if found else 'unknown'}")
              for path, found in taken.items() if path not in set(mine)]  # fmt: skip
    known = taken[mine[0]]
    return FoundFrames(known or _guess(mine), known is None, tuple(mine), tuple(refused + others))


def _guess(paths: list[Path]) -> Camera:
    """Guess the camera from the first frame that allows it, science frames before calibrations."""
    first: InputError | None = None
    for path in sorted(paths, key=lambda path: path.parent.name.lower().startswith(_CALIBRATION_FOLDERS)):
        try:
            return guess_camera(path)
        except InputError as error:
            first = first or error
    assert first is not None
    raise first


def _fits_files(directory: Path) -> list[Path]:
    if directory.is_file():
        return [directory]
    if not directory.is_dir():
        raise InputError("no such folder", source=directory)
    return [path for path in directory.rglob("*") if path.is_file() and path.name.lower().endswith(_ENDINGS)]
