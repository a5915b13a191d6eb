"""Measure a repository of the lowell42 night against its bars, from the products alone.

Usage: python benchmarks/lowell42.py REPOSITORY [RESULT.json]
"""

import json
import sys
from pathlib import Path
from typing import Any

import differences
import lonely
import numpy as np
from sky_noise import sky_noise

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


def non_recurring(home: Repository, night: "Night") -> dict[str, Any]:
    """Count detections that recur within 1 arcsec in at least five frames, and account for every other one."""
    (ref,) = home.query("flat", collections=f"{CAMERA}/calibrations")
    flat = home.get(ref).image.array
    lit = flat > 0.4
    good = []
    for table in night.sources:
        row = np.clip(np.rint(table["y"]).astype(int), 0, flat.shape[0] - 1)
        column = np.clip(np.rint(table["x"]).astype(int), 0, flat.shape[1] - 1)
        good.append(table.take(np.flatnonzero(lit[row, column])))
    sky, frames = lonely.Sky.of(night.objects, night.forced), []
    for table, seen in zip(good, lonely.recurrence(good), strict=True):
        image, alone = night.image(int(table["visit"][0])), seen < lonely.MIN_FRAMES
        halo = lonely.haloes(image)
        near = lonely.classify(table, sky, night.movers, halo)
        first = lonely.first_class(near)[alone]
        frames.append({
            "recurring": int((~alone).sum()), "non_recurring_fraction": float(alone.mean()),
            **{name: int((first == name).sum()) for name in lonely.CLASSES},
            "halo_area": float(halo[lit].mean()), "halo_of_recurring": float(near["halo"][~alone].mean()),
            "halo_of_non_recurring": float(near["halo"][alone].mean()),
            "star_and_halo": int((near["star"] & near["halo"] & alone).sum()),
            "star_by_chance": sky.chance(table.take(np.flatnonzero(alone))),
            "noise_peaks_expected": lonely.noise_peaks(image, 5.0, int(lit.sum())),
        })  # fmt: skip
    return {"frames": frames, "faint_stars_expected_per_frame": sky.lonely_expected(5.0)["lonely"]}


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


def movers(tracklets: Table) -> list[dict[str, float]]:
    names = ("nObs", "snr", "raRate", "decRate", "raRateErr", "decRateErr", "raCurvature", "decCurvature",
             "parallaxAmplitude", "rms", "chi2PerDof", "falseAlarmLog10", "ra", "dec")  # fmt: skip
    return [{name: float(tracklets[name][k]) for name in names} for k in range(len(tracklets))]


def scatter_of_tracks(members: Table) -> list[dict[str, float]]:
    """Compare the positions of each track in single frames with the fitted one, and both halves with each other."""
    found = []
    for number in np.unique(members["trackletId"]):
        one = members.take(np.flatnonzero(np.asarray(members["trackletId"]) == number)).sort_by("mjd_tai")
        offset = np.stack([one["raResidual"], one["decResidual"]]).astype(float)
        error = np.stack([one["raErr"], one["decErr"]]).astype(float) * 3600.0
        halves = offset[:, ::2].mean(axis=1) - offset[:, 1::2].mean(axis=1)
        found.append({
            "frames": len(one), "rms_per_axis": float(np.sqrt(np.mean(offset**2))),
            "median_distance": float(np.median(np.hypot(*offset))), "formal": float(np.median(error)),
            "pull_rms": float(np.sqrt(np.mean((offset / error) ** 2))),
            "odd_minus_even": float(np.hypot(*halves)),
        })  # fmt: skip
    return found


def dia_classes(night: "Night") -> dict[str, Any]:
    """Count the detections of each difference by what they are, and look for the star that is known to vary."""
    variables = differences.variables_of(night.objects, night.forced)
    sources = {int(t["visit"][0]): t for t in night.sources}
    frames = []
    for table in night.dia:
        visit = int(table["visit"][0])
        kind = differences.classify(table, night.image(visit), sources[visit], night.movers, variables)
        frames.append({name: int((kind == name).sum()) for name in differences.CLASSES})
    return {
        "frames": frames,
        "variables": len(variables[0]),
        "eclipsing": differences.found_at(night.dia, *differences.ECLIPSING),
    }


class Night:
    """The tables of the night, in order of visit, and its images on demand."""

    def __init__(self, home: Repository):
        self.home = home
        self.sources = sorted(tables(home, "source", "drp"), key=lambda t: int(t["visit"][0]))
        self.dia = sorted(tables(home, "dia_source_detector", "ap"), key=lambda t: int(t["visit"][0]))
        self.objects = Table.concat(tables(home, "object", "drp"))
        self.forced = Table.concat(tables(home, "forced_source", "drp"))
        self.movers = Table.concat(tables(home, "tracklet_source", "ap"))
        self.refs = {r.dataId["visit"]: r for r in home.query("visit_image", collections=f"{CAMERA}/drp")}

    def image(self, visit: int) -> Any:
        return self.home.get(self.refs[visit])


def measure(repository: Path) -> dict[str, Any]:
    home = Repository.open(repository, writeable=False)
    night = Night(home)
    (tracklets,) = tables(home, "tracklet", "ap")
    place = np.asarray(night.objects["coord_ra"]), np.asarray(night.objects["coord_dec"])
    ratios = half_coadds(home)
    return {
        "calibration": calibration(home),
        "recurrence": non_recurring(home, night),
        "repeatability": repeatability(Table.concat(night.sources)),
        "half_coadd_noise_ratio": ratios,
        "half_coadd_variance_ratio": [ratio**2 for ratio in ratios],
        "blank_sky_of_frame_pairs": sky_noise([night.image(visit) for visit in sorted(night.refs)], *place),
        "depth": depth_gain(home),
        "dia_sources_per_frame": [len(table) for table in night.dia],
        "differences": dia_classes(night),
        "movers": movers(tracklets),
        "mover_scatter_arcsec": scatter_of_tracks(night.movers),
    }


if __name__ == "__main__":
    result = measure(Path(sys.argv[1]))
    text = json.dumps(result, indent=1)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n")
    print(text)
