"""CPU time and memory of signature removal, step by step, on one core: 4000 x 4072 pixels, 16 amplifiers (`lsstcam`).

Usage: python benchmarks/isr_speed.py [--repeat 3] [--out FILE]

Best of the repetitions. Beside each step stands the time that this memory needs to read and write one frame in float32.
Products are made up: what they hold does not change the work.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded

BARS = {"basic chain with reading": 1.5, "brighter-fatter, 10 iterations": 4.0, "cosmic rays": 2.0, "trails": 1.0}


def best(function: Callable[[], Any], repeat: int) -> tuple[float, Any]:
    """Return the shortest CPU time of a call, and what it gave."""
    times, result = [], None
    for _ in range(repeat):
        result = None  # a worker has handed on the last frame before it takes the next
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return min(times), result


def starry(detector: Any) -> Any:
    """Return the raw frame of 3,000 stars on a sky of 500 ADU, shape `Detector.raw_shape`."""
    from etendue.camera.read_order import read_orders

    rng = np.random.default_rng(1)
    light = np.full(detector.bbox.shape, 500.0)
    y, x = np.mgrid[-12:13, -12:13]
    for _ in range(3000):
        row, col = (rng.integers(14, size - 14) for size in light.shape)
        star = 10.0 ** rng.uniform(2, 5.0) * np.exp(-(x**2 + y**2) / 8.0)
        light[row - 12 : row + 13, col - 12 : col + 13] += star
    counts, raw = rng.poisson(1.5 * light) / 1.5, np.zeros(detector.raw_shape)
    for order in read_orders(detector):
        segment = np.zeros(order.shape)
        segment[order.data] = order.view(counts, detector)
        order.write(segment, raw)
    raw = np.rint(raw + 24_000.0 + rng.normal(0.0, 4.0, raw.shape)).astype(np.int32)
    return np.minimum(raw, 150_000)


def scene() -> tuple[Any, Any, Any]:
    """Return camera, raw frame of a starry sky, and products."""
    from etendue.camera.observation_info import ObservationInfo
    from etendue.camera.raw import RawFrame
    from etendue.camera.shipped import load_camera
    from etendue.image.brighter_fatter import PixelBoundaries
    from etendue.image.crosstalk import Coupling, Crosstalk
    from etendue.image.exposure import Exposure
    from etendue.image.image import Image
    from etendue.image.linearizer import AmplifierLinearity, Linearizer
    from etendue.image.mask import Mask
    from etendue.image.ptc import AmplifierGain, Ptc
    from etendue.simulate.ccd.brighter_fatter import BrighterFatterSpec
    from etendue.tasks.readout.calibrations import Calibrations

    camera = load_camera("lsstcam")
    detector = camera.detectors[0]
    raw = starry(detector)
    info = ObservationInfo(
        instrument="lsstcam", detector_id=detector.id, exposure_id=2025010100001, day_obs=20250101, seq=1,
        observation_type="science", physical_filter="r_57", band="r", exposure_time_s=30.0, mjd_tai_begin=60676.0,
        mjd_tai_end=60676.1, file_name="frame.fits",
    )  # fmt: skip
    box, names = detector.bbox, [amplifier.name for amplifier in detector.amplifiers]

    def plane(value: float, unit: str) -> Exposure:
        pixels = np.full(box.shape, value, np.float32)
        variance = Image(np.full(box.shape, 1e-4, np.float32), box)
        return Exposure(image=Image(pixels, box), mask=Mask.empty(box), variance=variance, unit=unit)

    coupling = np.full((len(names), len(names)), 1e-4)
    np.fill_diagonal(coupling, 0.0)
    nodes, deviation = np.linspace(0.0, 1.5e5, 12), np.linspace(0.0, -0.01, 12)
    products = Calibrations(
        bias=plane(1.0, "adu"), dark=plane(0.02, "electron"), flat=plane(1.0, ""),
        ptc=Ptc(tuple(AmplifierGain(name, 1.5, 0.01, 6.0, 0.1, 1.5, True, turnoff_adu=9e4) for name in names)),
        linearizer=Linearizer(tuple(AmplifierLinearity(name, "spline", nodes, deviation) for name in names)),
        crosstalk=Crosstalk(tuple(names), Coupling.of(coupling, 1e-7 * coupling)),
        brighter_fatter=PixelBoundaries(*BrighterFatterSpec(reach=8).stencils()),
    )  # fmt: skip
    return (
        camera,
        RawFrame(array=np.minimum(raw, 150_000), header={}, detector_id=detector.id, path="", info=info),
        products,
    )


def measure(repeat: int) -> list[dict[str, Any]]:
    """Return a row per step."""
    from astropy.io import fits

    from etendue.image.psf_gaussian import GaussianMixturePsf
    from etendue.tasks.cosmicray.cosmicray import CosmicRayTask
    from etendue.tasks.isr.brighter_fatter import CorrectBrighterFatterConfig, CorrectBrighterFatterTask
    from etendue.tasks.isr.isr import IsrTask
    from etendue.tasks.streak.streak import FindStreaksTask

    camera, frame, products = scene()
    basic = replace(products, brighter_fatter=None)
    rows: list[dict[str, Any]] = []

    def row(what: str, function: Callable[[], Any]) -> Any:
        seconds, result = best(function, repeat)
        rows.append({"what": what, "cpu_s": seconds, "bar_s": BARS.get(what)})
        print(rounded(rows[-1]), flush=True)
        return result

    target = np.empty(camera.detectors[0].bbox.shape, np.float32)
    row("read and write one frame", lambda: np.copyto(target, products.flat.image.array))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.fits.fz"
        packed = fits.CompImageHDU(frame.array, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
        row("read compressed raw", lambda: fits.getdata(path))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    exposure = row("basic chain", lambda: IsrTask().run(raw=frame, camera=camera, calibrations=basic))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows.append({"what": "memory of the process [MiB]", "before": before / 1024.0, "peak": after / 1024.0})
    total = sum(one["cpu_s"] for one in rows if one["what"] in ("read compressed raw", "basic chain"))
    rows.append({"what": "basic chain with reading", "cpu_s": total, "bar_s": BARS["basic chain with reading"]})
    task = CorrectBrighterFatterTask(CorrectBrighterFatterConfig(converged_e=0.0))
    row("brighter-fatter, 10 iterations", lambda: task.run(exposure.image.array, products.brighter_fatter))
    row("brighter-fatter until converged",
        lambda: CorrectBrighterFatterTask().run(exposure.image.array, products.brighter_fatter))  # fmt: skip
    psf = GaussianMixturePsf.circular(2.0)
    row("cosmic rays", lambda: CosmicRayTask().run(exposure=exposure, psf=psf))
    row("trails", lambda: FindStreaksTask().run(exposure=exposure))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    facts = {"what": "signature removal, 4000 x 4072, 16 amplifiers", "date": f"{datetime.now(UTC):%Y-%m-%d}",
             "machine": machine_facts()}  # fmt: skip
    facts["rows"] = measure(options.repeat)
    if options.out:
        options.out.write_text(json.dumps(rounded(facts), indent=1) + "\n")


if __name__ == "__main__":
    main()
