"""Combine calibration frames once there are enough of them."""

from collections import Counter

from etendue.middleware.calibrations import calibration_chain
from etendue.middleware.changes import certify_current
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.repository import Repository
from etendue.middleware.run_report import RunReport
from etendue.tasks.calib.bias import BuildBiasConfig
from etendue.tasks.calib.flat import BuildFlatConfig
from etendue.tasks.readout.calibrations import CALIBRATION_TYPES

Key = tuple[str, int, str]


def buildable(home: Repository, camera: str) -> tuple[str, ...]:
    """Return which calibrations science frames lack although there are frames enough to build them.

    Parameters
    ----------
    home : Repository
        With raw frames of the camera.
    camera : str
        Its name.

    Returns
    -------
    tuple of str
        ``"bias of detector 0"``, ``"flat of detector 0 in filter r"``; sorted.
    """
    raws = home.query("raw", collections=f"{camera}/raw/all")
    records = home.butler.query_dimension_records("exposure", instrument=camera, explain=False, limit=None)
    kinds = {record.id: record.observation_type for record in records}
    found: Counter[Key] = Counter()
    for ref in raws:
        kind = str(kinds[ref.dataId["exposure"]])
        name = "" if kind == "bias" else str(ref.dataId["physical_filter"])
        found[kind, int(ref.dataId["detector"]), name] += 1
    wanted = {("bias", detector, "") for kind, detector, _ in found if kind == "science"}
    wanted |= {("flat", detector, name) for kind, detector, name in found if kind == "science"}
    enough = {"bias": BuildBiasConfig().minimum_frames, "flat": BuildFlatConfig().minimum_frames}
    lacking = [key for key in wanted - _certified(home, camera) if found[key] >= enough[key[0]]]
    return tuple(
        sorted(f"{kind} of detector {d}" + (f" in filter {name}" if name else "") for kind, d, name in lacking)
    )


def _certified(home: Repository, camera: str) -> set[Key]:
    collection = calibration_chain(camera)  # with curated ones: what they give need not be built
    return {
        (kind, int(ref.dataId["detector"]), str(ref.dataId["physical_filter"]) if kind == "flat" else "")
        for kind in ("bias", "flat")
        for ref in home.query(kind, collections=collection, find_first=False)
    }


def calibration_frames(home: Repository, camera: str) -> list[int]:
    """Return the exposures of all calibration frames, sorted.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Name of the camera.

    Returns
    -------
    list of int
    """
    where = "exposure.observation_type IN ('bias', 'flat')"
    refs = home.query("raw", collections=f"{camera}/raw/all", where=where)
    return sorted({int(ref.dataId["exposure"]) for ref in refs})


def build_calibrations(home: Repository, camera: str, *, workers: int) -> RunReport:
    """Build bias, flats, gains and defects of all calibration frames there are, and certify them for all times.

    Parameters
    ----------
    home : Repository
        With bias or flat frames.
    camera : str
        Name of the camera.
    workers : int
        Processes.

    Returns
    -------
    RunReport

    Raises
    ------
    InputError
        If there are no frames.
    """
    output = f"{camera}/calibrations"
    run = run_pipeline(
        home, "calib", inputs=[f"{camera}/defaults"], output=output, where=f"instrument='{camera}'", workers=workers,
        progress=False, reuse=True,
    )  # fmt: skip
    certify_current(home, output, CALIBRATION_TYPES, camera=camera)
    return run
