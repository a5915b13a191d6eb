"""How well repeated measurements agree, in LSST's key performance metrics."""

from typing import Any

import numpy as np

from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.qa.repeatability import (
    StarStatistics,
    astrometric_repeatability,
    clean_rows,
    error_calibration,
    photometric_repeatability,
    separation_repeatability,
    star_statistics,
)
from etendue.qa.residuals import StarResiduals, star_residuals
from etendue.qa.star_plots import repeatability_plot, residual_map
from etendue.table.table import Table

_COLUMNS = (
    "visit", "detector", "band", "x", "y", "ra", "dec", "psfFlux", "psfFluxErr", "calibFlux", "calibFluxErr",
    "extendedness", "isolated_star_id", "psfFlux_flag", "centroid_flag", "pixelFlags_saturated",
    "pixelFlags_crCenter", "pixelFlags_edge", "pixelFlags_interpolatedCenter", "pixelFlags_bad", "pixelFlags_nodata",
)  # fmt: skip
_EDGES = (5.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_MAPS = 4
_MAP_SNR = 100.0


def gather(reader: Reader) -> dict[str, Any]:
    """Return the metrics, and the calibration of the photometric errors."""
    sources = reader.table("source", _COLUMNS)
    if sources is None:
        return {"n_stars": 0, "metrics": [], "error_calibration": []}
    stars, psf_stars = star_statistics(sources), star_statistics(sources, flux="psfFlux")
    ratios = zip(error_calibration(stars, _EDGES), error_calibration(psf_stars, _EDGES), strict=True)
    return {
        "n_stars": int(stars.star.size),
        "n_measurements": int(clean_rows(sources).sum()),
        "metrics": _metrics(stars, psf_stars, sources),
        "error_calibration": [row | {"psf_n": psf["n"], "psf_ratio": psf["ratio"]} for row, psf in ratios],
        "error_ratio_30_300": error_calibration(stars, (30.0, 300.0))[0]["ratio"],
    }


def _metrics(stars: StarStatistics, psf_stars: StarStatistics, sources: Table) -> list[dict[str, Any]]:
    bright = int((stars.snr > 200.0).sum())
    metrics = [
        ("astrometry_snr50", "mas", astrometric_repeatability(psf_stars, min_snr=50.0), None,
         "scatter of a star about its mean per axis, median over stars of S/N > 50"),
        ("astrometry_snr200", "mas", astrometric_repeatability(psf_stars, min_snr=200.0), None,
         "the same for S/N > 200"),
        ("photometry_best50", "mmag", photometric_repeatability(stars, best=50), None,
         "scatter of a star about its mean, median over the 50 stars of highest S/N"),
        ("photometry_best50_psf", "mmag", photometric_repeatability(psf_stars, best=50),
         None, "the same of PSF fluxes, the one above being of calibration fluxes (calibFlux)"),
        ("PA1", "mmag", photometric_repeatability(stars, min_snr=200.0), 5.0,
         f"calibration fluxes of all {bright} unresolved stars of S/N > 200, per visit (SRD, LPM-17)"),
        ("AM1", "mas", separation_repeatability(sources, separation_arcmin=5.0), 10.0,
         "scatter of the separation of star pairs 5′ apart, median over pairs of S/N > 50 (SRD)"),
        ("AM2", "mas", separation_repeatability(sources, separation_arcmin=20.0), 10.0,
         "the same at 20′"),
    ]  # fmt: skip
    keys = ("metric", "unit", "value", "srd_design", "definition")
    return [dict(zip(keys, metric, strict=True)) for metric in metrics]


def metric(numbers: dict[str, Any], name: str) -> float | None:
    """Return the value of a metric; None where it was not measured."""
    return next((row["value"] for row in numbers["metrics"] if row["metric"] == name), None)


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section of `gather`'s numbers, with pictures."""
    name, title = "repeatability", "Repeatability"
    if not numbers["metrics"]:
        return Section(name, title, missing=[absent("source", "drp")])
    missing = [] if numbers["n_stars"] else ["No star was measured in three visits of one band."]
    lead = (
        f"{numbers['n_stars']} unresolved stars with three or more clean measurements in a band. "
        "The figures hold the true scatter of the stars too: real variables are not removed."
    )
    grids = [
        Grid("Metrics", (
            Column("metric", "metric"), Column("value", "value", ".1f"), Column("unit", "unit"),
            Column("srd_design", "LSST’s design", ".0f"), Column("definition", "definition"),
        ), numbers["metrics"]),
        Grid("Are the photometric errors right?", (
            Column("min_snr", "S/N from", ".0f"), Column("max_snr", "to", ".0f"), Column("n", "stars"),
            Column("ratio", "scatter / formal error, calibFlux", ".2f"), Column("psf_n", "stars"),
            Column("psf_ratio", "psfFlux", ".2f"),
        ), numbers["error_calibration"], note="Median over stars; 1 where the errors are right. At the highest S/N the "
        "calibration’s own errors, flat field and PSF, dominate, and the ratio may rise."),
    ]  # fmt: skip
    pictures = _pictures(reader) if numbers["n_stars"] else []
    return Section(name, title, lead, (), grids, pictures, missing)


def _pictures(reader: Reader) -> list[Picture]:
    sources = reader.table("source", _COLUMNS)
    assert sources is not None
    plot = Picture(
        "Scatter against brightness", [(repeatability_plot(star_statistics(sources)), "")],
        right="A flat floor for bright stars that bends into a rising branch; the formal error runs along it.",
        wrong="a branch above the formal error (errors too small), RA and Dec that differ (tracking), a second branch.",
    )  # fmt: skip
    residuals = star_residuals(sources, min_snr=_MAP_SNR)
    detectors = np.unique(residuals.detector)[:_MAPS]
    maps = [(_map(residuals.on(int(k))), f"detector {k}" if detectors.size > 1 else "") for k in detectors]
    return [plot] if not maps else [plot, Picture(
        f"Residuals over the detector, S/N > {_MAP_SNR:.0f}: scatter in each cell; arrows: means", maps,
        right="Even colours, and arrows too short to see.",
        wrong="edges or corners that are worse (PSF, distortion, flat field); arrows that swirl or point outwards.",
    )]  # fmt: skip


def _map(residuals: StarResiduals) -> bytes:
    return residual_map(residuals.x, residuals.y, residuals.dx_mas, residuals.dy_mas, residuals.mag_mmag)
