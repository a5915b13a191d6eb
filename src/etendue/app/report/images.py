"""Thumbnails of visit images and differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.app.report.reader import Reader, data_id_of, data_id_text
from etendue.app.report.section import Picture, Section, absent
from etendue.qa.thumbnail import difference_thumbnail, thumbnail

_VISIT_IMAGES, _DIFFERENCES, _SIZE, _DIFFERENCE_SIZE = 8, 3, 230, 310


def gather(reader: Reader) -> dict[str, Any]:
    """Return how many images of each kind there are."""
    return {name: len(reader.refs(name)) for name in ("visit_image", "difference_image")}


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section with pictures of images spread over the survey."""
    missing = [absent(name, made_by) for name, made_by in (("visit_image", "drp"), ("difference_image", "ap"))
               if not numbers[name]]  # fmt: skip
    lead = f"{numbers['visit_image']} calibrated images and {numbers['difference_image']} difference images."
    return Section("images", "Images", lead, pictures=[*_visit_images(reader), *_differences(reader)], missing=missing)


def _visit_images(reader: Reader) -> list[Picture]:
    shown = []
    for ref in spread(reader.refs("visit_image"), _VISIT_IMAGES):
        if (image := reader.get(ref, "image")) is not None:
            shown.append((thumbnail(image.array, size=_SIZE), _label(ref)))
    return [] if not shown else [Picture(
        "Visit images", shown,
        right="Round stars on an even grey sky; the same field in every visit.",
        wrong="trails or doubled stars (tracking), bright patches (moonlight, ghosts), dark corners (flat), stripes.",
    )]  # fmt: skip


def _differences(reader: Reader) -> list[Picture]:
    shown = []
    for ref in spread(reader.refs("difference_image"), _DIFFERENCES):
        if (image := reader.get(ref, "image")) is not None:
            shown.append((difference_thumbnail(image.array, size=_DIFFERENCE_SIZE), _label(ref)))
    return [] if not shown else [Picture(
        "Difference images (white: brighter than the template, black: fainter)", shown,
        right="Even noise; single white dots are what moved, appeared or brightened. Saturated stars may leave scars.",
        wrong="a black-and-white pair at every star (misaligned), rings at every star (kernel), large bright areas.",
    )]  # fmt: skip


def spread(items: Sequence[Any], number: int) -> list[Any]:
    """Return at most ``number`` items, evenly spread over the sequence."""
    if len(items) <= number:
        return list(items)
    return [items[k] for k in np.unique(np.linspace(0, len(items) - 1, number).round().astype(int))]


def _label(ref: Any) -> str:
    return f"{data_id_text(data_id_of(ref))}, {ref.dataId['band']}"
