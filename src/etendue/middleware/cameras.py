"""Cameras as Rubin Instruments: ``etendue.middleware.cameras.<name>``, made on first access.

A class knows only its name; the YAML comes from the repository (folder ``cameras``) or, for shipped
cameras, from the package.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from lsst.daf.butler import Registry
from lsst.pipe.base import Instrument

from etendue.camera.camera import Camera
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.middleware.formatters import RawFormatter

NO_FILTER = "none"
VISIT_SYSTEMS = {"one": 0, "group": 1}
"""By the rule of the camera."""
_EXPOSURE_MAX = 10**13  # day_obs * 100000 + seq stays below until the year 9999


class EtendueInstrument(Instrument):
    """Base of the instrument classes."""

    camera_name: ClassVar[str] = ""

    @classmethod
    def getName(cls) -> str:  # noqa: N802 (Rubin's name)
        """Return the camera's name, which is the instrument of data IDs."""
        return cls.camera_name

    def register(self, registry: Registry, *, update: bool = False) -> None:
        """Insert the records of a shipped camera; `Repository.register_camera` does it for any."""
        register_records(registry, load_camera(self.camera_name), update=update)

    def getRawFormatter(self, dataId: Any) -> type[RawFormatter]:  # noqa: N802 (Rubin's names)
        """Return the formatter of raw frames."""
        return RawFormatter


@cache
def instrument_class(name: str) -> type[EtendueInstrument]:
    """Return the instrument class of a camera.

    Parameters
    ----------
    name : str
        Camera name.

    Returns
    -------
    type[EtendueInstrument]
    """
    return type(name, (EtendueInstrument,), {"__module__": __name__, "__doc__": f"Camera {name}.", "camera_name": name})


def camera_for(name: str, folders: tuple[Path, ...] = ()) -> Camera:
    """Return a camera by name: from one of the folders, else the shipped one.

    Parameters
    ----------
    name : str
        Camera name.
    folders : tuple of Path
        Folders with ``<name>.yaml``.

    Returns
    -------
    Camera

    Raises
    ------
    InputError
        Neither has it.
    """
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            return _read(path, path.stat().st_mtime_ns)
    return load_camera(name)


@cache
def _read(path: Path, changed_ns: int) -> Camera:
    return Camera.from_yaml(path)


def register_records(registry: Registry, camera: Camera, *, update: bool) -> None:
    """Insert instrument, detector and filter records of a camera.

    Parameters
    ----------
    registry : Registry
        Of a writeable repository.
    camera : Camera
        What to register.
    update : bool
        Replace records that differ.

    Raises
    ------
    InputError
        Another camera of this name is registered and ``update`` is False.
    """
    try:
        with registry.transaction():
            for element, record in _records(camera):
                registry.syncDimensionData(element, record, update=update)
    except Exception as error:  # the conflict's type depends on the database
        raise InputError(
            f"a different camera of this name is registered: {error}", value=camera.name, remedy="register with update"
        ) from error


def _records(camera: Camera) -> list[tuple[str, dict[str, Any]]]:
    instrument = {
        "name": camera.name,
        "class_name": f"{__name__}.{camera.name}",
        "detector_max": max(int(detector.id) for detector in camera.detectors) + 1,
        "exposure_max": _EXPOSURE_MAX,
        "visit_max": _EXPOSURE_MAX,
        "visit_system": VISIT_SYSTEMS[camera.visits],
    }
    records = [("instrument", instrument)]
    records += [
        ("detector", {"instrument": camera.name, "id": int(d.id), "full_name": d.name, "purpose": d.purpose.upper()})
        for d in camera.detectors
    ]
    filters = {entry.physical_filter: entry.band for entry in camera.filters} | {NO_FILTER: NO_FILTER}
    records += [("physical_filter", filter_record(camera.name, name, band)) for name, band in filters.items()]
    names = {"one": "one-to-one", "group": "by-group"}
    records += [("visit_system", {"instrument": camera.name, "id": VISIT_SYSTEMS[rule], "name": name})
                for rule, name in names.items()]  # fmt: skip
    return records


def filter_record(instrument: str, physical_filter: str, band: str) -> dict[str, Any]:
    """Return the dimension record of a filter."""
    return {"instrument": instrument, "name": physical_filter, "band": band}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return instrument_class(name)
