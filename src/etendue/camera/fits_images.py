"""Reading images from FITS files: the first one, or any extension without the others."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.camera.fits_cards import read_cards
from etendue.camera.fits_extent import missing_from, open_unpacked
from etendue.errors import InputError

LONG_TEXT = ("COMMENT", "HISTORY", "")
"""Cards that may stand many times: they are read as one text."""

_CACHED_FILES = 8  # a worker reads the detectors of one file after each other


@dataclass(frozen=True, slots=True, eq=False)
class ImageHdu:
    """An image in a FITS file, plain or tile-compressed.

    Parameters
    ----------
    number : int
        HDU, 0 for the primary.
    name : str
        EXTNAME as it stands there; empty without one.
    header : dict
        Its own cards.
    shape : tuple of int
        Lengths of the axes, slowest first.
    begin, end : int
        Its bytes in the unpacked file.
    """

    number: int
    name: str
    header: Mapping[str, Any]
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class FitsImages:
    """The images of a FITS file.

    Parameters
    ----------
    path : Path
        The file.
    primary : dict
        Cards of the primary header.
    images : tuple of ImageHdu
        Those with pixels, in the order of the file.
    """

    path: Path
    primary: Mapping[str, Any]
    images: tuple[ImageHdu, ...]

    def pixels(self, hdu: ImageHdu) -> NDArray:
        """Return the pixels of one image; nothing else of the file is read.

        Parameters
        ----------
        hdu : ImageHdu
            One of the images.

        Returns
        -------
        ndarray, shape of ``hdu.shape``

        Raises
        ------
        InputError
            If they cannot be read.
        """
        check_scaling(hdu.header, self.path)
        with readable(self.path), open_unpacked(self.path) as stream:
            stream.seek(hdu.begin)
            alone = stream.read(hdu.end - hdu.begin)
            if hdu.number > 0:  # an extension stands behind a primary header
                alone = fits.PrimaryHDU().header.tostring().encode() + alone
            with fits.open(io.BytesIO(alone), memmap=False) as hdus:
                return np.asarray(hdus[min(hdu.number, 1)].data)


def fits_images(path: Path) -> FitsImages:
    """Return the images of a FITS file, with their headers.

    Parameters
    ----------
    path : Path
        FITS file; remembered until it changes.

    Returns
    -------
    FitsImages

    Raises
    ------
    InputError
        If the file cannot be read, or is cut short.
    """
    with readable(path):
        state = path.stat()
    return _walk(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=_CACHED_FILES)
def _walk(path: Path, changed_ns: int, size: int) -> FitsImages:
    with readable(path), open_unpacked(path) as stream:
        _check_whole(stream, path)
        with fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
            images = tuple(_image(number, hdu) for number, hdu in enumerate(hdus) if is_image(hdu))
            return FitsImages(path, to_dict(hdus[0].header), images)


def _image(number: int, hdu: Any) -> ImageHdu:
    place = hdu.fileinfo()
    header = to_dict(hdu.header)
    shape = tuple(int(header[f"NAXIS{k}"]) for k in range(int(header["NAXIS"]), 0, -1))
    end = place["datLoc"] + place["datSpan"]
    return ImageHdu(number, str(header.get("EXTNAME", "")).strip(), header, shape, place["hdrLoc"], end)


def is_image(hdu: Any) -> bool:
    """Tell whether an HDU of astropy has pixels in two dimensions or more.

    Parameters
    ----------
    hdu : object
        The HDU.

    Returns
    -------
    bool
    """
    return hdu.header.get("NAXIS", 0) >= 2 and getattr(hdu, "is_image", False) and all(hdu.shape)


def read_header(path: str | Path, *, cubes: bool = False) -> dict[str, Any]:
    """Return the header of the first two-dimensional image in a FITS file, primary cards included.

    Parameters
    ----------
    path : str or Path
        FITS file, plain or tile-compressed.
    cubes : bool
        Take a cube too; enough to tell which camera wrote it.

    Returns
    -------
    dict
        Keyword to value.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    return _read_first(Path(path), with_pixels=False, cubes=cubes)[0]


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
    return _read_first(Path(path), with_pixels=True, cubes=False)


