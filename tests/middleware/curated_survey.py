"""A camera's calibrations made of nothing but numbers, in a repository and as files."""

from pathlib import Path

import numpy as np

from etendue.camera.shipped import load_camera
from etendue.geom.box import Box
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.middleware.repository import Repository

CAMERA = load_camera("simcam")
BOX = CAMERA.detector(0).bbox
DEFECTS = Defects((Box.from_list([0, 1000, 7, 8]), Box.from_list([3, 5, 100, 104])))
GAINS = Ptc(tuple(AmplifierGain(name, 1.5 + k, 0.01, 5.0, 0.02, float("nan"), True) for k, name in enumerate("AB")))
MEASURED = "simcam/measured"


def flat() -> Exposure:
    pixels = np.random.default_rng(3).normal(1.0, 0.01, BOX.shape).astype(np.float32)
    return Exposure(image=Image(pixels, BOX), mask=Mask.empty(BOX), variance=Image(np.full_like(pixels, 1e-4), BOX),
                    physical_filter="r_sim", band="r", detector=0, unit="")  # fmt: skip


def fill(repository: Repository) -> Repository:
    """Register the camera, and put calibrations of detector 0 into a run; none is certified."""
    repository.register_camera(CAMERA)
    key = ("instrument", "detector")
    repository.register_dataset_type("defects", key, "EtendueDefects", calibration=True)
    repository.register_dataset_type("ptc", key, "EtenduePtc", calibration=True)
    repository.register_dataset_type("flat", (*key, "physical_filter"), "EtendueExposure", calibration=True)
    where = {"instrument": "simcam", "detector": 0}
    repository.put(DEFECTS, "defects", where, run=MEASURED)
    repository.put(GAINS, "ptc", where, run=MEASURED)
    repository.put(flat(), "flat", where | {"physical_filter": "r_sim"}, run=MEASURED)
    return repository


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ecsv(names: str, rows: str, kind: str = "int64", meta: str = "") -> str:
    columns = "".join(f"# - {{name: {name}, datatype: {kind}}}\n" for name in names.split())
    return f"# %ECSV 1.0\n# ---\n# datatype:\n{columns}{meta}{names}\n{rows}"


def write_folder(folder: Path) -> Path:
    """Write defects of two dates and an end, and gains for all times."""
    write(folder, "README.md", "by hand")
    write(folder, ".git/HEAD", "ref")
    write(folder, "simcam/defects/S00/20250101T000000.yaml", "boxes:\n- {x0: 3, y0: 4, width: 1, height: 9}\n")
    write(folder, "simcam/defects/s00/20250801t000000.ecsv", ecsv("x0 y0 width height", "7 8 2 3\n"))
    write(folder, "simcam/defects/0/20251001T000000.end", "")
    write(folder, "simcam/ptc/S00/19700101T000000.yaml",
          "amplifiers:\n- {name: A, gain: 1.5, read_noise: 5}\n- {name: B, gain: 1.6, read_noise: 5.5}\n")  # fmt: skip
    return folder
