"""Whether the bytes of a FITS file are those that its CHECKSUM and DATASUM cards were made of."""

import warnings
from pathlib import Path

from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from etendue.camera.fits_extent import open_unpacked
from etendue.camera.fits_images import readable
from etendue.errors import InputError


def check_sums(path: Path) -> None:
    """Compare every HDU of a file with its CHECKSUM and DATASUM cards; HDUs without them pass.

    Parameters
    ----------
    path : Path
        FITS file, packed or not.

    Raises
    ------
    InputError
        If an HDU was changed after its sums were written, or the file cannot be read.
    """
    with readable(path), open_unpacked(path) as stream, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with fits.open(stream, memmap=False, checksum=True, disable_image_compression=True) as hdus:
            for hdu in hdus:
                hdu.verify_checksum()  # an HDU is read, and checked, when it is asked for
    wrong = [str(w.message) for w in told if issubclass(w.category, AstropyUserWarning) and "failed" in str(w.message)]
    if wrong:
        raise InputError(wrong[0].rstrip(".\n"), source=path, remedy="fetch it again, or leave out --verify")
