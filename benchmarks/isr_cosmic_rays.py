"""Score cosmic-ray finding by truth, and astroscrappy on the same frames in the same run.

Pixels are counted by the charge of the hit over the noise they have without it. False ones hold less than 20 e of hits.
Parts of one score can be made one by one: results of other widths in a file of today with these seeds and this
configuration are kept. Needs astroscrappy.
Usage: python benchmarks/isr_cosmic_rays.py [--seeds 651 ... 655] [--fwhm 1.5 2 3 4] [--speed] [--out FOLDER]
"""

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any

import astroscrappy
import numpy as np
from campaign import write_json
from ccd_scene import READ_NOISE, SATURATION, SKY, Scene, make_scene, prepare
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from etendue.image.exposure import Exposure
from etendue.image.psf import Psf
from etendue.tasks.cosmicray.cosmicray import CosmicRayConfig, CosmicRayTask

WIDTHS = (1.5, 2.0, 3.0, 4.0)
BINS = (3.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf)
DECADES = (1.0, 10.0, 100.0, 1000.0, np.inf)
STRICTNESS = (0.7, 0.85, 1.0, 1.3, 1.8)  # all thresholds in units of the defaults
BROADER = (0.9, 1.1, 1.2)  # PSFs fitted on fields of other widths
PEER_CLIPS = (4.5, 8.0)
Flags = NDArray[np.bool_]


def peer(exposure: Exposure, clip: float = 4.5, objlim: float = 5.0) -> Flags:
    """Run astroscrappy at its defaults, on the frame with its sky."""
    image = exposure.image.array.copy()
    found, _ = astroscrappy.detect_cosmics(
        image, inmask=exposure.mask.any_of("SAT"), sigclip=clip, objlim=objlim, gain=1.0, readnoise=READ_NOISE,
        satlevel=SATURATION,
    )  # fmt: skip
    return np.asarray(found)


def inside(scene: Scene) -> Flags:
    usable = ~scene.exposure.mask.any_of("SAT")
    usable[:3] = usable[-3:] = usable[:, :3] = usable[:, -3:] = False
    return usable


def pixels(scene: Scene, flags: Flags) -> dict[str, NDArray[np.int64]]:
    """Count struck and found pixels in bins of S/N, and false ones."""
    snr, usable = scene.charge / scene.sigma, inside(scene)
    bins = [usable & (snr >= low) & (snr < high) for low, high in pairwise(BINS)]
    return {
        "struck": np.array([part.sum() for part in bins]),
        "found": np.array([(part & flags).sum() for part in bins]),
        "false": np.array((usable & flags & (scene.charge < 20.0)).sum()),
    }


def stars(scene: Scene, flags: Flags) -> dict[str, NDArray[np.int64]]:
    """Count stars with a flagged pixel that has at least 40% of their peak's light and no hit, by decades of S/N."""
    size = scene.charge.shape[0]
    x, y = np.rint(scene.x[scene.point]).astype(int), np.rint(scene.y[scene.point]).astype(int)
    on = (x >= 3) & (x < size - 3) & (y >= 3) & (y < size - 3)
    x, y, flux = x[on], y[on], scene.electrons[scene.point][on]
    light, free = scene.expected - SKY, scene.charge < 0.3 * scene.sigma
    reach, touched = int(np.ceil(0.5 * scene.fwhm)), np.zeros(x.size, bool)
    for dy, dx in product(range(-reach, reach + 1), repeat=2):
        row, column = y + dy, x + dx
        touched |= flags[row, column] & free[row, column] & (light[row, column] > 0.4 * light[y, x])
    usable = inside(scene)[y, x]
    snr = flux / np.sqrt(flux + 2.27 * scene.fwhm**2 * (SKY + READ_NOISE**2))
    decades = [usable & (snr >= low) & (snr < high) for low, high in pairwise(DECADES)]
    return {
        "stars": np.array([part.sum() for part in decades]),
        "touched": np.array([(part & touched).sum() for part in decades]),
    }


