"""Commands that write files for the MPC and the TNS; nothing is ever sent."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.app.submission.night_products import NightProducts
    from etendue.app.submission.settings import SubmissionSettings
    from etendue.app.submission.submission import Submission

_REPO = click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
_INPUT = click.option("-i", "--input", "collection", help="Collection to read; default the latest night that was "
                      "watched, else CAMERA/ap.")  # fmt: skip
_OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
_MOST_LEFT_OUT = 20


@click.group(short_help="Write files for the MPC and the TNS, for you to check and send.")
def submit() -> None:
    """Write files for the Minor Planet Center and the Transient Name Server. Check them, then send them yourself."""


@submit.command()
@_REPO
def init(repo: Path) -> None:
    """Write REPO/submission.yaml, where you say who observed with what."""
    from etendue.app.submission.settings import write_template
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    click.echo(f"wrote {write_template(home.path, home.camera())}; fill it in")


@submit.command()
@_REPO
@_INPUT
@_OUT
@click.option("--min-detections", type=click.IntRange(3), default=3, show_default=True, help="Of a track.")
@click.option("--min-snr", type=float, default=5.0, show_default=True, help="Median of its detections.")
@AS_JSON
def mpc(repo: Path, collection: str | None, out: Path, min_detections: int, min_snr: float, as_json: bool) -> None:
    """Write the moving objects of a night as ADES (PSV), with a picture of each."""
    from etendue.app.submission.movers import MoverCuts, mover_submission

    cuts = MoverCuts(min_detections=min_detections, min_snr=min_snr)
    _write(mover_submission(*_given(repo, collection), cuts), out, as_json)


@submit.command()
@_REPO
@_INPUT
@_OUT
@click.option("--min-detections", type=click.IntRange(2), default=2, show_default=True, help="Clean and positive.")
@click.option("--min-snr", type=float, default=7.0, show_default=True, help="Of the best of them.")
@AS_JSON
def tns(repo: Path, collection: str | None, out: Path, min_detections: int, min_snr: float, as_json: bool) -> None:
    """Write new transients as a bulk report of the TNS (JSON, and TSV beside it), with a picture of each."""
    from etendue.app.submission.candidates import CandidateCuts, candidate_submission

    cuts = CandidateCuts(min_detections=min_detections, min_snr=min_snr)
    _write(candidate_submission(*_given(repo, collection), cuts), out, as_json)


def _given(repo: Path, collection: str | None) -> "tuple[NightProducts, SubmissionSettings]":
    """Return what a submission is made of: the products, and who observed with what."""
    from etendue.app.submission.night_products import NightProducts
    from etendue.app.submission.settings import load_settings
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    settings = load_settings(home.path)
    return NightProducts.of(home, collection), settings


def _write(made: "Submission", out: Path, as_json: bool) -> None:
    files = made.write(out)
    if as_json:
        print_json({"files": [str(f) for f in files], "included": made.included, "left_out": made.left_out})
        return
    print_table(made.included, title="in the file")
    print_table(made.left_out[:_MOST_LEFT_OUT], title="left out")
    if len(made.left_out) > _MOST_LEFT_OUT:
        print_lines([f"and {len(made.left_out) - _MOST_LEFT_OUT} more; --json lists all"])
    print_lines([f"wrote {path}" for path in files] or ["nothing to report: no file was written"])
    if files:
        print_lines(["nothing was sent: check the file and the pictures, then send it yourself"])
