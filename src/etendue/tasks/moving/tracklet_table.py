"""Linked tracks as rows of the ``tracklet`` and ``tracklet_source`` tables."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import tangent_plane
from etendue.image.photo_calib import njy_to_mag
from etendue.table.table import Table
from etendue.tasks.moving.frames import Site
from etendue.tasks.moving.link import LinkedTrack
from etendue.tasks.moving.track import Track

_SOLAR_PARALLAX_ARCSEC = 8.794143
_MAG_PER_RELATIVE = 2.5 / np.log(10.0)


def tracklet_tables(
    linked: Sequence[LinkedTrack], sources: Table, *, site: Site | None, day_obs: int, n_frames: int
) -> tuple[Table, Table]:
    """Describe tracks and their detections.

    Parameters
    ----------
    linked : sequence of LinkedTrack
        Tracks; their rows refer to ``sources``.
    sources : Table
        ``dia_source`` rows.
    site : Site or None
        The observatory.
    day_obs : int
        Night, YYYYMMDD.
    n_frames : int
        Visits of the night.

    Returns
    -------
    tracklets : Table
        One row per track; ``trackletId`` is ``day_obs * 1000000`` plus its number from 1.
    members : Table
        One row per track and detection.
    """
    if not linked:
        return Table.empty("tracklet"), Table.empty("tracklet_source")
    first_id = day_obs * 1_000_000 + 1
    members = [_members(item, sources, site, first_id + k) for k, item in enumerate(linked)]
    rows = [_row(item, member, site) for item, member in zip(linked, members, strict=True)]
    columns: dict[str, list] = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= {
        "trackletId": [first_id + k for k in range(len(linked))],
        "day_obs": [day_obs] * len(linked),
        "nForced": [0] * len(linked),
        "nFrames": [n_frames] * len(linked),
    }
    return Table("tracklet", columns), Table.concat(members)


def _observer(site: Site | None, mjd_tai: NDArray[np.float64]) -> NDArray[np.float64]:
    return site.position_au(mjd_tai) if site is not None else np.zeros((mjd_tai.size, 3))


def _members(linked: LinkedTrack, sources: Table, site: Site | None, tracklet_id: int) -> Table:
    rows = sources.take(linked.rows)
    mjd = np.asarray(rows["midpointMjdTai"], float)
    ra, dec = linked.track.sky(mjd_tai=mjd, observer_au=_observer(site, mjd))
    east, north = tangent_plane(rows["ra"], rows["dec"], ra, dec)
    flux, err = np.asarray(rows["psfFlux"], float), np.asarray(rows["psfFluxErr"], float)
    return Table(
        "tracklet_source",
        {
            "trackletId": np.full(len(rows), tracklet_id),
            "diaSourceId": rows["diaSourceId"],
            "visit": rows["visit"],
            "detector": rows["detector"],
            "band": rows["band"],
            "mjd_tai": mjd,
            "ra": rows["ra"],
            "dec": rows["dec"],
            "raErr": rows["raErr"],
            "decErr": rows["decErr"],
            "x": rows["x"],
            "y": rows["y"],
            "raResidual": east * 3600.0,
            "decResidual": north * 3600.0,
            "psfFlux": flux,
            "psfFluxErr": err,
            "mag": njy_to_mag(flux),
            "magErr": _MAG_PER_RELATIVE * err / np.where(flux > 0.0, flux, np.nan),
            "snr": rows["snr"],
            "status": np.full(len(rows), "detected"),
        },
    ).sort_by("mjd_tai")


def _row(linked: LinkedTrack, members: Table, site: Site | None) -> dict[str, object]:
    track = linked.track
    rate, rate_err = track.rate(lambda mjd: _observer(site, mjd))
    mjd = np.asarray(members["mjd_tai"], float)
    residual = np.stack([members["raResidual"], members["decResidual"]]).astype(float)
    band, count = np.unique(np.asarray(members["band"]), return_counts=True)
    return {
        "band": str(band[count.argmax()]),
        "nObs": len(members),
        "mjd_tai_ref": track.mjd_tai_ref,
        **_place(track, site),
        "raRate": rate[0],
        "decRate": rate[1],
        "raRateErr": rate_err[0],
        "decRateErr": rate_err[1],
        "rate": np.hypot(*rate),
        "positionAngle": np.degrees(np.arctan2(rate[0], rate[1])) % 360.0,
        "parallaxAmplitude": track.parameters[6] * _SOLAR_PARALLAX_ARCSEC,
        "parallaxAmplitudeErr": np.sqrt(track.covariance[6, 6]) * _SOLAR_PARALLAX_ARCSEC,
        "raCurvature": track.parameters[2],
        "decCurvature": track.parameters[5],
        "rms": np.sqrt(np.mean(residual**2)),
        "chi2PerDof": track.chi2 / track.dof,
        **_brightness(members),
        "snr": np.median(members["snr"]),
        "arcLength": (mjd[-1] - mjd[0]) * 24.0,
        "firstMjdTai": mjd[0],
        "lastMjdTai": mjd[-1],
        "falseAlarmLog10": linked.false_log10,
    }


def _place(track: Track, site: Site | None) -> dict[str, float]:
    """Return the fitted position at the mid-epoch and its errors."""
    middle = np.array([track.mjd_tai_ref])
    observer = _observer(site, middle)
    ra, dec = track.sky(mjd_tai=middle, observer_au=observer)
    err = track.predict_err(mjd_tai=middle, observer_au=observer)[0] / 3600.0
    return {"ra": float(ra[0]), "dec": float(dec[0]), "raErr": float(err[0]), "decErr": float(err[1])}


def _brightness(members: Table) -> dict[str, float]:
    """Return the magnitude of the weighted mean flux, its error, and the scatter of single magnitudes."""
    flux, err = np.asarray(members["psfFlux"], float), np.asarray(members["psfFluxErr"], float)
    weight = err**-2
    mean = float(np.sum(weight * flux) / np.sum(weight))
    return {
        "mag": float(njy_to_mag(mean)),
        "magErr": _MAG_PER_RELATIVE / mean / float(np.sqrt(weight.sum())),
        "magScatter": float(np.std(members["mag"], ddof=1)) if len(members) > 1 else float("nan"),
    }
