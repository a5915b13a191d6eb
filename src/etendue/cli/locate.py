"""Command that finds the frames of a repository on the sky."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, REPO

if TYPE_CHECKING:
    from etendue.app.locate import LocateOutcome


@click.command(short_help="Find the frames of REPO by their stars, where headers have no WCS.")
@REPO
@click.argument("refcat")
@click.option("--index", type=click.Path(path_type=Path),
              help="Star index to search; default the catalog's, or made of its stars.")  # fmt: skip
@click.option("--camera", help="Registered camera; needed only if there are several.")
@click.option("--every", is_flag=True, help="Also frames whose header has a WCS, and those searched before.")
@click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@AS_JSON
def locate(
    repo: Path, refcat: str, index: Path | None, camera: str | None, every: bool, workers: int, as_json: bool
) -> None:
    """Find the science frames of REPO with the stars of REFCAT, where headers give a pointing at best.

    REFCAT is gaia, ps1 or 2mass, a catalog's folder, or a table of stars. The WCS found counts in every later run; what
    overrides.yaml says goes before it. (quickstart and watch do this by themselves.)
    """
    from etendue.app.survey_stars import SurveyStars
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    stars = SurveyStars(refcat, home, home.camera(camera), index)
    outcomes = stars.locate(every=every, workers=workers, progress=not as_json)
    if as_json:
        print_json([outcome.to_dict() for outcome in outcomes])
        return
    rows = [_row(outcome) for outcome in outcomes if outcome.how]
    if rows:
        print_table(rows)
    print_lines([f"not found {outcome.file}: {outcome.reason}" for outcome in outcomes if outcome.reason])
    if not outcomes:
        print_lines(["no frame to search: every header has a WCS, or was searched before (--every repeats)"])


def _row(outcome: "LocateOutcome") -> dict[str, object]:
    return {
        "frame": outcome.file,
        "by": outcome.how,
        "RA": f"{outcome.ra_deg:.4f}",
        "Dec": f"{outcome.dec_deg:+.4f}",
        "moved": f"{outcome.moved_arcmin:.1f}'",
        "stars": outcome.matched,
        "rms": f'{outcome.rms_arcsec:.2g}"',
    }
