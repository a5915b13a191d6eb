"""CPU time and memory of the simulated CCD at 4096 px: all effects together, and each of them.

Usage: python benchmarks/ccd_effects.py [--size 4096] [--repeat 5] [--out benchmarks/results]

The detector has 16 amplifiers with prescan and overscan. The light is an even sky and stars, some of them saturated.
An effect's cost is the CPU time inside its code during a run of the whole chain. The first frame of a detector also
makes what is fixed about it (pixel response, defects, rings).
"""

import argparse
import json
import os
import pkgutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from machine import HERE, machine_facts, rounded
from side import Side, cpu_seconds

CCD = "etendue.simulate.ccd"
PLACES = {
    "fringing": f"{CCD}.ccd.fringe",
    "tree_rings": f"{CCD}.tree_rings.TreeRings.apply",
    "diffusion": f"{CCD}.ccd.spread",
    "dark": f"{CCD}.dark.DarkCurrent.add",
    "shot_noise_and_brighter_fatter": f"{CCD}.ccd.collect_in_steps",
    "cosmic_rays": f"{CCD}.ccd.strike",
    "full_well": f"{CCD}.full_well.FullWells.bloom",
    "leaks_and_traps": f"{CCD}.defects.SegmentDefects.pass_through",
    "parallel_transfer": f"{CCD}.charge_transfer.defer_rows",
    "serial_transfer": f"{CCD}.charge_transfer.defer_columns",
    "linearity_and_gain": f"{CCD}.ccd.amplify",
    "crosstalk": f"{CCD}.ccd.mix",
    "bias_read_noise_converter": f"{CCD}.ccd.digitise",
}
BAR_CPU_S = 3.5
BAR_MIB = 1024.0
PRESCAN, OVERSCAN, ROWS = 10, 54, 48
SKY, STARS = 600.0, 20_000
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def detector_of(size: int) -> Any:
    """Return a detector of two rows of eight amplifiers."""
    from etendue.camera.detector import Detector

    h, w = size // 2, size // 8
    width, height = w + PRESCAN + OVERSCAN, h + ROWS
    amplifiers = []
    for story in range(2):
        for k in range(8):
            x, y = k * width, story * height
            data_y, over_y = (y, y + h) if story == 0 else (y + ROWS, y)
            amplifiers.append(
                {
                    "name": f"C{story}{k}",
                    "raw_data": _section(x + PRESCAN, w, data_y, h),
                    "bbox": _section(k * w, w, story * h, h),
                    "raw_prescan": _section(x, PRESCAN, data_y, h),
                    "raw_serial_overscan": _section(x + PRESCAN + w, OVERSCAN, data_y, h),
                    "raw_parallel_overscan": _section(x + PRESCAN, w, over_y, ROWS),
                    "gain": 1.7,
                    "read_noise": 6.0,
                }
            )
    return Detector(id=0, name="CCD", raw_shape=(2 * height, 8 * width), amplifiers=amplifiers, pixel_size_mm=0.01)


def _section(x: int, width: int, y: int, height: int) -> str:
    return f"[{x + 1}:{x + width},{y + 1}:{y + height}]"


@cache
def light_of(size: int) -> Any:
    """Return an even sky with stars of 3.5 px, brighter ones fewer: N(> f) goes as 1/f."""
    rng = np.random.default_rng(7)
    count = int(STARS * (size / 4096) ** 2)
    light = np.full((size, size), SKY, np.float32)
    flux = 2000.0 / np.maximum(rng.random(count), 1e-4)
    line = np.arange(-12, 13)
    for x, y, f in zip(rng.uniform(14, size - 15, count), rng.uniform(14, size - 15, count), flux, strict=True):
        col, row = round(x), round(y)
        shape = np.exp(-0.5 * np.add.outer((line + row - y) ** 2, (line + col - x) ** 2) / 1.5**2)
        light[row - 12 : row + 13, col - 12 : col + 13] += f * shape / 14.14
    return light


