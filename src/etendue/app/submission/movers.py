"""Moving objects for the Minor Planet Center."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.app.submission.night_products import NightProducts
from etendue.app.submission.settings import SubmissionSettings
from etendue.app.submission.submission import Submission
from etendue.errors import InputError
from etendue.qa.thumbnail import stamp_strip
from etendue.table.table import Table
from etendue.tasks.moving.ades import BANDS, AdesHeader, ades_psv, short_names

_HALF, _MOST_STAMPS = 11, 18


@dataclass(frozen=True, slots=True)
class MoverCuts:
    """Which tracks are good enough to be reported.

    Parameters
    ----------
    min_detections : int
        Fewest positions.
    min_snr : float
        Smallest median signal-to-noise ratio.
    max_rms_arcsec : float
        Largest scatter about the track, per axis [arcsec].
    max_false_log10 : float
        Largest log10 of the expected number of chance tracks as good as this.
    """

    min_detections: int = 3
    min_snr: float = 5.0
    max_rms_arcsec: float = 1.0
    max_false_log10: float = -3.0

    def reasons(self, row: dict[str, Any]) -> list[str]:
        """Return why a track is left out; nothing for a good one."""
        found = []
        if row["detections"] < self.min_detections:
            found.append(f"{row['detections']} detections, needs {self.min_detections}")
        if not row["snr"] >= self.min_snr:
            found.append(f"S/N {row['snr']:.1f}, needs {self.min_snr:g}")
        if not row["rms"] <= self.max_rms_arcsec:
            found.append(f'scatter {row["rms"]:.2f}", at most {self.max_rms_arcsec:g}"')
        if row["false_log10"] > self.max_false_log10:
            found.append(f"10^{row['false_log10']:.1f} chance tracks expected")
        return found


def mover_submission(products: NightProducts, settings: SubmissionSettings, cuts: MoverCuts) -> Submission:
    """Put the good tracks of a night into ADES.

    Parameters
    ----------
    products : NightProducts
        With tracklets.
    settings : SubmissionSettings
        Who and where.
    cuts : MoverCuts
        Which tracks are good.

    Returns
    -------
    Submission
        With no text if no track is good.

    Raises
    ------
    InputError
        If there are no tracklets, or ADES does not allow what the settings say.
    """
    tracklets, members = products.table("tracklet"), products.table("tracklet_source")
    names = short_names(np.asarray(tracklets["trackletId"]))
    rows = [_row(tracklets, k, names) for k in range(len(tracklets))]
    good = {row["trackletId"] for row in rows if not cuts.reasons(row)}
    chosen = members.take(np.flatnonzero(np.isin(members["trackletId"], sorted(good))))
    text = _ades(products, settings, chosen, rows, names) if good else ""
    plain = [{key: value for key, value in row.items() if key != "trackletId"} for row in rows]
    return Submission(
        {".psv": text} if good else {},
        tuple(p for p, row in zip(plain, rows, strict=True) if row["trackletId"] in good),
        tuple({"name": row["name"], "reason": "; ".join(cuts.reasons(row))} for row in rows
              if row["trackletId"] not in good),
        {row["name"]: _picture(products, members, row) for row in rows if row["trackletId"] in good},
    )  # fmt: skip


def _row(tracklets: Table, k: int, names: dict[int, str]) -> dict[str, Any]:
    number = int(tracklets["trackletId"][k])
    return {
        "trackletId": number, "name": names[number], "detections": int(tracklets["nObs"][k]),
        "arc [h]": round(float(tracklets["arcLength"][k]), 2), "rate": float(tracklets["rate"][k]),
        "snr": float(tracklets["snr"][k]), "rms": float(tracklets["rms"][k]), "mag": float(tracklets["mag"][k]),
        "false_log10": float(tracklets["falseAlarmLog10"][k]),
    }  # fmt: skip


def _ades(
    products: NightProducts, settings: SubmissionSettings, chosen: Table, rows: list[dict[str, Any]],
    names: dict[int, str],
) -> str:  # fmt: skip
    bands = sorted({str(band) for band in chosen["band"]})
    unknown = [band for band in bands if settings.mpc_bands.get(band, band) not in BANDS]
    if products.is_absolute and unknown:
        raise InputError("ADES has no such photometric band", source="submission.yaml", value=unknown[0],
                         remedy=f"name the nearest one: mpc_bands: {{{unknown[0]}: Vj}}")  # fmt: skip
    notes = ["Detected and measured on difference images with etendue; checked by the submitter"]
    notes += [] if products.is_absolute else ["No magnitudes: fluxes are on a relative scale"]
    header = AdesHeader(
        settings.station, submitter=settings.submitter, observers=settings.observers, measurers=settings.measurers,
        design=settings.design, detector=settings.detector, aperture_m=settings.aperture_m,
        pixel_scale=float(np.median(products.visits["pixelScale"])), telescope=settings.telescope, comments=notes,
    )  # fmt: skip
    seconds = dict(zip(products.visits["visit"].tolist(), products.visits["expTime"].tolist(), strict=True))
    remarks = {row["trackletId"]: f"{row['rate']:.1f} arcsec/h, rms {1e3 * row['rms']:.0f} mas" for row in rows}
    return ades_psv(
        chosen, header=header, catalog=settings.astrometric_catalog, absolute=products.is_absolute,
        bands=settings.mpc_bands, exposure_s=seconds, remarks=remarks,
    )  # fmt: skip


def _picture(products: NightProducts, members: Table, row: dict[str, Any]) -> bytes:
    """Return the detections of a track on the difference images."""
    track = members.take(np.flatnonzero(np.asarray(members["trackletId"]) == row["trackletId"])).sort_by("mjd_tai")
    shown = range(min(len(track), _MOST_STAMPS))
    stamps = [
        products.stamp("difference_image", int(track["visit"][k]), int(track["detector"][k]),
                       x=float(track["x"][k]), y=float(track["y"][k]), half=_HALF)
        for k in shown
    ]  # fmt: skip
    return stamp_strip(stamps, [f"{24.0 * (track['mjd_tai'][k] - track['mjd_tai'][0]):.2f} h" for k in shown])
