"""What is odd in a camera that can be read: overlaps, pixels that nobody names, things left out."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.header_spec import FieldSpec
from etendue.camera.section import format_section

_LEAST_OVERLAP_PX = 1.0
_UNLIKE = 5.0  # ratio to the median
_SECTIONS = ("raw_data", "raw_serial_overscan", "raw_parallel_overscan", "raw_prescan")


def camera_notes(camera: Camera) -> list[str]:
    """Return what a person should look at in a camera.

    Parameters
    ----------
    camera : Camera
        The camera, free of faults.

    Returns
    -------
    list of str
        One line each; empty where nothing is odd.
    """
    return [*_left_out(camera), *_overlaps(camera), *_of_detectors(camera), *_unlike_the_others(camera)]


def corners_mm(detector: Detector) -> NDArray[np.float64]:
    """Return the corners of a detector on the focal plane.

    Parameters
    ----------
    detector : Detector
        The detector.

    Returns
    -------
    ndarray, float64, shape (4, 2)
        Around the light-sensitive pixels, from the one at the lower left of the trimmed frame counter-clockwise [mm].
    """
    ny, nx = detector.bbox.shape
    half = 0.5 * detector.pixel_size_mm * np.array([[-nx, -ny], [nx, -ny], [nx, ny], [-nx, ny]])
    angle = np.radians(detector.rotation_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(detector.center_mm) + half @ turn.T


def _left_out(camera: Camera) -> Iterator[str]:
    header = camera.header
    if not header.match:
        yield "header.match: none given, so its files are not recognised; name the camera with --camera"
    if camera.observatory is None:
        yield "observatory: none given; airmass, parallax and reports to the MPC need it"
    if not (header.ra.keywords and header.dec.keywords):
        which = "frames without a WCS in their header get" if header.wcs_source == "header" else "frames get"
        yield f"header.ra, header.dec: none given; {which} no WCS"
    if len(camera.detectors) > 1 and header.detector == FieldSpec():
        yield "header.detector: none given; frames of the detectors cannot be told apart"
    if len(camera.filters) > 1 and header.physical_filter == FieldSpec():
        yield "header.physical_filter: none given; frames of the filters cannot be told apart"


def _overlaps(camera: Camera) -> Iterator[str]:
    shapes = [(detector, corners_mm(detector)) for detector in camera.detectors]
    for (one, first), (other, second) in combinations(shapes, 2):
        limit = _LEAST_OVERLAP_PX * min(one.pixel_size_mm, other.pixel_size_mm)
        depth = _overlap_mm(first, second)
        if depth > limit:
            yield (
                f"detectors {one.name} and {other.name} overlap on the focal plane by {depth / one.pixel_size_mm:.0f}"
                " px; check center_mm, rotation_deg and pixel_size_mm"
            )


def _overlap_mm(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return by how much two rectangles overlap along the axis that parts them best; negative if they are apart."""
    axes = [edge / np.hypot(*edge) for shape in (first, second) for edge in (shape[1] - shape[0], shape[3] - shape[0])]
    depths = []
    for axis in axes:
        a, b = first @ axis, second @ axis
        depths.append(min(a.max() - b.min(), b.max() - a.min()))
    return float(min(depths))


def _of_detectors(camera: Camera) -> Iterator[str]:
    """Give notes on the insides of detectors, once for all that have the same."""
    told: dict[str, list[str]] = {}
    sections: dict[tuple[Any, ...], list[str]] = {}  # equal layouts are looked at once
    for detector in camera.detectors:
        layout = tuple((*(getattr(a, what) for what in _SECTIONS),) for a in detector.amplifiers), detector.raw_shape
        if layout not in sections:
            sections[layout] = list(_sections(detector))
        for note in (*sections[layout], *_levels(detector, camera.files.bits)):
            told.setdefault(note, []).append(detector.name)
    for note, names in told.items():
        some = ", ".join(names[:4]) + (f" ... {names[-1]}" if len(names) > 4 else "")
        yield f"detector{'s' if len(names) > 1 else ''} {some}: {note}"


def _sections(detector: Detector) -> Iterator[str]:
    counts = np.zeros(detector.raw_shape, np.uint8)
    for amplifier in detector.amplifiers:
        for what in _SECTIONS:
            box = getattr(amplifier, what)
            if box is not None:
                counts[box.slices_in(detector.raw_bbox)] += 1
        data = counts[amplifier.raw_data.slices_in(detector.raw_bbox)]
        if (data > 1).any():
            place = format_section(amplifier.raw_data)
            yield f"light-sensitive pixels of amplifier {amplifier.name} {place} lie in other sections too"
    left = int(np.count_nonzero(counts == 0))
    if left:
        yield f"{left} of {counts.size} raw pixels are in no section ({100.0 * left / counts.size:.1f}%)"
    without = [a.name for a in detector.amplifiers if a.raw_serial_overscan is None and a.raw_parallel_overscan is None]
    if without:
        yield f"no overscan on {len(without)} of {len(detector.amplifiers)} amplifiers: biases must hold the level"


def _levels(detector: Detector, bits: int) -> Iterator[str]:
    largest = 2**bits - 1
    beyond = [a.name for a in detector.amplifiers if a.saturation > largest]
    if beyond:
        yield f"saturation of amplifier {beyond[0]} is beyond the converter's {largest}: correct it, or 'files: bits'"
    unknown = [a.name for a in detector.amplifiers if "gain" not in a.model_fields_set]
    if unknown:
        yield f"no gain given for {len(unknown)} of {len(detector.amplifiers)} amplifiers: the header's counts, else 1"


def _unlike_the_others(camera: Camera) -> Iterator[str]:
    """Give notes on numbers with a digit too few or too many."""
    amplifiers = [(detector.name, amplifier) for detector in camera.detectors for amplifier in detector.amplifiers]
    for what in ("gain", "read_noise", "saturation"):
        values = np.array([getattr(amplifier, what) for _, amplifier in amplifiers])
        known = (values > 0.0) & np.isfinite(values)
        median = float(np.median(values[known])) if known.any() else float("nan")
        strange = np.flatnonzero(known & (np.abs(np.log(np.where(known, values, 1.0) / median)) > np.log(_UNLIKE)))
        if strange.size:
            name, amplifier = amplifiers[strange[0]]
            more = f", and {strange.size - 1} more" if strange.size > 1 else ""
            yield (
                f"{what} {values[strange[0]]:g} of amplifier {amplifier.name} of detector {name}{more}: the median of"
                f" all is {median:g}"
            )