def prepare(folder: Path, size: int, fresh: bool = False) -> Callable[[], dict[str, Any]]:
    """Return one exposure with all effects; with ``fresh`` a new CCD every time."""
    from etendue.simulate.ccd.ccd import Ccd
    from etendue.simulate.ccd.spec import CcdSpec

    spec = CcdSpec.everything()
    detector, light = detector_of(size), light_of(size)
    kept = Ccd(detector, spec, 1)

    def expose() -> dict[str, Any]:
        ccd = Ccd(detector, spec, 1) if fresh else kept
        out = ccd.expose(light, 30.0, np.random.default_rng(3), band="y", sky=SKY)
        return {"saturated": int(out.masks.saturated.sum()), "cosmic_ray": int(out.masks.cosmic_ray.sum())}

    return expose


@contextmanager
def timed(times: dict[str, float]) -> Iterator[None]:
    """Add the CPU time that passes inside each effect's code to ``times``."""
    with ExitStack() as stack:
        for name, place in PLACES.items():
            module, _, attribute = place.rpartition(".")
            owner = pkgutil.resolve_name(module)
            stack.enter_context(patch.object(owner, attribute, _timing(getattr(owner, attribute), times, name)))
        yield


def _timing(function: Callable[..., Any], times: dict[str, float], name: str) -> Callable[..., Any]:
    def run(*args: Any, **options: Any) -> Any:
        before = cpu_seconds()
        try:
            return function(*args, **options)
        finally:
            times[name] = times.get(name, 0.0) + cpu_seconds() - before

    return run


def costs_of_effects(size: int, repeat: int) -> dict[str, Any]:
    """Return the CPU time of each effect within the whole chain, medians [s]; the rest is copies and masks."""
    chain = prepare(Path(), size)
    chain()
    runs = []
    for _ in range(repeat):
        times: dict[str, float] = {}
        before = cpu_seconds()
        with timed(times):
            chain()
        runs.append(times | {"rest": cpu_seconds() - before - sum(times.values())})
    return {"effects_cpu_s": {name: statistics.median(run[name] for run in runs) for name in runs[0]}}


def whole_chain(folder: Path, size: int, repeat: int, *, fresh: bool) -> dict[str, float]:
    """Return CPU time and peak memory of a process that does nothing else."""
    side = Side(prepare, folder, {"size": size, "fresh": fresh}, warm=False)
    try:
        if reason := side.ready():
            raise RuntimeError(reason)
        runs = [side.measure() for _ in range(repeat + 1)]
    finally:
        side.close()
    return {
        "first_frame_cpu_s": runs[0]["cpu_s"],
        "cpu_s": statistics.median(run["cpu_s"] for run in runs[1:]),
        "wall_s": min(run["wall_s"] for run in runs[1:]),
        "peak_mib": runs[-1]["peak_mib"],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="CPU time of the simulated CCD.")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    options = parser.parse_args(arguments)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    date, facts = f"{datetime.now(UTC):%Y-%m-%d}", machine_facts()
    with tempfile.TemporaryDirectory(prefix="ccd") as scratch:
        kept, fresh = (whole_chain(Path(scratch), options.size, options.repeat, fresh=new) for new in (False, True))
    result = {
        "what": "CPU time and memory of a CCD with all effects",
        "date": date,
        "options": {"size": options.size, "repeat": options.repeat, "sky": SKY, "amplifiers": 16},
        "machine": facts,
        "same_ccd": kept,
        "new_ccd_each_time": fresh,
        **costs_of_effects(options.size, options.repeat),
    }
    result["bars_met"] = {
        "cpu_3.5_s": fresh["cpu_s"] <= BAR_CPU_S,
        "memory_1_gib": max(kept["peak_mib"], fresh["peak_mib"]) <= BAR_MIB,
    }
    result["load_1min_at_end"] = os.getloadavg()[0]
    text = json.dumps(rounded(result), indent=1)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"ccd-effects-{options.size}px-{date}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
