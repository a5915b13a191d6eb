"""Measure a repository of the lowell42 night against its bars, from the products alone.

Usage: python benchmarks/lowell42.py REPOSITORY [RESULT.json]
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from etendue.geom.sphere import unit_vector
from etendue.middleware.repository import Repository
from etendue.qa.repeatability import (
    astrometric_repeatability,
    error_calibration,
    photometric_repeatability,
    separation_repeatability,
    star_statistics,
)
from etendue.table.table import Table
from etendue.tasks.coadd.coadd import AssembleCoaddTask

CAMERA = "lowell42"
ARCSEC = np.radians(1.0 / 3600.0)
CENTRAL = slice(440, 925)  # rows and columns of the well-illuminated centre


class Handle:
    """A stored warp, read on demand."""

    def __init__(self, home: Repository, ref: Any):
        self.home, self.ref, self.data_id = home, ref, dict(ref.dataId.mapping)

    def get(self, component: str | None = None, box: Any = None) -> Any:
        return self.home.get(self.ref, component=component, **({} if box is None else {"box": box}))


def tables(home: Repository, name: str, collection: str) -> list[Table]:
    return [home.get(ref) for ref in home.query(name, collections=f"{CAMERA}/{collection}")]


def calibration(home: Repository) -> dict[str, Any]:
    (ref,) = home.query("ptc", collections=f"{CAMERA}/calibrations")
    amplifier = home.get(ref).amplifiers[0]
    return {
        "gain": amplifier.gain,
        "gain_err": amplifier.gain_err,
        "header_gain": amplifier.header_gain,
        "header_consistent": amplifier.consistent,
        "read_noise_adu": amplifier.read_noise / amplifier.gain,
    }


def recurrence(home: Repository, sources: list[Table]) -> dict[str, Any]:
    """Count detections that recur within 1 arcsec in at least five frames, and what the others are."""
    (ref,) = home.query("flat", collections=f"{CAMERA}/calibrations")
    flat = home.get(ref).image.array
    good = []
    for table in sources:
        row = np.clip(np.rint(table["y"]).astype(int), 0, flat.shape[0] - 1)
        column = np.clip(np.rint(table["x"]).astype(int), 0, flat.shape[1] - 1)
        good.append(table.take(np.flatnonzero(flat[row, column] > 0.4)))
    vectors = [unit_vector(table["ra"], table["dec"]) for table in good]
    trees = [cKDTree(vector) for vector in vectors]
    recurring, single, masked = [], [], []
    for k, vector in enumerate(vectors):
        seen = sum(np.isfinite(tree.query(vector, distance_upper_bound=1.0 * ARCSEC)[0]) for tree in trees)
        lonely = seen < 5
        flagged = np.zeros(len(good[k]), bool)
        for flag in ("pixelFlags_cr", "pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_bad"):
            flagged |= np.asarray(good[k][flag])
        recurring.append(int((~lonely).sum()))
        single.append(float(lonely.mean()))
        masked.append(float((lonely & flagged).sum() / max(lonely.sum(), 1)))
    return {
        "recurring_per_frame": recurring,
        "non_recurring_fraction": single,
        "non_recurring_flagged_fraction": masked,
    }


def repeatability(sources: Table) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flux in ("calibFlux", "psfFlux"):
        stars = star_statistics(sources, flux=flux, min_count=6)
        found[flux] = {
            "stars": int(stars.star.size),
            "best_50_mmag": photometric_repeatability(stars, best=50),
            "PA1_mmag": photometric_repeatability(stars, min_snr=200.0),
            "error_calibration": error_calibration(stars, (30.0, 60.0, 100.0, 200.0, 300.0)),
        }
        if flux == "psfFlux":
            found["astrometry_mas"] = {
                "snr_above_50": astrometric_repeatability(stars, min_snr=50.0),
                "snr_above_200": astrometric_repeatability(stars, min_snr=200.0),
                "n_above_50": int((stars.snr > 50.0).sum()),
                "n_above_200": int((stars.snr > 200.0).sum()),
            }
    found["AM1_mas"] = separation_repeatability(sources, separation_arcmin=5.0)
    return found


def half_coadds(home: Repository) -> list[float]:
    """Return, per patch, the noise of odd minus even half-coadd over the propagated one."""
    ratios = []
    patches = sorted({r.dataId["patch"] for r in home.query("direct_warp", collections=f"{CAMERA}/drp")})
    for patch in patches:
        refs = home.query("direct_warp", collections=f"{CAMERA}/drp", where=f"patch={patch} AND skymap='field'")
        halves = [AssembleCoaddTask().run(warps=[Handle(home, r) for r in refs[k::2]]) for k in (0, 1)]
        difference = halves[0].image.array - halves[1].image.array
        sigma = np.sqrt(halves[0].variance.array + halves[1].variance.array)
        bad = halves[0].mask.any_of(("NO_DATA", "SAT", "BAD", "EDGE", "DETECTED", "INEXACT_PSF", "CLIPPED"))
        bad |= halves[1].mask.any_of(("NO_DATA", "SAT", "BAD", "EDGE", "DETECTED", "INEXACT_PSF", "CLIPPED"))
        pull = (difference / sigma)[~bad & np.isfinite(difference)]
        low, high = np.percentile(pull, [25.0, 75.0])
        ratios.append(float((high - low) / 1.349))
    return ratios


def depth_gain(home: Repository) -> dict[str, float]:
    """Compare the S/N of objects on the coadd with their median forced S/N on single visits."""
    objects = Table.concat(tables(home, "object", "drp"))
    forced = Table.concat(tables(home, "forced_source", "drp"))
    usable = ~np.asarray(forced["psfFlux_flag"]) & (forced["psfFluxErr"] > 0)
    forced = forced.take(np.flatnonzero(usable))
    order = np.argsort(forced["objectId"], kind="stable")
    ids, first, count = np.unique(np.asarray(forced["objectId"])[order], return_index=True, return_counts=True)
    error = np.asarray(forced["psfFluxErr"])[order]
    single = np.array([np.sqrt(np.mean(error[a : a + n] ** 2)) for a, n in zip(first, count, strict=True)])
    rows = np.flatnonzero(np.isin(objects["objectId"], ids[count == 18]))
    band = objects.bands[0]
    flux, err = np.asarray(objects[f"{band}_psfFlux"])[rows], np.asarray(objects[f"{band}_psfFluxErr"])[rows]
    one = single[np.searchsorted(ids, np.asarray(objects["objectId"])[rows])]
    faint = (flux / one > 3.0) & (flux / one < 20.0)
    gain = (one / err)[faint] / np.sqrt(18.0)
    mean = np.array(
        [np.mean(np.asarray(forced["psfFlux"])[order][a : a + n]) for a, n in zip(first, count, strict=True)]
    )
    ratio = (flux / mean[np.searchsorted(ids, np.asarray(objects["objectId"])[rows])])[faint]
    return {
        "n": int(faint.sum()),
        "gain_over_sqrt18": float(np.median(gain)),
        "flux_coadd_over_mean": float(np.median(ratio)),
    }


def movers(home: Repository) -> list[dict[str, float]]:
    (table,) = tables(home, "tracklet", "ap")
    names = ("nObs", "snr", "raRate", "decRate", "raRateErr", "rms", "chi2PerDof", "falseAlarmLog10", "ra", "dec")
    return [{name: float(table[name][k]) for name in names} for k in range(len(table))]


def measure(repository: Path) -> dict[str, Any]:
    home = Repository.open(repository, writeable=False)
    sources = tables(home, "source", "drp")
    dia = tables(home, "dia_source_detector", "ap")
    return {
        "calibration": calibration(home),
        "recurrence": recurrence(home, sources),
        "repeatability": repeatability(Table.concat(sources)),
        "half_coadd_noise_ratio": half_coadds(home),
        "depth": depth_gain(home),
        "dia_sources_per_frame": [len(table) for table in dia],
        "movers": movers(home),
    }


if __name__ == "__main__":
    result = measure(Path(sys.argv[1]))
    text = json.dumps(result, indent=1)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n")
    print(text)
