"""Write shipped simulated surveys or parts of them, make frames alone, process with `quickstart`, score by truth.

Usage: python benchmarks/presets.py NAME --scratch DIR [--seed 201] [--out benchmarks/results] [--whole]
[--step write alone run score]
What a part leaves out of the survey stands in `PARTS`; the scores are those of `etendue demo`, and of every magnitude.
Surveys that no pipeline takes are written and counted only (`calib` is measured by calibration_estimates.py).
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from catalog_counts import catalog_counts
from lone_frames import lone_frames
from machine import HERE, machine_facts, rounded
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from side import cpu_seconds

Parts = dict[str, Any]
Columns = dict[str, NDArray[Any]]

PARTS: dict[str, Parts] = {
    "crowded": {},
    "dr1-mini": {
        "detectors": [4],
        "cadence": {
            "nights": [
                {"day": 0, "bands": "ugrizy", "spacing_min": 12.0},
                {"day": 1, "bands": "yzirgu", "spacing_min": 12.0},
                {"day": 9, "bands": "yzirgu", "spacing_min": 12.0},
                {"day": 31, "bands": "ugrizy", "spacing_min": 12.0},
            ]
        },
    },
    "ap-year": {"detectors": [0], "cadence": {"scheduler": {"nights": 13, "every_days": 28}}},
    "mops": {"cadence": {"scheduler": {"nights": 3}}},
}
"""What is left of long ones; others are made whole."""
PROCESSED = ("crowded", "dr1-mini", "ap-year")
_RAD = np.pi / 180.0
_MATCH_ARCSEC, _MATCH_MAG = 0.5, 0.75
_BIN = 0.5
_MOPS_DEG2 = 9.6  # of a visit of widecam
_CAUSES = ("satellite", "edge, defect or saturation", "near a star brighter than 15", "on a star",
           "on a galaxy brighter than 21", "cosmic ray", "below 6 sigma")  # fmt: skip
_FLAGS = ("edge", "bad", "interpolated", "saturated", "cr")
_GALAXY_FLUXES = ("psfFlux", "ap12Flux", "ap25Flux", "ap50Flux")


def spec_of(name: str, whole: bool) -> Any:
    """Return the survey, or the part of it that is processed."""
    from etendue.simulate.surveys.presets import load_survey
    from etendue.simulate.surveys.spec import SurveySpec

    content = load_survey(name).model_dump(mode="json", exclude_unset=True)
    return SurveySpec.parse(_merged(content, {} if whole else PARTS.get(name, {})), name)


def _merged(content: Parts, part: Parts) -> Parts:
    merged = dict(content)
    for key, value in part.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, dict) and key in merged else value
    return merged


def by_magnitude(true: Columns, found: Columns, flux_name: str) -> list[dict[str, Any]]:
    """Return completeness, purity and flux errors in half magnitudes, of detections on single exposures.

    A detection is a source if it is the nearest within 0.5 arcsec both ways, and as bright to 0.75 mag: in a cluster
    there is a star near every place.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        found_mag = 31.4 - 2.5 * np.log10(found[flux_name])
    partner = np.full(true["mag"].size, -1)
    hit = np.zeros(found_mag.size, bool)
    keys = _frames(true), _frames(found)
    for frame in np.unique(keys[0]):
        mine, theirs = np.flatnonzero(keys[0] == frame), np.flatnonzero(keys[1] == frame)
        if theirs.size == 0:
            continue
        one, other = _pairs(true, mine, found, theirs)
        same = np.abs(true["mag"][one] - found_mag[other]) < _MATCH_MAG
        partner[one[same]] = other[same]
        hit[other[same]] = True
    edges = np.arange(np.floor(true["mag"].min()), np.ceil(np.nanmax(found_mag)), _BIN)
    return [_bin(low, true, found, found_mag, partner, hit, flux_name) for low in edges]


