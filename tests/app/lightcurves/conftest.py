"""A repository with the light curves of thirty made-up stars: a transit, a sinusoid, constant ones."""

from pathlib import Path

import numpy as np
import pytest

from etendue.camera.shipped import load_camera
from etendue.middleware.repository import Repository
from etendue.table.table import Table
from etendue.tasks.lightcurve.times import bjd_tdb

N_FRAMES, N_STARS = 60, 30
TRANSIT, SINE = 3, 8
MIDDLE, DEPTH, PERIOD = 0.31, 0.03, 0.06
PLACE = {"instrument": "simcam", "skymap": "field", "tract": 0}
MJD_ZERO = 58107


def signals() -> tuple[np.ndarray, np.ndarray]:
    """Return times (MJD, UTC) and what the stars do, shape (n_frames, n_stars)."""
    utc = MJD_ZERO + np.linspace(0.2, 0.42, N_FRAMES)
    value = np.zeros((N_FRAMES, N_STARS))
    value[:, TRANSIT] = DEPTH * np.clip((0.04 - np.abs(utc - MJD_ZERO - MIDDLE)) / 0.008, 0.0, 1.0)
    value[:, SINE] = 0.04 * np.sin(2.0 * np.pi * utc / PERIOD)
    return utc, value


def curve_table() -> Table:
    utc, value = signals()
    star, frame = np.divmod(np.arange(N_FRAMES * N_STARS), N_FRAMES)
    mag = value[frame, star] + 0.003 * np.random.default_rng(1).standard_normal(star.size)
    ra, dec = 31.0 + 0.01 * star, np.full(star.size, 46.7)
    tai = utc + 37.0 / 86400.0
    barycentric = bjd_tdb(tai, ra_deg=31.0 + 0.01 * np.arange(N_STARS), dec_deg=np.full(N_STARS, 46.7))
    one = np.ones(star.size)
    return Table("light_curve", {
        "isolated_star_id": star + 100, "visit": frame + 1, "detector": 0 * star, "band": ["r"] * star.size, "ra": ra,
        "dec": dec, "midpointMjdTai": tai[frame], "mjdUtc": utc[frame], "bjdTdb": barycentric[frame, star],
        "airmass": 1.0 + frame / 100.0, "fwhm": 2.5 * one, "sky": 100.0 * one, "x": 10.0 * one, "y": 20.0 * one,
        "deltaMag": mag, "deltaMagErr": 0.003 * one, "deltaMagDetrended": mag, "usable": frame != 5,
    })  # fmt: skip


def star_table() -> Table:
    k = np.arange(N_STARS)
    claimed = np.isin(k, (TRANSIT, SINE))
    one = np.ones(N_STARS)
    return Table("light_curve_star", {
        "isolated_star_id": k + 100, "band": ["r"] * N_STARS, "detector": 0 * k, "ra": 31.0 + 0.01 * k,
        "dec": np.full(N_STARS, 46.7), "nImage": np.full(N_STARS, N_FRAMES), "nUsable": np.full(N_STARS, N_FRAMES - 1),
        "mag": 12.0 + 0.1 * k, "snr": 300.0 * one, "apertureRadius": 3.0 * one, "isComparison": k < 20,
        "comparisonWeight": np.where(k < 20, 0.05, 0.0), "rms": np.where(claimed, 0.02, 0.003),
        "rmsRobust": 0.003 * one, "rmsDetrended": np.where(claimed, 0.02, 0.003), "rmsExpected": 0.003 * one,
        "stetsonJ": np.where(claimed, 3.0, 0.0), "vonNeumann": np.where(claimed, 0.1, 2.0),
        "dipSnr": np.where(claimed, 20.0, 3.0), "significance": np.where(claimed, 20.0 - 0.1 * k, 1.0),
        "confirmedFraction": np.where(claimed, 0.9, np.nan), "period": np.where(claimed, PERIOD, np.nan),
        "periodFalseAlarm": np.where(claimed, 1e-9, np.nan), "isVariable": claimed,
    })  # fmt: skip


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night") / "repo"
    home = Repository.create(folder)
    home.register_camera(load_camera("simcam"))
    home.register_skymap(skymap(), "field")
    for name, table in (("light_curve", curve_table()), ("light_curve_star", star_table())):
        home.register_dataset_type(name, tuple(PLACE), "EtendueTable")
        home.put(table, name, PLACE, run="simcam/series")
    return folder


def skymap() -> object:
    from etendue.geom.box import Box
    from etendue.geom.sky_wcs import SkyWcs
    from etendue.geom.skymap import SingleTractSkyMap

    cd = np.array([[-5.0, 0.0], [0.0, 5.0]]) / 3600.0
    wcs = SkyWcs.tan(crpix_x=150.0, crpix_y=150.0, crval_ra_deg=31.1, crval_dec_deg=46.7, cd=cd)
    return SingleTractSkyMap.covering([(wcs, Box.from_shape((300, 300)))], pixel_scale=5.0, patch_size=400)
