"""A repository of made-up products with known numbers: three visits of one detector, one patch, one mover."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from etendue.alerts.package import package_alerts
from etendue.archive.archive import Archive
from etendue.camera.shipped import load_camera
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.skymap import SingleTractSkyMap
from etendue.image.defects import Defects
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.image.photo_calib import PhotoCalib
from etendue.image.psf_gaussian import GaussianMixturePsf
from etendue.image.ptc import AmplifierGain, Ptc
from etendue.middleware.journal import Journal, QuantumOutcome
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.write import write_survey
from etendue.table.table import Table
from small_surveys import small_survey

RUN = "simcam/drp/one"
SCATTER_MAS, SCATTER = 12.0, 0.01
RATE = 30.0
MJD = (60949.06, 60949.12, 60949.18, 60949.22, 60949.3, 60949.4)
VARIABLE = 77


@dataclass(frozen=True)
class Survey:
    home: Repository
    visits: tuple[int, ...]


@pytest.fixture(scope="session")
def empty_survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    folder = tmp_path_factory.mktemp("report")
    write_survey(small_survey("rrrrrr", stars=0.0), folder / "frames")
    home = Repository.create(folder / "repo")
    home.register_camera(load_camera("simcam"))
    home.ingest(sorted((folder / "frames" / "raw").iterdir()))
    visits = tuple(sorted(outcome.exposure for outcome in home.define_visits()))
    return Survey(home, visits)


@pytest.fixture(scope="session")
def survey(empty_survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    folder = tmp_path_factory.mktemp("full") / "repo"
    shutil.copytree(empty_survey.home.path, folder)
    full = Survey(Repository.open(folder), empty_survey.visits)
    wcs = wcs_of_field()
    skymap = SingleTractSkyMap.covering([(wcs, Box.from_shape((300, 300)))], pixel_scale=0.5, patch_size=400)
    full.home.register_skymap(skymap, "field")
    put_calibrations(full)
    put_visits(full, wcs)
    put_coadd(full, wcs)
    put_difference(full, wcs)
    put_journal(full)
    return full


def wcs_of_field() -> SkyWcs:
    cd = np.array([[-0.5, 0.0], [0.0, 0.5]]) / 3600.0
    return SkyWcs.tan(crpix_x=150.0, crpix_y=150.0, crval_ra_deg=330.1, crval_dec_deg=-29.9, cd=cd)


def put(survey: Survey, value: object, name: str, storage: str, data_id: dict[str, object]) -> None:
    calibration = name in ("bias", "flat", "ptc", "defects")
    survey.home.register_dataset_type(name, tuple(data_id), storage, calibration=calibration)
    survey.home.put(value, name, data_id, run=RUN)


def exposure(seed: int = 1, shape: tuple[int, int] = (300, 300), noise: float = 10.0, **parts: object) -> Exposure:
    box = Box.from_shape(shape)
    pixels = np.random.default_rng(seed).normal(0.0, noise, shape).astype(np.float32)
    variance = np.full(shape, noise**2, np.float32)
    return Exposure(
        image=Image(pixels, box), mask=Mask.empty(box), variance=Image(variance, box), detector=0, band="r",
        physical_filter="r_sim", **parts,
    )  # fmt: skip


def psf() -> GaussianMixturePsf:
    return GaussianMixturePsf(amplitudes=(1.0,), ixx=(2.0,), iyy=(2.0,), ixy=(0.0,), size=21)


def put_calibrations(survey: Survey) -> None:
    one = {"instrument": "simcam", "detector": 0}
    gains = (
        AmplifierGain("A", 1.5, 0.01, 4.8, 0.05, 1.5, True), AmplifierGain("B", 3.66, 0.02, 4.3, 0.05, 4.95, False),
    )  # fmt: skip
    put(survey, Ptc(gains), "ptc", "EtenduePtc", one)
    facts = {"n_frames": 7, "read_noise_adu": {"A": 3.2, "B": 1.2}, "files": ["b.fits"]}
    put(survey, exposure(metadata=facts, unit="adu"), "bias", "EtendueExposure", one)
    flat = exposure(metadata={"n_frames": 5, "levels_adu": [9e3, 2e4], "files": ["f.fits"]})
    put(survey, flat, "flat", "EtendueExposure", one | {"physical_filter": "r_sim"})
    put(survey, Defects((Box.from_shape((10, 2)),)), "defects", "EtendueDefects", one)


def put_visits(survey: Survey, wcs: SkyWcs) -> None:
    for k, visit in enumerate(survey.visits):
        one = {"instrument": "simcam", "visit": visit}
        put(survey, summary(visit, MJD[k]), "visit_summary", "EtendueTable", one)
        put(survey, stars(visit), "source", "EtendueTable", one | {"detector": 0})
        put(survey, exposure(visit % 97, wcs=wcs), "visit_image", "EtendueExposure", one | {"detector": 0})


def summary(visit: int, mjd: float) -> Table:
    return Table("visit_summary", {
        "visit": [visit], "detector": [0], "band": ["r"], "ra": [330.1], "dec": [-29.9], "expMidptMJD": [mjd],
        "seeing": [1.25], "skyBg": [900.0], "zeroPoint": [25.0], "photoCalibKind": ["relative"], "magLim": [22.0],
        "nSource": [300], "astromOffsetStd": [0.012], "photometryScatter": [0.01], "maskedFraction": [0.02],
    })  # fmt: skip


def stars(visit: int, n: int = 300) -> Table:
    rng, field = np.random.default_rng(visit), np.random.default_rng(5)
    ra, dec = field.uniform(330.0, 330.2, n), field.uniform(-30.0, -29.8, n)
    mas, flux = SCATTER_MAS / 3.6e6, 1e5 * (1 + rng.normal(0, SCATTER, n))
    return Table("source", {
        "sourceId": np.arange(n) + 1 + 1000 * (visit % 100000), "visit": np.full(n, visit),
        "detector": np.zeros(n, int), "band": ["r"] * n, "x": field.uniform(0, 299, n), "y": field.uniform(0, 299, n),
        "ra": ra + rng.normal(0, mas, n) / np.cos(np.radians(dec)), "dec": dec + rng.normal(0, mas, n),
        "psfFlux": flux, "psfFluxErr": np.full(n, 1e5 * SCATTER), "calibFlux": flux,
        "calibFluxErr": np.full(n, 1e5 * SCATTER), "extendedness": np.zeros(n), "isolated_star_id": np.arange(1, n + 1),
    })  # fmt: skip


def put_coadd(survey: Survey, wcs: SkyWcs) -> None:
    place = {"skymap": "field", "tract": 0, "patch": 0}
    inputs = tuple({"visit": visit, "detector": 0, "weight": 1 / 6} for visit in survey.visits)
    one_visit = 10 ** (0.4 * (31.4 - 22.0)) / 5.0 * np.sqrt(np.sum(psf().stamp(x=0.0, y=0.0) ** 2))
    coadd = exposure(
        noise=float(one_visit) / np.sqrt(6.0), psf=psf(), wcs=wcs, inputs=inputs, photo_calib=PhotoCalib(scale=1.0)
    )
    put(survey, coadd, "deep_coadd", "EtendueExposure", place | {"band": "r"})
    put(survey, coadd, "template_coadd", "EtendueExposure", place | {"band": "r"})
    n = 80
    rng = np.random.default_rng(3)
    objects = {
        "objectId": np.arange(1, n + 1), "coord_ra": rng.uniform(330.0, 330.2, n), "tract": np.zeros(n, int),
        "coord_dec": rng.uniform(-30.0, -29.8, n), "patch": np.zeros(n, int), "r_psfFlux": np.full(n, 2e3),
        "r_psfFluxErr": np.full(n, 20.0), "r_psfMag": rng.uniform(17, 22, n), "r_extendedness": np.zeros(n),
    }  # fmt: skip
    put(survey, Table("object", objects), "object", "EtendueTable", place)
    for k, visit in enumerate(survey.visits):
        flux = rng.normal(2e3, 20.0, n)
        flux[VARIABLE - 1] += 400.0 * np.sin(k)
        forced = {"objectId": objects["objectId"], "visit": np.full(n, visit), "detector": np.zeros(n, int),
                  "coord_ra": objects["coord_ra"], "coord_dec": objects["coord_dec"], "band": ["r"] * n,
                  "psfFlux": flux, "psfFluxErr": np.full(n, 20.0), "midpointMjdTai": np.full(n, MJD[k])}  # fmt: skip
        where = {"instrument": "simcam", "visit": visit, "detector": 0, "skymap": "field", "tract": 0}
        put(survey, Table("forced_source", forced), "forced_source", "EtendueTable", where)


def put_difference(survey: Survey, wcs: SkyWcs) -> None:
    tract, n = {"skymap": "field", "tract": 0}, len(survey.visits)
    hours = (np.array(MJD[:n]) - MJD[0]) * 24.0
    x, y = 60.0 + hours * RATE / 0.5, np.full(n, 80.0)
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    detections = Table("dia_source", {
        "diaSourceId": np.arange(n) + 2**60, "visit": survey.visits, "detector": np.zeros(n, int), "band": ["r"] * n,
        "diaObjectId": np.full(n, 9), "midpointMjdTai": MJD[:n], "ra": ra, "dec": dec, "x": x, "y": y,
        "psfFlux": np.full(n, 900.0), "psfFluxErr": np.full(n, 30.0), "snr": np.full(n, 30.0),
    })  # fmt: skip
    put(survey, detections, "dia_source", "EtendueTable", tract)
    objects = Table("dia_object", {"diaObjectId": [9], "ra": [ra[0]], "dec": [dec[0]], "nDiaSources": [n]})
    put(survey, objects, "dia_object", "EtendueTable", tract)
    for k, visit in enumerate(survey.visits):
        where = {"instrument": "simcam", "visit": visit, "detector": 0}
        put(survey, exposure(k, wcs=wcs), "difference_image", "EtendueExposure", where)
        batch = package_alerts(visit=visit, detector=0, dia_sources=detections.take([k]))
        put(survey, batch, "alert_batch", "EtendueAlertBatch", where)
    night = {"instrument": "simcam", "day_obs": int(str(survey.visits[0])[:8])}
    put(survey, *tracklet(survey, detections, night["day_obs"])[0], night)
    put(survey, *tracklet(survey, detections, night["day_obs"])[1], night)
    Archive(survey.home.path / "archive").publish("dia_object", [objects], key="dia_object")


def tracklet(survey: Survey, found: Table, night: int) -> tuple[tuple[Table, str, str], tuple[Table, str, str]]:
    n, number = len(found), night * 1_000_000 + 1
    track = Table("tracklet", {
        "trackletId": [number], "day_obs": [night], "band": ["r"], "nObs": [n], "nFrames": [n],
        "mjd_tai_ref": [MJD[2]], "ra": [found["ra"][2]], "dec": [found["dec"][2]], "raRate": [-RATE], "decRate": [0.0],
        "raRateErr": [0.05], "decRateErr": [0.05], "rate": [RATE], "positionAngle": [270.0], "rms": [0.08],
        "snr": [30.0], "falseAlarmLog10": [-9.0], "arcLength": [8.0], "mag": [20.0],
    })  # fmt: skip
    names = ("diaSourceId", "visit", "detector", "band", "ra", "dec", "x", "y", "psfFlux", "psfFluxErr", "snr")
    members = Table("tracklet_source", {name: found[name] for name in names} | {
        "trackletId": np.full(n, number), "mjd_tai": found["midpointMjdTai"], "raResidual": np.full(n, 0.01),
        "decResidual": np.full(n, -0.02), "status": ["detected"] * n,
    })  # fmt: skip
    return (track, "tracklet", "EtendueTable"), (members, "tracklet_source", "EtendueTable")


def put_journal(survey: Survey) -> None:
    journal = Journal(survey.home.runs_folder / RUN)
    journal.folder.mkdir(parents=True)
    journal.prepare({"run": RUN, "output": "simcam/drp", "pipeline": "", "inputs": [], "where": ""})
    where: dict[str, int | str] = {"instrument": "simcam", "visit": survey.visits[0], "detector": 0}
    for k in range(4):
        journal.append(QuantumOutcome(f"q{k}", "calibrate_image", where, "succeeded", "", (), 2.0, 1.5, 400.0 + k))
    message = "odd_V.fits refused: 1 flat in filter V, 3 make one"
    journal.append(QuantumOutcome("q4", "build_flat", where, "defeated", message))
    journal.append(QuantumOutcome("q5", "make_warp", where, "failed", "ValueError: <script>alert(1)</script>"))


@pytest.fixture
def scratch(survey: Survey, tmp_path: Path) -> Repository:
    """A copy that a test may damage."""
    shutil.copytree(survey.home.path, tmp_path / "repo")
    return Repository.open(tmp_path / "repo")
