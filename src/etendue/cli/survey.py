"""Commands that do everything: from frames, or from nothing."""

from pathlib import Path
from typing import Literal

import click

from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON, FRAMES

_WORKERS = click.option("-j", "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")


@click.command(short_help="Process folders of FITS files, from raw frames to the report.")
@click.argument("directories", nargs=-1, required=True, type=FRAMES)
@click.option("--repo", required=True, type=click.Path(path_type=Path), help="The repository, made if needed.")
@click.option("--refcat", help="gaia, ps1 or 2mass (fetched and cached), a catalog's folder, or a table of stars.")
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    help="Star index to find frames that lack a WCS; default the catalog's, or made of its stars.",
)
@click.option(
    "--pipeline",
    type=click.Choice(["drp", "series"]),
    default="drp",
    show_default=True,
    help="drp: everything; series: light curves of one star field, no coadds or differences.",
)
@_WORKERS
@AS_JSON
def quickstart(
    directories: tuple[Path, ...], repo: Path, refcat: str | None, index: Path | None,
    pipeline: Literal["drp", "series"], workers: int, as_json: bool,
) -> None:  # fmt: skip
    """Process folders of FITS files, from raw frames to catalogs, movers, alerts and the report."""
    from etendue.app.quickstart import quickstart as process

    result = process(
        list(directories),
        repository=repo,
        refcat=refcat,
        index=index,
        pipeline=pipeline,
        workers=workers,
        progress=not as_json,
    )
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())


@click.command(short_help="Write the raw frames and the truth of a simulated survey.")
@click.argument("preset")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds give equal files.")
def simulate(preset: str, directory: Path, seed: int) -> None:
    """Write the raw frames and the truth of the simulated survey PRESET (smoke, demo) to DIRECTORY."""
    from etendue.errors import InputError
    from etendue.simulate.preset import load_preset
    from etendue.simulate.simulate import simulate_survey

    survey = load_preset(preset)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("exists and is not an empty folder", source=directory, remedy="choose another folder")
    simulate_survey(survey, directory, seed)
    click.echo(f"simulated {preset} in {directory}; next: etendue quickstart {directory} --repo REPO")


@click.command(short_help="Simulate a small survey, process it, compare with the truth.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds give equal surveys.")
@click.option("--overwrite", is_flag=True, help="Replace the output of an earlier demo.")
@_WORKERS
@AS_JSON
def demo(directory: Path, seed: int, overwrite: bool, workers: int, as_json: bool) -> None:
    """Simulate a small survey in DIRECTORY, process it, and compare with the truth."""
    from etendue.app.demo import run_demo

    result = run_demo(directory, seed=seed, workers=workers, overwrite=overwrite, progress=not as_json)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())
