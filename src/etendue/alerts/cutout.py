"""Cutouts of exposures as small FITS files, laid out as in LSST's alerts."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from astropy.io import fits
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure

_BLOCK = 2880
_CARDS = ("CUTMINX", "CUTMINY", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "CRVAL1", "CRVAL2")


def encode_cutouts(exposure: Exposure, *, x: ArrayLike, y: ArrayLike, size: int = 30, psf: bool = True) -> list[bytes]:
    """Return a FITS file around each position.

    The primary image holds the pixels, MASK the planes, UNCERT the variance (``UTYPE`` VarianceUncertainty) and
    PSFIMAGE the PSF, so ``astropy.nddata.CCDData.read`` opens it as it opens LSST's. Outside the exposure pixels and
    variance are NaN and the mask is NO_DATA. The WCS is the gnomonic one that is tangent at the position.

    Parameters
    ----------
    exposure : Exposure
        Science, template or difference image, with a WCS.
    x, y : array_like, shape (n,)
        Positions, parent pixels.
    size : int
        Side of the square cutouts [px].
    psf : bool
        Whether to add the PSF at the position, when the exposure has one.

    Returns
    -------
    list of bytes
        One file per position.

    Raises
    ------
    InputError
        If the exposure has no WCS.
    """
    if exposure.wcs is None:
        raise InputError("cutouts need an exposure with a WCS")
    xs, ys = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(y, float))
    ra, dec = exposure.wcs.pixel_to_sky(x=xs, y=ys)
    scale = exposure.wcs.jacobian(x=xs, y=ys) / 3600.0
    files = []
    for i in range(xs.size):
        box = Box.around(x=xs[i], y=ys[i], width=size)
        values = (box.x.start, box.y.start, xs[i] - box.x.start + 1, ys[i] - box.y.start + 1)
        cards = dict(zip(_CARDS, (*values, *scale[i].ravel(), ra[i], dec[i]), strict=True))
        stamp = exposure.psf.stamp(x=xs[i], y=ys[i]) if psf and exposure.psf is not None else None
        files.append(_file(exposure, box, cards, stamp))
    return files


def _file(exposure: Exposure, box: Box, cards: Mapping[str, float], stamp: NDArray[np.float64] | None) -> bytes:
    planes = tuple(sorted(exposure.mask.planes.items()))
    no_data = 1 << exposure.mask.planes.get("NO_DATA", 0)
    parts = [
        _patched(_primary_header(box.shape, exposure.unit), cards),
        _data(_window(exposure.image.array, exposure.bbox, box, np.nan), ">f4"),
        _extension_header("MASK", 32, box.shape, planes),
        _data(_window(exposure.mask.array, exposure.bbox, box, no_data), ">i4"),
        _extension_header("UNCERT", -32, box.shape, (("UTYPE", "VarianceUncertainty"),)),
        _data(_window(exposure.variance.array, exposure.bbox, box, np.nan), ">f4"),
    ]
    if stamp is not None:
        parts += [_extension_header("PSFIMAGE", -64, stamp.shape, ()), _data(stamp, ">f8")]
    return b"".join(parts)


def _window(array: NDArray, bbox: Box, box: Box, fill: float) -> NDArray:
    """Return the pixels of ``box``, filled where it sticks out of the image."""
    inside = box.intersection(bbox)
    if inside == box:
        return array[box.slices_in(bbox)]
    window = np.full(box.shape, fill, array.dtype)
    if not inside.is_empty:
        window[inside.slices_in(box)] = array[inside.slices_in(bbox)]
    return window


def _data(array: NDArray, kind: str) -> bytes:
    content = array.astype(kind).tobytes()
    return content + bytes(-len(content) % _BLOCK)


def _patched(header: bytes, cards: Mapping[str, float]) -> bytes:
    """Return the header with the values of some cards replaced (all fit the fixed format)."""
    content = bytearray(header)
    for i in range(0, len(content), 80):
        name = content[i : i + 8].decode("ascii").strip()
        if name in cards:
            value = cards[name]
            text = f"{int(value):20d}" if name.startswith("CUTMIN") else f"{value:20.13E}"
            content[i + 10 : i + 30] = text.encode("ascii")
    return bytes(content)


@cache
def _primary_header(shape: tuple[int, int], unit: str) -> bytes:
    header = fits.PrimaryHDU(np.zeros(shape, np.float32)).header
    header["EXTEND"] = True
    header["CUTMINX"] = (0, "Parent column of the first pixel")
    header["CUTMINY"] = (0, "Parent row of the first pixel")
    header["BUNIT"] = unit
    header["WCSAXES"] = 2
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["RADESYS"] = "ICRS"
    for name in _CARDS[2:]:
        header[name] = 1.0
    return header.tostring().encode("ascii")


@cache
def _extension_header(name: str, bitpix: int, shape: tuple[int, int], cards: tuple[tuple[str, object], ...]) -> bytes:
    kind = {32: np.int32, -32: np.float32, -64: np.float64}[bitpix]
    header = fits.ImageHDU(np.zeros(shape, kind), name=name).header
    for keyword, value in cards:
        header[f"HIERARCH MP_{keyword}" if isinstance(value, int) else keyword] = value
    return header.tostring().encode("ascii")
