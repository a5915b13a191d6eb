"""Commands that say where a product comes from, and make it once more."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_lines
from etendue.cli.repository import AS_JSON, REPO

_PRODUCT = click.argument("product")
_DATA_ID = click.argument("data_id", nargs=-1)
_COLLECTION = click.option("--collection", help="Where the product is; the newest run that has it by default.")


@click.command(short_help="Show what a product of REPO was made of, and how.")
@REPO
@_PRODUCT
@_DATA_ID
@_COLLECTION
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="PNG to draw the family into.")
@AS_JSON
def provenance(
    repo: Path, product: str, data_id: tuple[str, ...], collection: str | None, plot: Path | None, as_json: bool
) -> None:
    """Show inputs, configuration, code and cost of PRODUCT (a dataset type) with DATA_ID (visit=12 detector=3).

    PRODUCT can also be the id of a dataset. Everything is followed back to the raw frames.
    """
    from etendue.app.provenance import provenance_of
    from etendue.disk import whole_file
    from etendue.middleware.repository import Repository

    result = provenance_of(Repository.open(repo, writeable=False), product, data_id, collection=collection)
    if plot is not None:
        with whole_file(plot, "provenance-plot") as part:
            part.write_bytes(result.plot())
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())


@click.command(short_help="Make a product of REPO once more and compare, bit for bit.")
@REPO
@_PRODUCT
@_DATA_ID
@_COLLECTION
@click.option("--upstream", is_flag=True, help="Make its inputs once more as well, from the raw frames on.")
@click.option("--keep", metavar="RUN", default="", help="Keep what is made in this new RUN collection.")
@AS_JSON
@click.pass_context
def rerun(
    ctx: click.Context, repo: Path, product: str, data_id: tuple[str, ...], collection: str | None, upstream: bool,
    keep: str, as_json: bool,
) -> None:  # fmt: skip
    """Run what made PRODUCT once more, on its recorded inputs and configuration, and compare contents.

    The exit status is 1 if anything differs.
    """
    from etendue.app.provenance import rerun_product
    from etendue.middleware.repository import Repository

    result = rerun_product(Repository.open(repo), product, data_id, collection=collection, upstream=upstream,
                           keep=keep, progress=not as_json)  # fmt: skip
    if as_json:
        print_json(result.to_dict())
    else:
        print_lines(result.lines())
    ctx.exit(0 if result.ok else 1)
