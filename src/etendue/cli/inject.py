"""Commands that add synthetic sources to images."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON

_FILE = click.Path(path_type=Path)
_SEED = click.option("--seed", type=int, default=1, show_default=True, help="Of photon noise, places and magnitudes.")


@click.group(short_help="Add synthetic stars and galaxies to images, and see what becomes of them.")
def inject() -> None:
    """Add synthetic stars and galaxies to images, with the image's own PSF, WCS, flux scale and noise.

    A catalog is a table (CSV, FITS, Parquet, VOTable) with the columns ra, dec [deg] and mag [AB]; for galaxies also
    half_light_radius [arcsec], n (Sersic index, 0.5 to 6), q (axis ratio) and position_angle [deg, east of north].
    """


@inject.command(short_help="Add the sources of CATALOG to IMAGE.")
@click.argument("image", type=_FILE)
@click.argument("catalog", type=_FILE)
@click.option("-o", "--out", type=_FILE, required=True, help="New FITS file.")
@_SEED
def add(image: Path, catalog: Path, out: Path, seed: int) -> None:
    """Write a copy of IMAGE (a visit image, coadd or difference as FITS file) with the sources of CATALOG."""
    from etendue.app.injection import inject_image

    count = inject_image(image, catalog, out, seed=seed)
    print_lines([f"{count} sources added, written to {out}"])


@inject.command(short_help="Add the sources of CATALOG to the raw FRAME.")
@click.argument("frame", type=_FILE)
@click.argument("catalog", type=_FILE)
@click.option("--like", type=_FILE, required=True, help="FITS file of what FRAME became when it was calibrated.")
@click.option("--flat", type=_FILE, help="Master flat that it will be divided by.")
@click.option("--camera", help="Shipped camera or YAML file; default recognised.")
@click.option("-o", "--out", type=_FILE, required=True, help="New FITS file.")
@_SEED
def raw(frame: Path, catalog: Path, like: Path, flat: Path | None, camera: str | None, out: Path, seed: int) -> None:
    """Write a copy of the raw FRAME with photons of the sources of CATALOG, to be processed like any other."""
    from etendue.app.injection import inject_raw

    count = inject_raw(frame, like, catalog, out, camera=camera, flat=flat, seed=seed)
    print_lines([f"{count} sources added, written to {out}"])


@inject.command(short_help="Completeness, bias and scatter on IMAGES.")
@click.argument("images", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--out", type=_FILE, help="New folder for sources.parquet, transfer.json and transfer.png.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Times that sources are added.")
@click.option("--spacing", type=click.FloatRange(10.0), default=60.0, show_default=True, help="Of the sources [px].")
@click.option("--bright", type=float, help="Brightest magnitude; default 6 above the depth.")
@click.option("--faint", type=float, help="Faintest magnitude; default 1 below the depth.")
@click.option("--galaxies", type=click.FloatRange(0.0, 1.0), default=0.5, show_default=True, help="Their share.")
@_SEED
@AS_JSON
def transfer(
    images: tuple[Path, ...], out: Path | None, rounds: int, spacing: float, bright: float | None, faint: float | None,
    galaxies: float, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Add stars and galaxies to IMAGES (FITS files), detect and measure them, and compare with what was added."""
    from etendue.app.injection import measure_transfer
    from etendue.tasks.characterize.transfer import TransferConfig

    config = TransferConfig(
        rounds=rounds, spacing=spacing, bright_mag=bright, faint_mag=faint, galaxy_fraction=galaxies
    )
    with _progress(shown=not as_json) as told:
        found = measure_transfer(list(images), config=config, seed=seed, progress=told)
    if out is not None:
        found.write(out)
    if as_json:
        print_json(found.summary())
        return
    print_table([_row(kind, row) for kind in ("stars", "galaxies") for row in found.summary()[kind] if row["n"]])
    half = found.stars.crossing(0.5)
    print_lines([f"depth (S/N 5): {found.depth_mag:.2f} mag; half of the stars are found at {half:.2f} mag"])
    if out is not None:
        print_lines([f"written to {out}"])


@contextmanager
def _progress(*, shown: bool) -> "Iterator[Callable[[int, int], None]]":
    """Show how many rounds are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("adding sources"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _row(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    def told(text: str, value: float) -> str:
        return text if value == value else ""  # NaN where a bin holds too few

    return {
        "": kind,
        "mag": f"{row['low']:.1f}-{row['high']:.1f}",
        "n": row["n"],
        "found": told(f"{row['completeness']:.1%}", row["completeness"]),
        "bias [mmag]": told(f"{1e3 * row['bias']:.1f} +- {1e3 * row['bias_err']:.1f}", row["bias"]),
        "scatter [mmag]": told(f"{1e3 * row['scatter']:.1f}", row["scatter"]),
        "pull width": told(f"{row['pull_width']:.2f}", row["pull_width"]),
        "extended": told(f"{row['extended']:.0%}", row["extended"]),
    }