def _plain_header(stream: BinaryIO, cubes: bool) -> dict[str, Any] | None:
    """Return the header of a file whose first HDU is the image, if all of its cards are plain; else None."""
    header = read_cards(stream)
    if header is None or header.get("SIMPLE") is not True or "GROUPS" in header:
        return None
    shape = [header.get(f"NAXIS{k}") for k in range(int(header["NAXIS"]), 0, -1)]
    if len(shape) < 2 or not all(shape) or not (cubes or all(length == 1 for length in shape[:-2])):
        return None
    return header


def _read_first(path: Path, *, with_pixels: bool, cubes: bool) -> tuple[dict[str, Any], NDArray]:
    # The file is opened here because astropy leaves it open where it fails.
    with readable(path), open_unpacked(path) as stream:
        _check_whole(stream, path)
        if not with_pixels and (plain := _plain_header(stream, cubes)) is not None:
            check_scaling(plain, path)
            return plain, np.empty((0, 0))
        stream.seek(0)
        with fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
            image = _first_image(hdus, path, cubes)
            header = to_dict(hdus[0].header)
            if image is not hdus[0]:
                header |= to_dict(image.header)
            check_scaling(header, path)
            return header, np.asarray(image.data).reshape(image.shape[-2:]) if with_pixels else np.empty((0, 0))


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a damaged or missing file makes readers raise into one line.

    Parameters
    ----------
    path : Path
        The file.
    """
    remedy = "fetch it again or leave it out"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards are common; a truncated file is checked for
            yield
    except FileNotFoundError:
        raise InputError("no such file", source=path, remedy="check the path") from None
    except EOFError:
        raise InputError("is cut short", source=path, remedy=remedy) from None
    except InputError:
        raise
    except Exception as error:  # a damaged file makes astropy and its decompressor raise almost anything
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        raise InputError(f"is no readable FITS file: {reason}", source=path, remedy=remedy) from None


def _check_whole(stream: BinaryIO, path: Path) -> None:
    """Refuse a file that ends before its data do."""
    remedy = "fetch it again or leave it out"
    if not stream.read(1):
        raise InputError("is empty", source=path, remedy=remedy)
    if missing := missing_from(stream, path):
        raise InputError(f"is cut short: at least {missing} bytes are missing", source=path, remedy=remedy)
    stream.seek(0)


def _first_image(hdus: fits.HDUList, path: Path, cubes: bool) -> Any:
    """Return the first HDU with pixels in two dimensions; others may be there if their lengths are 1, or with cubes."""
    passed = []
    for hdu in hdus:
        if is_image(hdu):
            if cubes or all(length == 1 for length in hdu.shape[:-2]):
                return hdu
            passed.append(hdu.shape)
    raise InputError(
        "holds no two-dimensional image", source=path, value=f"shape {passed[0]}" if passed else None,
        remedy="describe a cube of snaps as 'files: cube' in the camera YAML" if passed else "give raw frames",
    )  # fmt: skip


def check_scaling(header: Mapping[str, Any], path: Path) -> None:
    """Refuse pixels that are scaled by what is no number.

    Parameters
    ----------
    header : mapping
        Of the image.
    path : Path
        The file.

    Raises
    ------
    InputError
        If BZERO or BSCALE cannot be used.
    """
    for keyword in ("BZERO", "BSCALE"):
        value = header.get(keyword, 1.0)
        if isinstance(value, str) or not math.isfinite(value) or (keyword == "BSCALE" and value == 0):
            raise InputError(f"{keyword} scales no pixels", source=path, value=value, remedy="correct the header")


def to_dict(header: fits.Header) -> dict[str, Any]:
    """Return the cards of a header; COMMENT and HISTORY as one text each, odd and empty cards left out.

    Parameters
    ----------
    header : astropy.io.fits.Header
        The header.

    Returns
    -------
    dict
        Keyword to value.
    """
    result: dict[str, Any] = {}
    for card in header.cards:
        try:
            keyword, value = card.keyword, card.value
        except (fits.VerifyError, ValueError):
            continue
        if keyword in LONG_TEXT:
            if keyword:
                result[keyword] = f"{result[keyword]}\n{value}" if keyword in result else str(value)
        elif not isinstance(value, fits.card.Undefined):
            result[keyword] = value
    return result
