"""Pictures of calibration products."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etendue.app.calibration_report.gathered import Gathered
from etendue.app.report.section import Picture
from etendue.qa.calibration_map_plot import calibration_map_plot
from etendue.qa.matrix_plot import Matrix, matrix_plot
from etendue.qa.photon_transfer_plot import photon_transfer_plot

_MOST_MAPS, _MOST_DETECTORS = 12, 6
_MAPS: Mapping[str, tuple[str, str, str]] = {
    "bias": ("ADU", "Columns and corners of a few ADU, the same in every detector of a kind.",
             "stars, gradients of tens of ADU, a second peak of the histogram."),
    "dark": ("e/s", "Even, glowing corners perhaps; a thin tail of hot pixels.",
             "stars or light leaks, negative areas, a hump of hot pixels."),
    "flat": ("response", "A smooth field that darkens towards the corners, dust rings; amplifiers may differ.",
             "stars (twilight flats without dither), stripes, a gradient across the whole field."),
    "illumination": ("factor on the flat", "A smooth surface within a few percent of 1.",
                     "rings or steps: the stars were too few for the degree of the polynomial."),
    "shutter": ("s", "Rays, a slope or an iris around the centre, milliseconds to tenths of a second.",
                "the pattern of the flat, amplifiers, noise as large as the pattern."),
    "fringe": ("parts of the sky's level", "Interference fringes, mean 0.", "haloes of stars, amplifiers."),
    "sky": ("parts of the sky's level", "A smooth pattern around 1.", "haloes of stars."),
}  # fmt: skip


def pictures(gathered: Gathered, product: str) -> list[Picture]:
    """Return the pictures of a product, detectors that failed first.

    Parameters
    ----------
    gathered : Gathered
        The run.
    product : str
        Dataset type.

    Returns
    -------
    list of Picture
        None where there is nothing to draw.
    """
    if product in _MAPS:
        return _maps(gathered, product)
    draw = _DRAWN.get(product)
    return draw(gathered) if draw is not None else []


def _label(gathered: Gathered, ref: Any) -> str:
    values = dict(ref.dataId.required)
    return " ".join([gathered.name(int(values["detector"])), str(values.get("physical_filter", ""))]).strip()


def _more(gathered: Gathered, product: str, shown: int) -> str:
    total = len(gathered.refs.get(product, ()))
    return f" ({shown} of {total})" if total > shown else ""


def _maps(gathered: Gathered, product: str) -> list[Picture]:
    unit, right, wrong = _MAPS[product]
    images = []
    for ref in gathered.shown(product, _MOST_MAPS):
        array, label = gathered.home.get(ref, component="image").array, _label(gathered, ref)
        images.append((calibration_map_plot(array, f"{product}, {label}", unit), label))
    if not images:
        return []
    return [Picture(f"Maps and histograms{_more(gathered, product, len(images))}", images, right, wrong)]


def _defects(gathered: Gathered) -> list[Picture]:
    flats = {int(ref.dataId["detector"]): ref for ref in gathered.refs["flat"]}
    images = []
    for ref in gathered.shown("defects", _MOST_DETECTORS):
        detector = int(ref.dataId["detector"])
        mask = gathered.home.get(ref).mask(gathered.camera.detector(detector).bbox)
        below = np.ones(mask.shape, np.float32)
        if detector in flats:
            below = gathered.home.get(flats[detector], component="image").array
        name = gathered.name(detector)
        title = f"defects red, {name}: {mask.sum()} px"
        images.append((calibration_map_plot(below, title, "response", marked=mask), name))
    if not images:
        return []
    return [Picture(f"Defects on a flat{_more(gathered, 'defects', len(images))}", images,
                    "Points and whole columns.", "clouds of single pixels, rings of dust, amplifiers.")]  # fmt: skip


def _photon_transfer(gathered: Gathered) -> list[Picture]:
    lines = {int(ref.dataId["detector"]): ref for ref in gathered.refs["linearizer"]}
    images = []
    for ref in gathered.shown("ptc", _MOST_DETECTORS):
        detector, ptc = int(ref.dataId["detector"]), gathered.home.get(ref)
        if all(entry.transfer is None for entry in ptc.amplifiers):
            continue
        linearizer = gathered.home.get(lines[detector]) if detector in lines else None
        images.append((photon_transfer_plot(ptc, linearizer), gathered.name(detector)))
    if not images:
        return []
    return [Picture(f"Photon transfer, pixel areas, linearity{_more(gathered, 'ptc', len(images))}", images,
                    "1 without light, falling by a few percent up to the turn-off (dotted), then steeply.",
                    "curves that do not begin at 1 (gain), jumps, a turn-off below the range of science.")]  # fmt: skip


def _crosstalk(gathered: Gathered) -> list[Picture]:
    images = []
    for ref in gathered.shown("crosstalk", _MOST_DETECTORS):
        detector, product = int(ref.dataId["detector"]), gathered.home.get(ref)
        names = list(product.amplifiers)
        own = product.own.linear * 1e6
        matrices = [Matrix("coefficients", own, "1e-6", names, names, ("victim", "source"))]
        left = _ghosts(gathered, detector, names)
        if np.isfinite(left).any():
            matrices.append(Matrix("ghosts left in frames", left * 1e6, "1e-6", names, names, ("victim", "source")))
        images.append((matrix_plot(matrices), gathered.name(detector)))
    if not images:
        return []
    return [Picture(f"Crosstalk{_more(gathered, 'crosstalk', len(images))}", images,
                    "Coefficients of 1e-5 to 1e-3, largest between neighbours; next to nothing left on the same scale.",
                    "a whole row or column, ghosts left that are as large as the coefficients.")]  # fmt: skip


def _ghosts(gathered: Gathered, detector: int, names: list[str]) -> np.ndarray:
    """Return the median ghost left, by victim and source."""
    left = np.full((len(names), len(names)), np.nan)
    rows = [c for c in gathered.checks.get(detector, ()) if c["what"] == "ghost left" and c["value"] is not None]
    for i, victim in enumerate(names):
        for j, source in enumerate(names):
            values = [c["value"] for c in rows if (c["amplifier"], c["source"]) == (victim, source)]
            left[i, j] = np.median(values) if values else np.nan
    return left


def _brighter_fatter(gathered: Gathered) -> list[Picture]:
    images = []
    for ref in gathered.shown("brighter_fatter", _MOST_DETECTORS):
        area = gathered.home.get(ref).boundaries().area()[:7, :7] * 1e9
        steps = [str(k) for k in range(len(area))]
        matrix = Matrix("change of a pixel's area", area, "1e-9 per e", steps, steps, ("rows apart", "columns apart"))
        images.append((matrix_plot([matrix]), gathered.name(int(ref.dataId["detector"]))))
    if not images:
        return []
    return [Picture(f"What a charge does to areas{_more(gathered, 'brighter_fatter', len(images))}", images,
                    "Negative at the charge, positive around it, falling steadily; larger along columns.",
                    "a negative neighbour, numbers that do not fall with the distance.")]  # fmt: skip


_DRAWN: Mapping[str, Callable[[Gathered], list[Picture]]] = {
    "defects": _defects,
    "ptc": _photon_transfer,
    "crosstalk": _crosstalk,
    "brighter_fatter": _brighter_fatter,
}
