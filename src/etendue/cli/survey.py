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
@click.argument("survey")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Equal seeds give equal files.")
@click.option("--preview", is_flag=True, help="Draw the focal plane and plots into DIRECTORY/preview, no frames.")
@_WORKERS
@AS_JSON
def simulate(survey: str, directory: Path, seed: int, preview: bool, workers: int, as_json: bool) -> None:
    """Write the raw frames, the reference catalog and the truth of SURVEY, a preset or a YAML file, to DIRECTORY.

    A survey with a part "catalog", such as the preset mops, becomes source tables without frames.
    """
    from etendue.app.simulate import simulate_into
    from etendue.simulate.surveys.presets import load_survey

    spec = load_survey(survey)
    if preview:
        from etendue.app.preview import preview_into

        drawn = preview_into(spec, directory / "preview", seed=seed, progress=not as_json)
        if as_json:
            print_json(drawn.to_dict())
        else:
            print_lines(drawn.lines())
        return
    result = simulate_into(spec, directory, seed=seed, workers=workers, progress=not as_json)
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())


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
