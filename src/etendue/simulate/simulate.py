"""Simulate a small survey: raw frames, a reference catalog and the truth."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from etendue.camera.raw import RawFrame, write_raw
from etendue.log import get_logger
from etendue.simulate.frames import render_bias, render_flat, render_visit
from etendue.simulate.optics import true_wcs
from etendue.simulate.preset import SurveyPreset
from etendue.simulate.refcat import make_refcat, write_refcat
from etendue.simulate.sensor import bad_columns
from etendue.simulate.sky import Columns
from etendue.simulate.survey import NJY_ZERO_POINT, Survey, plan_survey
from etendue.simulate.truth import Truth

_LOG = get_logger(__name__)


def simulate_survey(preset: str | SurveyPreset, out_dir: str | Path, seed: int = 1) -> Truth:
    """Write a simulated survey.

    Parameters
    ----------
    preset : str or SurveyPreset
        ``smoke``, ``demo`` or a preset.
    out_dir : str or Path
        Folder, made if needed; raw frames go to ``bias``, ``flat`` and ``raw``, the truth to ``truth``, the
        reference catalog to ``refcat.csv``.
    seed : int
        Equal seeds give equal files.

    Returns
    -------
    Truth
        The tables that are also in ``truth``.
    """
    survey = plan_survey(preset, seed)
    out = Path(out_dir)
    for name in ("bias", "flat", "raw"):
        (out / name).mkdir(parents=True, exist_ok=True)
    _write_calibrations(survey, out)
    sources, cosmic_rays = _write_visits(survey, out)
    write_refcat(make_refcat(survey), out / "refcat.csv")
    truth = assemble_truth(survey, sources, cosmic_rays)
    truth.write(out / "truth")
    _LOG.info("simulated %s: %d visits in %s", survey.preset.name, len(survey.visits), out)
    return truth


def _write_calibrations(survey: Survey, out: Path) -> None:
    for detector in survey.preset.detectors:
        for index in range(survey.preset.n_bias):
            _write(render_bias(survey, index, detector), out / "bias")
        for band in survey.preset.filters:
            for index in range(survey.preset.n_flat):
                _write(render_flat(survey, band, index, detector), out / "flat")


def _write_visits(survey: Survey, out: Path) -> tuple[list[Columns], list[Columns]]:
    sources, cosmic_rays = [], []
    for visit in survey.visits:
        for detector in survey.preset.detectors:
            frame, scene, rays = render_visit(survey, visit, detector)
            _write(frame, out / "raw")
            sources.append(scene.sources)
            cosmic_rays.append(rays)
    return sources, cosmic_rays


def _write(frame: RawFrame, folder: Path) -> None:
    write_raw(frame, folder / frame.path)


def assemble_truth(survey: Survey, sources: Sequence[Columns], cosmic_rays: Sequence[Columns]) -> Truth:
    """Return the truth tables of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    sources, cosmic_rays : sequence of dict of ndarray
        One table per visit and detector, from `render_visit`.

    Returns
    -------
    Truth
    """
    return Truth(
        {
            "objects": survey.sky.objects,
            "sources": _stack(sources),
            "visits": _visit_table(survey),
            "movers": survey.sky.movers,
            "mover_ephemeris": _ephemeris(survey),
            "light_curves": _light_curves(survey),
            "cosmic_rays": _stack(cosmic_rays),
            "detectors": _detector_table(survey),
        }
    )


def _stack(tables: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _visit_table(survey: Survey) -> Columns:
    scalars = ("visit", "day_obs", "seq", "band", "exposure_time_s", "mjd_tai_begin", "mjd_tai_mid", "airmass")
    conditions = ("zero_point_mag", "sky_electrons", "fwhm_px", "rotation_deg")
    pairs = [(visit, detector) for visit in survey.visits for detector in survey.preset.detectors]
    columns = {name: np.array([getattr(visit, name) for visit, _ in pairs]) for name in scalars + conditions}
    columns["detector"] = np.array([detector for _, detector in pairs])
    maps = [true_wcs(survey.camera, survey.camera.detector(detector), visit) for visit, detector in pairs]
    columns["wcs"] = np.array([json.dumps(wcs.to_dict()) for wcs in maps])
    return columns


def _ephemeris(survey: Survey) -> Columns:
    times = np.array([visit.mjd_tai_mid for visit in survey.visits])
    ra, dec = survey.sky.mover_positions(times)
    movers = survey.sky.movers
    bands = np.array([visit.band for visit in survey.visits])
    n = movers["object_id"].size
    mags = np.stack([movers[f"{band}_mag"] for band in bands], axis=1)
    return {
        "object_id": np.repeat(movers["object_id"], times.size),
        "visit": np.tile([visit.visit for visit in survey.visits], n),
        "band": np.tile(bands, n),
        "mjd_tai": np.tile(times, n),
        "ra": ra.ravel(),
        "dec": dec.ravel(),
        "mag": mags.ravel(),
    }


def _light_curves(survey: Survey) -> Columns:
    objects = survey.sky.objects
    varying = np.flatnonzero(np.isin(objects["type"], ("variable", "transient")))
    mags = np.array([survey.sky.magnitudes(visit.band, visit.mjd_tai_mid)[varying] for visit in survey.visits])
    n = varying.size
    return {
        "object_id": np.tile(objects["object_id"][varying], len(survey.visits)),
        "type": np.tile(objects["type"][varying], len(survey.visits)),
        "visit": np.repeat([visit.visit for visit in survey.visits], n),
        "band": np.repeat([visit.band for visit in survey.visits], n),
        "mjd_tai": np.repeat([visit.mjd_tai_mid for visit in survey.visits], n),
        "mag": mags.ravel(),
        "flux_njy": 10 ** (-0.4 * (mags.ravel() - NJY_ZERO_POINT)),
    }


def _detector_table(survey: Survey) -> Columns:
    rows = [
        (detector, amplifier, bad_columns(survey.camera.detector(detector), survey.seed))
        for detector in survey.preset.detectors
        for amplifier in survey.camera.detector(detector).amplifiers
    ]
    return {
        "detector": np.array([detector for detector, _, _ in rows]),
        "amplifier": np.array([amplifier.name for _, amplifier, _ in rows]),
        "gain": np.array([amplifier.gain for _, amplifier, _ in rows]),
        "read_noise": np.array([amplifier.read_noise for _, amplifier, _ in rows]),
        "dark_column": np.array([columns[0] for _, _, columns in rows]),
        "hot_column": np.array([columns[1] for _, _, columns in rows]),
    }
