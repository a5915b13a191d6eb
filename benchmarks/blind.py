"""Measure blind solving: a real night, simulated fields, and fields that are nowhere on the sky.

Usage: python benchmarks/blind.py CATALOG FRAMES RESULT.json [--seeds N...] [--only SECTION...]

CATALOG is the Tycho-2 catalog with its star index (etendue refcat tycho2, etendue refcat index), FRAMES the folder of
the hatp32 night. Where astrometry.net's solve-field and its Tycho-2 index files are installed, it solves the same
frames too, from the same kind of command: files in, WCS out, detection included.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from machine import machine_facts, rounded
from numpy.typing import NDArray

from etendue.camera.raw import read_raw
from etendue.camera.shipped import load_camera
from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sphere import separation_deg, sky_position, tangent_plane, tangent_plane_inverse
from etendue.refcat.build import write_reference_catalog
from etendue.refcat.star_index import StarIndex, build_star_index
from etendue.table.table import Table
from etendue.tasks.astrometry.find_stars import FindStarsTask
from etendue.tasks.astrometry.solve import SolveFieldTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.match.blind import BlindMatchTask

Vector = NDArray[np.float64]

SIDE = 1024
WIDTHS = {"deep": (0.1, 0.2), "tycho2": (0.5, 1.0, 2.0, 5.0)}
FIELDS = 12  # per width, kind and seed
FALSE_FIELDS = 8  # per kind and seed
KINDS = ("uniform", "pairs", "columns", "cluster", "grid", "stretched")
SEEDS = (101, 102, 103, 104, 105)
ETENDUE = str(Path(sys.executable).with_name("etendue"))


@dataclass(frozen=True)
class Sources:
    """A simulated source list and where it is."""

    x: Vector
    y: Vector
    flux: Vector
    ra_deg: float
    dec_deg: float
    catalog_stars: int


def simulated_field(
    rng: np.random.Generator, index: StarIndex, ra: float, dec: float, width_deg: float, *, hard: bool
) -> Sources:
    """Return what a camera may see: stars of the catalog, some missing, and sources that are not in it.

    Ordinary fields miss 15% and have as many other sources as stars, most of them faint; hard ones miss 40%, and two
    of five bright sources are others. Rotation and parity are random, brightness is off by 0.3 mag, positions by 0.3
    px; a radial distortion moves the corners by 1 px.
    """
    stars = index.near(ra_deg=ra, dec_deg=dec, radius_deg=0.75 * width_deg)
    xi, eta = tangent_plane(stars.ra_deg, stars.dec_deg, ra, dec)
    plane = (xi + 1j * eta) * SIDE / width_deg * np.exp(2j * np.pi * rng.random())
    if rng.random() < 0.5:
        plane = plane.conj()
    plane = plane * (1.0 + np.abs(plane / (0.707 * SIDE)) ** 2 / (0.707 * SIDE))
    seen = (np.abs(plane.real) < SIDE / 2) & (np.abs(plane.imag) < SIDE / 2)
    flux = stars.fluxes[index.band][0]
    bright = np.flatnonzero(seen)[np.argsort(-flux[seen])[:300]]
    kept = bright[rng.random(bright.size) > (0.4 if hard else 0.15)]
    n_bright, n_faint = int((0.67 if hard else 0.15) * kept.size) + 1, int(0.85 * kept.size) + 5
    x = np.r_[plane.real[kept], rng.uniform(-SIDE / 2, SIDE / 2, n_bright + n_faint)]
    y = np.r_[plane.imag[kept], rng.uniform(-SIDE / 2, SIDE / 2, n_bright + n_faint)]
    lowest = flux[kept].min() if kept.size else 1.0
    brightness = np.r_[flux[kept], rng.choice(flux[kept], n_bright), lowest * rng.uniform(0.2, 1.5, n_faint)] if (
        kept.size) else rng.random(n_bright + n_faint)  # fmt: skip
    brightness = brightness * 10.0 ** (0.4 * rng.normal(0.0, 0.3, brightness.size))
    noise = rng.normal(0.0, 0.3, (2, x.size))
    return Sources(x + noise[0] + SIDE / 2, y + noise[1] + SIDE / 2, brightness, ra, dec, int(kept.size))


def deep_index(folder: Path, seed: int) -> StarIndex:
    """Return the index of a made-up catalog of 15,000 stars per square degree in a piece of 2 x 2 deg."""
    rng = np.random.default_rng(seed)
    n = 60_000
    ra, dec = tangent_plane_inverse(rng.uniform(-1.0, 1.0, n), rng.uniform(-1.0, 1.0, n), 200.0, -35.0)
    mag = 20.0 + np.log10(rng.random(n)) / 0.35
    values = {"id": np.arange(n) + 1, "ra": ra, "dec": dec, "raErr": np.zeros(n), "decErr": np.zeros(n),
              "r_flux": 10.0 ** (0.4 * (31.4 - mag)), "r_fluxErr": np.full(n, np.nan)}  # fmt: skip
    return build_star_index(write_reference_catalog(Table("refcat", values), folder / "deep"))


def completeness(index: StarIndex, width_deg: float, seed: int, *, deep: bool, hard: bool) -> dict[str, Any]:
    """Solve simulated fields blindly; a wrong position counts as false."""
    rng = np.random.default_rng(seed)
    task = BlindMatchTask()
    counts, solved, cpu, false = [], [], [], 0
    for _ in range(FIELDS):
        direction = rng.normal(size=3)
        ra, dec = (float(v) for v in sky_position(direction))
        if deep:
            ra, dec = (float(v) for v in tangent_plane_inverse(*rng.uniform(-0.85, 0.85, 2), 200.0, -35.0))
        field = simulated_field(rng, index, ra, dec, width_deg, hard=hard)
        start = time.process_time()
        frame = (-0.5, SIDE - 0.5, -0.5, SIDE - 0.5)
        try:
            match = task.run(x=field.x, y=field.y, flux=field.flux, frame=frame, index=index)
        except AlgorithmError:
            right = False
        else:
            off = float(separation_deg(*match.wcs.crval, ra, dec))
            right = off < 5.0 * width_deg / SIDE
            false += not right
        cpu.append(time.process_time() - start)
        counts.append(field.catalog_stars)
        solved.append(right)
    counts_, solved_ = np.array(counts), np.array(solved)
    enough = counts_ >= 12
    return {
        "width_deg": width_deg,
        "kind": "hard" if hard else "ordinary",
        "seed": seed,
        "fields": FIELDS,
        "solved": int(solved_.sum()),
        "fields_with_12_stars": int(enough.sum()),
        "solved_with_12_stars": int((solved_ & enough).sum()),
        "false": false,
        "catalog_stars_median": float(np.median(counts_)),
        "cpu_s_median": float(np.median(cpu)),
        "cpu_s_max": float(np.max(cpu)),
    }


def random_field(rng: np.random.Generator, kind: str) -> tuple[Vector, Vector]:
    """Return positions that are nowhere on the sky."""
    n = int(rng.integers(15, 300))
    x, y = rng.uniform(0.0, SIDE, (2, n))
    if kind == "pairs":  # every star double: a trailed frame
        x, y = np.r_[x, x + 7.0], np.r_[y, y + 2.0]
    elif kind == "columns":  # bleed trails and hot columns
        x[: n // 3] = rng.choice(rng.uniform(0.0, SIDE, 4), n // 3)
    elif kind == "cluster":
        x[: n // 2], y[: n // 2] = rng.normal(SIDE / 2, SIDE / 15, (2, n // 2))
    elif kind == "grid":
        x, y = (np.round(v / 32.0) * 32.0 + rng.normal(0.0, 0.3, n) for v in (x, y))
    return x, y


def false_solutions(index: StarIndex, kind: str, seed: int, sources: Callable[[], dict[str, Vector]]) -> dict[str, Any]:
    """Try to solve what cannot be solved: random fields, and real ones stretched out of shape."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if kind == "stretched":
        fields = [(1.25 * x, y, flux) for x, y, flux in list(sources().values())[seed % 9 :: 9]]
    else:
        fields = [(*random_field(rng, kind), rng.random(600)) for _ in range(FALSE_FIELDS)]
    task, best, accepted, rated, cpu = BlindMatchTask(), 0.0, 0, 0, time.process_time()
    for x, y, flux in fields:
        frame = (min(x.min(), -0.5), max(x.max(), SIDE - 0.5), min(y.min(), -0.5), max(y.max(), SIDE - 0.5))
        try:
            task.run(x=x, y=y, flux=flux[: x.size], frame=frame, index=index)
            accepted += 1
        except AlgorithmError as error:
            best = max(best, float(error.metadata.get("best_log_odds", 0.0)))  # type: ignore[arg-type]
            rated += int(error.metadata.get("rated", 0))  # type: ignore[call-overload]
    return {
        "fields": len(fields),
        "accepted": accepted,
        "positions_rated": rated,
        "largest_log_odds": best,
        "threshold_log_odds": task.config.accept_log_odds,
        "cpu_s": time.process_time() - cpu,
    }


