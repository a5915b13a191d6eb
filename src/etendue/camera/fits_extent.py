"""Whether a FITS file is whole, from its structure alone."""

import bz2
import gzip
import io
import lzma
import warnings
import zlib
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from astropy.io import fits

from etendue.camera.fits_cards import BLOCK, read_cards
from etendue.errors import InputError

_BITPIX = (8, 16, 32, 64, -32, -64)
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def open_unpacked(path: Path) -> BinaryIO:
    """Open a file; one packed by gzip, bzip2 or xz, whatever it is called, is unpacked into memory.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    stream
        Seekable, at the beginning.

    Raises
    ------
    EOFError
        If a packed file ends too early.
    InputError
        If it may not be read, is a folder, or a packed file that is damaged otherwise.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise InputError("is a pipe or device, no FITS file", source=path, remedy="name the file")
        with path.open("rb") as stream:
            begin = stream.read(max(map(len, _PACKED)))
    except IsADirectoryError:
        raise InputError("is a folder, no FITS file", source=path, remedy="name the file") from None
    except PermissionError:
        raise InputError("may not be read", source=path, remedy="change its permissions") from None
    unpack = next((opener for magic, opener in _PACKED.items() if begin.startswith(magic)), None)
    if unpack is None:
        return path.open("rb")
    try:
        with unpack(path) as stream:
            return io.BytesIO(stream.read())
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"cannot be unpacked: {error}", source=path, remedy="fetch it again or leave it out") from None


def missing_bytes(path: Path) -> int:
    """Return how many bytes a FITS file still lacks, as its headers announce them.

    Every HDU is walked; pixels are not read, except of packed files, which have to be unpacked.

    Parameters
    ----------
    path : Path
        The file, which may be growing.

    Returns
    -------
    int
        As `missing_from` says; 1 for a packed file that ends too early.

    Raises
    ------
    InputError
        If it is no FITS file, however much of it comes.
    """
    try:
        with open_unpacked(path) as stream:
            return missing_from(stream, path)
    except EOFError:
        return 1


def missing_from(stream: BinaryIO, path: Path) -> int:
    """Return how many bytes an unpacked FITS file lacks, as its headers announce them.

    Parameters
    ----------
    stream : binary file
        Seekable.
    path : Path
        Named in errors.

    Returns
    -------
    int
        0 for a whole file; at least 1 for one that ends inside a header or inside the data of an HDU. The padding of
        the last block is not asked for, for some programs leave it out.

    Raises
    ------
    InputError
        If it is no FITS file, however much of it comes.
    """
    size = stream.seek(0, io.SEEK_END)
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
            return BLOCK
        data = _data_size(header, path)
        missing = stream.tell() + data - size
        if missing > 0:
            return missing
        begin = stream.tell() + -(-data // BLOCK) * BLOCK
    return 0


def _header(stream: BinaryIO, path: Path, left: int) -> Mapping[str, Any] | None:
    """Return a header; None if the file ends inside it."""
    if left < BLOCK:
        return None
    begin = stream.tell()
    if (plain := read_cards(stream)) is not None:
        return plain
    stream.seek(begin)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd cards are common
            return fits.Header.fromfile(stream, padding=False)
    except EOFError:
        return None
    except OSError as error:
        if "END card" in str(error):
            return None
        raise _damaged(str(error), path) from None


def _data_size(header: Mapping[str, Any], path: Path) -> int:
    """Return the bytes of an HDU's data, without padding; cards that cannot be are refused."""
    try:
        bits, axes = int(header["BITPIX"]), [int(header[f"NAXIS{k + 1}"]) for k in range(int(header["NAXIS"]))]
        if bits not in _BITPIX:
            raise _damaged(f"BITPIX is {bits}", path)
        if header.get("ZIMAGE") is True:
            _check_tiles(header, axes[1], path)
        pixels = prod(axes[1:] if axes[:1] == [0] and header.get("GROUPS") else axes) if axes else 0
        extra = int(header.get("PCOUNT", 0)) if "XTENSION" in header else 0
        size = abs(bits) // 8 * int(header.get("GCOUNT", 1)) * (extra + pixels)
    except (KeyError, IndexError, TypeError, ValueError, fits.VerifyError) as error:
        raise _damaged(str(error), path) from None
    if size < 0:
        raise _damaged("its size is negative", path)
    return size


def _check_tiles(header: Mapping[str, Any], rows: int, path: Path) -> None:
    """Refuse a compressed image whose table does not hold one row per tile: readers would reserve what is announced."""
    lengths = [int(header[f"ZNAXIS{k + 1}"]) for k in range(int(header["ZNAXIS"]))]
    sides = [int(header.get(f"ZTILE{k + 1}", 1 if k else length)) for k, length in enumerate(lengths)]
    if min(sides, default=0) < 1 or prod(-(-n // side) for n, side in zip(lengths, sides, strict=True)) != rows:
        raise _damaged(f"a compressed image of {lengths} pixels in tiles of {sides} is no table of {rows} rows", path)


def _damaged(why: str, path: Path) -> InputError:
    return InputError(f"is no readable FITS file: {why}", source=path, remedy="fetch it again or leave it out")
