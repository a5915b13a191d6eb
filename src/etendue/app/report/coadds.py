"""Depth of the coadds, and the objects on them."""

from typing import Any

import numpy as np

from etendue.app.report.plain import median
from etendue.app.report.reader import Reader
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.image.noise import NoiseAutocorrelation
from etendue.qa.survey_plots import number_counts_plot
from etendue.qa.thumbnail import thumbnail

_SHOWN = 6
_LIMIT_SNR = 5.0


def gather(reader: Reader) -> dict[str, Any]:
    """Return depth and seeing of every coadd, and counts of objects."""
    visit_limits = _visit_limits(reader)
    coadds = [row for ref in reader.refs("deep_coadd") if (row := _coadd(reader, ref, visit_limits))]
    most = max((row["covered_percent"] for row in coadds), default=0.0)  # slivers at the edge do not count
    gains = [row["snr_gain_over_sqrt_n"] for row in coadds if row["covered_percent"] > 0.5 * most]
    return {
        "coadds": coadds,
        "templates": len(reader.refs("template_coadd")),
        "snr_gain_over_sqrt_n": median(gains),
        "objects": _objects(reader),
    }


def _visit_limits(reader: Reader) -> dict[int, float]:
    """Return the limiting magnitude by visit, the mean over detectors."""
    summary = reader.table("visit_summary")
    if summary is None:
        return {}
    visits = np.asarray(summary["visit"])
    return {int(visit): float(np.nanmean(summary["magLim"][visits == visit])) for visit in np.unique(visits)}


def _coadd(reader: Reader, ref: Any, visit_limits: dict[int, float]) -> dict[str, Any] | None:
    parts = {name: reader.get(ref, name) for name in ("variance", "bbox", "psf", "noise", "inputs", "wcs")}
    if parts["variance"] is None or parts["bbox"] is None:
        return None
    variance = parts["variance"].array
    covered = np.isfinite(variance)
    sigma = float(np.sqrt(np.median(variance[covered]))) if covered.any() else float("nan")
    visits = [int(item["visit"]) for item in parts["inputs"] or () if "visit" in item]
    limits = np.array([visit_limits[visit] for visit in visits if visit in visit_limits])
    limit, fwhm = _limit_and_fwhm(parts, sigma)
    gain = 10.0 ** (0.4 * (limit - float(np.median(limits)))) if limits.size else float("nan")
    expected = float(np.sqrt(np.sum(10.0 ** (0.8 * (limits - np.median(limits)))))) if limits.size else float("nan")
    return {
        "tract": int(ref.dataId["tract"]),
        "patch": int(ref.dataId["patch"]),
        "band": str(ref.dataId["band"]),
        "visits": len(set(visits)),
        "covered_percent": 100.0 * float(covered.mean()),
        "seeing_arcsec": fwhm,
        "noise_njy": sigma,
        "mag_limit": limit,
        "visit_mag_limit": float(np.median(limits)) if limits.size else None,
        "snr_gain": gain,
        "snr_gain_over_sqrt_n": gain / expected,
    }


def _limit_and_fwhm(parts: dict[str, Any], sigma: float) -> tuple[float, float]:
    """Return the magnitude of a point source at S/N 5, correlated noise included, and the FWHM [arcsec]."""
    psf, wcs, box = parts["psf"], parts["wcs"], parts["bbox"]
    if psf is None:
        return float("nan"), float("nan")
    x, y = box.x.center, box.y.center
    stamp = np.asarray(psf.stamp(x=x, y=y), float)
    noise = parts["noise"] or NoiseAutocorrelation.white()
    error = sigma * np.sqrt(noise.flux_variance_factor(stamp) / np.sum(stamp**2))
    scale = float(np.squeeze(wcs.pixel_scale(x=x, y=y))) if wcs is not None else float("nan")
    return 31.4 - 2.5 * np.log10(_LIMIT_SNR * error), float(np.squeeze(psf.fwhm(x=x, y=y))) * scale


