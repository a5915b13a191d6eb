"""A small simulated survey among every kind of bad file, for tests."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from etendue.camera.raw import read_pixels
from etendue.simulate.surveys.write import write_survey
from small_surveys import small_survey

GOOD = small_survey("rrr", name="good", bias=3, flat=3, galaxies=0.05)
ELSEWHERE = small_survey("rr", name="elsewhere", galaxies=0.05, start="2025-07-23")
GREEN = small_survey("g", name="green", flat=1, galaxies=0.05, start="2025-07-24")

REFUSED = {
    "truncated.fits.fz": "is cut short",
    "text.fits": "is no FITS file",
    "small.fits": "frame has the wrong size for detector S00",
    "no_time.fits": "no time of observation: DATE-OBS is missing",
    "month_13.fits": "is no date",
    "no_exposure_time.fits": "no valid exposure time in EXPTIME",
    "negative_exposure_time.fits": "no valid exposure time in EXPTIME (got -5.0)",
    "exposure_time_nan.fits": "EXPTIME is no number (got 'NaN')",
    "unknown_filter.fits": "camera simcam has no such filter (got 'z_other')",
    "unknown_type.fits": "IMGTYPE is no known observation type (got 'wibble')",
    "unknown_detector.fits": "camera simcam has no such detector (got '17')",
    "same_exposure.fits": "with other bytes",
}
DEFEATED = {"all_nan.fits": 81, "all_saturated.fits": 82, "blank.fits": 83}


def write_night(folder: Path) -> Path:
    """Write good frames with the bad ones in between; returns the folder of all."""
    for spec in (GOOD, GREEN, ELSEWHERE):
        write_survey(spec, folder / spec.name, seed=2 if spec is ELSEWHERE else 1)
    for path in sorted((folder / "elsewhere" / "raw").iterdir()):
        header, pixels = read_pixels(path)
        path.unlink()
        write(path.with_suffix(""), header, pixels, RA="19:56:00", CRVAL1=header["CRVAL1"] + 6.0)
    raws = sorted((folder / "good" / "raw").iterdir())
    bad = folder / "good" / "unusable"  # after "raw": of two equal exposures the first counts
    bad.mkdir()
    (bad / "truncated.fits.fz").write_bytes(raws[0].read_bytes()[: raws[0].stat().st_size // 2])
    (bad / "text.fits").write_text("Observing log: it was cloudy.\n")
    shutil.copy(raws[1], bad / "double.fits.fz")
    header, pixels = read_pixels(raws[0])
    write(bad / "small.fits", header, pixels[:100, :100], SEQNUM=61)
    write(bad / "no_time.fits", header, pixels, SEQNUM=62, **{"DATE-OBS": None})
    write(bad / "month_13.fits", header, pixels, SEQNUM=63, **{"DATE-OBS": "2025-13-45T01:02:03"})
    write(bad / "no_exposure_time.fits", header, pixels, SEQNUM=64, EXPTIME=None)
    write(bad / "negative_exposure_time.fits", header, pixels, SEQNUM=65, EXPTIME=-5.0)
    write(bad / "exposure_time_nan.fits", header, pixels, SEQNUM=66, EXPTIME="NaN")
    write(bad / "unknown_filter.fits", header, pixels, SEQNUM=67, FILTER="z_other")
    write(bad / "unknown_type.fits", header, pixels, SEQNUM=68, IMGTYPE="wibble")
    write(bad / "unknown_detector.fits", header, pixels, SEQNUM=69, CCDNUM=17)
    write(bad / "same_exposure.fits", header, pixels[::-1])
    write(bad / "all_nan.fits", header, np.full(pixels.shape, np.nan, np.float32), SEQNUM=81)
    write(bad / "all_saturated.fits", header, np.full(pixels.shape, 65535, np.uint16), SEQNUM=82)
    write(bad / "blank.fits", header, np.full(pixels.shape, 1000, np.uint16), SEQNUM=83)
    write(bad / "text_numbers.fits", header, pixels, SEQNUM="84", EXPTIME=" 90.0 ", AIRMASS="1.1", GAIN="1.5")
    return folder


def write(path: Path, header: dict[str, Any], pixels: np.ndarray, **cards: Any) -> None:
    """Write pixels with a header, some cards replaced or (None) dropped."""
    kept = {key: value for key, value in (header | cards).items() if value is not None}
    skipped = ("SIMPLE", "BITPIX", "EXTEND", "XTENSION", "BSCALE", "BZERO", "PCOUNT", "GCOUNT", "COMMENT", "HISTORY")
    plain = {key: value for key, value in kept.items() if key not in skipped and not key.startswith("NAXIS")}
    fits.PrimaryHDU(np.ascontiguousarray(pixels), fits.Header(plain)).writeto(path)
