"""Compare polynomials and Gaussian processes where turbulence shapes the PSF over the field.

Usage: python benchmarks/psf_turbulence.py RESULT.json SEED ...

Width and both components of shear have a von Karman spectrum of power 11/3 that turns over at the width of the field of
`psf.Optics`, besides which they vary by 0, 1 or 2% rms (shear) and twice that (width). Fields already in RESULT.json
are kept, so that seeds may be scored one by one.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from psf import FWHMS, SIDE, Optics, Places, field
from scipy.ndimage import map_coordinates

from etendue.tasks.detect.detect import DetectConfig, DetectTask
from etendue.tasks.psf.psf import FitPsfConfig, FitPsfTask

STRENGTHS, GRID, FWHM = (0.0, 0.01, 0.02), 256, FWHMS[3]
FITS: dict[str, dict[str, Any]] = {
    "polynomial of degree 2": {}, "of degree 3": {"order": 3}, "of degree 4": {"order": 4},
    "Gaussian processes": {"variation": "gaussian_process"},
}  # fmt: skip


class Turbulence(Optics):
    """Optics behind air that does not average out."""

    def __init__(self, rng: np.random.Generator, strength: float):
        super().__init__(rng, FWHM, 0.0)
        wave = np.hypot(np.fft.fftfreq(GRID)[:, None], np.fft.fftfreq(GRID)) * GRID / 2.0  # per side of the field
        amplitude = (wave**2 + 1.0) ** (-11.0 / 12.0 - 0.5)
        self.maps = []
        for spread in (2.0 * strength, strength, strength):
            noise = np.fft.fft2(rng.normal(size=(GRID, GRID)))
            one = np.fft.ifft2(noise * amplitude).real[: GRID // 2 + 1, : GRID // 2 + 1]
            self.maps.append(spread * (one - one.mean()) / one.std())

    def at(self, x: float, y: float, color: float = 0.8) -> Any:
        """Return the profile at a pixel."""
        place = [[y / SIDE * GRID / 2.0], [x / SIDE * GRID / 2.0]]
        wider, g1, g2 = (float(map_coordinates(one, place, order=3, mode="nearest")[0]) for one in self.maps)
        return super().at(x, y, color).dilate(1.0 + wider).shear(g1=g1, g2=g2)


def score(seed: int, strength: float) -> dict[str, Any]:
    """Fit one field in all ways; errors in thousandths rms, and the number of fields that were found."""
    rng = np.random.default_rng([seed, 773])
    optics = Turbulence(rng, strength)
    exposure, _ = field(rng, optics)
    found = DetectTask(DetectConfig(threshold_snr=10.0)).run(exposure=exposure)
    result: dict[str, Any] = {"seed": seed, "strength": strength}
    places = None
    for name, config in FITS.items():
        fit = FitPsfTask(FitPsfConfig(**config)).run(exposure=exposure, x=found.x, y=found.y, snr=found.peak_snr)
        places = places or Places(rng, optics, fit.psf.size)
        error = places.errors(fit.psf.draw(x=places.x, y=places.y, size=places.true.shape[1]).value)
        rms = {key: float(np.sqrt(np.mean(np.square(error[key])))) for key in ("size_error", "e1_error", "e2_error")}
        result[name] = rms | {"fields": fit.statistics["fields"]}
    return result


def main() -> None:
    """Score the seeds that are missing and average over fields of the same strength."""
    path = Path(sys.argv[1])
    scores = json.loads(path.read_text())["scores"] if path.exists() else []
    for seed in map(int, sys.argv[2:]):
        scores += [score(seed, strength) for strength in STRENGTHS]
    summary = {
        str(strength): {
            name: {
                key: float(np.sqrt(np.mean([one[name][key] ** 2 for one in scores if one["strength"] == strength])))
                for key in ("size_error", "e1_error", "e2_error")
            }
            for name in FITS
        }
        for strength in STRENGTHS
    }
    result = {"machine": machine_facts(), "unit": "thousandths rms", "rms": summary, "scores": scores}
    path.write_text(json.dumps(rounded(result), indent=1))
    print(json.dumps(rounded(summary)))


if __name__ == "__main__":
    main()
