"""Raw frames: one detector's pixels and header, as the camera wrote them."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.fits_extent import missing_from, open_unpacked
from etendue.camera.frame_override import FrameOverride
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import identify_camera
from etendue.camera.translate import translate
from etendue.disk import whole_file
from etendue.errors import InputError

_STRUCTURE = frozenset(
    ("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "XTENSION", "BSCALE", "BZERO", "PCOUNT", "GCOUNT")
)
_LONG_TEXT = ("COMMENT", "HISTORY", "")


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
        return replace(self, info=translate(self.header, camera, self.path, override))


def read_header(path: str | Path) -> dict[str, Any]:
    """Return the header of the first two-dimensional image in a FITS file, primary cards included.

    Parameters
    ----------
    path : str or Path
        FITS file, plain or tile-compressed.

    Returns
    -------
    dict
        Keyword to value.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    return _read(Path(path), with_pixels=False)[0]


def read_pixels(path: str | Path) -> tuple[dict[str, Any], NDArray]:
    """Return header and pixels of the first two-dimensional image in a FITS file.

    Parameters
    ----------
    path : str or Path
        FITS file, plain or tile-compressed.

    Returns
    -------
    header : dict
        Keyword to value.
    pixels : ndarray, shape (ny, nx)
        Pixels as stored.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    return _read(Path(path), with_pixels=True)


def read_raw(path: str | Path, camera: Camera | None = None, override: FrameOverride | None = None) -> RawFrame:
    """Read a raw frame.

    Parameters
    ----------
    path : str or Path
        FITS file, plain or tile-compressed.
    camera : Camera, optional
        The camera; by default the shipped one that the header names.
    override : FrameOverride, optional
        What people say instead of the header.

    Returns
    -------
    RawFrame

    Raises
    ------
    InputError
        If the file is truncated, no FITS image, of the wrong size, or its header lacks something.
    """
    path = Path(path)
    header, pixels = _read(path, with_pixels=True)
    chosen = camera or identify_camera(header)
    if chosen is None:
        raise InputError(
            "no shipped camera matches its header", source=path, remedy="make a YAML with 'etendue camera guess'"
        )
    info = translate(header, chosen, path, override)
    chosen.detector(info.detector_id).check_shape(pixels.shape, path)
    return RawFrame(array=pixels, header=header, detector_id=info.detector_id, path=str(path), info=info)


def write_raw(frame: RawFrame, path: str | Path) -> None:
    """Write a raw frame; ``.fz`` in the name means lossless tile compression.

    Parameters
    ----------
    frame : RawFrame
        The frame; its own header is written.
    path : str or Path
        File; it appears whole or not at all.
    """
    path = Path(path)
    header = fits.Header()
    for keyword, value in frame.header.items():
        if keyword in _LONG_TEXT:
            for line in str(value).splitlines():
                header.add_comment(line) if keyword == "COMMENT" else header.add_history(line)
        elif keyword not in _STRUCTURE:
            header[keyword] = value
    if path.name.endswith(".fz"):
        image = fits.CompImageHDU(np.ascontiguousarray(frame.array), header, compression_type="RICE_1")
        hdus = fits.HDUList([fits.PrimaryHDU(), image])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(frame.array, header)])
    with whole_file(path, "raw") as part:
        hdus.writeto(part)


def _read(path: Path, *, with_pixels: bool) -> tuple[dict[str, Any], NDArray]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards are common; a truncated file is checked below
            # The file is opened here because astropy leaves it open where it fails.
            with open_unpacked(path) as stream:
                _check_whole(stream, path)
                with fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
                    image = _first_image(hdus, path)
                    header = _to_dict(hdus[0].header) | _to_dict(image.header)
                    _check_scaling(header, path)
                    pixels = np.asarray(image.data).reshape(image.shape[-2:]) if with_pixels else np.empty((0, 0))
    except FileNotFoundError:
        raise InputError("no such file", source=path, remedy="check the path") from None
    except EOFError:
        raise InputError("is cut short", source=path, remedy="fetch it again or leave it out") from None
    except InputError:
        raise
    except Exception as error:  # a damaged file makes astropy and its decompressor raise almost anything
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise InputError(
            f"is no readable FITS file: {reason}", source=path, remedy="fetch it again or leave it out"
        ) from None
    return header, pixels


def _check_whole(stream: BinaryIO, path: Path) -> None:
    """Refuse a file that ends before its data do."""
    remedy = "fetch it again or leave it out"
    if not stream.read(1):
        raise InputError("is empty", source=path, remedy=remedy)
    if missing := missing_from(stream, path):
        raise InputError(f"is cut short: at least {missing} bytes are missing", source=path, remedy=remedy)
    stream.seek(0)


def _first_image(hdus: fits.HDUList, path: Path) -> Any:
    """Return the first HDU with pixels in two dimensions; more of them may be there if their lengths are 1."""
    cubes = []
    for hdu in hdus:
        if hdu.header.get("NAXIS", 0) >= 2 and getattr(hdu, "is_image", False) and all(hdu.shape):
            if all(length == 1 for length in hdu.shape[:-2]):
                return hdu
            cubes.append(hdu.shape)
    raise InputError(
        "holds no two-dimensional image", source=path, value=f"shape {cubes[0]}" if cubes else None,
        remedy="give whole raw frames, one detector and one exposure per file",
    )  # fmt: skip


def _check_scaling(header: Mapping[str, Any], path: Path) -> None:
    """Refuse pixels that are scaled by what is no number."""
    for keyword in ("BZERO", "BSCALE"):
        value = header.get(keyword, 1.0)
        if isinstance(value, str) or not math.isfinite(value) or (keyword == "BSCALE" and value == 0):
            raise InputError(f"{keyword} scales no pixels", source=path, value=value, remedy="correct the header")


def _to_dict(header: fits.Header) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for card in header.cards:
        try:
            keyword, value = card.keyword, card.value
        except (fits.VerifyError, ValueError):
            continue
        if keyword in _LONG_TEXT:
            if keyword:
                result[keyword] = f"{result[keyword]}\n{value}" if keyword in result else str(value)
        elif not isinstance(value, fits.card.Undefined):
            result[keyword] = value
    return result
