"""The true map of the sky onto any frame, from the tables of the truth alone."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.surveys.sky_layers import reach_deg
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.frame_wcs import FrameWcs
from etendue.simulate.telescope.true_wcs import TrueWcs
from etendue.simulate.telescope.turbulence import turbulence

_PLACE = ("center_x", "center_y", "field_x", "field_y", "turn_deg", "deg_per_px")
_NUMBERS = ("ra_deg", "dec_deg", "rotation_deg", "mirrored", "scale")


def wcs_columns(wcs: TrueWcs) -> dict[str, float]:
    """Return the parameters of a map as columns.

    Parameters
    ----------
    wcs : TrueWcs
        The map.

    Returns
    -------
    dict of str to float
        ``wcs_`` and the names of `TrueWcs` and `DetectorPlace`; ``wcs_radial_1``, ``wcs_radial_2``,
        ``wcs_decentring_1``, ``wcs_decentring_2``.
    """
    found: dict[str, float] = {f"wcs_{name}": getattr(wcs, name) for name in _NUMBERS}
    found |= {f"wcs_{name}": getattr(wcs.place, name) for name in _PLACE}
    for name in ("radial", "decentring"):
        found |= {f"wcs_{name}_{number}": value for number, value in enumerate(getattr(wcs, name), start=1)}
    return found


def read_true_wcs(folder: str | Path, *, visit: int, detector: int, air: bool = True) -> FrameWcs:
    """Read where sources are seen on a detector in an exposure.

    Parameters
    ----------
    folder : str or Path
        The ``truth`` folder of a simulated survey.
    visit : int
        Exposure id.
    detector : int
        Detector id.
    air : bool
        Displace sources as the air did; else the map of the optics alone.

    Returns
    -------
    FrameWcs
        Exact for sources of the band's pivot wavelength; refraction moves others by their colour, and ``air_dx``,
        ``air_dy`` of the truth's ``sources`` say by how much in all.

    Raises
    ------
    InputError
        If the survey has no such frame.
    """
    row = _row(Path(folder) / "detectors.parquet", [("visit", "==", visit), ("detector", "==", detector)])
    radial, decentring = ((row[f"wcs_{name}_1"], row[f"wcs_{name}_2"]) for name in ("radial", "decentring"))
    place = DetectorPlace(**{name: row[f"wcs_{name}"] for name in _PLACE})
    numbers = {name: row[f"wcs_{name}"] for name in _NUMBERS}
    optics = TrueWcs(**numbers, radial=radial, decentring=decentring, place=place)
    survey = _row(Path(folder) / "survey.parquet", None)
    spec = SurveySpec.model_validate_json(survey["spec"])
    if not air or spec.telescope.turbulence is None:
        return FrameWcs(optics)
    plan = _row(Path(folder) / "exposures.parquet", [("exposure", "==", visit)])
    plan["sky_gradient"] = plan.pop("sky_gradient_x"), plan.pop("sky_gradient_y")
    reach = reach_deg(load_camera(spec.camera))
    field = turbulence(spec.telescope.turbulence, PlannedExposure(**plan), reach_deg=reach, seed=int(survey["seed"]))
    return FrameWcs(optics, field)


def _row(path: Path, filters: list[tuple[str, str, int]] | None) -> dict[str, Any]:
    """Return the one row of a table that is asked for."""
    if not path.is_file():
        raise InputError("holds no truth of a simulated survey", source=path.parent, remedy="give its truth folder")
    rows: list[dict[str, Any]] = pq.read_table(path, filters=filters).to_pylist()
    if not rows:
        raise InputError(
            "no such frame in the survey", source=path.parent, value=[value for _, _, value in filters or ()]
        )
    return rows[0]
