"""Check a camera: its YAML, its geometry, and what it reads from the headers of real frames."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.camera.camera import Camera, read_camera
from etendue.camera.fits_name import without_ending
from etendue.camera.frame_file import FrameHeader, frames_in
from etendue.camera.geometry_check import camera_notes
from etendue.camera.header_reader import CardUse
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import load_camera, shipped_cameras
from etendue.camera.translate import trace_cards
from etendue.errors import InputError
from etendue.qa.focal_plane import focal_plane_plot

_READ_AS = {
    "exposure_time": "exposure_time_s", "time": "mjd_tai_begin", "sequence": "seq", "detector": "detector_id",
    "ra": "ra_deg", "dec": "dec_deg", "rotation": "rotation_deg", "gain": "header_gain",
    "read_noise": "header_read_noise", "temperature": "temperature_c",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """What a camera reads from one frame.

    Parameters
    ----------
    path : Path
        Its file.
    info : ObservationInfo or None
        What was read.
    uses : tuple of CardUse
        Which card gave what, as far as reading came.
    fault : str
        Why it is refused; empty for a good frame.
    """

    path: Path
    info: ObservationInfo | None
    uses: tuple[CardUse, ...]
    fault: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the main quantities of a good frame."""
        info = self.info
        assert info is not None
        return {
            "frame": self.path.name,
            "exposure": str(info.exposure_id),
            "detector": info.detector_id,
            "type": info.observation_type,
            "filter": info.physical_filter,
            "exposure [s]": info.exposure_time_s,
            "mid MJD TAI": round(info.mjd_tai_mid, 5),
            "RA [deg]": round(info.ra_deg, 4),
            "Dec [deg]": round(info.dec_deg, 4),
            "WCS": _wcs(info),
        }

    def row(self) -> dict[str, Any]:
        """Return the main quantities in a row that fits a terminal."""
        info = self.info
        assert info is not None
        return {
            "frame": without_ending(self.path.name),
            "exposure": str(info.exposure_id),
            "det": info.detector_id,
            "type": info.observation_type,
            "band": info.band,
            "time [s]": info.exposure_time_s,
            "mid MJD TAI": f"{info.mjd_tai_mid:.5f}",
            "RA, Dec [deg]": "" if math.isnan(info.ra_deg) else f"{info.ra_deg:.4f} {info.dec_deg:+.4f}",
            "WCS": _wcs(info),
        }

    def trace(self) -> list[dict[str, Any]]:
        """Return for every quantity what was read, which card gave it, and what stands there."""
        rows = []
        for use in self.uses:
            read = getattr(self.info, _READ_AS.get(use.quantity, use.quantity), "") if self.info else ""
            rows.append({
                "quantity": use.quantity, "read as": _short(read), "from": use.card, "stands there": _short(use.value),
            })  # fmt: skip
        if self.info is not None:
            known = {use.quantity for use in self.uses}
            if "airmass" not in known and math.isfinite(self.info.airmass):
                rows.append({"quantity": "airmass", "read as": _short(self.info.airmass), "from": "computed",
                             "stands there": ""})  # fmt: skip
            rows.append({"quantity": "WCS", "read as": _wcs(self.info), "from": _wcs_source(self.info),
                         "stands there": ""})  # fmt: skip
        return rows


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """What was found.

    Parameters
    ----------
    name : str
        Shipped camera or file, as given.
    camera : Camera or None
        None if its YAML has faults.
    faults : tuple of str
        Of the YAML: line, entry, value, remedy.
    notes : tuple of str
        What a person should look at.
    frames : tuple of FrameCheck
        One per frame of every file, in their order; one for a file that is refused as a whole.
    """

    name: str
    camera: Camera | None
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()
    frames: tuple[FrameCheck, ...] = ()

    @property
    def refused(self) -> list[str]:
        """Why frames are refused."""
        return [frame.fault for frame in self.frames if frame.fault]

    def summary(self) -> str:
        """Return the camera in one line."""
        assert self.camera is not None
        counts = sorted({len(detector.amplifiers) for detector in self.camera.detectors})
        amplifiers = "amplifier" if counts == [1] else "amplifiers"
        detectors = len(self.camera.detectors)
        return (
            f"{self.camera.name}: {detectors} detector{'s' if detectors > 1 else ''} of {' or '.join(map(str, counts))}"
            f" {amplifiers}, {len(self.camera.filters)} filters; description ok"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything for machines."""
        return {
            "camera": self.camera.name if self.camera else self.name,
            "yaml_faults": list(self.faults),
            "notes": list(self.notes),
            "frames": [{**frame.facts(), "cards": frame.trace()} for frame in self.frames if frame.info is not None],
            "faults": self.refused,
        }


def check_camera(name: str, paths: Iterable[Path] = ()) -> CameraCheck:
    """Check a camera.

    Parameters
    ----------
    name : str
        Shipped camera, or a YAML file.
    paths : iterable of Path
        Raw files, to read their headers with it.

    Returns
    -------
    CameraCheck

    Raises
    ------
    InputError
        If there is no such camera, or the file is no YAML.
    """
    if name in shipped_cameras():
        camera: Camera | None = load_camera(name)
    elif name.endswith((".yaml", ".yml")):
        camera, faults = read_camera(Path(name))
        if camera is None:
            return CameraCheck(name, None, tuple(str(fault.error(name)) for fault in faults))
    else:
        camera = load_camera(name)  # says what there is
    assert camera is not None
    frames = tuple(frame for path in paths for frame in _frames(path, camera))
    return CameraCheck(name, camera, (), tuple(camera_notes(camera)), frames)


def draw_camera(camera: Camera, path: Path) -> None:
    """Write a picture of the focal plane.

    Parameters
    ----------
    camera : Camera
        The camera.
    path : Path
        PNG file.
    """
    path.write_bytes(focal_plane_plot(camera))


def _frames(path: Path, camera: Camera) -> list[FrameCheck]:
    try:
        return [_frame(frame, camera) for frame in frames_in(path, camera)]
    except InputError as error:
        return [FrameCheck(path, None, (), str(error))]


def _frame(frame: FrameHeader, camera: Camera) -> FrameCheck:
    uses, result = trace_cards(frame.header, camera, frame.path, snap=frame.snap)
    if isinstance(result, InputError):
        return FrameCheck(frame.path, None, tuple(uses), str(result))
    try:
        camera.detector(result.detector_id).check_shape(frame.shape, frame.path)
    except InputError as error:
        return FrameCheck(frame.path, None, tuple(uses), str(error))
    return FrameCheck(frame.path, result, tuple(uses))


def _wcs(info: ObservationInfo) -> str:
    return "no" if info.wcs is None else "rough" if info.wcs_is_approximate else "yes"


def _wcs_source(info: ObservationInfo) -> str:
    if info.wcs is None:
        return ""
    return "pointing and geometry" if info.wcs_is_approximate else "WCS cards"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
