"""Gather the numbers of a repository and write the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from etendue.app.report import (
    calibration,
    coadds,
    images,
    light_curves,
    movers,
    overview,
    products,
    repeatability,
    timings,
    variables,
    visits,
)
from etendue.app.report.plain import plain
from etendue.app.report.reader import Reader
from etendue.app.report.render import Heading, render
from etendue.app.report.section import Section, text
from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.middleware.repository import Repository

_PARTS = {
    "observations": overview.gather,
    "calibration": calibration.gather,
    "visits": visits.gather,
    "images": images.gather,
    "repeatability": repeatability.gather,
    "coadds": coadds.gather,
    "lightcurves": light_curves.gather,
    "variables": variables.gather,
    "movers": movers.gather,
    "products": products.gather,
    "timings": timings.gather,  # last, because it lists what the others could not read
}


def report_numbers(home: Repository, *, collections: Sequence[str] = ()) -> dict[str, Any]:
    """Return the numbers of the report.

    Parameters
    ----------
    home : Repository
        The repository; any part of the products may be missing.
    collections : sequence of str
        Runs or chains to report on; all runs by default.

    Returns
    -------
    dict
        JSON-able, by section; 64-bit identifiers are strings, what is not known is None.
    """
    return _gather(Reader(home, collections))


def write_report(home: Repository, path: str | Path, *, collections: Sequence[str] = ()) -> Path:
    """Write the report as one HTML file that needs nothing else.

    Parameters
    ----------
    home : Repository
        The repository; any part of the products may be missing.
    path : str or Path
        The file; replaced whole.
    collections : sequence of str
        Runs or chains to report on; all runs by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    reader = Reader(home, collections)
    numbers = _gather(reader)
    page = render(_heading(numbers["observations"]), _headline(numbers), _sections(numbers, reader))
    target = Path(path)
    try:
        with whole_file(target, "report") as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the report: {error.strerror}", source=target,
                         remedy="choose a file in a folder that exists") from error  # fmt: skip
    return target


def _gather(reader: Reader) -> dict[str, Any]:
    numbers: dict[str, Any] = plain({name: gather(reader) for name, gather in _PARTS.items()})
    return numbers


def _sections(numbers: dict[str, Any], reader: Reader) -> list[Section]:
    return [
        overview.present(numbers["observations"]),
        calibration.present(numbers["calibration"], reader),
        visits.present(numbers["visits"]),
        images.present(numbers["images"], reader),
        repeatability.present(numbers["repeatability"], reader),
        coadds.present(numbers["coadds"], reader, _scale(numbers)),
        light_curves.present(numbers["lightcurves"], reader),
        variables.present(numbers["variables"], reader),
        movers.present(numbers["movers"], reader),
        products.present(numbers["products"]),
        *timings.present(numbers["timings"]),
    ]


def _scale(numbers: dict[str, Any]) -> str:
    kinds = {row["zero_point_kind"] for row in numbers["visits"]["rows"]}
    return "AB" if kinds == {"absolute"} else "relative"


def _heading(observations: dict[str, Any]) -> Heading:
    """Return the top and the bottom of the page."""
    cameras = ", ".join(camera["camera"] for camera in observations["cameras"]) or "no camera"
    nights = [row["night"] for row in observations["nights"]]
    span = f"{len(nights)} night{'' if len(nights) == 1 else 's'}"
    if nights:
        span += f" ({nights[0]} to {nights[-1]})" if len(nights) > 1 else f" ({nights[0]})"
    version = observations["versions"]["etendue"]
    return Heading(
        observations["repository"],
        f"{cameras} · {span} · {observations['n_exposures']} exposures · etendue {version}",
        f"Written by etendue {version}. “etendue report REPO --json” prints the same numbers.",
    )


def _headline(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the tiles at the top of the page: label and value."""
    stars, medians = numbers["repeatability"], numbers["visits"]["medians"]
    failed = sum(row["status"] == "failed" for row in numbers["timings"]["failures"])
    values = (
        ("visits", numbers["observations"]["n_visits"], "d", ""),
        ("median seeing", medians.get("seeing_arcsec"), ".2f", "″"),
        ("sources per image", medians.get("n_source"), ".0f", ""),
        ("astrometry, S/N > 50", repeatability.metric(stars, "astrometry_snr50"), ".1f", " mas"),
        ("photometry, best 50", repeatability.metric(stars, "photometry_best50"), ".1f", " mmag"),
        ("scatter / error", stars.get("error_ratio_30_300"), ".2f", ""),
        ("coadd gain / expected", numbers["coadds"]["snr_gain_over_sqrt_n"], ".2f", ""),
        ("movers", len(numbers["movers"]["movers"]), "d", ""),
        ("alerts", numbers["products"]["alerts"], "d", ""),
        ("failed quanta", failed, "d", ""),
    )
    return [(label, text(value, form) + (unit if value is not None else "")) for label, value, form, unit in values]
