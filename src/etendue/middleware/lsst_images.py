"""Images of etendue as objects of Rubin's package ``lsst-images``, and back; that package needs Python 3.12.

PSF and calibrations have models of their own on both sides and are not converted.
"""

from importlib import import_module
from typing import Any

import numpy as np
from astropy import units
from astropy.wcs import WCS

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.wcs_header import read_wcs, write_wcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.schema.mask_planes import MASK_PLANE_DOCS, MASK_PLANES

_UNITS = {"adu": units.adu, "electron": units.electron, "nJy": units.nJy, "": units.dimensionless_unscaled}


def to_masked_image(exposure: Exposure) -> Any:
    """Return pixels, mask, variance, unit and WCS of an exposure as Rubin's masked image.

    Parameters
    ----------
    exposure : Exposure
        Pixels are shared, not copied; the mask is copied.

    Returns
    -------
    lsst.images.MaskedImage
        All mask planes that the exposure has, under their names, with descriptions.

    Raises
    ------
    InputError
        If ``lsst-images`` is not installed, or the WCS is none that FITS can express.
    """
    lsst = _package()
    box = _to_box(lsst, exposure.bbox)
    projection = None if exposure.wcs is None else _to_projection(lsst, exposure.wcs, exposure.bbox)
    unit = _UNITS[exposure.unit]
    image = lsst.Image(exposure.image.array, bbox=box, unit=unit, sky_projection=projection)
    variance = lsst.Image(exposure.variance.array, bbox=box, unit=unit**2)
    planes = [lsst.MaskPlane(name, MASK_PLANE_DOCS.get(name, "")) for name in exposure.mask.planes]
    mask = lsst.Mask(schema=lsst.MaskSchema(planes), bbox=box)
    for name in exposure.mask.planes:
        mask.set(name, exposure.mask.any_of(name))
    return lsst.MaskedImage(image, mask=mask, variance=variance)


def from_masked_image(masked: Any, **parts: Any) -> Exposure:
    """Return Rubin's masked image as an exposure.

    Parameters
    ----------
    masked : lsst.images.MaskedImage
        Or anything that is one, such as a visit image. Planes that etendue does not know get bits of their own.
    **parts : object
        Further parts of the exposure, such as ``band``.

    Returns
    -------
    Exposure

    Raises
    ------
    InputError
        If its unit is none of etendue's, or its projection none that FITS can express.
    """
    box = Box.from_shape(masked.image.array.shape, y0=masked.bbox.y.start, x0=masked.bbox.x.start)
    planes = dict(MASK_PLANES)
    for plane in masked.mask.schema:
        if plane is not None and plane.name not in planes:
            planes[plane.name] = max(planes.values()) + 1
    bits = np.zeros(box.shape, np.int32)
    for plane in masked.mask.schema:
        if plane is not None:
            bits |= np.where(masked.mask.get(plane.name), np.int32(1 << planes[plane.name]), np.int32(0))
    return Exposure(
        image=Image(masked.image.array, box), mask=Mask(bits, box, planes), variance=Image(masked.variance.array, box),
        wcs=_from_projection(masked, box), unit=_unit_name(masked.unit), **parts,
    )  # fmt: skip


def _package() -> Any:
    try:
        return import_module("lsst.images")
    except ImportError:
        raise InputError(
            "lsst-images is not installed", remedy="with Python 3.12 or later: pip install lsst-images"
        ) from None


def _to_box(lsst: Any, box: Box) -> Any:
    return lsst.Box(y=lsst.Interval(box.y.start, box.y.stop), x=lsst.Interval(box.x.start, box.x.stop))


def _to_projection(lsst: Any, wcs: SkyWcs, box: Box) -> Any:
    frame = lsst.GeneralFrame(unit=units.pix)
    cards, _ = write_wcs(wcs, box)
    return lsst.SkyProjection.from_fits_wcs(WCS(cards), frame, x0=box.x.start, y0=box.y.start)


def _from_projection(masked: Any, box: Box) -> SkyWcs | None:
    if masked.sky_projection is None:
        return None
    found = masked.sky_projection.as_fits_wcs(masked.bbox, allow_approximation=True)
    if found is None:
        raise InputError(
            "its sky projection cannot be expressed in FITS", remedy="convert it without, or approximate it"
        )
    return read_wcs(dict(found.to_header(relax=True))).shifted(dx=float(box.x.start), dy=float(box.y.start))


def _unit_name(unit: Any) -> str:
    for name, known in _UNITS.items():
        if (unit or units.dimensionless_unscaled) == known:
            return name
    raise InputError("unit of no exposure", value=str(unit), remedy=f"use one of {', '.join(filter(None, _UNITS))}")
