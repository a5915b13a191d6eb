"""Command that finds where on the sky frames are."""

import math
from pathlib import Path

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, FRAMES


def _scale(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} does not read LOW,HIGH") from None
    if not 0.0 < low < high:
        raise click.BadParameter(f"{value!r} is no range of positive scales")
    return low, high


@click.command(short_help="Find where on the sky FRAMES are, blindly or near their pointing.")
@click.argument("frames", nargs=-1, required=True, type=FRAMES)
@click.option("--index", required=True, type=click.Path(path_type=Path),
              help="Reference catalog with a star index (etendue refcat index).")  # fmt: skip
@click.option("--ra", type=float, help="Right ascension of the middle of the frames [deg].")
@click.option("--dec", type=float, help="Declination [deg].")
@click.option("--radius", type=float, default=2.0, show_default=True, help="How far off --ra, --dec may be [deg].")
@click.option("--scale", callback=_scale, metavar="LOW,HIGH", help="Limits of the pixel scale [arcsec/px].")
@click.option("--camera", help="Shipped camera or YAML file; default the one that the header names.")
@click.option("--blind", is_flag=True, help="Use neither the header's pointing nor the camera's plate scale.")
@click.option("--write", type=click.Path(path_type=Path), help="Folder for copies with the WCS in the header.")
@click.option("--headers", type=click.Path(path_type=Path), help="Folder for NAME.wcs, the WCS cards as text.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@AS_JSON
def solve(
    frames: tuple[Path, ...], index: Path, ra: float | None, dec: float | None, radius: float,
    scale: tuple[float, float] | None, camera: str | None, blind: bool, write: Path | None, headers: Path | None,
    workers: int, as_json: bool,
) -> None:  # fmt: skip
    """Find where on the sky FRAMES (FITS files or folders) are, and fit their WCS to a reference catalog.

    Pointing and plate scale of header and camera are tried first, if there are any; then the whole sky.
    """
    from etendue.app.frame_finder import fits_files
    from etendue.app.solve import SolveOptions, solve_frames
    from etendue.app.solving.frame_search import SearchOptions
    from etendue.errors import EtendueError, InputError
    from etendue.tasks.match.blind import SkyHint

    if (ra is None) != (dec is None):
        raise click.UsageError("--ra and --dec go together")
    hint = None if ra is None or dec is None else SkyHint(ra, dec, radius)
    paths = [path for given in frames for path in sorted(fits_files(given))]
    if not paths:
        raise InputError("no FITS files found", source=", ".join(map(str, frames)))
    options = SolveOptions(SearchOptions(index, camera, hint, scale, blind), write, headers)
    outcomes = solve_frames(paths, options, workers=workers, progress=not as_json)
    failed = [outcome for outcome in outcomes if not outcome.solved]
    if as_json:
        print_json([outcome.to_dict() for outcome in outcomes])
    else:
        rows = [
            _row(outcome.path.name, outcome.how, outcome.statistics or {}) for outcome in outcomes if outcome.solved
        ]
        if rows:
            print_table(rows)
        # Reasons that lie in the file name it themselves.
        print_lines([o.reason if str(o.path) in o.reason else f"{o.path}: {o.reason}" for o in failed])
    if failed:
        raise EtendueError(f"{len(failed)} of {len(outcomes)} frames not solved")


def _row(name: str, how: str, found: dict[str, float]) -> dict[str, object]:
    return {
        "frame": name,
        "by": how,
        "RA": f"{found['ra_deg']:.3f}",
        "Dec": f"{found['dec_deg']:+.3f}",
        '"/px': f"{found['scale_arcsec']:.4g}",
        "angle": f"{found['rotation_deg']:.1f}",
        "sky": found["parity"],
        "stars": found["matched"],
        "rms": f'{found["rms_arcsec"]:.2g}"',
        "odds": f"1e{found['log_odds'] / math.log(10.0):.0f}",
    }
