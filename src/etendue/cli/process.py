"""Command that processes frames without a repository."""

from pathlib import Path
from typing import Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, FRAMES

_FILE = click.Path(path_type=Path)


@click.command(short_help="Calibrate and measure FRAMES without a repository.")
@click.argument("frames", nargs=-1, required=True, type=FRAMES)
@click.option("--refcat", help="gaia, ps1 or 2mass (fetched and cached), a catalog's folder, or a table of stars.")
@click.option("--photometry-refcat", help="Another catalog, for the flux scale alone.")
@click.option("--index", type=_FILE, help="Catalog with a star index, for frames without a WCS (etendue refcat index).")
@click.option("--bias", type=_FILE, help="Master bias, or folder of raw ones.")
@click.option("--dark", type=_FILE, help="Dark frame with the bias in it, or folder of raw ones.")
@click.option("--flat", type=_FILE, help="Master flat of the filter, or folder of raw ones of any filters.")
@click.option("--camera", help="Shipped camera or YAML file; default recognised or guessed from the header.")
@click.option("--detector", help="Name or number; needed where a file holds several.")
@click.option(
    "--out", type=_FILE, default="processed", show_default=True, help="Folder; each frame gets its own in it."
)
@click.option("--format", "file_format", type=click.Choice(["parquet", "fits", "votable", "csv"]), default="parquet",
              show_default=True, help="Of the catalogs.")  # fmt: skip
@click.option("--no-plots", is_flag=True, help="Draw no check pictures.")
@click.option("--overwrite", is_flag=True, help="Replace outputs of an earlier call.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@AS_JSON
def process(
    frames: tuple[Path, ...], refcat: str | None, photometry_refcat: str | None, index: Path | None,
    bias: Path | None, dark: Path | None,
    flat: Path | None, camera: str | None, detector: str | None, out: Path, file_format: str, no_plots: bool,
    overwrite: bool, workers: int, as_json: bool,
) -> None:  # fmt: skip
    """Calibrate and measure raw science FRAMES (FITS files or folders): image, catalog, WCS header, check pictures.

    Outputs of FRAME.fits lie in OUT/FRAME, with --detector in OUT/FRAME.DETECTOR: image.fits (with mask and variance),
    sources.*, image.wcs, summary.json and pictures. A frame that fails is named with the reason, and the others go on.
    """
    from etendue.app.frame_finder import fits_files
    from etendue.app.processing.batch import ProcessOptions, process_frames
    from etendue.errors import EtendueError, InputError

    paths = list(
        dict.fromkeys(path for given in frames for path in (sorted(fits_files(given)) if given.is_dir() else [given]))
    )
    if not paths:
        raise InputError("no FITS files found", source=", ".join(map(str, frames)))
    arguments = {"refcat": refcat, "photometry_refcat": photometry_refcat, "index": index, "bias": bias, "dark": dark,
                 "flat": flat, "camera": camera, "detector": detector}  # fmt: skip
    options = ProcessOptions(out, arguments, file_format, not no_plots, overwrite)
    outcomes = process_frames(paths, options, workers=workers, progress=not as_json)
    if as_json:
        print_json([outcome.to_dict() for outcome in outcomes])
    else:
        _report([outcome.to_dict() for outcome in outcomes], out)
    failed = sum(outcome.folder is None for outcome in outcomes)
    if failed:
        raise EtendueError(f"{failed} of {len(outcomes)} frames failed")


def _report(outcomes: list[dict[str, Any]], out: Path) -> None:
    done = [outcome for outcome in outcomes if outcome["output"] is not None]
    if done:
        print_table([_row(outcome) for outcome in done])
    notes: dict[str, list[str]] = {}
    for outcome in done:
        for note in outcome["notes"]:
            notes.setdefault(note.removeprefix(f"{outcome['frame']}: "), []).append(outcome["frame"])
    print_lines(
        [f"{', '.join(names) if len(names) < 3 else f'{len(names)} frames'}: {note}" for note, names in notes.items()]
    )
    print_lines([f"failed: {outcome['reason']}" for outcome in outcomes if outcome["output"] is None])
    if done:
        print_lines([f"written to {out}"])


def _row(found: dict[str, Any]) -> dict[str, Any]:
    absolute = found["flux_scale"] == "absolute"
    return {
        "frame": Path(found["output"]).name,
        "band": found["band"],
        "s": f"{found['exposure_time_s']:.0f}",
        "sources": found["n_source"],
        "FWHM": f'{found["fwhm_arcsec"]:.2f}"'
        if found["fwhm_arcsec"] == found["fwhm_arcsec"]
        else f"{found['fwhm_px']:.2f}px",
        "sky e": f"{found['sky_electron']:.0f}",
        "zero": f"{found['zero_point_mag']:.2f}" if absolute else "relative",
        "depth": f"{found['depth_mag']:.2f}" if absolute else "",
        "mag rms": f"{found['photometric_rms_mag']:.3f}" if absolute else "",
        "stars": found["n_reference"] or "",
        "mas": f"{found['astrometric_rms_mas']:.0f}" if found["n_reference"] else "",
    }