def _objects(reader: Reader) -> list[dict[str, Any]]:
    """Return counts by band."""
    objects = reader.table("object")
    if objects is None:
        return []
    rows = []
    for band in objects.bands:
        flux, err = objects[f"{band}_psfFlux"], objects[f"{band}_psfFluxErr"]
        with np.errstate(divide="ignore", invalid="ignore"):
            snr = np.asarray(flux / err, float)
        unresolved = np.asarray(objects[f"{band}_extendedness"]) < 0.5
        rows.append(
            {
                "band": band,
                "objects": int(np.isfinite(snr).sum()),
                "snr_over_5": int((snr > 5.0).sum()),
                "snr_over_50": int((snr > 50.0).sum()),
                "unresolved": int((unresolved & (snr > 5.0)).sum()),
                "flagged": int(np.asarray(objects[f"{band}_psfFlux_flag"]).sum()),
            }
        )
    return rows


def present(numbers: dict[str, Any], reader: Reader, scale: str) -> Section:
    """Return the section of `gather`'s numbers, with pictures; ``scale`` is that of the magnitudes."""
    wanted = ("deep_coadd", "object")
    missing = [absent(name, "drp") for name in wanted if not reader.refs(name)]
    depth = Grid("Depth", (
        Column("tract", "tract"), Column("patch", "patch"), Column("band", "band"), Column("visits", "visits"),
        Column("covered_percent", "covered %", ".0f"), Column("seeing_arcsec", "seeing [″]", ".2f"),
        Column("noise_njy", "noise per pixel [nJy]", ".3g"), Column("mag_limit", "5σ limit", ".2f"),
        Column("visit_mag_limit", "one visit’s", ".2f"), Column("snr_gain", "gain in S/N", ".2f"),
        Column("snr_gain_over_sqrt_n", "gain / expected", ".3f"),
    ), numbers["coadds"], note="Expected: the root of the summed squares of the visits’ S/N, √N for equal visits. The "
        "limit takes the correlation of the coadd’s noise into account; patches at the edge have fewer visits.",
    )  # fmt: skip
    objects = Grid("Objects", (
        Column("band", "band"), Column("objects", "measured"), Column("snr_over_5", "S/N > 5"),
        Column("snr_over_50", "S/N > 50"), Column("unresolved", "unresolved, S/N > 5"), Column("flagged", "flagged"),
    ), numbers["objects"])  # fmt: skip
    grids = [grid for grid in (depth, objects) if grid.rows]
    return Section(
        "coadds", "Coadds and objects", "", (), grids, [*_thumbnails(reader), *_counts(numbers, reader, scale)], missing
    )


def _thumbnails(reader: Reader) -> list[Picture]:
    shown = []
    refs = sorted(reader.refs("deep_coadd"), key=lambda ref: -_covered(reader, ref))[:_SHOWN]
    for ref in refs:
        if (image := reader.get(ref, "image")) is not None:
            shown.append(
                (thumbnail(_covered_part(image.array), size=310), f"patch {ref.dataId['patch']}, {ref.dataId['band']}")
            )
    return [] if not shown else [Picture(
        "Coadds", shown,
        right="Round stars far fainter than on a visit image, no cosmic rays, no trails of movers.",
        wrong="holes or rings in bright stars (clipping), steps at the borders of visits, rows of dots (a mover kept).",
    )]  # fmt: skip


def _covered(reader: Reader, ref: Any) -> float:
    image = reader.get(ref, "image")
    return 0.0 if image is None else float(np.isfinite(image.array).mean())


def _covered_part(pixels: np.ndarray) -> np.ndarray:
    """Return the smallest rectangle that holds all pixels with data."""
    rows, columns = (np.flatnonzero(np.isfinite(pixels).any(axis=axis)) for axis in (1, 0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else pixels


def _counts(numbers: dict[str, Any], reader: Reader, scale: str) -> list[Picture]:
    objects = reader.table("object")
    if objects is None or not len(objects) or not objects.bands:
        return []
    limits = {row["band"]: [c["mag_limit"] for c in numbers["coadds"] if c["band"] == row["band"] and c["mag_limit"]]
              for row in numbers["objects"]}  # fmt: skip
    mags = {band: objects[f"{band}_psfMag"] for band in objects.bands}
    middle = {band: [float(np.median(values))] for band, values in limits.items() if values}
    return [Picture(
        "Number counts (dashed: 5σ limit of the coadds)", [(number_counts_plot(mags, middle, scale=scale), "")],
        right="Counts that rise steadily and turn over at the limit.",
        wrong="a turn-over brighter than the limit (objects lost), or a spike beyond it (noise detected).",
    )]  # fmt: skip
