"""Small sound frames to be damaged: a corner of the simulator's detector with stars, in the usual kinds of file."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from etendue.camera.camera import Camera
from etendue.geom.wcs_header import write_wcs
from etendue.simulate.surveys.frames import science_frame
from etendue.simulate.surveys.survey import Survey
from small_surveys import small_survey

CAMERA = """
name: corner
plate_scale: 0.5
filters: [{physical_filter: r_sim, band: r}, {physical_filter: g_sim, band: g}]
observatory: {name: here, longitude_deg: -70.75, latitude_deg: -30.24, elevation_m: 2650}
detectors:
  - id: 0
    name: S00
    raw_shape: [400, 552]
    amplifiers:
      - {name: A, raw_data: "[9:520,1:400]", bbox: "[1:512,1:400]", raw_serial_overscan: "[523:552,1:400]", gain: 1.5,
         read_noise: 5.0, saturation: 60000}
header:
  match: {INSTRUME: corner}
  time: {date: [DATE-OBS]}
  day_obs_offset_hours: -12
  exposure_time: {keywords: [EXPTIME], unit: s}
  observation_type: {keywords: [IMGTYPE], values: {OBJECT: science}}
  sequence: {keywords: [SEQNUM]}
  physical_filter: {keywords: [FILTER]}
  ra: {keywords: [RA], unit: hour}
  dec: {keywords: [DEC], unit: deg}
  rotation: {keywords: [ROTPA], unit: deg}
  airmass: {keywords: [AIRMASS]}
  gain: {keywords: [GAIN]}
  read_noise: {keywords: [RDNOISE], unit: e}
  temperature: {keywords: [CCDTEMP], unit: C}
"""


def corner_camera() -> Camera:
    """Return the camera of the corner."""
    return Camera.from_yaml(CAMERA)


def write_originals(folder: Path) -> list[Path]:
    """Write one sound science frame as plain, float, compressed, zipped and multi-extension file, and a bias."""
    folder.mkdir(parents=True, exist_ok=True)
    survey = Survey.plan(small_survey("r"))
    frame = science_frame(survey, survey.exposures[0], survey.detectors[0]).raw
    pixels = np.ascontiguousarray(frame.array[:400, :552])
    header = fits.Header()
    header.update({key: value for key, value in frame.header.items() if key not in ("CCDNUM", "INSTRUME")})
    header["INSTRUME"] = "corner"
    cards, _ = write_wcs(frame.info.wcs.shifted(dx=8, dy=0), corner_camera().detectors[0].bbox)
    header.update(cards)
    bias = header.copy()
    bias.update({"IMGTYPE": "bias", "EXPTIME": 0.0})
    noise = np.random.default_rng(1).normal(1000.0, 3.0, pixels.shape).astype(np.uint16)
    hdus = {
        "plain.fits": [fits.PrimaryHDU(pixels, header)],
        "float.fits": [fits.PrimaryHDU(pixels.astype(np.float32), header)],
        "packed.fits.fz": [fits.PrimaryHDU(), fits.CompImageHDU(pixels, header, compression_type="RICE_1")],
        "extension.fits": [fits.PrimaryHDU(header=header), fits.ImageHDU(pixels)],
        "bias.fits": [fits.PrimaryHDU(noise, bias)],
    }
    for number, (name, parts) in enumerate(hdus.items()):
        parts[-1 if name != "extension.fits" else 0].header["SEQNUM"] = 10 + number
        fits.HDUList(parts).writeto(folder / name, overwrite=True)
    return [folder / name for name in hdus]
