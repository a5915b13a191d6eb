"""Raw frames of a camera of two tiny CCDs, with headers of any time."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from etendue.camera.camera import Camera

TEXT = """
name: tiny
plate_scale: 1.0
filters: [{physical_filter: r, band: r}, {physical_filter: i, band: i}]
kinds:
  chip:
    pixel_size_mm: 0.01
    gain: 1.5
    read_noise: 5
    saturation: 60000
    amplifiers:
      grid: [1, 1]
      names: [A]
      corners: [LL]
      segment: [40, 32]
      data: "[1:36,1:32]"
      serial_overscan: "[37:40,1:32]"
detectors:
  - {kind: chip, array: [2, 1], pitch_mm: [0.4, 0.4], name: "c{column}", first_id: 1}
header:
  match: {INSTRUME: tiny}
  time: {date: [DATE-OBS]}
  day_obs_offset_hours: -12
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {keywords: [OBSTYPE], values: {object: science, zero: bias, flat: flat, dark: dark}}
  physical_filter: {keywords: [FILTER]}
  sequence: {keywords: [SEQ]}
  group: {keywords: [GROUP]}
  object: {keywords: [OBJECT]}
  detector: {keywords: [CCD]}
  ra: {keywords: [RA], unit: deg}
  dec: {keywords: [DEC], unit: deg}
  rotation: {constant: 0}
"""
CAMERA = Camera.from_yaml(TEXT)
SNAPPING = Camera.from_yaml(TEXT.replace("name: tiny", "name: snapping\nvisits: group"))


def write_tiny(
    folder: Path, seq: int, detector: int = 1, *, kind: str = "object", time: str = "2026-03-20T20:00:00",
    value: int = 1000, checksum: bool = False, name: str = "", **cards: object,
) -> Path:  # fmt: skip
    """Write a frame; further cards replace those of its header."""
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / (name or f"t{seq:05d}_{detector}.fits")
    hdu = fits.PrimaryHDU(np.full((32, 40), value, np.uint16))
    known = {"INSTRUME": "tiny", "OBSTYPE": kind, "FILTER": "r", "EXPTIME": 30.0 * (kind != "zero"), "RA": 150.0,
             "DEC": 2.0, "CCD": detector, "SEQ": seq, "DATE-OBS": time, "OBJECT": "field"}  # fmt: skip
    hdu.header.update(known | cards)
    hdu.writeto(path, checksum=checksum, overwrite=True)
    return path
