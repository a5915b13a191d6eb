"""Make the pictures of masks in docs/user/isr.md: cosmic rays, trails, bright stars, a ghost, a spill.

Usage: python tools/make_isr_pictures.py [--out docs/images/isr]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import ccd_scene
from isr_streaks import with_trail

from etendue.camera.detector import Detector
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.kernels.stray_light import add_discs, add_haloes, add_spikes
from etendue.tasks.cosmicray.cosmicray import CosmicRayTask
from etendue.tasks.isr.bright_star_mask import MaskBrightStarsTask
from etendue.tasks.isr.find_ghosts import FindGhostsTask
from etendue.tasks.isr.mask_bleeds import MaskBleedsTask
from etendue.tasks.streak.streak import FindStreaksTask

Pixels = NDArray[Any]
RED, YELLOW, BLUE, GREEN = (235, 60, 50), (250, 200, 40), (70, 130, 240), (60, 190, 110)


def grey(image: Pixels, low: float, high: float) -> Pixels:
    """Return 8-bit colours on an asinh scale between two values."""
    part = np.arcsinh(8.0 * np.clip((np.nan_to_num(image) - low) / (high - low), 0.0, 1.0)) / np.arcsinh(8.0)
    return np.repeat((255.0 * (1.0 - part)).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def tinted(picture: Pixels, *layers: tuple[Pixels, tuple[int, int, int]]) -> Pixels:
    """Return a picture with masks in colours over it."""
    out = picture.astype(float)
    for mask, colour in layers:
        out[mask] = 0.35 * out[mask] + 0.65 * np.array(colour)
    return out.astype(np.uint8)


def save(path: Path, *panels: Pixels, zoom: int = 1) -> None:
    """Write pictures side by side, y upwards."""
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    row = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)[::-1]
    picture = Picture.fromarray(np.ascontiguousarray(row))
    picture = picture.resize((picture.width * zoom, picture.height * zoom), Picture.Resampling.NEAREST)
    picture.quantize(96).save(path, optimize=True)


def halved(picture: Pixels) -> Pixels:
    """Return a picture of half the size."""
    ny, nx = (size // 2 for size in picture.shape[:2])
    return picture[: 2 * ny, : 2 * nx].reshape(ny, 2, nx, 2, 3).mean(axis=(1, 3)).astype(np.uint8)


def cosmic_rays(path: Path) -> None:
    """Draw a struck field of 2 px FWHM: pixels, what was flagged, what is left; missed and false pixels in colours."""
    scene = ccd_scene.make_scene(2.0, 603)
    exposure = ccd_scene.prepare(scene)
    cleaned = CosmicRayTask().run(exposure=exposure)
    flagged, snr = cleaned.mask.any_of("CR"), scene.charge / scene.sigma
    part = slice(400, 640), slice(380, 620)
    before, after = (grey(e.image.array[part], -30.0, 1200.0) for e in (exposure, cleaned))
    layers = ((flagged & (snr > 1.0), RED), (~flagged & (snr > 5.0), BLUE), (flagged & (snr <= 1.0), YELLOW))
    save(path, before, tinted(before, *((mask[part], colour) for mask, colour in layers)), after, zoom=2)


def trails(path: Path) -> None:
    """Draw trails of 0.4 and 3 sigma at their peaks, and a glint, with what is masked."""
    rng = np.random.default_rng(5)
    scene = ccd_scene.make_scene(2.5, 705, seconds=300.0)
    crossing, faint, glint = (-100.0, 80.0, 1200.0, 700.0), (-300.0, 820.0, 1400.0, 500.0), (560.0, 900.0, 780.0, 720.0)
    lines = ((faint, 0.4), (crossing, 3.0), (glint, 2.0))
    for ends, peak in lines:
        exposure, _ = with_trail(scene, ends, peak, rng)
        sky = scene.exposure.image.array
        light = exposure.image.array - exposure.image.array.mean()
        scene = replace(scene, exposure=scene.exposure.replace(image=Image(light + sky.mean(), exposure.bbox)))
    found = FindStreaksTask().run(exposure=exposure)
    picture = grey(exposure.image.array, -40.0, 400.0)
    panels = (picture, tinted(picture, (found.exposure.mask.any_of("STREAK"), RED)))
    save(path, *(halved(panel) for panel in panels))


def bright_stars(path: Path) -> None:
    """Draw two saturated stars with haloes, spikes, a ghost of one and a spill at the register, and the masks."""
    rng, size = np.random.default_rng(8), 900
    x, y, flux = np.array([250.0, 400.0]), np.array([620.0, 260.0]), np.array([8e7, 3e7])
    image = np.full((size, size), 400.0, np.float32)
    add_haloes(image, x, y, 0.02 * flux, 8.0, 0.05)
    for angle in np.radians((35.0, 125.0)):
        add_spikes(image, x, y, 0.002 * flux, np.cos(angle), np.sin(angle), 1.5, 10.0, 0.05)
    add_discs(image, size - x[:1], size - y[:1], np.array([2.2e5]), 85.0, 30.0, 0.1)
    for row, col in rng.integers(8, size - 9, (700, 2)):
        near = slice(row - 6, row + 7), slice(col - 6, col + 7)
        image[near] += 40.0 / rng.random() * np.exp(-0.5 * np.hypot(*np.mgrid[-6:7, -6:7]) ** 2 / 1.5)
    image = rng.normal(image, np.sqrt(image)).astype(np.float32)
    rows, columns = np.mgrid[:size, :size]
    full = (np.hypot(columns - x[0], rows - y[0]) < 9.0) | (np.hypot(columns - x[1], rows - y[1]) < 6.0)
    full |= (np.abs(columns - x[1]) < 2.0) & (rows < 380)
    image[(np.abs(columns - x[1]) < 150 - 25 * rows) & (rows < 6)] += 900.0
    image[full] = 65000.0
    box = Box.from_shape(image.shape)
    section = f"[1:{size},1:{size}]"
    overscan = f"[1:{size},{size + 1}:{size + 10}]"
    amplifier = {"name": "A", "raw_data": section, "bbox": section, "raw_parallel_overscan": overscan, "gain": 1.0,
                 "read_noise": 5.0, "saturation": 64000.0}  # fmt: skip
    chip = Detector(id=0, name="T", raw_shape=(size + 10, size), amplifiers=[amplifier])
    bleeds = MaskBleedsTask().run(image, full, chip)
    mask = Mask.empty(box).with_plane("SAT", bleeds.trails | bleeds.spilled)
    exposure = Exposure(image=Image(image, box), mask=mask, variance=Image(np.maximum(image, 1.0), box))
    stars = MaskBrightStarsTask().run(exposure)
    ghosts = FindGhostsTask().run(stars.exposure, x=x, y=y)
    planes = ghosts.exposure.mask
    picture = grey(image, 380.0, 1500.0)
    layers = (("HALO", YELLOW), ("SPIKE", BLUE), ("GHOST", GREEN), ("SAT", RED))
    masked = tinted(picture, *((planes.any_of(name), colour) for name, colour in layers))
    save(path, *(halved(panel) for panel in (picture, masked)))


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/isr"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cosmic_rays(options.out / "cosmic-rays.png")
    trails(options.out / "trails.png")
    bright_stars(options.out / "bright-stars.png")


if __name__ == "__main__":
    main()
