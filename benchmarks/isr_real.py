"""The sky that signature removal leaves on real nights: its structure in cells of 32 px, with and without corrections.

Usage: python benchmarks/isr_real.py REPOSITORY CAMERA [--run drp] [--out FILE] [--picture FILE]

The repository is one that ``etendue quickstart`` has made. Sources, haloes and ghosts are left out by the masks of its
images, a plane is taken off every frame's sky (moonlight), and the rms of the cells is told in percent of the sky, over
the whole detector and over its central half, plain and robust. The sky frame is built from every other frame and judged
on the rest.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray

CELL, MARGIN, LEAST = 32, 3, 200
LOST = (
    "SAT", "BAD", "CR", "NO_DATA", "DETECTED", "INTRP", "STREAK", "VIGNETTED", "HALO", "SPIKE", "GHOST",
)  # fmt: skip
Plane = NDArray[np.float32]


@dataclass
class Frame:
    """One calibrated image with its sky, and the pixels that show none."""

    exposure: Any
    bad: NDArray[np.bool_]
    flat: Plane | None


def frames_of(repository: Path, camera: str, run: str) -> list[Frame]:
    """Return the frames of a run in order of visit."""
    from scipy.ndimage import binary_dilation

    from etendue.image.image import Image
    from etendue.middleware.repository import Repository

    home = Repository.open(repository)
    refs = home.query("preliminary_visit_image", collections=f"{camera}/{run}")
    flats = {}
    try:
        flats = {ref.dataId["physical_filter"]: ref for ref in home.query("flat", collections=f"{camera}/calibrations")}
    except Exception as error:
        print(f"no flats: {error}")
    found = []
    for ref in sorted(refs, key=lambda ref: ref.dataId["visit"]):
        exposure = home.get(ref)
        sky = exposure.image.array + exposure.background.image().array
        bad = binary_dilation(exposure.mask.any_of(LOST), iterations=MARGIN)
        flat = flats.get(exposure.physical_filter)
        found.append(
            Frame(exposure.replace(image=Image(sky, exposure.bbox), background=None), bad,
                  home.get(flat).image.array if flat is not None else None)
        )  # fmt: skip
    return found


def cells(image: Plane, bad: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the sky of cells over its plane, minus 1, NaN where too little shows, and the noise of a cell."""
    from etendue.kernels.background import cell_background, cell_edges

    level, sigma = cell_background(image, bad, *(cell_edges(size, CELL) for size in image.shape), 3.0, LEAST)
    rows, columns = (axis / size - 0.5 for axis, size in zip(np.indices(level.shape), level.shape, strict=True))
    terms, used = np.stack([np.ones_like(rows), rows, columns], axis=-1), np.isfinite(level)
    for _ in range(4):
        plane = terms @ np.linalg.lstsq(terms[used], level[used], rcond=None)[0]
        rest = level / plane - 1.0
        used = np.isfinite(rest) & (np.abs(rest) < 4.0 * 1.4826 * np.median(np.abs(rest[used])))
    return rest, float(np.nanmedian(sigma) / CELL / np.nanmedian(level))


def figures(rest: NDArray[np.float64]) -> dict[str, float]:
    """Return rms values in percent."""
    central = rest[tuple(slice(size // 4, size - size // 4) for size in rest.shape)]
    parts = {"all": rest[np.isfinite(rest)], "central": central[np.isfinite(central)]}
    plain = {f"rms_{name}": 100.0 * float(np.std(part)) for name, part in parts.items()}
    robust = {
        f"robust_{name}": 148.26 * float(np.median(np.abs(part - np.median(part)))) for name, part in parts.items()
    }
    return plain | robust


def score(frames: list[Frame]) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Return the figures of each step, and the median map of all frames."""
    from etendue.tasks.calib.sky_pattern import BuildSkyPatternConfig, BuildSkyPatternTask
    from etendue.tasks.isr.sky_pattern import SkyPatternConfig, SubtractSkyPatternTask

    pattern = BuildSkyPatternTask(BuildSkyPatternConfig(kind="sky")).run(
        frame.exposure.replace(mask=frame.exposure.mask.with_plane("DETECTED", frame.bad)) for frame in frames[::2]
    )
    task = SubtractSkyPatternTask(SkyPatternConfig(cell_size=64, degree=0))
    maps: dict[str, list[NDArray[np.float64]]] = {}
    noises = []
    for number, frame in enumerate(frames):
        image = frame.exposure.image.array
        if frame.flat is not None:
            maps.setdefault("without flat", []).append(cells(image * frame.flat, frame.bad)[0])
        rest, noise = cells(image, frame.bad)
        maps.setdefault("with flat" if frame.flat is not None else "as it is", []).append(rest)
        noises.append(noise)
        if number % 2:
            fit = task.run(image, frame.bad, pattern.image.array)
            level = np.float32(np.median(image[~frame.bad]))
            maps.setdefault("and sky frame", []).append(cells(fit.image + level, frame.bad)[0])
    rows = []
    for name, all_maps in maps.items():
        each = [figures(one) for one in all_maps]
        rows.append({"step": name, "frames": len(each), "noise": 100.0 * float(np.median(noises)),
                     **{key: float(np.median([one[key] for one in each])) for key in each[0]}})  # fmt: skip
    return rows, {name: _median(all_maps) for name, all_maps in maps.items()}


def _median(maps: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    stack = np.array(maps)
    seen = np.isfinite(stack).any(axis=0)
    out = np.full(stack.shape[1:], np.nan)
    out[seen] = np.nanmedian(stack[:, seen], axis=0)
    return out


def draw(maps: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw the median maps side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(maps), figsize=(4.2 * len(maps), 3.9), constrained_layout=True, squeeze=False)
    for axis, (name, values) in zip(axes[0], maps.items(), strict=True):
        picture = axis.imshow(100.0 * values, origin="lower", cmap="RdBu_r", vmin=-2.0, vmax=2.0)
        axis.set(title=name, xticks=[], yticks=[])
    figure.colorbar(picture, ax=axes[0], label="sky over its plane - 1 [%]")
    figure.savefig(path, dpi=90)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path)
    parser.add_argument("camera")
    parser.add_argument("--run", default="drp")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args(arguments)
    rows, maps = score(frames_of(options.repository, options.camera, options.run))
    for row in rows:
        print(rounded(row))
    if options.picture:
        draw(maps, options.picture)
    if options.out:
        facts = {"what": "sky structure in cells of 32 px, percent of the sky", "camera": options.camera,
                 "date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine_facts(), "rows": rows}  # fmt: skip
        options.out.write_text(json.dumps(rounded(facts), indent=1) + "\n")


if __name__ == "__main__":
    main()
