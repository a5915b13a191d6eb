"""Formatters: how etendue's types are written to and read from the files of a repository."""

import json
from pathlib import Path
from typing import Any, ClassVar

from lsst.daf.butler import FormatterV2, Location
from lsst.resources import ResourcePath
from lsst.utils import doImportType

from etendue.errors import InputError
from etendue.middleware.datastores import fetched_side_files

_TYPE_KEY = "etendue_type"
camera_folders: set[Path] = set()
"""Folders with camera YAML of the repositories opened by this process."""


class _LocalFormatter(FormatterV2):
    """Base of the formatters whose readers and writers work on local paths."""

    can_read_from_local_file: ClassVar[bool] = True

    def _parameters(self) -> dict[str, Any]:
        return dict(self.file_descriptor.parameters or {})


class RawFormatter(_LocalFormatter):
    """Raw frames as the observatory wrote them; the camera is found by the instrument of the data ID."""

    default_extension = ".fits"
    unsupported_parameters = None

    @classmethod
    def validate_extension(cls, location: Location) -> None:
        """Take any name: people call their files what they like, and the content was checked before."""

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a raw frame."""
        from etendue.camera.raw import read_raw
        from etendue.middleware.cameras import camera_for
        from etendue.middleware.overrides import override_for

        folders = (*self._own_cameras(), *sorted(camera_folders))
        camera = camera_for(str(self.data_id["instrument"]), folders)
        detector, exposure = int(self.data_id["detector"]), int(self.data_id["exposure"])
        try:
            frame = read_raw(Path(path), camera, detector=detector, exposure=exposure)
        except InputError:  # stages apply the overrides; here they only make the header readable
            override = override_for(self.data_id, folders)
            if override is None:
                raise
            frame = read_raw(Path(path), camera, override, detector=detector, exposure=exposure)
        place = self.file_descriptor.location.uri
        return frame if place.isLocal else frame.called(place.basename())  # what was fetched has a name of the moment

    def _own_cameras(self) -> tuple[Path, ...]:
        # A file inside the repository leads to the repository's cameras, also in stock tools.
        location = self.file_descriptor.location
        inside = location.pathInStore.path
        if "://" in inside or Path(inside).is_absolute():
            return ()
        if not location.uri.isLocal:
            return (fetched_side_files(ResourcePath(str(location.uri).removesuffix(inside)), "cameras"),)
        path = location.uri.ospath
        return (Path(path.removesuffix(inside)) / "etendue" / "cameras",) if path.endswith(inside) else ()

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write a raw frame."""
        from etendue.camera.raw import write_raw

        write_raw(in_memory_dataset, Path(uri.ospath))


class ExposureFormatter(_LocalFormatter):
    """Exposures as tile-compressed FITS; components and cutouts without reading all pixels."""

    default_extension = ".fits"

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read an exposure, a component, or the cutout given by parameter ``box``."""
        from etendue.image.fits_exposure import read_exposure

        return read_exposure(Path(path), component=component, box=self._parameters().get("box"))

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write an exposure."""
        from etendue.image.fits_exposure import write_exposure

        write_exposure(in_memory_dataset, Path(uri.ospath))


class TableFormatter(_LocalFormatter):
    """Schema-checked tables as Parquet; parameter ``columns`` reads only those."""

    default_extension = ".parquet"

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a table."""
        from etendue.table.parquet import read_table

        return read_table(Path(path), columns=self._parameters().get("columns"))

    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        """Write a table."""
        from etendue.table.parquet import write_table

        write_table(in_memory_dataset, Path(uri.ospath))


class CameraFormatter(_LocalFormatter):
    """Camera descriptions as the YAML that people write."""

    default_extension = ".yaml"
    unsupported_parameters = None

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a camera."""
        from etendue.camera.camera import Camera

        return Camera.from_yaml(Path(path))

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Serialise a camera."""
        return str(in_memory_dataset.to_yaml()).encode()


def read_json(path: str | Path) -> Any:
    """Read a JSON value, or the etendue object that it describes.

    Parameters
    ----------
    path : str or Path
        As `JsonFormatter` writes it.

    Returns
    -------
    object

    Raises
    ------
    InputError
        If it names a type that is not etendue's.
    """
    value = json.loads(Path(path).read_bytes())
    if not isinstance(value, dict) or _TYPE_KEY not in value:
        return value
    name = str(value[_TYPE_KEY])
    if not name.startswith("etendue."):  # a file must not choose foreign code to run
        raise InputError("only types of etendue are read from JSON", source=path, value=name)
    return doImportType(name).from_dict(value["value"])


class JsonFormatter(_LocalFormatter):
    """Plain JSON values, and etendue types with ``to_dict`` and ``from_dict`` (the file names the type)."""

    default_extension = ".json"
    unsupported_parameters = None

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a JSON value or the etendue object it describes."""
        return read_json(path)

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Serialise a JSON value, keys sorted."""
        value = in_memory_dataset
        if hasattr(value, "to_dict"):
            value = {_TYPE_KEY: f"{type(value).__module__}.{type(value).__qualname__}", "value": value.to_dict()}
        return json.dumps(value, sort_keys=True, allow_nan=True).encode()


class SkyMapFormatter(_LocalFormatter):
    """Skymaps as the JSON of their configuration."""

    default_extension = ".json"
    unsupported_parameters = None

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a skymap."""
        from etendue.geom.skymap import skymap_from_dict

        return skymap_from_dict(json.loads(Path(path).read_bytes()))

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Serialise a skymap."""
        return json.dumps(in_memory_dataset.to_dict(), sort_keys=True).encode()


class TextFormatter(_LocalFormatter):
    """UTF-8 text, for instance MPC ADES."""

    default_extension = ".txt"
    unsupported_parameters = None

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read text."""
        return Path(path).read_text(encoding="utf-8")

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Encode text."""
        return str(in_memory_dataset).encode()


class AlertBatchFormatter(_LocalFormatter):
    """Batches of alert packets in LSST's Avro schema."""

    default_extension = ".avro"
    unsupported_parameters = None

    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        """Read a batch of alerts."""
        from etendue.alerts.batch import AlertBatch

        return AlertBatch.from_bytes(Path(path).read_bytes())

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Serialise a batch of alerts."""
        return bytes(in_memory_dataset.to_bytes())
