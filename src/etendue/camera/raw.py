"""Raw frames: one detector's pixels and header, as the camera wrote them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.fits_images import LONG_TEXT
from etendue.camera.fits_images import read_header as read_header
from etendue.camera.fits_images import read_pixels as read_pixels
from etendue.camera.frame_file import frame_in
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import identify_camera
from etendue.camera.translate import translate
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.geom.box import Box

_STRUCTURE = frozenset(
    ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "XTENSION", "BSCALE", "BZERO", "PCOUNT",
     "GCOUNT")
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawFrame:
    """One raw frame of one detector."""

    array: NDArray
    """Pixels as stored, shape (ny, nx) [ADU]."""
    header: Mapping[str, Any]
    """Keyword to value; COMMENT and HISTORY as one text."""
    detector_id: int
    """Detector id."""
    path: str
    """File it came from."""
    info: ObservationInfo
    """Translated header."""
    snap: int = 0
    """Plane of a cube of snaps."""

    def overridden(self, override: FrameOverride, camera: Camera) -> "RawFrame":
        """Return the frame as if its header said what people say.

        Parameters
        ----------
        override : FrameOverride
            What they say.
        camera : Camera
            The camera.

        Returns
        -------
        RawFrame
            The same pixels with another `info`.
        """
        return replace(self, info=translate(self.header, camera, self.path, override, snap=self.snap))

    def called(self, name: str) -> "RawFrame":
        """Return the frame as if its file had another name.

        Parameters
        ----------
        name : str
            Without folders.

        Returns
        -------
        RawFrame
        """
        return replace(self, path=name, info=replace(self.info, file_name=name))


def read_raw(
    path: str | Path,
    camera: Camera | None = None,
    override: FrameOverride | None = None,
    *,
    detector: int | None = None,
    exposure: int | None = None,
) -> RawFrame:
    """Read a raw frame.

    Parameters
    ----------
    path : str or Path
        FITS file, plain or tile-compressed.
    camera : Camera, optional
        The camera; by default the shipped one that the header names.
    override : FrameOverride, optional
        What people say instead of the header.
    detector, exposure : int, optional
        Ids that choose between the frames of a file that holds several.

    Returns
    -------
    RawFrame

    Raises
    ------
    InputError
        If the file is truncated, no FITS image, of the wrong size, its header lacks something, or it holds several
        frames and none is chosen.
    """
    path = Path(path)
    chosen = camera or identify_camera(read_header(path, cubes=True))
    if chosen is None:
        raise InputError(
            "no shipped camera matches its header", source=path, remedy="make a YAML with 'etendue camera guess'"
        )
    frame = frame_in(path, chosen, detector=detector, exposure=exposure)
    info = translate(frame.header, chosen, path, override, snap=frame.snap)
    chosen.detector(info.detector_id).check_shape(frame.shape, path)
    return RawFrame(
        array=frame.pixels(), header=frame.header, detector_id=info.detector_id, path=str(path), info=info,
        snap=frame.snap,
    )  # fmt: skip


def read_info(
    path: str | Path,
    camera: Camera,
    override: FrameOverride | None = None,
    *,
    detector: int | None = None,
    exposure: int | None = None,
) -> ObservationInfo:
    """Translate the header of a raw frame; its pixels are not read.

    Parameters
    ----------
    path : str or Path
        FITS file.
    camera : Camera
        The camera.
    override : FrameOverride, optional
        What people say instead of the header.
    detector, exposure : int, optional
        Ids that choose between the frames of a file that holds several.

    Returns
    -------
    ObservationInfo

    Raises
    ------
    InputError
        As `read_raw`.
    """
    frame = frame_in(path, camera, detector=detector, exposure=exposure)
    return translate(frame.header, camera, path, override, snap=frame.snap)


def write_raw(frame: RawFrame, path: str | Path, camera: Camera | None = None) -> None:
    """Write a raw frame; ``.fz`` in the name means lossless tile compression.

    Parameters
    ----------
    frame : RawFrame
        The frame; its own header is written.
    path : str or Path
        File; it appears whole or not at all.
    camera : Camera, optional
        The camera, whose file layout is kept; without one, the file holds one image.
    """
    write_raws([frame], path, camera)


def write_raws(frames: Sequence[RawFrame], path: str | Path, camera: Camera | None = None) -> None:
    """Write the frames of one exposure into one file.

    Parameters
    ----------
    frames : sequence of RawFrame
        Frames of different detectors; one, for a camera whose files hold one each.
    path : str or Path
        File; it appears whole or not at all. ``.fz`` in the name means lossless tile compression.
    camera : Camera, optional
        The camera, whose file layout is kept; without one, the file holds one image.

    Raises
    ------
    InputError
        If there are several frames, and files of the camera hold one.
    """
    path = Path(path)
    many = camera is not None and camera.files.detectors == "many"
    if len(frames) != 1 and not many:
        raise InputError("files of this camera hold one frame each", source=path, value=len(frames))
    compress = path.name.endswith(".fz")
    shared = {key: value for key, value in frames[0].header.items() if _is_shared(key, value, frames)}
    hdus: list[Any] = []
    in_pieces = False
    for frame in frames:
        detector = None if camera is None else camera.detector(frame.detector_id)
        pieces = _pieces(frame, detector)
        in_pieces = in_pieces or len(pieces) > 1
        own = _to_header(frame.header) if many or not in_pieces else fits.Header()
        hdus += [_hdu(pixels, own, name, compress=compress) for name, pixels in pieces]
    if many or in_pieces:
        hdus.insert(0, fits.PrimaryHDU(header=_to_header(shared)))
    elif compress:
        hdus.insert(0, fits.PrimaryHDU())
    else:
        hdus = [fits.PrimaryHDU(frames[0].array, _to_header(frames[0].header))]
    with whole_file(path, "raw") as part:
        fits.HDUList(hdus).writeto(part)


def _is_shared(key: str, value: Any, frames: Sequence[RawFrame]) -> bool:
    return key != "EXTNAME" and all(frame.header.get(key) == value for frame in frames)


def _pieces(frame: RawFrame, detector: Detector | None) -> list[tuple[str, NDArray]]:
    """Return the images of a frame with their names, in the order of the file."""
    if detector is None or not detector.pieces:
        return [("", frame.array)]
    whole = Box.from_shape(frame.array.shape)
    numbered = all(isinstance(extension, int) for extension, _ in detector.pieces)
    pieces = sorted(detector.pieces, key=lambda piece: piece[0]) if numbered else detector.pieces
    return [("" if numbered else str(name), frame.array[box.slices_in(whole)]) for name, box in pieces]


def _hdu(pixels: NDArray, header: fits.Header, name: str, *, compress: bool) -> Any:
    own = header.copy()
    if name:
        own["EXTNAME"] = name
    pixels = np.ascontiguousarray(pixels)
    return fits.CompImageHDU(pixels, own, compression_type="RICE_1") if compress else fits.ImageHDU(pixels, own)


def _to_header(cards: Mapping[str, Any]) -> fits.Header:
    header = fits.Header()
    for keyword, value in cards.items():
        if keyword in LONG_TEXT:
            for line in str(value).splitlines():
                header.add_comment(line) if keyword == "COMMENT" else header.add_history(line)
        elif keyword not in _STRUCTURE:
            header[keyword] = value
    return header
