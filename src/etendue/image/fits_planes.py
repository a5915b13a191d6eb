"""Pixel planes as compressed FITS images of 256 x 256 tiles."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.image import Image
from etendue.image.mask import Mask

TILE = 256
_IMAGE_STEPS_PER_SIGMA = 16.0
_VARIANCE_RELATIVE_STEP = 1e-3


def image_step(variance: NDArray[np.float32]) -> float:
    """Return the quantisation step of an image: 1/16 of the median pixel noise.

    Parameters
    ----------
    variance : ndarray, float32, shape (ny, nx)
        Variance plane.

    Returns
    -------
    float
        In image units; 0 (keep exactly) if no pixel has a finite positive variance.
    """
    good = variance[np.isfinite(variance) & (variance > 0.0)]
    return math.sqrt(float(np.median(good))) / _IMAGE_STEPS_PER_SIGMA if good.size else 0.0


def variance_step(variance: NDArray[np.float32]) -> float:
    """Return the quantisation step of a variance plane: 1/1000 of its smallest values.

    Parameters
    ----------
    variance : ndarray, float32, shape (ny, nx)
        Variance plane.

    Returns
    -------
    float
        In units of the variance; 0 (keep exactly) if no pixel has a finite positive variance.
    """
    good = variance[np.isfinite(variance) & (variance > 0.0)]
    return float(np.quantile(good, 0.01)) * _VARIANCE_RELATIVE_STEP if good.size else 0.0


def float_hdu(name: str, image: Image, step: float, seed: int) -> fits.CompImageHDU:
    """Return a float plane, quantised with subtractive dither.

    Parameters
    ----------
    name : str
        Extension name.
    image : Image
        Pixels; NaN and exact zeros are kept.
    step : float
        Quantisation step [image units]; 0 compresses without loss.
    seed : int
        Dither seed, 1 to 10000.

    Returns
    -------
    astropy.io.fits.CompImageHDU
    """
    array = np.ascontiguousarray(image.array)
    tiles = _tiles(array)
    if step > 0.0:
        # A negative level is an absolute step; dither method 2 keeps exact zeros.
        hdu = fits.CompImageHDU(
            array,
            name=name,
            compression_type="RICE_1",
            tile_shape=tiles,
            quantize_level=-step,
            quantize_method=2,
            dither_seed=seed,
        )
    else:
        hdu = fits.CompImageHDU(array, name=name, compression_type="GZIP_2", tile_shape=tiles, quantize_level=0.0)
    hdu.header.update(_box_cards(image.bbox))
    return hdu


def mask_hdu(mask: Mask) -> fits.CompImageHDU:
    """Return a mask plane, compressed without loss; cards MP00, MP01... name the bits.

    Parameters
    ----------
    mask : Mask
        Pixels.

    Returns
    -------
    astropy.io.fits.CompImageHDU
    """
    array = np.ascontiguousarray(mask.array)
    hdu = fits.CompImageHDU(array, name="MASK", compression_type="RICE_1", tile_shape=_tiles(array))
    hdu.header.update({f"MP{bit:02d}": name for name, bit in sorted(mask.planes.items(), key=lambda item: item[1])})
    hdu.header.update(_box_cards(mask.bbox))
    return hdu


def plane_box(header: Mapping[str, Any]) -> Box:
    """Return the box of a plane from its header.

    Parameters
    ----------
    header : mapping
        Cards of the plane's extension.

    Returns
    -------
    Box
    """
    shape = (int(header["NAXIS2"]), int(header["NAXIS1"]))
    return Box.from_shape(shape, y0=int(header["BOXY0"]), x0=int(header["BOXX0"]))


def read_float(hdu: fits.CompImageHDU, box: Box | None) -> Image:
    """Return a float plane, or the part of it in a box, reading only the tiles needed.

    Parameters
    ----------
    hdu : astropy.io.fits.CompImageHDU
        Extension.
    box : Box, optional
        Parent coordinates; must lie inside.

    Returns
    -------
    Image
    """
    array, bbox = _pixels(hdu, box)
    return Image(array.astype(np.float32, copy=False), bbox)


def read_mask(hdu: fits.CompImageHDU, box: Box | None) -> Mask:
    """Return a mask plane, or the part of it in a box, with the planes the file names.

    Parameters
    ----------
    hdu : astropy.io.fits.CompImageHDU
        Extension.
    box : Box, optional
        Parent coordinates; must lie inside.

    Returns
    -------
    Mask
    """
    array, bbox = _pixels(hdu, box)
    planes = {str(hdu.header[key]): int(key[2:]) for key in hdu.header if key.startswith("MP") and key[2:].isdigit()}
    return Mask(array.astype(np.int32, copy=False), bbox, planes)


def _pixels(hdu: fits.CompImageHDU, box: Box | None) -> tuple[NDArray[Any], Box]:
    bbox = plane_box(hdu.header)
    if box is None or box == bbox:
        return np.asarray(hdu.data), bbox
    if box.is_empty:
        raise InputError("cutout is empty", value=box.to_list(), remedy=f"choose pixels inside {bbox.to_list()}")
    return np.asarray(hdu.section[box.slices_in(bbox)]), box


def _tiles(array: NDArray[Any]) -> tuple[int, int]:
    if array.size == 0:
        raise InputError("an empty image cannot be written", value=array.shape)
    return min(TILE, array.shape[0]), min(TILE, array.shape[1])


def _box_cards(bbox: Box) -> dict[str, int | float]:
    """Return the origin, also as IRAF's LTV, which DS9 shows as physical coordinates."""
    x0, y0 = bbox.x.start, bbox.y.start
    return {"BOXX0": x0, "BOXY0": y0, "LTV1": float(-x0), "LTV2": float(-y0)}