def found_sources(frames: list[Path]) -> dict[str, Vector]:
    """Return the sources of every frame of the night, shape (3, n)."""
    camera, found = load_camera("microobservatory"), {}
    for path in frames:
        stars = FindStarsTask().run(exposure=IsrTask().run(raw=read_raw(path, camera), camera=camera))
        found[path.name] = np.stack([stars.x, stars.y, stars.flux])
    return found


def solver_seconds(index: StarIndex, sources: dict[str, Vector]) -> dict[str, float]:
    """Return CPU seconds per frame of search and fit alone, the sources given."""
    cpu = []
    for x, y, flux in sources.values():
        start = time.process_time()
        SolveFieldTask().run(x=x, y=y, flux=flux, bbox=Box.from_shape((500, 650)), index=index)
        cpu.append(time.process_time() - start)
    return {"median": float(np.median(cpu)), "max": float(np.max(cpu))}


def timed(command: list[str], folder: Path | None = None) -> tuple[float, float, str]:
    """Return wall seconds, CPU seconds of all processes, and what a command prints."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def night(catalog: Path, frames: Path, *, blind: bool) -> dict[str, Any]:
    """Solve the night by the command line: two workers for the wall time, one process for the CPU time."""
    command = [ETENDUE, "solve", str(frames), "--index", str(catalog), "--json", *(["--blind"] if blind else [])]
    wall, _, text = timed([*command, "-j", "2"])
    _, cpu, _ = timed([*command, "-j", "1"])
    rows = json.loads(text)
    good = [row for row in rows if row["solved"]]
    return {
        "frames": len(rows),
        "solved": len(good),
        "by": sorted({row["how"] for row in good}),
        "wall_s": wall,
        "cpu_s": cpu,
        "rms_arcsec_median": float(np.median([row["rms_arcsec"] for row in good])),
        "rms_arcsec_max": max(row["rms_arcsec"] for row in good),
        "matched_median": float(np.median([row["matched"] for row in good])),
        "matched_min": min(row["matched"] for row in good),
        "log_odds_min": min(row["log_odds"] for row in good),
    }


def peer(catalog: Path, frames: list[Path], step: int) -> dict[str, Any] | None:
    """Solve every ``step``-th frame with solve-field and with this program, one process per frame, in turn.

    Blindly, and with the pixel scale known to 10%. The frames have no header: nothing to be guided by.
    """
    if shutil.which("solve-field") is None:
        return None
    figures: dict[str, Any] = {"computes": "pixels in, WCS out: detection, search, TAN-SIP; one process per frame"}
    with tempfile.TemporaryDirectory() as folder:
        plain = [Path(folder) / f"{path.name.split('.')[0]}.fits" for path in frames[::step]]
        for path, target in zip(frames[::step], plain, strict=True):
            with fits.open(path) as hdus:
                fits.PrimaryHDU(next(hdu for hdu in hdus if hdu.header.get("NAXIS") == 2).data).writeto(target)
        theirs = ["solve-field", "--no-plots", "--overwrite", "--cpulimit", "120"]
        headers = Path(folder) / "ours"
        ours = [ETENDUE, "solve", "--index", str(catalog), "-j", "1", "--json", "--headers", str(headers)]
        for name, options, scale in (
            ("blind", [], []),
            ("scale known", ["--scale-units", "arcsecperpix", "--scale-low", "4.7", "--scale-high", "5.7"],
             ["--scale", "4.7,5.7"]),
        ):  # fmt: skip
            pairs = [(timed([*theirs, *options, str(p)], Path(folder)), timed([*ours, *scale, str(p)])) for p in plain]
            figures[name] = {
                "frames": len(plain),
                "solve_field_solved": sum(p.with_suffix(".solved").exists() for p in plain),
                "etendue_solved": sum('"solved": true' in mine[2] for _, mine in pairs),
                "solve_field_cpu_s": float(np.median([peer[1] for peer, _ in pairs])),
                "etendue_cpu_s": float(np.median([mine[1] for _, mine in pairs])),
                "cpu_ratio": float(np.median([peer[1] / mine[1] for peer, mine in pairs])),
                "difference_arcsec": wcs_differences([p.with_suffix(".wcs") for p in plain], headers),
            }
            for p in plain:
                for suffix in (".solved", ".wcs"):
                    p.with_suffix(suffix).unlink(missing_ok=True)
            shutil.rmtree(headers, ignore_errors=True)
    return figures


def wcs_differences(theirs: list[Path], ours: Path) -> dict[str, Any]:
    """Compare the solutions of frames that both solved, at 9 x 7 places of each [arcsec]."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0.0, 649.0, 9), np.linspace(0.0, 499.0, 7)))
    largest, typical = [], []
    for path in theirs:
        own = ours / f"{path.stem}.wcs"
        if not (path.exists() and own.exists()):
            continue
        cards = fits.Header.fromtextfile(own)
        places = [WCS(header).all_pix2world(x, y, 0) for header in (fits.getheader(path), cards)]
        away = 3600.0 * separation_deg(*places[0], *places[1])
        largest.append(float(away.max()))
        typical.append(float(np.median(away)))
    if not largest:
        return {"frames": 0}
    return {"frames": len(largest), "median": float(np.median(typical)), "largest": max(largest)}


