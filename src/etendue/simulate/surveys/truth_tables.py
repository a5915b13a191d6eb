"""Everything that is true of a simulated survey, in tables; the pipelines never see it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from etendue.errors import InputError
from etendue.simulate.ccd.truth import amplifier_truth, brighter_fatter_truth, crosstalk_truth
from etendue.simulate.population.layer import Layer
from etendue.simulate.population.moment import Moment
from etendue.simulate.population.moment_table import moment_table
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.detector_crosstalk import detector_crosstalk_truth
from etendue.simulate.surveys.frames import SimulatedFrame
from etendue.simulate.surveys.scene import Scene
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.surveys.truth_masks import defect_masks, frame_masks
from etendue.simulate.surveys.truth_wcs import wcs_columns
from etendue.simulate.surveys.wavefront_truth import wavefront_truth

Columns = dict[str, NDArray[Any]]

_GRID = 5
_VARYING = ("variables", "agn", "transients", "flashes", "curves")
_MOVING = ("moving", "comets")


@dataclass(frozen=True, slots=True, eq=False)
class SurveyTruth:
    """Tables of truth.

    Parameters
    ----------
    tables : mapping of str to dict of ndarray
        ``sources``: one row per source, exposure and detector (position, flux, PSF, displacement by the air);
        ``exposures``: conditions; ``detectors``: one row per exposure and detector (zero point, PSF in the middle, WCS
        by its parameters and as a grid of sky positions in JSON, saturated and struck pixels); ``masks``: runs of
        pixels (`read_true_mask`); ``survey``: spec in JSON, and seed; ``wavefronts``: Zernike amplitudes over the
        detectors; ``calibrations``: true levels of calibration frames; ``cosmic_rays``; ``amplifiers``, ``crosstalk``,
        ``brighter_fatter``: the CCDs; ``objects_NAME``: one table per layer of the sky; ``light_curves`` and
        ``ephemerides``: what varies and what moves at mid-exposure of every exposure, on a detector or not.
    """

    tables: Mapping[str, Columns]

    def __getitem__(self, name: str) -> Columns:
        """Return a table by name."""
        return self.tables[name]

    def write(self, folder: Path) -> None:
        """Write every table as ``folder/NAME.parquet``.

        Parameters
        ----------
        folder : Path
            Made if it does not exist.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, columns in self.tables.items():
            pq.write_table(to_arrow(columns), folder / f"{name}.parquet")


def read_survey_truth(folder: str | Path) -> SurveyTruth:
    """Read what `SurveyTruth.write` wrote.

    Parameters
    ----------
    folder : str or Path
        The ``truth`` folder of a simulated survey.

    Returns
    -------
    SurveyTruth

    Raises
    ------
    InputError
        If it is no truth folder.
    """
    paths = sorted(Path(folder).glob("*.parquet"))
    names = {path.stem for path in paths}
    if not {"sources", "exposures"} <= names:
        raise InputError("holds no truth of a simulated survey", source=folder, remedy="give its truth folder")
    return SurveyTruth({path.stem: _read(path) for path in paths})


def frame_truth(survey: Survey, frame: SimulatedFrame) -> dict[str, Columns]:
    """Return the rows of one science frame.

    Parameters
    ----------
    survey : Survey
        The survey.
    frame : SimulatedFrame
        From `etendue.simulate.surveys.frames.science_frame`.

    Returns
    -------
    dict of str to dict of ndarray
        Tables ``sources``, ``detectors``, ``cosmic_rays`` and ``masks``.
    """
    scene, info = frame.scene, frame.raw.info
    assert scene is not None
    rays = frame.output.cosmic_rays
    struck: Columns = {} if rays is None else {k: np.asarray(v) for k, v in asdict(rays).items()}
    count = len(next(iter(struck.values()))) if struck else 0
    keys = {"visit": info.exposure_id, "detector": info.detector_id}
    detector = survey.camera.detector(info.detector_id)
    box = detector.bbox
    x, y = (np.linspace(0.0, size - 1.0, _GRID) for size in (box.x.size, box.y.size))
    ra, dec = scene.wcs.pixel_to_sky(x=x[None, :], y=y[:, None])
    masks = frame.output.masks
    row = keys | {
        "band": info.band, "zero_point_mag": scene.zero_point_mag, "sky_electrons": float(np.median(scene.sky)),
        "n_source": len(scene.sources["x"]), "n_saturated_px": int(masks.saturated.sum()),
        "n_cosmic_ray_px": int(masks.cosmic_ray.sum()), "n_defect_px": int(masks.defect.sum()),
        "xSize": box.x.size, "ySize": box.y.size, **_psf_columns(scene, survey.camera.plate_scale),
        "wcs": json.dumps({"x": x.tolist(), "y": y.tolist(), "ra": ra.tolist(), "dec": dec.tolist()}),
        **wcs_columns(scene.wcs),
    }  # fmt: skip
    return {
        "sources": scene.sources,
        "detectors": {name: np.array([value]) for name, value in row.items()},
        "cosmic_rays": {name: np.full(count, value) for name, value in keys.items()} | struck,
        "masks": frame_masks(survey, scene, masks, visit=info.exposure_id, detector=detector),
    }


