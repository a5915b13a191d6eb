"""Whether a FITS file is whole, from its structure alone."""

import gzip
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from astropy.io import fits

from etendue.errors import InputError

_BLOCK = 2880
_GZIP = b"\x1f\x8b"


def missing_bytes(path: Path) -> int:
    """Return how many bytes a FITS file still lacks, as its headers announce them.

    Every HDU is walked; pixels are not read, except of gzip files, which have to be unpacked.

    Parameters
    ----------
    path : Path
        The file, which may be growing.

    Returns
    -------
    int
        0 for a whole file; at least 1 for one that ends inside a header, inside the data of an HDU, or inside its gzip
        stream. The padding of the last block is not asked for, for some programs leave it out.

    Raises
    ------
    InputError
        If it is no FITS file, however much of it comes.
    """
    with path.open("rb") as stream:
        magic = stream.read(2)
    if magic == _GZIP:
        with gzip.open(path, "rb") as unpacked:
            try:
                whole = cast(BinaryIO, unpacked)
                return _walk(whole, _unpacked_size(whole), path)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                return 1
    with path.open("rb") as stream:
        return _walk(stream, path.stat().st_size, path)


def _unpacked_size(stream: BinaryIO) -> int:
    size = 0
    while chunk := stream.read(1 << 20):
        size += len(chunk)
    stream.seek(0)
    return size


def _walk(stream: BinaryIO, size: int, path: Path) -> int:
    begin = 0
    while begin < size or begin == 0:
        stream.seek(begin)
        first = stream.read(6)
        if begin == 0 and first != b"SIMPLE"[: len(first)]:
            raise InputError("is no FITS file", source=path, remedy="leave it out of the folder")
        if begin > 0 and first != b"XTENSI"[: len(first)]:
            return 0  # what follows the last HDU is no part of it
        stream.seek(begin)
        header = _header(stream, path, size - begin)
        if header is None:
            return _BLOCK
        data = _data_size(header, path)
        missing = stream.tell() + data - size
        if missing > 0:
            return missing
        begin = stream.tell() + -(-data // _BLOCK) * _BLOCK
    return 0


def _header(stream: BinaryIO, path: Path, left: int) -> fits.Header | None:
    """Return a header; None if the file ends inside it."""
    if left < _BLOCK:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards are common
            return fits.Header.fromfile(stream, padding=False)
    except EOFError:
        return None
    except OSError as error:
        if "END card" in str(error):
            return None
        raise InputError(f"is no readable FITS file: {error}", source=path, remedy="fetch it again") from None


def _data_size(header: fits.Header, path: Path) -> int:
    try:
        axes = [int(header[f"NAXIS{k + 1}"]) for k in range(int(header["NAXIS"]))]
        pixels = 1 if axes else 0
        for axis in axes[1:] if axes[:1] == [0] and header.get("GROUPS") else axes:
            pixels *= axis
        extra = int(header.get("PCOUNT", 0)) if "XTENSION" in header else 0
        return abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * (extra + pixels)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"is no readable FITS file: {error}", source=path, remedy="fetch it again") from None
