"""The camera of a frame that nobody described."""

from functools import lru_cache
from pathlib import Path

from etendue.camera.camera import Camera
from etendue.camera.guess import guess_camera
from etendue.camera.raw import read_header
from etendue.camera.shipped import identify_camera, load_camera


@lru_cache(maxsize=8)
def named_camera(name: str) -> Camera:
    """Return a shipped camera or the one of a YAML file.

    Parameters
    ----------
    name : str
        Name or path.

    Returns
    -------
    Camera
    """
    return load_camera(name)


def camera_of(path: Path, name: str | None = None) -> tuple[Camera, bool]:
    """Return the camera of a frame: the named one, the shipped one that its header names, or a guess.

    Parameters
    ----------
    path : Path
        Raw frame.
    name : str, optional
        Shipped camera or YAML file.

    Returns
    -------
    camera : Camera
        The camera.
    guessed : bool
        Whether it was guessed from this frame alone.

    Raises
    ------
    InputError
        If the file cannot be read, or its header is not enough for a guess.
    """
    if name is not None:
        return named_camera(name), False
    known = identify_camera(read_header(path, cubes=True))
    return (known, False) if known is not None else (guess_camera(path), True)
