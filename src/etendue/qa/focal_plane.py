"""A picture of a camera's focal plane: where its detectors are, how they are turned and where they are read."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.geometry_check import corners_mm
from etendue.qa.figure import ACCENT, INK, SECOND, THIRD, new_figure, png, styled

_COLOURS = {"science": ACCENT, "wavefront": THIRD, "focus": THIRD, "guider": SECOND}
_MOST_LABELLED = 70
_MOST_AMPLIFIERS = 400
_SIDE_INCH = 7.6
_POINTS = 0.75 * 72.0 * _SIDE_INCH  # for the detectors, along the longer side of the focal plane


@styled
def focal_plane_plot(camera: Camera) -> bytes:
    """Draw the focal plane.

    Parameters
    ----------
    camera : Camera
        The camera.

    Returns
    -------
    bytes
        PNG: outlines of the detectors with ids or names, a dot at the first pixel of each trimmed frame, amplifiers
        where they are few, north and east (at rotation 0 unless the camera's is fixed), and a scale in degrees.
    """
    figure, axes = new_figure(_SIDE_INCH, _SIDE_INCH)
    shapes = [corners_mm(detector) for detector in camera.detectors]
    colours = [_COLOURS[detector.purpose] for detector in camera.detectors]
    axes.add_collection(PolyCollection(shapes, facecolors="none", edgecolors=colours, linewidths=1.0))
    if sum(len(detector.amplifiers) for detector in camera.detectors) <= _MOST_AMPLIFIERS:
        for detector in camera.detectors:
            _draw_amplifiers(axes, detector)
    first = np.array([shape[0] + 0.04 * (shape[2] - shape[0]) for shape in shapes])
    axes.scatter(first[:, 0], first[:, 1], s=6, color=colours)
    _label(axes, camera)
    everything = np.concatenate(shapes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.1 * (high - low).max()
    axes.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin), aspect="equal",
             xlabel="x [mm]", ylabel="y [mm]", title=_title(camera))  # fmt: skip
    _draw_sky(axes, camera, low, high)
    return png(figure)


def _title(camera: Camera) -> str:
    counts: dict[str, int] = {}
    for detector in camera.detectors:
        counts[detector.purpose] = counts.get(detector.purpose, 0) + 1
    parts = ", ".join(f"{count} {purpose}" for purpose, count in counts.items())
    return f"{camera.name}: {parts} detector{'s' if len(camera.detectors) > 1 else ''}"


def _label(axes: Axes, camera: Camera) -> None:
    """Write ids, and names where there is room, as large as the detectors allow."""
    everything = np.concatenate([corners_mm(detector) for detector in camera.detectors])
    points_per_mm = _POINTS / float(np.ptp(everything, axis=0).max())
    for detector in camera.detectors:
        text = str(detector.id) if len(camera.detectors) > _MOST_LABELLED else f"{detector.id}\n{detector.name}"
        room = min(detector.bbox.shape) * detector.pixel_size_mm * points_per_mm
        size = float(np.clip(1.2 * room / max(map(len, text.split("\n"))), 3.5, 11.0))
        axes.text(*detector.center_mm, text, ha="center", va="center", fontsize=size, color=INK)


def _draw_amplifiers(axes: Axes, detector: Detector) -> None:
    """Draw the borders between amplifiers, thinly."""
    corners = corners_mm(detector)
    along_x, along_y = corners[1] - corners[0], corners[3] - corners[0]
    ny, nx = detector.bbox.shape
    boxes = []
    for amplifier in detector.amplifiers:
        box = amplifier.bbox.shifted(dx=-detector.bbox.x.start, dy=-detector.bbox.y.start)
        x0, x1, y0, y1 = box.x.start / nx, box.x.stop / nx, box.y.start / ny, box.y.stop / ny
        boxes.append([corners[0] + x * along_x + y * along_y for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))])
    axes.add_collection(PolyCollection(boxes, facecolors="none", edgecolors=INK, linewidths=0.3, alpha=0.5))


def _draw_sky(axes: Axes, camera: Camera, low: np.ndarray, high: np.ndarray) -> None:
    """Draw north and east at rotation 0, and a length on the sky, in corners of the frame."""
    span = float((high - low).max())
    fixed = camera.header.rotation.constant
    angle = float(fixed) if isinstance(fixed, int | float) else 0.0  # of +y, from north through east [deg]
    x, y, length = low[0] + 0.03 * span, high[1] + 0.01 * span, 0.045 * span
    mirror = -1.0 if camera.parity_flipped else 1.0
    for turn, name in ((0.0, "N"), (90.0, "E")):
        along = np.radians(turn - angle)
        dx, dy = mirror * np.sin(along), np.cos(along)
        axes.annotate("", (x + dx * length, y + dy * length), (x, y), arrowprops={"arrowstyle": "->", "color": INK})
        axes.text(x + 1.4 * dx * length, y + 1.4 * dy * length, name, ha="center", va="center", fontsize=9)
    axes.text(x + 0.08 * span, y, f"at rotation {angle:g}", ha="left", va="center", fontsize=7)
    pixel = camera.detectors[0].pixel_size_mm
    per_deg = 3600.0 / camera.plate_scale * pixel
    nice = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
    degrees = max((value for value in nice if value * per_deg < 0.3 * span), default=nice[0])
    right, bottom = high[0] + 0.06 * span, low[1] - 0.055 * span
    axes.plot([right - degrees * per_deg, right], [bottom, bottom], color=INK, lw=2.5, solid_capstyle="butt")
    label = f"{degrees:g} deg" if degrees >= 0.1 else f"{60.0 * degrees:.3g} arcmin"
    axes.text(right - 0.5 * degrees * per_deg, bottom + 0.008 * span, label, ha="center", va="bottom", fontsize=9)
