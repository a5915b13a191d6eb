"""Raw frames of the simulated camera, made of nothing but a number."""

from pathlib import Path

import numpy as np

from etendue.camera.header_writer import write_header
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame, write_raw
from etendue.camera.shipped import load_camera

CAMERA = load_camera("simcam")
NIGHT = 20260320


def info(seq: int, kind: str, detector: int = 0) -> ObservationInfo:
    begin = 61120.2 + seq / 1000
    return ObservationInfo(
        instrument="simcam",
        detector_id=detector,
        exposure_id=NIGHT * 100000 + seq,
        day_obs=NIGHT,
        seq=seq,
        observation_type=kind,
        physical_filter="r_sim",
        band="r",
        exposure_time_s=30.0 if kind == "science" else 0.0,
        mjd_tai_begin=begin,
        mjd_tai_end=begin + 30.0 / 86400,
        ra_deg=150.0,
        dec_deg=2.0,
        rotation_deg=0.0,
    )


def write_frame(folder: Path, seq: int, kind: str, detector: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    about = info(seq, kind, detector)
    pixels = np.full((1024, 1104), 1000 + seq, np.uint16)
    header = write_header(about, CAMERA)
    path = folder / f"frame{seq}_{detector}.fits"
    write_raw(RawFrame(array=pixels, header=header, detector_id=detector, path=str(path), info=about), path)
    return path
