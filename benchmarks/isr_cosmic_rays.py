"""Score cosmic-ray finding by truth, and astroscrappy on the same frames in the same run.

Pixels are counted by the charge of the hit over the noise they have without it. False ones hold less than 20 e of hits.
Needs astroscrappy. Usage: python benchmarks/isr_cosmic_rays.py [--seeds 601 ... 605] [--out benchmarks/results]
"""

import argparse
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
from etendue.tasks.cosmicray.cosmicray import CosmicRayConfig, CosmicRayTask

WIDTHS = (1.5, 2.0, 3.0, 4.0)
BINS = (3.0, 5.0, 7.0, 10.0, 20.0, 50.0, np.inf)
DECADES = (1.0, 10.0, 100.0, 1000.0, np.inf)
CLIPS = (3.0, 3.7, 4.3, 5.0, 7.0)
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


def of_width(fwhm: float, seeds: Sequence[int]) -> dict[str, Any]:
    roc: dict[str, list[Any]] = {}
    flat: dict[str, list[Any]] = {}
    bias = []
    for seed in seeds:
        scene, field = make_scene(fwhm, seed), make_scene(fwhm, seed + 1000, rays=False, grid=True)
        exposure, lone = prepare(scene), prepare(field)
        for clip in CLIPS:
            task = CosmicRayTask(CosmicRayConfig(clip=clip))
            flags = task.run(exposure=exposure).mask.any_of("CR")
            roc.setdefault(f"clip {clip:g}", []).append(pixels(scene, flags))
            flat.setdefault(f"clip {clip:g}", []).append(stars(field, task.run(exposure=lone).mask.any_of("CR")))
            if clip == CosmicRayConfig().clip:
                flat.setdefault("struck field", []).append(stars(scene, flags))
        struck = make_scene(fwhm, seed + 2000, grid=True, seconds=300.0)
        exposure = prepare(struck)
        bias.append(flux_bias(struck, exposure, CosmicRayTask().run(exposure=exposure).mask.any_of("CR")))
        for clip in PEER_CLIPS:
            name = f"astroscrappy sigclip {clip:g}"
            roc.setdefault(name, []).append(pixels(scene, peer(scene.exposure, clip)))
            flat.setdefault(name, []).append(stars(field, peer(field.exposure, clip)))
    _, difference, near = np.concatenate(bias, axis=1)
    hit = near.astype(bool)
    return {
        "pixels": {name: added(rows) for name, rows in roc.items()},
        "stars": {name: added(rows) for name, rows in flat.items()},
        "flux_bias_mmag_300s": {
            "all": _mean(difference), "hit_within_5px": _mean(difference[hit]), "others": _mean(difference[~hit]),
        },
    }  # fmt: skip


def _mean(values: NDArray[np.float64]) -> dict[str, float]:
    return {"n": values.size, "mean": float(values.mean()), "median": float(np.median(values)),
            "error": float(values.std() / values.size**0.5)}  # fmt: skip


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
    parser.add_argument("--seeds", type=int, nargs="+", default=[601, 602, 603, 604, 605])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    date = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    result = {
        "what": "cosmic rays on 1024 x 1024 px, 4000 s of particles, sky 400 e, Moffat PSF that varies by 3%",
        "date": date, "machine": machine_facts(), "seeds": options.seeds, "bins": list(BINS[:-1]),
        "decades": list(DECADES[:-1]), "config": CosmicRayConfig().model_dump(),
        "astroscrappy": astroscrappy.__version__, "speed_4096": speed(options.seeds[0], options.repeats),
        "by_fwhm": {f"{fwhm:g}": of_width(fwhm, options.seeds) for fwhm in WIDTHS},
    }  # fmt: skip
    write_json(rounded(result), options.out / f"isr-cosmic-rays-{date}.json")
    print(rounded(result["speed_4096"]))
    for fwhm, found in result["by_fwhm"].items():
        print(fwhm, rounded(found["flux_bias_mmag_300s"]))
        for name, row in found["pixels"].items():
            print("  ", name, rounded(row), found["stars"].get(name))
        print("   struck field", found["stars"]["struck field"])


if __name__ == "__main__":
    main()