def added(rows: Sequence[dict[str, NDArray[np.int64]]]) -> dict[str, Any]:
    total = {name: np.sum([row[name] for row in rows], axis=0) for name in rows[0]}
    if "found" not in total:
        return {name: values.tolist() for name, values in total.items()}
    struck, found = total["struck"], total["found"]
    return {
        "completeness": (found / np.maximum(struck, 1)).tolist(),
        "struck": struck.tolist(),
        "completeness_5_10": float(found[1:3].sum() / struck[1:3].sum()),
        "completeness_over_10": float(found[3:].sum() / struck[3:].sum()),
        "completeness_over_5": float(found[1:].sum() / struck[1:].sum()),
        "false_pixels": int(total["false"]),
        "false_of_flagged": float(total["false"] / max(1, total["false"] + found.sum())),
    }


def flux_bias(scene: Scene, exposure: Exposure, flags: Flags) -> NDArray[np.float64]:
    """Return S/N and magnitude difference of PSF fluxes without flagged pixels against the frame without hits.

    The third row tells whether a hit of over one sigma lies within 5 px.
    """
    assert exposure.psf is not None
    box = exposure.bbox
    on = scene.point & (scene.x > 12) & (scene.x < box.x.size - 13) & (scene.y > 12) & (scene.y < box.y.size - 13)
    on &= scene.electrons > 3000.0
    stamps = exposure.psf.draw(x=scene.x[on], y=scene.y[on])
    half = stamps.value.shape[1] // 2
    sky = scene.exposure.image.array - exposure.image.array
    clean, noise = scene.clean - sky, exposure.variance.array
    near = maximum_filter(scene.charge / scene.sigma, 11)
    usable, rows = inside(scene), []
    for stamp, x0, y0 in zip(stamps.value, stamps.x0, stamps.y0, strict=True):
        window = slice(y0 + half - 6, y0 + half + 7), slice(x0 + half - 6, x0 + half + 7)
        model = stamp[half - 6 : half + 7, half - 6 : half + 7]
        if not usable[window].all():
            continue
        with_hits = _psf_flux(exposure.image.array[window], noise[window], model, ~flags[window])
        without = _psf_flux(clean[window], np.maximum(scene.clean[window], 0.0) + READ_NOISE**2, model, model >= 0.0)
        if with_hits > 0.0 and without > 0.0:
            rows.append((without, -2500.0 * np.log10(with_hits / without), near[y0 + half, x0 + half] > 1.0))
    return np.array(rows).T


def _psf_flux(image: Any, noise: Any, model: Any, good: Flags) -> float:
    weight = good * model / np.median(noise)
    return float(np.sum(weight * image) / max(np.sum(weight * model), 1e-30))


def strict(factor: float) -> CosmicRayTask:
    """Return the task with its three thresholds multiplied."""
    config = CosmicRayConfig()
    return CosmicRayTask(
        CosmicRayConfig(clip=factor * config.clip, peak_clip=factor * config.peak_clip, excess=factor * config.excess)
    )


def found_by(task: CosmicRayTask, exposure: Exposure, psf: Psf | None = None) -> Flags:
    return task.run(exposure=exposure, psf=psf).mask.any_of("CR")


def of_width(fwhm: float, seeds: Sequence[int]) -> dict[str, Any]:
    """Score one width: pixels, stars by themselves and among particles, fluxes of stars, and PSFs of wrong width."""
    roc: dict[str, list[Any]] = {}
    flat: dict[str, list[Any]] = {}
    bias: list[Any] = []
    crowded: list[Any] = []
    for seed in seeds:
        scene, field = make_scene(fwhm, seed), make_scene(fwhm, seed + 1000, rays=False, grid=True)
        exposure, lone = prepare(scene), prepare(field)
        runs: list[tuple[str, CosmicRayTask, Psf | None]]
        runs = [(f"thresholds x {factor:g}", strict(factor), None) for factor in STRICTNESS]
        runs += [(f"PSF x {ratio:g}", CosmicRayTask(), _psf_of(ratio * fwhm, seed)) for ratio in BROADER]
        for name, task, psf in runs:
            flags = found_by(task, exposure, psf)
            roc.setdefault(name, []).append(pixels(scene, flags))
            flat.setdefault(name, []).append(stars(field, found_by(task, lone, psf)))
            if name == "thresholds x 1":
                flat.setdefault("among particles of 4000 s", []).append(stars(scene, flags))
        for clip in PEER_CLIPS:
            name = f"astroscrappy sigclip {clip:g}"
            roc.setdefault(name, []).append(pixels(scene, peer(scene.exposure, clip)))
            flat.setdefault(name, []).append(stars(field, peer(field.exposure, clip)))
        for seconds, rows in ((300.0, bias), (4000.0, crowded)):
            struck = make_scene(fwhm, seed + 2000, grid=True, seconds=seconds)
            exposure = prepare(struck)
            rows.append(flux_bias(struck, exposure, found_by(CosmicRayTask(), exposure)))
    return {
        "pixels": {name: added(rows) for name, rows in roc.items()},
        "stars": {name: added(rows) for name, rows in flat.items()},
        "flux_bias_mmag_300s": _biases(bias),
        "flux_bias_mmag_4000s": _biases(crowded),
    }


