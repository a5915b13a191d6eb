"""Quality of every visit."""

from typing import Any

import numpy as np

from etendue.app.report.plain import median
from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.qa.survey_plots import conditions_plot
from etendue.table.table import Table

_RECURRING = 5  # visits of an isolated star that count as recurring
_COLUMNS = (
    Column("visit", "visit"), Column("detector", "det."), Column("band", "band"), Column("airmass", "airmass", ".2f"),
    Column("seeing_arcsec", "seeing [″]", ".2f"), Column("sky_electron", "sky [e⁻]", ".0f"),
    Column("zero_point_mag", "zero point", ".3f"), Column("zero_point_kind", "scale"),
    Column("mag_limit", "5σ limit", ".2f"), Column("n_source", "sources"), Column("n_recurring", "recurring"),
    Column("n_psf_star", "PSF stars"), Column("n_cosmic_ray_pixel", "CR pixels"),
    Column("masked_percent", "masked [%]", ".1f"), Column("astrometric_rms_mas", "astrom. rms [mas]", ".1f"),
    Column("photometric_rms_mmag", "phot. rms [mmag]", ".1f"),
)  # fmt: skip


def gather(reader: Reader) -> dict[str, Any]:
    """Return one row per visit and detector, and medians over them."""
    summary = reader.table("visit_summary")
    if summary is None:
        return {"rows": [], "medians": {}}
    summary = summary.sort_by("visit", "detector")
    recurring = _recurring(reader)
    rows = [_row(summary, k, recurring) for k in range(len(summary))]
    keys = ("seeing_arcsec", "sky_electron", "zero_point_mag", "mag_limit", "n_source", "n_recurring",
            "astrometric_rms_mas", "photometric_rms_mmag")  # fmt: skip
    medians = {key: median([np.nan if row[key] is None else row[key] for row in rows]) for key in keys}
    return {"rows": rows, "medians": medians}


def _recurring(reader: Reader) -> dict[tuple[int, int], int]:
    """Return how many sources of each image belong to stars seen in at least five visits."""
    sources = reader.table("source", ("visit", "detector", "isolated_star_id"))
    if sources is None:
        return {}
    star = np.asarray(sources["isolated_star_id"])
    known, count = np.unique(star[star != 0], return_counts=True)
    often = np.isin(star, known[count >= _RECURRING])
    images = np.stack([sources["visit"], sources["detector"].astype(np.int64)])
    keys, number = np.unique(images[:, often], axis=1, return_counts=True)
    return {(int(visit), int(detector)): int(n) for visit, detector, n in zip(*keys, number, strict=True)}


def _row(summary: Table, k: int, recurring: dict[tuple[int, int], int]) -> dict[str, Any]:
    visit, detector = int(summary["visit"][k]), int(summary["detector"][k])
    return {
        "visit": str(visit),
        "detector": detector,
        "band": str(summary["band"][k]),
        "mjd_tai": summary["expMidptMJD"][k],
        "airmass": summary["airmass"][k],
        "seeing_arcsec": summary["seeing"][k],
        "sky_electron": summary["skyBg"][k],
        "zero_point_mag": summary["zeroPoint"][k],
        "zero_point_kind": str(summary["photoCalibKind"][k]),
        "mag_limit": summary["magLim"][k],
        "n_source": summary["nSource"][k],
        "n_recurring": recurring.get((visit, detector)),
        "n_psf_star": summary["nPsfStar"][k],
        "n_cosmic_ray_pixel": summary["nCosmicRay"][k],
        "masked_percent": 100.0 * summary["maskedFraction"][k],
        "astrometric_rms_mas": 1e3 * summary["astromOffsetStd"][k],
        "photometric_rms_mmag": 1e3 * summary["photometryScatter"][k],
    }


def present(numbers: dict[str, Any]) -> Section:
    """Return the section of `gather`'s numbers."""
    rows = numbers["rows"]
    if not rows:
        return Section("visits", "Visits", missing=[absent("visit_summary", "drp")])
    note = (
        f"“Recurring” sources belong to a star that was measured at least {_RECURRING} times. "
        "The limit is that of a point source at S/N 5. On a relative scale magnitudes have an arbitrary common offset."
    )
    return Section(
        "visits", "Visits", f"{len(rows)} detector images of {len({row['visit'] for row in rows})} visits.",
        grids=[Grid("Quality of every visit", _COLUMNS, rows, note)], pictures=[_conditions(rows)],
    )  # fmt: skip


def _conditions(rows: list[dict[str, Any]]) -> Picture:
    def column(key: str) -> np.ndarray:
        return np.array([np.nan if row[key] is None else row[key] for row in rows], float)

    series = {"seeing [″]": "seeing_arcsec", "sky [e⁻]": "sky_electron", "zero point": "zero_point_mag",
              "5σ limit": "mag_limit"}  # fmt: skip
    band = np.array([row["band"] for row in rows])
    data = conditions_plot(column("mjd_tai"), band, {title: column(key) for title, key in series.items()})
    return Picture(
        "Conditions through the survey", [(data, "")],
        right="Slow trends: the zero point falls and the seeing grows with airmass.",
        wrong="single visits far from their neighbours (clouds, focus), or two detectors that disagree.",
    )  # fmt: skip
