"""A survey of hollow files with the dimensions of ``dr1-mini``: 9 detectors of 1k x 1k, six bands, one tract."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from executor_sides import give_file

INPUTS = ("hollow/raw", "hollow/calib", "hollow/shared", "simcam9/calib", "skymaps")
TASKS = (
    "CalibrateImage", "JointCalibrate", "FinalizeVisit", "SummarizeVisit", "MakeWarp", "AssembleCoadd",
    "MeasureObjects", "ForcedPhotometry",
)  # fmt: skip
_BANDS = "ugrizy"
_FIELD = (52.0, -28.0)  # of dr1-mini [deg]
_DITHER_DEG = 0.03
_SCALE_ARCSEC = 0.4
_PATCH_PX = 1000
_PIXEL_MM = 0.01
_SHOT_S, _SPACING_S = 60.0, 240.0


def hollow_pipeline() -> Any:
    """Return the tasks of ``drp`` without their work."""
    from lsst.pipe.base import Pipeline

    pipeline = Pipeline("Data release processing without the work")
    for name in TASKS:
        label = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
        pipeline.addTask(f"hollow_steps.{name}", label)
    return pipeline


def make_hollow_survey(folder: Path, n_visits: int, seed: int = 1) -> Any:
    """Return a new repository with the records and the input datasets of ``n_visits`` visits.

    Parameters
    ----------
    folder : Path
        Of the repository; does not exist yet.
    n_visits : int
        Visits, six bands in turn.
    seed : int
        Of dithers and rotations.

    Returns
    -------
    Repository
    """
    from etendue.camera.shipped import load_camera
    from etendue.geom.skymap import SingleTractSkyMap
    from etendue.middleware.repository import Repository

    camera, repository = load_camera("simcam9"), Repository.create(folder)
    repository.register_camera(camera)
    rng = np.random.default_rng(seed)
    images = [list(_images(camera, rng)) for _ in range(n_visits)]
    _insert_visits(repository, camera, images)
    flat = [(wcs, box) for visit in images for _, wcs, box in visit]
    skymap = SingleTractSkyMap.covering(flat, pixel_scale=_SCALE_ARCSEC, patch_size=_PATCH_PX)
    repository.register_skymap(skymap, "field")
    _add_inputs(repository, folder / "nothing.json", camera, n_visits)
    return repository


def _images(camera: Any, rng: np.random.Generator) -> Iterator[tuple[int, Any, Any]]:
    """Give detector, WCS and box of one visit."""
    from etendue.geom.sky_wcs import SkyWcs

    ra, dec = np.array(_FIELD) + rng.uniform(-_DITHER_DEG, _DITHER_DEG, 2)
    cosine, sine = np.cos(angle := rng.uniform(0.0, 2.0 * np.pi)), np.sin(angle)
    cd = _SCALE_ARCSEC / 3600.0 * np.array([[-cosine, sine], [sine, cosine]])
    for detector in camera.detectors:
        x, y = (511.5 - value / _PIXEL_MM for value in detector.center_mm)
        wcs = SkyWcs.tan(crpix_x=x, crpix_y=y, crval_ra_deg=float(ra), crval_dec_deg=float(dec), cd=cd)
        yield int(detector.id), wcs, detector.bbox


def _insert_visits(repository: Any, camera: Any, images: list[list[tuple[int, Any, Any]]]) -> None:
    from astropy.time import Time, TimeDelta
    from lsst.daf.butler import Timespan
    from lsst.sphgeom import ConvexPolygon

    from etendue.middleware.sky_outline import unit_vectors

    name, filters = camera.name, {entry.band: entry.physical_filter for entry in camera.filters}
    records: dict[str, list[dict[str, Any]]] = {
        "day_obs": [{"instrument": name, "id": 20251014 + k} for k in range(10)], "group": [], "exposure": [],
        "visit": [], "visit_definition": [], "visit_system_membership": [], "visit_detector_region": [],
    }  # fmt: skip
    start, shot_s = Time(60962.0, format="mjd", scale="tai"), TimeDelta(_SHOT_S, format="sec")
    for visit, detectors in enumerate(images, 1):
        begin, key = start + TimeDelta(visit * _SPACING_S, format="sec"), {"instrument": name, "visit": visit}
        shot = {
            "instrument": name, "id": visit, "physical_filter": filters[_BANDS[visit % 6]],
            "day_obs": 20251014 + visit % 10, "timespan": Timespan(begin, begin + shot_s),
        }  # fmt: skip
        corners = {d: unit_vectors(*wcs.pixel_to_sky(x=c[0], y=c[1])) for d, wcs, b in detectors for c in [b.corners()]}
        whole = ConvexPolygon([vector for vectors in corners.values() for vector in vectors])
        records["group"].append({"instrument": name, "name": str(visit)})
        exposure = {"obs_id": str(visit), "group": str(visit), "observation_type": "science"}
        records["exposure"].append(shot | exposure)
        records["visit"].append(shot | {"name": str(visit), "region": whole})
        records["visit_definition"].append(key | {"exposure": visit})
        records["visit_system_membership"].append(key | {"visit_system": 0})
        records["visit_detector_region"] += [
            key | {"detector": detector, "region": ConvexPolygon(vectors)} for detector, vectors in corners.items()
        ]
    for element, rows in records.items():
        repository.butler.registry.insertDimensionData(element, *rows)


def _add_inputs(repository: Any, path: Path, camera: Any, n_visits: int) -> None:
    """Give one small file to the data IDs of all inputs."""
    chips = [{"instrument": camera.name, "detector": int(d.id)} for d in camera.detectors]
    filters = [entry.physical_filter for entry in camera.filters]
    frames = [chip | {"exposure": visit} for visit in range(1, n_visits + 1) for chip in chips]
    shards = [{"htm7": index} for index in _shards()]
    give_file(repository, path, "raw", ("instrument", "exposure", "detector"), frames, INPUTS[0])
    for kind in ("bias", "defects", "ptc"):
        give_file(repository, path, kind, ("instrument", "detector"), chips, INPUTS[1], calibration=True)
    colours = [chip | {"physical_filter": name} for chip in chips for name in filters]
    give_file(
        repository, path, "flat", ("instrument", "detector", "physical_filter"), colours, INPUTS[1], calibration=True
    )
    give_file(repository, path, "refcat", ("htm7",), shards, INPUTS[2])
    repository.certify(("bias", "defects", "ptc", "flat"), run=INPUTS[1], camera=camera.name)


def _shards() -> list[int]:
    from lsst.sphgeom import Angle, Circle, HtmPixelization

    from etendue.middleware.sky_outline import unit_vectors

    circle = Circle(unit_vectors(*_FIELD)[0], Angle.fromDegrees(0.6))
    return [index for begin, end in HtmPixelization(7).envelope(circle) for index in range(begin, end)]
