"""Compare interpolation over bad columns: flux of stars across them, linear against PSF-aware, by truth without noise.

Usage: python benchmarks/isr_interpolation.py [--out benchmarks/results]
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from campaign import write_json
from ccd_scene import moffat, without_pixel
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from etendue.kernels.interpolate import interpolate_bad
from etendue.kernels.psf_interpolate import interpolate_stars

OVER, SIZE, REACH = 8, 41, 16
Method = Callable[[Any, Any, Any], Any]


def errors(fwhm: float, width: int, method: Method) -> NDArray[np.float64]:
    """Return relative errors of fluxes within two FWHM, stars up to 1.5 px off the defect's middle."""
    fine = uniform_filter(moffat(without_pixel(fwhm)), OVER) * OVER**2
    middle, half = fine.shape[0] // 2, SIZE // 2
    y, x = np.mgrid[:SIZE, :SIZE] - half
    found = []
    for off in np.arange(-12, 13, 2):
        for up in (0, 3):
            rows = slice(middle - half * OVER + up, middle + half * OVER + up + 1, OVER)
            columns = slice(middle - half * OVER + off, middle + half * OVER + off + 1, OVER)
            star = (1e5 * fine[rows, columns]).astype(np.float32)
            bad = np.zeros(star.shape, bool)
            bad[:, half - (width - 1) // 2 : half - (width - 1) // 2 + width] = True
            image, variance = np.where(bad, np.float32(-1e6), star), np.ones_like(star)
            method(image, variance, bad)
            inside = np.hypot(y, x) < 2.0 * fwhm
            found.append(float(image[inside].sum() / star[inside].sum()) - 1.0)
    return np.array(found)


def speed() -> dict[str, float]:
    """Time both on a 4k frame with 20 bad columns and 20,000 single pixels."""
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 1.0, (4096, 4096)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[:, rng.integers(0, 4096, 20)] = True
    bad.reshape(-1)[rng.integers(0, bad.size, 20_000)] = True
    variance, seconds = np.ones_like(image), {}
    methods: dict[str, Method] = {
        "linear": lambda i, v, b: interpolate_bad(i, v, b, REACH),
        "psf_aware": lambda i, v, b: interpolate_stars(i, v, b, fwhm=2.5),
    }
    for name, method in methods.items():
        runs = []
        for _ in range(5):
            begin = time.process_time()
            method(image.copy(), variance.copy(), bad)
            runs.append(time.process_time() - begin)
        seconds[name] = float(np.median(runs))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    date, rows = f"{datetime.now(tz=UTC):%Y-%m-%d}", []
    for fwhm in (1.5, 2.0, 3.0, 4.0):
        for width in (1, 2, 3):
            methods: dict[str, Method] = {"linear": lambda i, v, b: interpolate_bad(i, v, b, REACH)}
            for guess in (1.0, 0.8, 1.25):
                methods[f"psf_aware_fwhm_x{guess:g}"] = lambda i, v, b, w=guess * fwhm: interpolate_stars(
                    i, v, b, fwhm=w
                )
            found = {name: errors(fwhm, width, method) for name, method in methods.items()}
            rows.append({"fwhm": fwhm, "columns": width} | {
                name: {"mean": float(e.mean()), "rms": float(np.sqrt(np.mean(e**2))), "largest": float(np.abs(e).max())}
                for name, e in found.items()})  # fmt: skip
            print(rounded(rows[-1]))
    result = {"what": "relative error of star fluxes across bad columns; no noise", "date": date,
              "machine": machine_facts(), "stars": rows, "cpu_s_4096": speed()}  # fmt: skip
    print(rounded(result["cpu_s_4096"]))
    write_json(rounded(result), options.out / f"isr-interpolation-{date}.json")


if __name__ == "__main__":
    main()
