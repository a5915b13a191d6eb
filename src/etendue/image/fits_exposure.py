"""Exposures in FITS files, readable by astropy and DS9 as ordinary images.

Extensions: IMAGE, MASK, VARIANCE (256 x 256 tiles, Rice-compressed), PARTS (one JSON document per
part), BACKGROUND and PSF_* (arrays). IMAGE is quantised at 1/16 of the median noise and VARIANCE
at 1/1000 of its smallest values, with a dither that is subtracted again
on reading, so sums of pixels are not biased. Files of equal exposures are equal, byte for byte.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from astropy.io import fits

from etendue.disk import whole_file
from etendue.errors import EtendueError, InputError
from etendue.geom.box import Box
from etendue.geom.wcs_header import write_wcs
from etendue.image.exposure import Exposure
from etendue.image.fits_parts import PART_NAMES, parts_hdus, parts_to_states, read_part, read_states
from etendue.image.fits_planes import (
    float_hdu,
    image_step,
    mask_hdu,
    plane_box,
    read_float,
    read_mask,
    variance_step,
)

SCHEMA_VERSION = 1
_MAX_SEED = 9999
_FITS_BLOCK = 2880


def write_exposure(exposure: Exposure, path: str | Path, *, seed: int | None = None) -> None:
    """Write an exposure, whole or not at all.

    Parameters
    ----------
    exposure : Exposure
        With any parts.
    path : str or Path
        Local file, which is replaced in one step if it exists, or a URL that fsspec can write.
    seed : int, optional
        Seed of the dither; follows from visit and detector by default.

    Raises
    ------
    InputError
        If the file cannot be written or a part is not JSON-able.
    """
    seed = _seed_of(exposure) if seed is None else seed
    primary = fits.PrimaryHDU(header=fits.Header(_primary_cards(exposure)))
    image = float_hdu("IMAGE", exposure.image, image_step(exposure.variance.array), 1 + seed % _MAX_SEED)
    image.header["BUNIT"] = exposure.unit
    if exposure.wcs is not None:
        image.header.update(write_wcs(exposure.wcs, exposure.bbox)[0])
    step = variance_step(exposure.variance.array)
    variance = float_hdu("VARIANCE", exposure.variance, step, 1 + (seed + 1) % _MAX_SEED)
    hdus = [primary, image, mask_hdu(exposure.mask), variance, *parts_hdus(*parts_to_states(exposure))]
    _write(fits.HDUList(hdus), path)


def read_exposure(path: str | Path, *, component: str | None = None, box: Box | None = None) -> Any:
    """Read an exposure, a part of it, or a cutout.

    Parameters
    ----------
    path : str or Path
        Local file or URL.
    component : str, optional
        Only this: "image", "mask", "variance", "bbox" or an `Exposure` keyword such as "wcs". Parts
        are read without touching pixels.
    box : Box, optional
        Only these pixels, parent coordinates, inside the exposure; only their tiles are read.

    Returns
    -------
    Exposure or object
        The component, if one was asked for; None for a part the exposure does not have.

    Raises
    ------
    InputError
        If the file is not a whole exposure file, is newer than this program, or lacks what was asked.
    """
    with _opened(path) as hdus:
        _check_schema(hdus)
        if component is None:
            states = read_states(hdus)
            planes = {name: _read_plane(hdus, name, box) for name in ("image", "mask", "variance")}
            return Exposure(**planes, **_present({name: read_part(hdus, states, name) for name in PART_NAMES}))
        if component in ("image", "mask", "variance"):
            return _read_plane(hdus, component, box)
        if component == "bbox":
            return plane_box(hdus["IMAGE"].header)
        return read_part(hdus, read_states(hdus), component)


def _present(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not None}


def _read_plane(hdus: fits.HDUList, name: str, box: Box | None) -> Any:
    hdu = hdus[name.upper()]
    return read_mask(hdu, box) if name == "mask" else read_float(hdu, box)


def _seed_of(exposure: Exposure) -> int:
    visit = exposure.visit_info.visit if exposure.visit_info is not None else 0
    return zlib.crc32(f"{visit} {exposure.detector}".encode()) % _MAX_SEED


def _primary_cards(exposure: Exposure) -> dict[str, Any]:
    """Return cards for people and other programs; etendue itself reads PARTS."""
    cards: dict[str, Any] = {"ETTYPE": "exposure", "ETSCHEMA": SCHEMA_VERSION, "DETECTOR": exposure.detector}
    cards.update({"BAND": exposure.band, "FILTER": exposure.physical_filter})
    visit = exposure.visit_info
    if visit is not None:
        cards.update({"INSTRUME": visit.instrument, "VISIT": visit.visit, "OBJECT": visit.object})
        times = {"EXPTIME": visit.exposure_time_s, "MJD-AVG": visit.mjd_tai, "AIRMASS": visit.airmass}
        cards.update({key: value for key, value in times.items() if value == value})
        cards["TIMESYS"] = "TAI"
    if exposure.photo_calib is not None:
        cards.update({"MAGZERO": exposure.photo_calib.zero_point_mag, "MAGKIND": exposure.photo_calib.kind})
    return {key: _ascii(value) if isinstance(value, str) else value for key, value in cards.items()}


def _ascii(text: str) -> str:
    """Return a text that a FITS card can hold."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:60]


def _check_schema(hdus: fits.HDUList) -> None:
    header = hdus[0].header
    if header.get("ETTYPE") != "exposure":
        raise InputError("not an etendue exposure: card ETTYPE", value=header.get("ETTYPE"))
    version = header.get("ETSCHEMA")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"exposure schema is newer than {SCHEMA_VERSION}", value=version, remedy="install a newer etendue"
        )


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size == 0 or size % _FITS_BLOCK:
        raise InputError(f"file is truncated: its size is not a multiple of {_FITS_BLOCK}", source=path, value=size)


@contextmanager
def _opened(path: str | Path) -> Iterator[fits.HDUList]:
    """Open a FITS file, and say in one line what is wrong with it."""
    try:
        if "://" in str(path):
            with fsspec.open(str(path), "rb") as stream, fits.open(stream) as hdus:
                yield hdus
        else:
            _check_size(Path(path))
            with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
                yield hdus
    except EtendueError as error:
        if str(path) in str(error):
            raise
        raise InputError(str(error), source=path) from error
    except FileNotFoundError:
        raise InputError("no such file", source=path) from None
    except Exception as error:  # astropy reports damage by many kinds of exceptions
        raise InputError(
            f"cannot read exposure: {type(error).__name__}: {error}",
            source=path,
            remedy="the file is damaged or foreign",
        ) from error


def _write(hdus: fits.HDUList, path: str | Path) -> None:
    try:
        if "://" in str(path):
            with fsspec.open(str(path), "wb") as stream:
                hdus.writeto(stream)
        else:
            _write_local(hdus, Path(path))
    except OSError as error:
        raise InputError(f"cannot write exposure: {error.strerror or error}", source=path) from error


def _write_local(hdus: fits.HDUList, path: Path) -> None:
    with whole_file(path, "image") as part, part.open("wb") as stream:
        hdus.writeto(stream)
