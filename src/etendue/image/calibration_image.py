"""Master biases and flats in FITS files: those of etendue, and plain images of other programs."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure
from etendue.image.image import Image
from etendue.image.mask import Mask

_FLAT_LEVEL = (0.5, 2.0)  # of the median of a flat that is normalised
_UNITS = {"bias": "adu", "dark": "electron"}


def read_calibration_image(path: Path, kind: str, bbox: Box) -> tuple[Exposure, bool]:
    """Read a master frame and check that it is of a detector's size.

    Parameters
    ----------
    path : Path
        A file of `etendue.image.fits_exposure.write_exposure`, or any FITS file with one image; its variance is
        then 0, and what is not finite is NO_DATA.
    kind : str
        Dataset type: ``bias``, ``dark``, ``flat``...
        Biases are in ADU, darks in electrons per second, flats have the median 1.
    bbox : Box
        Pixels of the trimmed detector.

    Returns
    -------
    exposure : Exposure
    own : bool
        Whether the file is etendue's own.

    Raises
    ------
    InputError
        The file cannot be read, is of another size, or a flat is not normalised.
    """
    own = _is_own(path)
    exposure = read_exposure(path) if own else _plain(path, kind, bbox)
    if exposure.bbox != bbox:
        raise InputError(f"covers {exposure.bbox.to_list()}, the detector {bbox.to_list()}", source=path,
                         remedy="give the trimmed frame of this detector")  # fmt: skip
    pixels = exposure.image.array
    level = float(np.nanmedian(pixels)) if np.isfinite(pixels).any() else float("nan")
    if not np.isfinite(level):
        raise InputError(f"the {kind} has no finite pixel", source=path, remedy="leave it out")
    if kind == "flat" and not _FLAT_LEVEL[0] < level < _FLAT_LEVEL[1]:
        raise InputError("the flat is not normalised", source=path, value=level, remedy="divide it by its median")
    return exposure, own


def _is_own(path: Path) -> bool:
    try:
        return fits.getheader(path).get("ETTYPE") == "exposure"
    except Exception as error:  # astropy reports damage by many kinds of exceptions
        raise InputError(f"cannot be read as FITS: {error}", source=path, remedy="replace or leave it out") from error


def _plain(path: Path, kind: str, bbox: Box) -> Exposure:
    try:
        with fits.open(path, memmap=False) as hdus:
            planes = [np.asarray(hdu.data, np.float32) for hdu in hdus if hdu.is_image and hdu.data is not None]
    except Exception as error:
        raise InputError(f"cannot be read as FITS: {error}", source=path, remedy="replace or leave it out") from error
    if len(planes) != 1 or planes[0].ndim != 2:
        raise InputError("holds not one image", source=path, value=[plane.shape for plane in planes],
                         remedy="give one image per file")  # fmt: skip
    box = Box.from_shape(planes[0].shape, y0=bbox.y.start, x0=bbox.x.start)
    mask = Mask.empty(box)
    mask.set_plane("NO_DATA", ~np.isfinite(planes[0]))
    variance = Image(np.zeros(box.shape, np.float32), box)
    return Exposure(image=Image(planes[0], box), mask=mask, variance=variance, unit=_UNITS.get(kind, ""))
