"""Score the finding of satellite trails by truth: drawn trails of stated brightness, and the simulator's satellites.

Parts of one score can be made one by one: others in a file of today with these seeds and this configuration are kept.
Usage: python benchmarks/isr_streaks.py [--seeds 751 ... 755] [--parts drawn satellites large] [--out FOLDER]
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import ccd_scene
import numpy as np
from campaign import write_json
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.ndimage import label

from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.simulate.drawing.draw import draw
from etendue.simulate.drawing.sources import Sources
from etendue.simulate.surveys.calibration_plan import calibration_frames
from etendue.simulate.surveys.frames import calibration_frame, science_frame
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.survey import Survey
from etendue.tasks.background.background import SubtractBackgroundTask
from etendue.tasks.calib.bias import BuildBiasTask
from etendue.tasks.calib.defects import BuildDefectsTask
from etendue.tasks.calib.flat import BuildFlatTask
from etendue.tasks.isr.isr import IsrTask
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.streak.streak import FindStreaksConfig, FindStreaksTask

PEAKS = (0.2, 0.3, 0.5, 1.0, 3.0, 30.0)
SIZE, TRUTH, FAR = 1024, 0.3, 0.05  # px; a pixel is on a trail above, and far from one below, these parts of its noise
Row = dict[str, Any]


def trail(rng: np.random.Generator, size: int, whole: bool) -> tuple[float, ...]:
    """Return the ends of a trail that crosses the frame, or lies in it and is 150 to 500 px long."""
    angle, reach = rng.uniform(0.0, np.pi), 2.0 * size if whole else 0.5 * rng.uniform(150.0, 500.0)
    x, y = rng.uniform(0.3 * size, 0.7 * size, 2)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    return x - dx, y - dy, x + dx, y + dy


def with_trail(
    scene: ccd_scene.Scene, ends: Sequence[float] | None, peak: float, rng: np.random.Generator
) -> tuple[Exposure, NDArray[np.float32]]:
    """Add a trail whose axis is brighter than the sky by a number of sigmas; return its light over the noise, too."""
    size, sigma = scene.charge.shape[0], (ccd_scene.SKY + ccd_scene.READ_NOISE**2) ** 0.5
    light = np.zeros((size, size), np.float32)
    if ends is not None:
        x0, y0, x1, y1 = ends
        still, none = np.zeros(1), np.zeros((0, 6))
        nodes = np.array([0.0, size - 1.0])
        profile = ccd_scene.moffat(ccd_scene.without_pixel(scene.fwhm)).astype(np.float32)
        psf = ccd_scene.ChipPsf(nodes, nodes, np.broadcast_to(profile, (2, 2, *profile.shape)).copy(), 8, 620.0)
        middle, length = (still + 0.5 * (x0 + x1), still + 0.5 * (y0 + y1)), still + np.hypot(x1 - x0, y1 - y0)
        shift = still + x1 - x0, still + y1 - y0
        sources = Sources(*middle, 1e4 * length, still + 620.0, *shift, np.zeros(2, int), none, np.zeros(0))
        draw(light, sources, psf)
        light = np.maximum(light, 0.0) * np.float32(peak * sigma / np.percentile(light[light > 0.3 * light.max()], 90))
    image = scene.exposure.image.array + rng.poisson(light).astype(np.float32)
    box = scene.exposure.bbox
    noisy = np.maximum(image, 0.0) + np.float32(ccd_scene.READ_NOISE**2)
    exposure = scene.exposure.replace(image=Image(image, box), variance=Image(noisy, box))
    return SubtractBackgroundTask().run(exposure=exposure).exposure, light / np.float32(sigma)


def score(exposure: Exposure, light: NDArray[np.float32]) -> Row:
    """Return the part of the axis found, of the pixels above 0.3 sigma, and the area masked far from any trail."""
    begin = time.process_time()
    result = FindStreaksTask().run(exposure=exposure)
    seconds = time.process_time() - begin
    masked = result.exposure.mask.any_of("STREAK")
    axis, truth = light > 0.5 * max(float(light.max()), 1e-9), light > TRUTH
    return {
        "length": float(masked[axis].mean()) if axis.any() else None, "truth_px": int(truth.sum()),
        "found_px": int((masked & truth).sum()), "wrong_area": float((masked & (light < FAR)).mean()),
        "streaks": len(result.streaks), "cpu_s": seconds, "trails": trails(light, masked),
    }  # fmt: skip


def trails(light: NDArray[np.float32], masked: NDArray[np.bool_]) -> list[Row]:
    """Return length, peak and found part of each connected piece of trails."""
    pieces, count = label(light > TRUTH, np.ones((3, 3)))
    rows = []
    for number in range(1, count + 1):
        y, x = np.nonzero(pieces == number)
        length = float(np.hypot(np.ptp(x), np.ptp(y)))
        rows.append({"px": length, "peak": float(np.percentile(light[y, x], 95)), "found": float(masked[y, x].mean())})
    return rows


def of_length(rows: Sequence[Row], least: float, most: float) -> Row:
    """Sum the length of the pieces of some peaks over frames, and what is found of it."""
    some = [trail for row in rows for trail in row["trails"] if least <= trail["peak"] < most]
    total = sum(trail["px"] for trail in some)
    return {"pieces": len(some), "px": total, "short": sum(trail["px"] < 128.0 for trail in some),
            "found": sum(trail["px"] * trail["found"] for trail in some) / total if total else None}  # fmt: skip


def drawn(seeds: Sequence[int], per_seed: int = 3) -> Iterator[Row]:
    """Score trails of every brightness on fields of stars and galaxies, and fields without."""
    for seed in seeds:
        for number in range(per_seed):
            rng = np.random.default_rng([seed, number])
            scene = ccd_scene.make_scene((1.8, 2.5, 4.0)[number % 3], 100 * seed + number, size=SIZE, seconds=300.0)
            yield {"kind": "none", "peak": 0.0, **score(*with_trail(scene, None, 0.0, rng))}
            for whole in (True, False):
                for peak in PEAKS:
                    ends = trail(rng, SIZE, whole)
                    found = score(*with_trail(scene, ends, peak, rng))
                    yield {"kind": "whole" if whole else "part", "peak": peak, **found}


def satellites(seed: int, factor: float, exposures: int) -> Iterator[Row]:
    """Score frames of the demo survey with more satellites, reduced with bias, flat and defects of their own."""
    spec = load_survey("demo")
    many = tuple(s.model_copy(update={"count": int(s.count * factor)}) for s in spec.sky.satellites)
    spec = spec.model_copy(update={"sky": spec.sky.model_copy(update={"satellites": many})})
    survey = Survey.plan(spec, seed=seed)
    frames = calibration_frames(survey)
    first = [frame for frame in frames if frame.mjd_tai_begin < frames[0].mjd_tai_begin + 0.5]
    for detector in survey.detectors:
        raws = {kind: [calibration_frame(survey, f, detector).raw for f in first if (f.kind, f.band) == kind]
                for kind in {(f.kind, f.band) for f in first}}  # fmt: skip
        bias = BuildBiasTask().run(raws["bias", ""], survey.camera).exposure
        for exposure in survey.exposures[:exposures]:
            flat = BuildFlatTask().run(raws["flat", exposure.band], survey.camera, Calibrations(bias=bias)).exposure
            known = Calibrations(bias=bias, flat=flat, defects=BuildDefectsTask().run(bias=bias, flat=flat))
            frame = science_frame(survey, exposure, detector)
            image = IsrTask().run(raw=frame.raw, camera=survey.camera, calibrations=known)
            image = SubtractBackgroundTask().run(exposure=image).exposure
            noise = np.float32(np.nanmedian(np.sqrt(image.variance.array)))
            assert frame.scene is not None
            trails = frame.scene.streaks
            light = np.zeros(image.bbox.shape, np.float32) if trails is None else trails / noise
            yield {
                "visit": exposure.exposure,
                "detector": detector.id,
                "peak": float(light.max()),
                **score(image, light),
            }


def summary(rows: Sequence[Row]) -> Row:
    truth = sum(row["truth_px"] for row in rows)
    lengths = [row["length"] for row in rows if row["length"] is not None]
    return {
        "frames": len(rows), "mean_length_found": float(np.mean(lengths)) if lengths else None,
        "over_90_percent_found": float(np.mean(np.array(lengths) > 0.9)) if lengths else None,
        "truth_found": sum(row["found_px"] for row in rows) / truth if truth else None,
        "mean_wrong_area": float(np.mean([row["wrong_area"] for row in rows])),
        "largest_wrong_area": max(row["wrong_area"] for row in rows),
        "frames_with_wrong": sum(row["wrong_area"] > 0.0005 for row in rows),
        "median_cpu_s": median(row["cpu_s"] for row in rows),
    }  # fmt: skip


def large(seed: int) -> Row:
    """Time one 4k frame without and with a trail."""
    rng = np.random.default_rng(seed)
    scene = ccd_scene.make_scene(2.5, seed, size=4096, seconds=300.0)
    empty, _ = with_trail(scene, None, 0.0, rng)
    crossed, light = with_trail(scene, trail(rng, 4096, whole=True), 1.0, rng)
    rows = [(score(empty, np.zeros_like(light)), score(crossed, light)) for _ in range(5)]
    return {
        "empty_cpu_s": median(row[0]["cpu_s"] for row in rows),
        "crossed_cpu_s": median(row[1]["cpu_s"] for row in rows),
        "length": rows[0][1]["length"],
        "wrong_area_empty": rows[0][0]["wrong_area"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[751, 752, 753, 754, 755])
    parser.add_argument("--parts", nargs="+", default=["drawn", "satellites", "large"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    date = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    path = options.out / f"isr-streaks-{date}.json"
    result: Row = {
        "what": "trails on 1024 x 1024 px by peak over the sky's noise; demo frames with 15 times the satellites",
        "date": date, "seeds": options.seeds, "config": FindStreaksConfig().model_dump(mode="json"),
    }  # fmt: skip
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(name) == value for name, value in result.items())
    result |= (before if same else {}) | {"machine": machine_facts()}
    if "drawn" in options.parts:
        rows = list(drawn(options.seeds))
        kinds = sorted({(row["kind"], row["peak"]) for row in rows})
        result["drawn"] = [
            {"kind": kind, "peak": peak, **summary([r for r in rows if (r["kind"], r["peak"]) == (kind, peak)])}
            for kind, peak in kinds
        ]
        print(*rounded(result["drawn"]), sep="\n")
    if "satellites" in options.parts:
        swarm = [row for seed in options.seeds[:3] for row in satellites(seed, 15.0, 4)]
        result["satellites"] = {
            "seeds": options.seeds[:3], "with": summary([r for r in swarm if r["truth_px"]]),
            "without": summary([r for r in swarm if not r["truth_px"]]), "all_frames": summary(swarm),
            "peaks_over_1_sigma": of_length(swarm, 1.0, np.inf), "fainter": of_length(swarm, 0.0, 1.0), "frames": swarm,
        }  # fmt: skip
        print(rounded({name: row for name, row in result["satellites"].items() if name != "frames"}))
    if "large" in options.parts:
        result["frame_4096"] = large(options.seeds[0])
        print(rounded(result["frame_4096"]))
    write_json(rounded(result), path)


if __name__ == "__main__":
    main()
