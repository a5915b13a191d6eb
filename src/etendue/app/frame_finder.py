"""Find the raw frames in folders and the camera that took them."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.camera.camera import Camera
from etendue.camera.fits_name import ENDINGS, is_fits_name
from etendue.camera.guess import guess_camera, rank_frames
from etendue.camera.raw import read_header
from etendue.camera.shipped import identify_camera
from etendue.errors import InputError

_LOOKED_AT = 6  # frames whose pixels tell where a guessed camera saturates


@dataclass(frozen=True)
class FoundFrames:
    """The frames of one camera.

    Parameters
    ----------
    camera : Camera
        Shipped or guessed.
    guessed : bool
        Whether no known camera fits the headers.
    paths : tuple of Path
        Its files, sorted.
    refused : tuple of (Path, str)
        Other files and why they are left out.
    """

    camera: Camera
    guessed: bool
    paths: tuple[Path, ...]
    refused: tuple[tuple[Path, str], ...]


def find_frames(
    directories: Iterable[Path], *, camera: Camera | None = None, known: Sequence[Camera] = ()
) -> FoundFrames:
    """Look through folders, and settle on the camera that took most of the frames.

    Parameters
    ----------
    directories : iterable of Path
        Folders, searched to any depth, or single files.
    camera : Camera, optional
        The camera, if it is given.
    known : sequence of Camera
        Cameras of the repository, which come before the shipped ones.

    Returns
    -------
    FoundFrames

    Raises
    ------
    InputError
        If a folder does not exist, or no FITS file is in any of them.
    """
    files = files_in(directories)
    if camera is not None:
        return FoundFrames(camera, False, tuple(files), ())
    taken: dict[Path, Camera | None] = {}
    headers: dict[Path, Mapping[str, Any]] = {}
    refused = []
    for path in files:
        try:
            headers[path] = read_header(path, cubes=True)
            taken[path] = identify_camera(headers[path], known)
        except InputError as error:
            refused.append((path, str(error)))
    names = Counter(found.name if found else "" for found in taken.values())
    if not names:
        raise InputError(refused[0][1])
    chosen = names.most_common(1)[0][0]
    mine = [path for path, found in taken.items() if (found.name if found else "") == chosen]
    others = [(path, f"is a frame of camera {found.name if found else 'unknown'}")
              for path, found in taken.items() if path not in set(mine)]  # fmt: skip
    best = taken[mine[0]]
    guessed = best or _guess({path: headers[path] for path in mine})
    return FoundFrames(guessed, best is None, tuple(mine), tuple(refused + others))


def _guess(headers: Mapping[Path, Mapping[str, Any]]) -> Camera:
    """Guess the camera from the most telling frame that allows it."""
    paths = sorted(headers)
    some = paths[:: -(-len(paths) // _LOOKED_AT)]
    first: InputError | None = None
    for path in rank_frames(headers):
        try:
            return guess_camera(path, others=some)
        except InputError as error:
            first = first or error
    assert first is not None
    raise first


def files_in(folders: Iterable[Path]) -> list[Path]:
    """Return the FITS files in folders, at any depth, and single files, by path.

    Parameters
    ----------
    folders : iterable of Path
        Folders and files.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If a folder does not exist, or no file is in any of them.
    """
    files = sorted({path for folder in folders for path in fits_files(Path(folder))})
    if not files:
        raise InputError("no FITS files found", source=", ".join(map(str, folders)),
                         remedy=f"give files or folders with {' '.join(ENDINGS)}")  # fmt: skip
    return files


def fits_files(directory: Path) -> list[Path]:
    """Return the FITS files in a folder, at any depth; a file stands for itself, as does a folder that is closed to us.

    Parameters
    ----------
    directory : Path
        Folder or file.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if directory.is_file():
        return [directory]
    if not directory.is_dir():
        raise InputError("no such folder or file", source=directory, remedy="check the path")
    closed: list[Path] = []  # named like frames that cannot be read
    below = os.walk(directory, onerror=lambda error: closed.append(Path(error.filename)))
    files = [Path(folder, name) for folder, _, names in below for name in names]
    return closed + [path for path in files if is_fits_name(path) and (path.is_file() or _leads_nowhere(path))]


def _leads_nowhere(path: Path) -> bool:
    """Whether a link's target is missing: readers refuse it by name, where a search would pass over it in silence."""
    try:
        path.stat()
    except FileNotFoundError:
        return path.is_symlink()
    except OSError:  # a link to itself
        return False
    return False
