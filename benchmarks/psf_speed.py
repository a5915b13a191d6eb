"""Time PSF models of a 4096 px frame with 15,000 stars: ours, PSFEx's and Piff's on the same pixels.

Usage: python benchmarks/psf_speed.py RESULT.json [TURNS] [PYTHON_WITH_PIFF]

CPU seconds of the fit alone, detection and measurement of the stars before it apart. Ours and PSFEx's take turns; Piff
fits once, to the stars that ours used. All fit a polynomial of second degree; each takes the stars that it selects.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from machine import machine_facts, rounded
from psf_peers import piff_model, psfex_model

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfTask

SIDE, SKY, STARS, FWHM, HALF, PHASES, SEED = 4096, 800.0, 15_000, 3.5, 32, 8, 22990


def frame() -> Exposure:
    """Return a frame of stars of one PSF, drawn at 8 x 8 phases of the pixels."""
    rng = np.random.default_rng(SEED)
    profile = 0.95 * galsim.Kolmogorov(fwhm=FWHM) + 0.05 * galsim.Moffat(beta=2.5, fwhm=2.2 * FWHM)
    phases = (np.arange(PHASES) + 0.5) / PHASES - 0.5
    stamps = [[profile.drawImage(galsim.ImageD(2 * HALF + 1, 2 * HALF + 1), scale=1.0, offset=(dx, dy)).array
               for dx in phases] for dy in phases]  # fmt: skip
    light = np.zeros((SIDE + 2 * HALF, SIDE + 2 * HALF))
    x, y = rng.integers(0, SIDE, (2, STARS))
    flux = np.minimum(1.5e3 * rng.random(STARS) ** -0.9, 8e5)
    for xi, yi, fi, kx, ky in zip(x, y, flux, *rng.integers(0, PHASES, (2, STARS)), strict=True):
        light[yi : yi + 2 * HALF + 1, xi : xi + 2 * HALF + 1] += fi * stamps[ky][kx]
    image = rng.poisson(light[HALF:-HALF, HALF:-HALF] + SKY) - SKY
    box = Box.from_shape((SIDE, SIDE))
    variance = Image(np.maximum(image + SKY, 0.5 * SKY).astype(np.float32), box)
    return Exposure(
        image=Image(image.astype(np.float32), box), mask=Mask.empty(box), variance=variance, unit="electron"
    )


def main() -> None:
    """Take turns and write medians."""
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    exposure = frame()
    found = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=exposure)
    place = np.array([0.5 * SIDE])
    ours, peer, select = [], [], []
    for turn in range(turns + 1):
        begin = time.process_time()
        fit = FitPsfTask().run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr)
        if turn:  # the first one loads compiled code
            ours.append(time.process_time() - begin)
            model = psfex_model(exposure, place, place, place, place, FWHM, "")
            peer.append(model.cpu_s)
            select.append(model.select_cpu_s)
    result: dict[str, Any] = {
        "machine": machine_facts(), "seed": SEED, "sources": int(found.x.size), "used": fit.statistics["n_used"],
        "turns": turns, "etendue_cpu_s": float(np.median(ours)), "psfex_cpu_s": float(np.median(peer)),
        "source_extractor_cpu_s": float(np.median(select)), "etendue_all": ours, "psfex_all": peer,
    }  # fmt: skip
    if len(sys.argv) > 3:
        chosen = fit.used & ~fit.reserved
        result["piff_cpu_s"] = piff_model(
            exposure, found.x[chosen], found.y[chosen], place, place, FWHM, sys.argv[3]
        ).cpu_s
    Path(sys.argv[1]).write_text(json.dumps(rounded(result), indent=1))
    print(json.dumps(rounded(result)))


if __name__ == "__main__":
    main()