def _psf_of(fwhm: float, seed: int) -> Psf:
    psf = prepare(make_scene(round(fwhm, 3), seed)).psf
    assert psf is not None
    return psf


def _biases(rows: Sequence[NDArray[np.float64]]) -> dict[str, dict[str, float]]:
    _, difference, near = np.concatenate(rows, axis=1)
    hit = near.astype(bool)
    return {"all": _mean(difference), "hit_within_5px": _mean(difference[hit]), "others": _mean(difference[~hit])}


def _mean(values: NDArray[np.float64]) -> dict[str, float]:
    return {"n": values.size, "mean": float(values.mean()), "median": float(np.median(values)),
            "error": float(values.std() / values.size**0.5),
            "over_10_mmag_bright": int((values < -10.0).sum()), "over_10_mmag_faint": int((values > 10.0).sum()),
            }  # fmt: skip


def speed(seed: int, repeats: int = 5) -> dict[str, Any]:
    """Time both on one 4k frame of 300 s, alternating."""
    scene = make_scene(2.0, seed, size=4096, seconds=300.0)
    exposure, task = prepare(scene), CosmicRayTask()
    task.run(exposure=exposure)
    ours, theirs = [], []
    for _ in range(repeats):
        begin = time.process_time()
        task.run(exposure=exposure)
        ours.append(time.process_time() - begin)
        begin = time.process_time()
        peer(scene.exposure)
        theirs.append(time.process_time() - begin)
    return {"ours_cpu_s": ours, "astroscrappy_cpu_s": theirs, "ours_median": median(ours),
            "astroscrappy_median": median(theirs), "ratio": median(theirs) / median(ours)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[651, 652, 653, 654, 655])
    parser.add_argument("--fwhm", type=float, nargs="*", default=list(WIDTHS))
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    date = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    path = options.out / f"isr-cosmic-rays-{date}.json"
    score: dict[str, Any] = {
        "what": "cosmic rays on 1024 x 1024 px, 4000 s of particles, sky 400 e, Moffat PSF that varies by 3%",
        "date": date, "seeds": options.seeds, "bins": list(BINS[:-1]), "decades": list(DECADES[:-1]),
        "config": CosmicRayConfig().model_dump(mode="json"), "astroscrappy": astroscrappy.__version__,
    }  # fmt: skip
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(name) == value for name, value in score.items())
    score |= {"by_fwhm": {}} | (before if same else {}) | {"machine": machine_facts()}
    for fwhm in options.fwhm:
        score["by_fwhm"][f"{fwhm:g}"] = found = rounded(of_width(fwhm, options.seeds))
        report(fwhm, found)
    if options.speed:
        score["speed_4096"] = speed(options.seeds[0], options.repeats)
        print(rounded(score["speed_4096"]))
    write_json(rounded(score), path)


def report(fwhm: float, found: dict[str, Any]) -> None:
    print(fwhm, found["flux_bias_mmag_300s"], found["flux_bias_mmag_4000s"])
    for name, row in found["pixels"].items():
        print("  ", name, row, found["stars"].get(name))
    print("   among particles", found["stars"]["among particles of 4000 s"], flush=True)


if __name__ == "__main__":
    main()
