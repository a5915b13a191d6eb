"""What moved: tracks, residuals and stamps."""

from typing import Any

import numpy as np

from etendue.app.report.images import spread
from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.qa.light_curve_plot import tracks_plot
from etendue.qa.thumbnail import stamp_strip
from etendue.table.table import Table

_SHOWN, _STAMPS, _HALF = 12, 18, 11
_COLUMNS = (
    Column("name", "mover"), Column("night", "night"), Column("n_obs", "detections"), Column("n_frames", "of frames"),
    Column("arc_h", "arc [h]", ".2f"), Column("ra_deg", "RA [deg]", ".5f"), Column("dec_deg", "Dec [deg]", ".5f"),
    Column("rate", "rate [″/h]", ".2f"), Column("rate_err", "±", ".2f"),
    Column("position_angle", "position angle [°]", ".1f"), Column("rms_mas", "rms per axis [mas]", ".0f"),
    Column("chi2_per_dof", "χ²/dof", ".2f"), Column("mag", "mag", ".2f"), Column("snr", "S/N", ".1f"),
    Column("false_alarm_log10", "log₁₀ chance tracks", ".1f"),
)  # fmt: skip


def gather(reader: Reader) -> dict[str, Any]:
    """Return one row per mover, the most certain first."""
    tracklets = reader.table("tracklet")
    if tracklets is None:
        return {"movers": []}
    order = np.lexsort((tracklets["falseAlarmLog10"], -np.asarray(tracklets["nObs"], int)))
    return {"movers": [_row(tracklets, int(k), index) for index, k in enumerate(order, start=1)]}


def _row(t: Table, k: int, index: int) -> dict[str, Any]:
    return {
        "name": f"M{index}",
        "trackletId": str(t["trackletId"][k]),
        "night": str(t["day_obs"][k]),
        "band": str(t["band"][k]),
        "n_obs": t["nObs"][k],
        "n_frames": t["nFrames"][k],
        "arc_h": t["arcLength"][k],
        "mjd_tai": t["mjd_tai_ref"][k],
        "ra_deg": t["ra"][k],
        "dec_deg": t["dec"][k],
        "rate": t["rate"][k],
        "ra_rate": t["raRate"][k],
        "dec_rate": t["decRate"][k],
        "rate_err": float(np.hypot(t["raRateErr"][k], t["decRateErr"][k])) / np.sqrt(2.0),
        "position_angle": t["positionAngle"][k],
        "rms_mas": 1e3 * t["rms"][k],
        "chi2_per_dof": t["chi2PerDof"][k],
        "mag": t["mag"][k],
        "mag_err": t["magErr"][k],
        "snr": t["snr"][k],
        "false_alarm_log10": t["falseAlarmLog10"][k],
    }


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section of `gather`'s numbers, with tracks and stamps."""
    movers = numbers["movers"]
    if not reader.refs("tracklet"):
        return Section("movers", "Movers", missing=[absent("tracklet", "ap")])
    lead = f"{len(movers)} tracks of moving objects, linked within a night; the fit includes the diurnal parallax."
    note = ("Rates are at the middle of the arc; the position angle counts from north through east. “Chance tracks” is "
            "the number of tracks this good that noise would make: −3 is one in a thousand nights.")  # fmt: skip
    grids = [Grid("Movers", _COLUMNS, movers, note)] if movers else []
    members = reader.table("tracklet_source")
    pictures = [] if members is None or not movers else [_tracks(movers, members), *_stamps(movers, members, reader)]
    return Section("movers", "Movers", lead, (), grids, pictures)


def _of(members: Table, mover: dict[str, Any]) -> Table:
    return members.take(np.flatnonzero(members["trackletId"] == int(mover["trackletId"]))).sort_by("mjd_tai")


def _tracks(movers: list[dict[str, Any]], members: Table) -> Picture:
    tracks = [_of(members, mover) for mover in movers[:_SHOWN]]
    data = tracks_plot(
        [mover["name"] for mover in movers[:_SHOWN]],
        [np.asarray(track["ra"]) for track in tracks], [np.asarray(track["dec"]) for track in tracks],
        [np.stack([track["raResidual"], track["decResidual"]], axis=1) for track in tracks],
    )  # fmt: skip
    return Picture(
        "Tracks and residuals", [(data, "")],
        right="Straight, evenly dotted tracks; residuals in a round cloud about zero.",
        wrong="kinks or gaps in a track, residuals along a line (timing) or far off (a wrong detection linked).",
    )  # fmt: skip


def _stamps(movers: list[dict[str, Any]], members: Table, reader: Reader) -> list[Picture]:
    refs = {(int(r.dataId["visit"]), int(r.dataId["detector"])): r for r in reader.refs("difference_image")}
    strips = []
    for mover in movers[:_SHOWN]:
        track = _of(members, mover)
        stamps, labels = [], []
        for k in spread(range(len(track)), _STAMPS):
            ref = refs.get((int(track["visit"][k]), int(track["detector"][k])))
            if ref is None:
                continue
            stamps.append(reader.stamp(ref, x=float(track["x"][k]), y=float(track["y"][k]), half=_HALF))
            labels.append(f"{24.0 * (track['mjd_tai'][k] - track['mjd_tai'][0]):.2f} h")
        if stamps:
            strips.append(
                (stamp_strip(stamps, labels), f"{mover['name']}: {mover['rate']:.1f} ″/h, S/N {mover['snr']:.0f}")
            )
    return [] if not strips else [Picture(
        "The movers on the difference images, time since the first detection", strips,
        right="One round white dot in the middle of every stamp.",
        wrong="an empty stamp, a dot off the middle, a black companion (a badly subtracted star), a single sharp pixel "
        "(cosmic ray).",
    )]  # fmt: skip
