"""The cameras that come with etendue, and finding the one that made a file."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from etendue.camera.camera import Camera
from etendue.errors import InputError


def shipped_cameras() -> tuple[str, ...]:
    """Return the names of the shipped cameras, sorted.

    Returns
    -------
    tuple of str
    """
    folder = resources.files("etendue.camera.cameras")
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_camera(name: str) -> Camera:
    """Return a shipped camera, or read a camera YAML file.

    Parameters
    ----------
    name : str
        Name of a shipped camera, or a path that ends in ``.yaml`` or ``.yml``.

    Returns
    -------
    Camera

    Raises
    ------
    InputError
        If there is no such camera or the file is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return Camera.from_yaml(Path(name))
    if name not in shipped_cameras():
        known = ", ".join(shipped_cameras())
        raise InputError("no such camera", value=name, remedy=f"use one of {known}, or a camera YAML file")
    return _load_shipped(name)


def shipped_text(name: str) -> str:
    """Return the YAML of a shipped camera as it was written, with its comments.

    Parameters
    ----------
    name : str
        One of `shipped_cameras`.

    Returns
    -------
    str
    """
    return resources.files("etendue.camera.cameras").joinpath(f"{name}.yaml").read_text()


@cache
def _load_shipped(name: str) -> Camera:
    return Camera.from_yaml(shipped_text(name))


def identify_camera(header: Mapping[str, Any], known: Sequence[Camera] = ()) -> Camera | None:
    """Return the camera that wrote a header.

    Parameters
    ----------
    header : mapping
        FITS header.
    known : sequence of Camera
        Cameras that are tried before the shipped ones; one that names no keywords takes what no other does.

    Returns
    -------
    Camera or None
        None if no camera's ``match`` keywords all agree.
    """
    for camera in (*known, *map(load_camera, shipped_cameras())):
        if camera.header.match and _agrees(header, camera.header.match):
            return camera
    return next((camera for camera in known if not camera.header.match), None)


def _agrees(header: Mapping[str, Any], match: Mapping[str, str | tuple[str, ...]]) -> bool:
    return all(_begins(header.get(keyword, ""), wanted) for keyword, wanted in match.items())


def _begins(value: object, wanted: str | tuple[str, ...]) -> bool:
    prefixes = (wanted,) if isinstance(wanted, str) else wanted
    return str(value).strip().lower().startswith(tuple(prefix.lower() for prefix in prefixes))
