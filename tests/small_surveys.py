"""Small surveys for tests: `smoke` without what a test does not need, planned and rendered in about a second."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import unit_vector
from etendue.simulate.ccd.spec import CcdSpec
from etendue.simulate.population.observer import Observer, observe_from, tdb_of_tai
from etendue.simulate.population.orbits import Orbits
from etendue.simulate.surveys.header_wcs import header_wcs
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey

RA_DEG, DEC_DEG = 293.0, -21.5
NIGHT = 20250722
_SMOKE = load_survey("smoke")


def small_survey(
    *nights: str, name: str = "small", bias: int = 0, flat: int = 0, stars: float = 0.1, galaxies: float = 0.0,
    start: str = "2025-07-22", ccd: Mapping[str, object] | None = None, **sky: object,
) -> SurveySpec:  # fmt: skip
    """Return a survey of detector 0: the bands of its nights, day after day, and a sky of stars.

    Parameters
    ----------
    *nights : str
        Bands of the visits of each night, in order.
    name : str
        Name.
    bias, flat : int
        Calibration frames; flats of every band.
    stars : float
        Factor on the star counts: 1 is 3,000 on the detector, 100 of them brighter than r = 17; 0 for none.
    galaxies : float
        Factor on the counts of galaxies: 1 is 1,500 on the detector.
    start : str
        Date of the first night.
    ccd : mapping of str to object
        Effects of the CCD that differ from `CcdSpec.everything`; None for one that is off.
    **sky
        Parts of the sky that are wanted besides, as in a survey's YAML.
    """
    smoke = _SMOKE.model_dump(exclude_unset=True)
    shining = {kind: smoke["sky"][kind] | {"density": factor} if factor else None
               for kind, factor in (("stars", stars), ("galaxies", galaxies))}  # fmt: skip
    cadence = {"start": start, "nights": [{"day": day, "bands": bands} for day, bands in enumerate(nights)]}
    content = smoke | {
        "name": name,
        "cadence": smoke["cadence"] | cadence,
        "sky": {"margin_deg": smoke["sky"]["margin_deg"]} | shining | sky,
        "calibrations": {"bias": bias, "flat": flat},
        "ccd": CcdSpec.everything().model_dump() | dict(ccd or {}),
    }
    return SurveySpec.parse(content, name)


def planted(
    spec: SurveySpec, folder: Path, *, variables: Sequence[Sequence[float]] = (),
    transients: Sequence[Sequence[float]] = (), movers: Sequence[Sequence[float]] = (),
) -> SurveySpec:  # fmt: skip
    """Return a survey with objects at pixels of its first frame, by the header's WCS; writes their tables.

    Parameters
    ----------
    spec : SurveySpec
        From `small_survey`.
    folder : Path
        Gets the tables.
    variables : sequence of (x, y, mag)
        RR Lyrae stars with a period of 0.11 days, of this mean r magnitude.
    transients : sequence of (x, y, mag)
        Of constant brightness, in no reference catalog.
    movers : sequence of (x, y, rate_ra, rate_dec, mag)
        Asteroids 1.5 au away, rates in arcsec/h, magnitude to a few tenths.
    """
    survey = Survey.plan(spec.model_copy(update={"sky": spec.sky.model_copy(update={"stars": None})}))
    exposure = survey.exposures[0]
    wcs = header_wcs(survey.camera, survey.detectors[0], exposure)
    tables: list[dict[str, Any]] = []

    def add(holds: str, columns: dict[str, Any], **more: str) -> None:
        path = folder / f"{holds}.parquet"
        pq.write_table(pa.table(columns), path)
        tables.append({"holds": holds, "path": path} | more)

    if len(variables):
        ra, dec, mag = placed(wcs, variables)
        kinds = {"kind": ["rr_lyrae"] * len(ra), "period_day": np.full(len(ra), 0.11)}
        add("variables", kinds | {"ra": ra, "dec": dec, "mag_r": mag})
    if len(transients):
        ra, dec, mag = placed(wcs, transients)
        curve = {"curve": ["flat"] * 4, "band": [*"rrgg"], "day": [0.0, 1e5, 0.0, 1e5], "mag": np.zeros(4)}
        pq.write_table(pa.table(curve), folder / "curve.parquet")
        flat = {"curve": ["flat"] * len(ra), "mag_offset": mag, "ra": ra, "dec": dec}
        add("light_curves", flat, curves=str(folder / "curve.parquet"))
    if len(movers):
        add("orbits", orbits_of(*placed(wcs, movers), observe_from(exposure.mjd_tai_mid, survey.camera.observatory),
                                exposure.mjd_tai_mid))  # fmt: skip
    return spec.model_copy(update={"sky": type(spec.sky).model_validate(spec.sky.model_dump() | {"tables": tables})})


def placed(wcs: SkyWcs, rows: Sequence[Sequence[float]]) -> tuple[np.ndarray, ...]:
    """Return right ascensions and declinations instead of pixels, and what else there is."""
    x, y, *rest = np.array(rows, float).T
    return (*wcs.pixel_to_sky(x=x, y=y), *rest)


def orbits_of(
    ra: np.ndarray, dec: np.ndarray, rate_ra: np.ndarray, rate_dec: np.ndarray, mag: np.ndarray, observer: Observer,
    mjd_tai: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return orbits that are seen at a place with some rates, 1.5 au away."""
    distance = 1.5
    towards, zero = unit_vector(ra, dec), np.zeros_like(ra)
    east, north = unit_vector(ra + 90.0, zero), unit_vector(ra, dec + 90.0)
    turn = np.radians(24.0 / 3600.0) * (rate_ra[:, None] * east + rate_dec[:, None] * north)  # rad per day
    place = observer.position_au + distance * towards
    states = np.hstack([place, observer.velocity_au_day + distance * turn])
    h_mag = mag - 5.0 * np.log10(distance * np.linalg.norm(place, axis=1))
    return asdict(Orbits.from_states(states, float(tdb_of_tai(mjd_tai)))) | {"h_mag": h_mag}
