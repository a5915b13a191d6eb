"""A folder of dated calibrations: ``TYPE/DETECTOR[/FILTER]/YYYYMMDDTHHMMSS.SUFFIX``, checked file by file."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote, unquote

from lsst.daf.butler import Timespan

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.errors import InputError
from etendue.image.calibration_image import read_calibration_image
from etendue.image.calibration_text import TEXT_SUFFIXES, read_defects, read_ptc
from etendue.image.defects import Defects
from etendue.image.ptc import Ptc
from etendue.middleware.curated.dates import begin_of, name_of, ranges
from etendue.middleware.formatters import read_json
from etendue.stages.calibrate_image import CalibrateImage
from etendue.stages.stage import Prerequisite
from etendue.tasks.readout.calibrations import Calibrations

END_SUFFIX = ".end"
"""Of an empty file: from its date on nothing is valid."""
_IMAGE_SUFFIXES = (".fits", ".fits.fz")
_PLAIN = ("readme", "license", "licence", "changelog", "copying")  # files for people
_SUFFIXES = {"EtendueExposure": _IMAGE_SUFFIXES, "EtendueDefects": TEXT_SUFFIXES, "EtenduePtc": TEXT_SUFFIXES,
             "EtendueCalibration": (".json",)}  # fmt: skip


@dataclass(frozen=True)
class CuratedFile:
    """One dated file.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Dataset type.
    detector : Detector
        Its detector.
    physical_filter : str
        Its filter; empty where the type has none.
    span : Timespan
        From when to when it is valid.
    """

    path: Path
    kind: str
    detector: Detector
    physical_filter: str
    span: Timespan

    @property
    def date(self) -> str:
        """Begin of its validity, as in the name of a file."""
        return name_of(self.span.begin)

    @property
    def data_id(self) -> dict[str, Any]:
        """Detector and, where the type has one, filter."""
        named = {"physical_filter": self.physical_filter} if self.physical_filter else {}
        return {"detector": self.detector.id, **named}

    def read(self) -> tuple[Any, bool]:
        """Read and check the file.

        Returns
        -------
        value : Exposure, Defects or Ptc
            Its content.
        as_it_is : bool
            Whether the file can be stored as it is.

        Raises
        ------
        InputError
            It does not hold what it should, or not for this detector.
        """
        if self.path.suffix in TEXT_SUFFIXES:
            return self._text(), False
        if self.path.suffix == ".json":
            return self._product(), True
        exposure, own = read_calibration_image(self.path, self.kind, self.detector.bbox)
        if own:
            said = {"detector": exposure.detector, "physical_filter": exposure.physical_filter or self.physical_filter}
            self._compare(said, {"detector": self.detector.id, "physical_filter": self.physical_filter})
        return exposure.replace(detector=self.detector.id, physical_filter=self.physical_filter), own

    def _text(self) -> Defects | Ptc:
        if self.kind == "defects":
            defects, about = read_defects(self.path)
            outside = [box for box in defects.boxes if not self.detector.bbox.contains_box(box)]
            if outside:
                raise InputError(f"a box leaves detector {self.detector.name} of {self.detector.bbox.shape} pixels",
                                 source=self.path, value=outside[0].to_list(), remedy="correct or cut it")  # fmt: skip
            value: Defects | Ptc = defects
        else:
            value, about = read_ptc(self.path)
            known = sorted(amplifier.name for amplifier in self.detector.amplifiers)
            if known != (named := sorted(entry.name for entry in value.amplifiers)):
                raise InputError(f"not the amplifiers of detector {self.detector.name}", source=self.path, value=named,
                                 remedy=f"it has {', '.join(known)}")  # fmt: skip
        self._compare(about, {"dataset_type": self.kind, "detector": self.detector.name})
        return value

    def _product(self) -> Any:
        """Return a crosstalk, linearizer... written by a pipeline; it must name the amplifiers of the detector."""
        try:
            value = read_json(self.path)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"is no {self.kind}: {error}", source=self.path,
                             remedy="export it with 'etendue calib export-curated'") from None  # fmt: skip
        if not isinstance(value, get_type_hints(Calibrations)[self.kind]):
            raise InputError(f"is no {self.kind}", source=self.path, value=type(value).__name__, remedy="move it")
        named = [getattr(one, "name", one) for one in getattr(value, "amplifiers", ())]
        known = [amplifier.name for amplifier in self.detector.amplifiers]
        if named and sorted(named) != sorted(known):
            raise InputError(f"not the amplifiers of detector {self.detector.name}", source=self.path, value=named,
                             remedy=f"it has {', '.join(known)}")  # fmt: skip
        return value

    def _compare(self, said: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for name, value in wanted.items():
            if said.get(name, value) != value:
                raise InputError(f"is of {name} {said[name]!r} by its content, of {value!r} by its folder",
                                 source=self.path, remedy="move it")  # fmt: skip


@dataclass(frozen=True)
class CuratedFolder:
    """All dated calibrations of a camera.

    Parameters
    ----------
    path : Path
        The camera's folder.
    files : tuple of CuratedFile
        Sorted by path.
    hashes : dict of str to str
        SHA-256 of every file, also of those that only end a validity, by path inside the folder.
    """

    path: Path
    files: tuple[CuratedFile, ...]
    hashes: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of all names and contents."""
        return hashlib.sha256("".join(f"{name} {text}\n" for name, text in self.hashes.items()).encode()).hexdigest()

    @property
    def own_label(self) -> str:
        """Date of the latest file and the first digits of the digest."""
        latest = max(name.rpartition("/")[2][:8] for name in self.hashes)
        return f"{latest}-{self.digest[:8]}"