def simulated(index: StarIndex, seed: int) -> list[dict[str, Any]]:
    """Solve simulated fields of every width, ordinary and hard."""
    with tempfile.TemporaryDirectory() as folder:
        deep = deep_index(Path(folder), seed)
        return [
            completeness(deep if kind == "deep" else index, width, seed, deep=kind == "deep", hard=hard)
            for hard in (False, True)
            for kind, widths in WIDTHS.items()
            for width in widths
        ]


def real(catalog: Path, frames: Path, index: StarIndex, sources: dict[str, Vector]) -> dict[str, Any]:
    """Solve the real night."""
    pointing, blind = (night(catalog, frames, blind=blind) for blind in (False, True))
    return {"pointing": pointing, "blind": blind, "search_and_fit_cpu_s": solver_seconds(index, sources)}


def totals(result: dict[str, Any]) -> dict[str, Any]:
    """Sum what was counted over the seeds."""
    false = [run["measured"] for name, run in result.items() if name.startswith("false")]
    fields = [row for name, run in result.items() if name.startswith("completeness") for row in run["measured"]]
    counted = ("fields", "solved", "fields_with_12_stars", "solved_with_12_stars", "false")
    groups = dict.fromkeys(f"{row['kind']}, {row['width_deg']} deg" for row in fields)
    return {
        "false": {
            "fields": sum(run["fields"] for run in false),
            "accepted": sum(run["accepted"] for run in false),
            "positions_rated": sum(run["positions_rated"] for run in false),
            "largest_log_odds": max((run["largest_log_odds"] for run in false), default=None),
        },
        "completeness": {
            group: {
                name: sum(row[name] for row in fields if f"{row['kind']}, {row['width_deg']} deg" == group)
                for name in counted
            }
            for group in groups
        },
    }