def _bin(
    low: float, true: Columns, found: Columns, found_mag: NDArray[np.float64], partner: NDArray[np.int64],
    hit: NDArray[np.bool_], flux_name: str,
) -> dict[str, Any]:  # fmt: skip
    here = (true["mag"] >= low) & (true["mag"] < low + _BIN)
    there = (found_mag >= low) & (found_mag < low + _BIN)
    row: dict[str, Any] = {"mag": float(low), "true": int(here.sum()), "found": int(there.sum())}
    row["completeness"] = float(np.mean(partner[here] >= 0)) if here.any() else None
    row["purity"] = float(np.mean(hit[there])) if there.any() else None
    mine = np.flatnonzero(here & (partner >= 0))
    if mine.size > 20:
        flux, error = (found[name][partner[mine]] for name in (flux_name, f"{flux_name}Err"))
        excess = flux / true["flux_njy"][mine] - 1.0
        pull = (flux - true["flux_njy"][mine]) / error
        row |= {"flux_bias_mmag": 1085.7 * float(np.median(excess)), "flux_scatter_mmag": 1085.7 * _width(excess),
                "pull_width": _width(pull), "pull_median": float(np.median(pull))}  # fmt: skip
    return row


def _pairs(
    true: Columns, mine: NDArray[np.int64], found: Columns, theirs: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows that are each other's nearest."""
    middle = float(np.median(true["dec"][mine])) * _RAD
    here = np.stack([true["ra"][mine] * np.cos(middle), true["dec"][mine]], axis=1) * 3600.0
    there = np.stack([found["ra"][theirs] * np.cos(middle), found["dec"][theirs]], axis=1) * 3600.0
    forward, back = cKDTree(there).query(here), cKDTree(here).query(there)[1]
    good = (forward[0] < _MATCH_ARCSEC) & (back[forward[1]] == np.arange(mine.size))
    return mine[good], theirs[forward[1][good]]


def _frames(columns: Columns) -> NDArray[np.int64]:
    return np.asarray(columns["visit"], np.int64) * 1000 + np.asarray(columns["detector"], np.int64)


def _width(values: NDArray[np.float64]) -> float:
    low, high = np.percentile(values, [25.0, 75.0])
    return float(high - low) / 1.349


def galaxies(true: Columns, objects: Columns, bands: Sequence[str]) -> list[dict[str, Any]]:
    """Return fluxes of galaxies on coadds over the true total ones, and how many are objects, by magnitude."""
    from etendue.simulate.population.layer import kind_of

    chosen = kind_of(true["object_id"]) == "galaxies"
    rows = []
    for band in bands:
        mine = np.flatnonzero(chosen & (true["band"] == band))
        _, first = np.unique(true["object_id"][mine], return_index=True)
        mine = mine[first]
        middle = float(np.median(true["dec"][mine])) * _RAD
        here = np.stack([true["ra"][mine] * np.cos(middle), true["dec"][mine]], axis=1) * 3600.0
        there = np.stack([objects["coord_ra"] * np.cos(middle), objects["coord_dec"]], axis=1) * 3600.0
        gap, near = cKDTree(there).query(here)
        seen = gap < 2.0 * _MATCH_ARCSEC
        for low in np.arange(17.0, 26.0, 1.0):
            inside = (true["mag"][mine] >= low) & (true["mag"][mine] < low + 1.0)
            row: dict[str, Any] = {"band": band, "mag": low, "true": int(inside.sum())}
            row["found"] = float(seen[inside].mean()) if inside.any() else None
            for name in _GALAXY_FLUXES:
                flux = objects[f"{band}_{name}"][near[inside & seen]] / true["flux_njy"][mine][inside & seen]
                flux = flux[np.isfinite(flux)]
                row[name] = float(np.median(flux)) if flux.size > 10 else None
            rows.append(row)
    return rows


def false_causes(truth: Any, found: Columns) -> dict[str, float]:
    """Return detections on differences per frame by the first thing that could have made them."""
    from etendue.simulate.population.layer import kind_of

    true, rays = truth["sources"], truth["cosmic_rays"]
    kind = kind_of(true["object_id"])
    changing = np.isin(kind, ("variables", "agn", "transients", "flashes", "moving", "comets"))
    causes = {name: np.zeros(found["visit"].size, bool) for name in ("true change", *_CAUSES)}
    keys, theirs = _frames(found), _frames(true)
    ray_keys = _frames(rays) if rays else np.zeros(0, np.int64)
    for frame in np.unique(keys):
        mine, here = np.flatnonzero(keys == frame), np.flatnonzero(theirs == frame)
        place = np.stack([found["x"][mine], found["y"][mine]], axis=1).astype(float)

        def near(rows: NDArray[np.int64], radius: float, columns: Columns = true, at: Any = place) -> NDArray[np.bool_]:
            if rows.size == 0:
                return np.zeros(len(at), bool)
            gap = cKDTree(np.stack([columns["x"][rows], columns["y"][rows]], axis=1)).query(at)[0]
            return np.asarray(gap < radius)

        star = here[np.isin(kind[here], ("stars", "crowded"))]
        causes["true change"][mine] = near(here[changing[here]], 3.0)
        causes["satellite"][mine] = near(here[kind[here] == "satellites"], 500.0)
        causes["edge, defect or saturation"][mine] = np.any([found[f"pixelFlags_{f}"][mine] for f in _FLAGS], axis=0)
        causes["near a star brighter than 15"][mine] = near(star[true["mag"][star] < 15.0], 40.0)
        causes["on a star"][mine] = near(star[true["mag"][star] < 22.0], 3.0)
        bright = here[(kind[here] == "galaxies") & (true["mag"][here] < 21.0)]
        causes["on a galaxy brighter than 21"][mine] = near(bright, 5.0)
        causes["cosmic ray"][mine] = near(np.flatnonzero(ray_keys == frame), 5.0, rays)
        causes["below 6 sigma"][mine] = np.abs(found["snr"][mine]) < 6.0
    frames, left, counts = truth["detectors"]["visit"].size, np.ones(found["visit"].size, bool), {}
    for name, flags in causes.items():
        counts[name] = float((left & flags).sum()) / frames
        left &= ~flags
    return counts | {"none of these": float(left.sum()) / frames}


def score(frames: Path, repository: Path) -> dict[str, Any]:
    """Return all scores of a processed survey."""
    from etendue.app.truth_check.catalogs import Catalogs
    from etendue.app.truth_check.compare import compare
    from etendue.app.truth_check.row import to_json
    from etendue.middleware.repository import Repository
    from etendue.simulate.surveys.truth_tables import read_survey_truth

    home, truth = Repository.open(repository, writeable=False), read_survey_truth(frames / "truth")
    catalogs = Catalogs.read(home, home.camera().name)
    sources = {name: np.asarray(catalogs.sources[name]) for name in catalogs.sources.names}
    objects = {name: np.asarray(catalogs.objects[name]) for name in catalogs.objects.names}
    true = truth["sources"]
    bands = sorted(set(true["band"].tolist()))
    result: dict[str, Any] = {"rows": to_json(compare(truth, catalogs))}
    result["counts"] = {"detections": len(sources["ra"]), "objects": len(objects["coord_ra"]), "true_sources":
                        len(true["mag"]), "dia_sources": len(catalogs.dia_sources), "dia_objects":
                        len(catalogs.dia_objects)}  # fmt: skip
    result["by_magnitude"] = {}
    for band in bands:
        mine, theirs = true["band"] == band, sources["band"] == band
        here = {name: values[mine] for name, values in true.items()}
        there = {name: values[theirs] for name, values in sources.items()}
        result["by_magnitude"][band] = by_magnitude(here, there, "psfFlux")
    result["galaxies"] = galaxies(true, objects, bands)
    differences = {name: np.asarray(catalogs.dia_sources[name]) for name in catalogs.dia_sources.names}
    result["differences_per_frame"] = false_causes(truth, differences)
    return result


def write(spec: Any, frames: Path, *, seed: int, workers: int) -> dict[str, Any]:
    """Write a survey; return wall time, CPU time of one worker, size and counts."""
    from etendue.app.simulate import simulate_into

    start, cpu = time.perf_counter(), cpu_seconds()
    made = simulate_into(spec, frames, seed=seed, workers=workers, progress=False).to_dict()
    cost = {"workers": workers, "wall_s": time.perf_counter() - start}
    if workers == 1:  # the time of workers is not counted for this process
        cost["cpu_s"] = cpu_seconds() - cpu
    size = {path.name: _bytes(path) for path in sorted(frames.iterdir())}
    made.pop("folder")
    return {**cost, "machine": machine_facts(), "bytes": sum(size.values()), "bytes_by_folder": size, **made}


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def process(frames: Path, repository: Path, *, workers: int) -> dict[str, Any]:
    """Process a survey with `quickstart`; return wall times and what was missing."""
    from etendue.app.quickstart import quickstart

    folders = [path for path in frames.iterdir() if path.is_dir() and path.name != "truth"]
    run = quickstart(folders, repository=repository, refcat=str(frames / "refcat.csv"), workers=workers,
                     progress=False)  # fmt: skip
    return {"wall_by_step_s": run.wall_s, "missing": list(run.missing), "runs": [r.to_dict() for r in run.runs]}


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    from etendue.simulate.surveys.presets import shipped_surveys

    parser = argparse.ArgumentParser(description="Write, process and score shipped surveys or parts; store JSON.")
    parser.add_argument("name", choices=sorted(shipped_surveys()))
    parser.add_argument("--seed", type=int, default=201)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", type=Path, required=True, help="folder for frames and repository; kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--whole", action="store_true", help="write all of it; no run, no score")
    parser.add_argument("--lone", type=int, default=6, help="frames of each sort that are made alone")
    parser.add_argument("--step", choices=["write", "alone", "run", "score"], nargs="*",
                        default=["write", "alone", "run", "score"])  # fmt: skip
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    processed = options.name in PROCESSED and not options.whole
    frames, repository = options.scratch / "frames", options.scratch / "repository"
    log = options.scratch / "steps.json"
    steps: dict[str, Any] = json.loads(log.read_text()) if log.is_file() else {}
    spec = spec_of(options.name, options.whole)

    def keep(name: str, done: dict[str, Any]) -> None:
        steps[name] = done
        log.write_text(json.dumps(steps, indent=1))

    if "write" in options.step:
        keep("write", write(spec, frames, seed=options.seed, workers=options.workers))
    if "alone" in options.step:
        keep("alone", lone_frames(spec, frames, options.seed, options.lone))
    if "run" in options.step and processed:
        keep("run", process(frames, repository, workers=options.workers))
    part = {} if options.whole else PARTS.get(options.name, {})
    facts: dict[str, Any] = {
        "what": f"{options.name}: written, frames made alone" + ", by quickstart against the truth" * processed,
        "date": f"{datetime.now(UTC):%Y-%m-%d}", "seed": options.seed, "part": part,
        "workers": options.workers, "machine": machine_facts(), "steps": steps,
    }  # fmt: skip
    if "score" in options.step:
        if spec.catalog is not None:
            facts["catalog"] = catalog_counts(frames, _MOPS_DEG2)
        result = rounded(facts | (score(frames, repository) if processed else {}))
        name = options.name + "-whole" * (options.whole and options.name in PARTS)
        (options.out / f"preset-{name}-{facts['date']}.json").write_text(json.dumps(result, indent=1) + "\n")
        for row in result.get("rows", ()):
            print(f"{row['what']}: {row['recovered']} (true: {row['true']})")
    print(json.dumps(rounded({name: steps[name] for name in ("write", "alone") if name in steps})))


if __name__ == "__main__":
    main()