@cache
def kinds() -> dict[str, Prerequisite]:
    """Return the calibrations that pipelines find by date, by dataset type."""
    found = CalibrateImage.connections.values()
    return {one.name: one for one in found if isinstance(one, Prerequisite) and one.calibration}


def suffixes(kind: str) -> tuple[str, ...]:
    """Return the endings of files that hold calibrations of a type.

    Parameters
    ----------
    kind : str
        Dataset type.

    Returns
    -------
    tuple of str
    """
    return _SUFFIXES[kinds()[kind].storage]


def place_of(detector: str, physical_filter: str) -> Path:
    """Return the folder of the calibrations of a detector and filter, below that of their type.

    Parameters
    ----------
    detector : str
        Name of the detector.
    physical_filter : str
        Name of the filter; empty where the type has none.

    Returns
    -------
    Path
        Relative; characters that no name of a file can have stand as ``%2F``.
    """
    parts = [detector, physical_filter] if physical_filter else [detector]
    return Path(*(quote(part, safe=" +,()@'") for part in parts))


def read_folder(folder: Path, camera: Camera) -> CuratedFolder:
    """Find the dated calibrations of a camera; their contents are read later.

    Parameters
    ----------
    folder : Path
        With a folder of the camera's name, or that folder itself.
    camera : Camera
        Names its detectors and filters.

    Returns
    -------
    CuratedFolder

    Raises
    ------
    InputError
        There is nothing, or something that is no calibration; the line names it.
    """
    if not folder.is_dir():
        raise InputError("no such folder", source=folder, remedy="check the path")
    root = folder / camera.name if (folder / camera.name).is_dir() else folder
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and not _is_for_people(path.relative_to(root))]
    if not paths:
        raise InputError(f"holds no calibration of {camera.name}", source=root,
                         remedy="files are named TYPE/DETECTOR/YYYYMMDDTHHMMSS.ecsv")  # fmt: skip
    hashes = {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    return CuratedFolder(root, tuple(_files(root, paths, camera)), hashes)


def _files(root: Path, paths: list[Path], camera: Camera) -> Iterator[CuratedFile]:
    series: dict[tuple[str, int, str], dict[str, Path]] = defaultdict(dict)
    detectors = {detector.id: detector for detector in camera.detectors}
    for path in paths:
        kind, detector, name = _subject(path, path.relative_to(root).parts, camera)
        date = name_of(begin_of(_split(path, kind)))
        dated = series[kind, detector.id, name]
        if date in dated:
            raise InputError("two files of one date", source=path, value=dated[date].name, remedy="keep one")
        dated[date] = path
    for (kind, number, name), dated in series.items():
        spans = ranges(begin_of(date) for date in dated)
        for path, span in zip(dated.values(), spans, strict=True):
            if path.suffix != END_SUFFIX:
                yield CuratedFile(path, kind, detectors[number], name, span)


def _subject(path: Path, parts: tuple[str, ...], camera: Camera) -> tuple[str, Detector, str]:
    """Return dataset type, detector and filter of a file by its folders."""
    if parts[0] not in kinds():
        raise InputError("no calibration that pipelines read", source=path, value=parts[0],
                         remedy=f"they read {', '.join(kinds())}; hidden files and README are passed over")  # fmt: skip
    filtered = "physical_filter" in kinds()[parts[0]].dimensions
    if len(parts) != (4 if filtered else 3):
        raise InputError("lies in the wrong folder", source=path,
                         remedy=f"as {parts[0]}/DETECTOR{'/FILTER' * filtered}/YYYYMMDDTHHMMSS")  # fmt: skip
    name = unquote(parts[2]) if filtered else ""
    known = [one.physical_filter for one in camera.filters]
    if filtered and name not in known:
        raise InputError(f"{camera.name} has no such filter", source=path, value=name,
                         remedy=f"it has {', '.join(known)}")  # fmt: skip
    return parts[0], _detector(path, unquote(parts[1]), camera), name


def _detector(path: Path, text: str, camera: Camera) -> Detector:
    found = [one for one in camera.detectors if one.name == text]
    found = found or [one for one in camera.detectors if one.name.lower() == text.lower()]
    found = found or [one for one in camera.detectors if str(one.id) == text]
    if len(found) != 1:
        some = ", ".join(one.name for one in camera.detectors[:12])
        raise InputError(f"{camera.name} has no such detector", source=path, value=text, remedy=f"it has {some}")
    return found[0]


def _split(path: Path, kind: str) -> str:
    """Return the name of a file without its ending."""
    endings = (*suffixes(kind), END_SUFFIX)
    ending = max((one for one in endings if path.name.endswith(one)), key=len, default="")
    if not ending:
        raise InputError(f"no ending of {kind}", source=path, value=path.suffix, remedy=f"use {', '.join(endings)}")
    date = path.name.removesuffix(ending)
    try:
        begin_of(date)
    except InputError as error:
        raise InputError(str(error), source=path) from None
    if ending == END_SUFFIX and path.stat().st_size:
        raise InputError("ends a validity and is not empty", source=path, remedy="empty it")
    return date


def _is_for_people(relative: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return hidden or (len(relative.parts) == 1 and relative.name.lower().startswith(_PLAIN))