def main() -> None:
    """Measure what the result lacks, and add it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("catalog", type=Path)
    parser.add_argument("frames", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--most", type=int, default=1000, help="sections measured in this call")
    parser.add_argument("--only", nargs="+", default=("hatp32", "completeness", "false", "solve_field"))
    parser.add_argument("--step", type=int, default=12, help="solve-field solves every so manieth frame")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    index = StarIndex.open(given.catalog)
    paths = sorted(given.frames.rglob("*.fits.fz"))
    known: dict[str, Callable[[], Any]] = {
        "hatp32": lambda: real(given.catalog, given.frames, index, found_sources(paths)),
        "solve_field": lambda: peer(given.catalog, paths, given.step),
    }
    for seed in given.seeds:
        known[f"completeness {seed}"] = partial(simulated, index, seed)
        for kind in KINDS:
            known[f"false {seed} {kind}"] = partial(false_solutions, index, kind, seed, lambda: found_sources(paths))
    result = json.loads(given.result.read_text()) if given.result.exists() else {}
    lacking = [name for section in given.only for name in known if name.split()[0] == section and name not in result]
    for name in lacking[: given.most]:
        result[name] = rounded({"machine": machine_facts(), "measured": known[name]()})
        result["totals"] = rounded(totals(result))
        given.result.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
