"""Dimension records of exposures: what their headers say, in the terms of Rubin's registry."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, DimensionRecord, Timespan

from etendue.camera.observation_info import ObservationInfo
from etendue.middleware.cameras import NO_FILTER, filter_record

_SHORTEST_DAYS = 1e-3 / 86400.0  # a bias lasts no time, but Rubin's time spans must not be empty


def insert_records(butler: Butler, infos: Iterable[ObservationInfo]) -> None:
    """Enter exposures, and what they refer to; those that are there stay as they are.

    Parameters
    ----------
    butler : Butler
        Writeable.
    infos : iterable of ObservationInfo
        Of one camera; one exposure may be named several times.
    """
    registry = butler.registry
    unique = {info.exposure_id: info for info in infos}.values()
    _insert_filters(butler, unique)
    days = {info.day_obs: {"instrument": info.instrument, "id": info.day_obs} for info in unique}
    groups = {info.group: {"instrument": info.instrument, "name": info.group} for info in unique}
    registry.insertDimensionData("day_obs", *days.values(), skip_existing=True)
    registry.insertDimensionData("group", *groups.values(), skip_existing=True)
    names = _obs_ids(butler, unique)
    spans = timespans(list(unique))
    records = (_exposure_record(info, names[info.exposure_id], span) for info, span in zip(unique, spans, strict=True))
    registry.insertDimensionData("exposure", *records, skip_existing=True)


def update_records(butler: Butler, infos: Iterable[ObservationInfo]) -> None:
    """Make the records of exposures say what their corrected headers say.

    Parameters
    ----------
    butler : Butler
        Writeable.
    infos : iterable of ObservationInfo
        One per exposure that is there already.
    """
    unique = {info.exposure_id: info for info in infos}.values()
    with butler.transaction():
        _insert_filters(butler, unique)
        names = _obs_ids(butler, unique)
        for info, span in zip(unique, timespans(list(unique)), strict=True):
            record = _exposure_record(info, names[info.exposure_id], span)
            butler.registry.syncDimensionData("exposure", record, update=True)


def exposure_records(butler: Butler, instrument: str, exposures: Collection[int]) -> dict[int, DimensionRecord]:
    """Return the records of exposures.

    Parameters
    ----------
    butler : Butler
        Of the repository.
    instrument : str
        Camera.
    exposures : collection of int
        Which; unknown ones are left out.

    Returns
    -------
    dict of int to DimensionRecord
    """
    found = butler.query_dimension_records(
        "exposure", instrument=instrument, where="exposure IN (wanted)", bind={"wanted": sorted(exposures)},
        explain=False, limit=None,
    )  # fmt: skip
    return {int(record.id): record for record in found}


def _obs_ids(butler: Butler, infos: Collection[ObservationInfo]) -> dict[int, str]:
    """Return the observatory's own names of exposures; those that are not unique, as the database wants, get our id."""
    wanted = {info.observation_id: info for info in infos if info.observation_id}
    names = {info.exposure_id: str(info.exposure_id) for info in infos}
    if not wanted:
        return names
    instrument = next(iter(wanted.values())).instrument
    taken = {
        record.obs_id: int(record.id)
        for record in butler.query_dimension_records(
            "exposure", instrument=instrument, where="exposure.obs_id IN (wanted)", bind={"wanted": tuple(wanted)},
            explain=False, limit=None,
        )
    }  # fmt: skip
    counts = Counter(info.observation_id for info in infos)
    for name, info in wanted.items():
        if counts[name] == 1 and taken.get(name, info.exposure_id) == info.exposure_id:
            names[info.exposure_id] = name
    return names


def _insert_filters(butler: Butler, infos: Collection[ObservationInfo]) -> None:
    for instrument, name, band in {(info.instrument, _filter(info), info.band or NO_FILTER) for info in infos}:
        butler.registry.syncDimensionData("physical_filter", filter_record(instrument, name, band))


def _filter(info: ObservationInfo) -> str:
    return info.physical_filter if info.band and info.physical_filter else NO_FILTER


def _exposure_record(info: ObservationInfo, obs_id: str, timespan: Timespan) -> dict[str, Any]:
    on_sky = info.observation_type == "science"
    return {
        "instrument": info.instrument,
        "id": int(info.exposure_id),
        "obs_id": obs_id,
        "physical_filter": _filter(info),
        "group": info.group,
        "day_obs": int(info.day_obs),
        "exposure_time": float(info.exposure_time_s),
        "dark_time": float(info.exposure_time_s),
        "observation_type": info.observation_type,
        "observation_reason": info.observation_type,
        "seq_num": int(info.seq),
        "seq_start": int(info.seq),
        "seq_end": int(info.seq),
        "target_name": info.object[:64],
        "science_program": "",
        "tracking_ra": _finite(info.ra_deg) if on_sky else None,
        "tracking_dec": _finite(info.dec_deg) if on_sky else None,
        "sky_angle": _finite(info.rotation_deg) if on_sky else None,
        "azimuth": None,
        "zenith_angle": zenith_angle_deg(info),
        "has_simulated": False,
        "can_see_sky": on_sky,
        "timespan": timespan,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None  # numpy scalars fail on PostgreSQL


def zenith_angle_deg(info: ObservationInfo) -> float | None:
    """Return the zenith angle from the airmass, plane-parallel; None where unknown."""
    return math.degrees(math.acos(1.0 / info.airmass)) if math.isfinite(info.airmass) and info.airmass >= 1 else None


def timespans(infos: Sequence[ObservationInfo]) -> list[Timespan]:
    """Return the time spans of exposures, each at least a millisecond long.

    Parameters
    ----------
    infos : sequence of ObservationInfo
        The exposures.

    Returns
    -------
    list of Timespan
    """
    begins = [float(info.mjd_tai_begin) for info in infos]
    ends = [float(max(info.mjd_tai_end, info.mjd_tai_begin + _SHORTEST_DAYS)) for info in infos]
    return [Timespan(begin, end) for begin, end in zip(_times(begins), _times(ends), strict=True)]


def _times(mjd_tai: Sequence[float]) -> Iterable[Time]:
    return Time(mjd_tai, format="mjd", scale="tai") if mjd_tai else ()