def survey_truth(survey: Survey, frames: Sequence[dict[str, Columns]]) -> SurveyTruth:
    """Return all tables of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    frames : sequence of dict
        From `frame_truth`, in the order of exposures and detectors.

    Returns
    -------
    SurveyTruth
    """
    tables = {name: _stack([frame[name] for frame in frames]) for name in ("sources", "detectors", "cosmic_rays")}
    tables["masks"] = _stack([defect_masks(survey), *(frame["masks"] for frame in frames)])
    tables["survey"] = {"spec": np.array([survey.spec.model_dump_json()]), "seed": np.array([survey.seed])}
    plans = [asdict(exposure) for exposure in survey.exposures]
    for plan in plans:
        plan["sky_gradient_x"], plan["sky_gradient_y"] = plan.pop("sky_gradient")
    tables["exposures"] = {name: np.array([plan[name] for plan in plans]) for name in plans[0]}
    ccds = [survey.ccd(detector) for detector in survey.detectors]
    tables["amplifiers"] = _stack([amplifier_truth(ccd) for ccd in ccds])
    tables["crosstalk"] = _stack([crosstalk_truth(ccd) for ccd in ccds])
    tables["detector_crosstalk"] = detector_crosstalk_truth(survey)
    tables["brighter_fatter"] = _stack([brighter_fatter_truth(ccd) for ccd in ccds])
    tables["wavefronts"] = _stack([wavefront_truth(survey, e, d) for e in survey.exposures for d in survey.detectors])
    calibrations = [asdict(frame) | {"exposure": frame.exposure} for frame in calibration_frames(survey)]
    if calibrations:
        tables["calibrations"] = {name: np.array([frame[name] for frame in calibrations]) for name in calibrations[0]}
    tables |= object_tables(survey)
    for table, names in (("light_curves", _VARYING), ("ephemerides", _MOVING)):
        layers = [layer for layer in survey.layers if layer.name in names]
        tables[table] = _stack([_seen(survey, layer) for layer in layers])
    return SurveyTruth(tables)


def _psf_columns(scene: Scene, plate_scale: float) -> dict[str, float]:
    """Return the PSF in the middle of a detector, pixels included, under the names of visit summaries."""
    psf = scene.psf
    return {
        "seeing": psf.fwhm_px * plate_scale, "psfSigma": psf.sigma_px, "psfArea": psf.area_px, "psfIxx": psf.ixx,
        "psfIyy": psf.iyy, "psfIxy": psf.ixy, "psfE1": psf.e1, "psfE2": psf.e2,
    }  # fmt: skip


def object_tables(survey: Survey) -> dict[str, Columns]:
    """Return the objects of all layers; those of one kind in one table.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    dict of str to dict of ndarray
        By ``objects_NAME``.
    """
    names = sorted({layer.name for layer in survey.layers})
    return {
        f"objects_{name}": _stack([layer.objects for layer in survey.layers if layer.name == name]) for name in names
    }


def _seen(survey: Survey, layer: Layer) -> Columns:
    """Return what a layer shows in every exposure within the focal plane's reach."""
    moments = [
        Moment(survey.bandpasses[e.band], e.mjd_tai_mid, e.exposure_time_s, e.ra_deg, e.dec_deg, survey.reach_deg,
               survey.camera.observatory)
        for e in survey.exposures
    ]  # fmt: skip
    table = moment_table(layer, moments)
    visits = np.array([exposure.exposure for exposure in survey.exposures])
    return table | {"visit": visits[table.pop("moment")], "kind": np.full(table["mag"].size, layer.name)}


def _stack(tables: Sequence[Mapping[str, NDArray[Any]]]) -> Columns:
    """Join tables; columns that some lack, as users' tables may, are filled with NaN, 0 or empty text."""
    full = [table for table in tables if table and len(next(iter(table.values())))] or list(tables[:1])
    names = dict.fromkeys(name for table in full for name in table)
    return {name: np.concatenate([_column(table, name, full) for table in full]) for name in names}


def _column(table: Mapping[str, NDArray[Any]], name: str, all_tables: Sequence[Mapping[str, NDArray[Any]]]) -> NDArray:
    if name in table:
        return np.asarray(table[name])
    like = next(np.asarray(other[name]) for other in all_tables if name in other)
    size = len(next(iter(table.values())))
    empty = {"f": np.nan, "U": "", "O": ""}.get(like.dtype.kind, 0)
    return np.full((size, *like.shape[1:]), empty, like.dtype)


def to_arrow(columns: Columns) -> pa.Table:
    """Return columns as an Arrow table.

    Parameters
    ----------
    columns : dict of ndarray
        Numbers or text, shape (n, ...); what has more than one axis becomes lists.

    Returns
    -------
    pyarrow.Table
    """
    return pa.table({name: _to_array(values) for name, values in columns.items()})


def _to_array(values: NDArray[Any]) -> pa.Array:
    if values.ndim > 1:
        return pa.array(list(values.reshape(values.shape[0], -1)))
    return pa.array(values.tolist() if values.dtype.kind in "UO" else values)


def _read(path: Path) -> Columns:
    table = pq.read_table(path)
    return {name: _to_numpy(table[name]) for name in table.column_names}


def _to_numpy(column: pa.ChunkedArray) -> NDArray[Any]:
    values = column.to_numpy()
    return values.astype(str) if pa.types.is_string(column.type) else values
