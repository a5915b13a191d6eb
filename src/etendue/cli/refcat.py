"""Commands about reference catalogs."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_table
from etendue.cli.repository import AS_JSON, REPO


@click.group()
def refcat() -> None:
    """Build reference catalogs, register them and choose among them."""


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if not all(value.partition("=")):
            raise click.BadParameter(f"{value!r} does not read NAME=VALUE")
    return {name: text for name, _, text in (value.partition("=") for value in values)}


def _offsets(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    try:
        return {band: float(text) for band, text in _pairs(context, option, values).items()}
    except ValueError:
        raise click.BadParameter(f"{' '.join(values)!r} holds no number") from None


@refcat.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the catalog; default the target's.")
@click.option("--column", "columns", multiple=True, callback=_pairs, help="OURS=THEIRS, for columns not guessed right.")
@click.option("--offset", "offsets", multiple=True, callback=_offsets, help="BAND=MAG, AB minus catalog magnitude.")
@click.option("--epoch", type=float, help="MJD of the positions where the tables have no epoch.")
@click.option("--overwrite", is_flag=True, help="Replace an existing catalog.")
def build(
    tables: tuple[Path, ...], target: Path, name: str | None, columns: dict[str, str], offsets: dict[str, float],
    epoch: float | None, overwrite: bool,
) -> None:  # fmt: skip
    """Turn TABLES (CSV, FITS, Parquet, VOTable) into the sharded catalog TARGET."""
    from etendue.refcat.build import build_reference_catalog

    catalog = build_reference_catalog(
        list(tables), target, name=name, columns=columns or None, epoch_mjd=epoch, mag_offset=offsets or None,
        overwrite=overwrite,
    )  # fmt: skip
    click.echo(f"{target}: {len(catalog)} stars, bands {' '.join(catalog.bands) or 'none'}")


@refcat.command(short_help="Make a catalog of Debian's Tycho-2 files.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory of the new catalog.")
@click.option("--overwrite", is_flag=True, help="Replace an existing catalog.")
def tycho2(folder: Path | None, out: Path, overwrite: bool) -> None:
    """Make a catalog of the Tycho-2 stars in FOLDER, by default where Debian's astrometry-data-tycho2 packages are."""
    from etendue.refcat.tycho2 import DEBIAN_FOLDER, build_tycho2_catalog

    catalog = build_tycho2_catalog(out, folder or DEBIAN_FOLDER, overwrite=overwrite)
    click.echo(f"{out}: {len(catalog)} stars, bands {' '.join(catalog.bands)}; next: etendue refcat index {out}")


@refcat.command(short_help="Index the star patterns of a catalog, for blind solving.")
@click.argument("catalog", type=click.Path(path_type=Path))
@click.option("--band", help="Band that ranks the stars; default the one that most stars have.")
@click.option("--max-order", type=click.IntRange(3, 13), default=11, show_default=True,
              help="HEALPix order of the finest level (11: quads of 0.9' to 1.7').")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing index.")
def index(catalog: Path, band: str | None, max_order: int, overwrite: bool) -> None:
    """Index the star patterns of CATALOG, for etendue solve; the index lies inside the catalog's directory."""
    from etendue.refcat.catalog import ReferenceCatalog
    from etendue.refcat.star_index import build_star_index

    made = build_star_index(ReferenceCatalog(catalog), band=band, max_order=max_order, overwrite=overwrite)
    click.echo(f"{catalog}: {made.n_stars} stars and {len(made.quads)} quads at {len(made.orders)} scales")


@refcat.command(short_help="Fetch a field of gaia, ps1 or 2mass into the cache.")
@click.argument("service")
@click.option("--ra", type=float, required=True, help="Right ascension of the field's middle [deg].")
@click.option("--dec", type=click.FloatRange(-90.0, 90.0), required=True, help="Declination [deg].")
@click.option("--radius", type=click.FloatRange(0.0, 10.0, min_open=True), required=True, help="Radius [deg].")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the field as a sharded catalog.")
@click.option("--camera", help="Shipped camera or YAML file whose bands --out gets.")
@click.option("--overwrite", is_flag=True, help="Replace an existing catalog.")
def fetch(
    service: str, ra: float, dec: float, radius: float, out: Path | None, camera: str | None, overwrite: bool
) -> None:
    """Fetch the stars of SERVICE (gaia, ps1, 2mass) around a point; later runs find them in the cache without network.

    For a machine without network, run this elsewhere and copy the folder it names, or give --out and copy that.
    """
    from etendue.camera.shipped import load_camera
    from etendue.errors import InputError
    from etendue.refcat.bands import add_bands, colour_terms, in_camera_bands
    from etendue.refcat.build import write_reference_catalog
    from etendue.refcat.field_cache import FieldCache
    from etendue.refcat.service import load_service

    cache = FieldCache(load_service(service))
    missing = len(cache.missing(ra_deg=ra, dec_deg=dec, radius_deg=radius))
    stars = cache.load_cone(ra_deg=ra, dec_deg=dec, radius_deg=radius)
    click.echo(f"{len(stars)} stars of {service}, {missing} tiles fetched; cache: {cache.folder}")
    if out is None:
        return
    if len(stars) == 0:
        raise InputError("no star in the field", source=service, value=(ra, dec, radius))
    if camera is None:
        stars = add_bands(stars, colour_terms(service), catalog=service)
    else:
        stars = in_camera_bands(stars, load_camera(camera), catalog=service)
    made = write_reference_catalog(stars, out, overwrite=overwrite)
    click.echo(f"{out}: {len(made)} stars, bands {' '.join(made.bands)}")


@refcat.command(short_help="Register a catalog in a repository, and use it.")
@REPO
@click.argument("catalog", type=click.Path(path_type=Path))
@click.option("--fields", is_flag=True, help="Only the stars around the science frames that REPO has now.")
@click.option("--version", help="Name of the version; default the catalog's name and a hash of its stars.")
@click.option("--use/--no-use", default=True, show_default=True, help="Let pipelines find it from now on.")
@click.option("--for-fluxes", is_flag=True, help="Only the flux scale rests on it, beside another for positions.")
def register(repo: Path, catalog: Path, fields: bool, version: str | None, use: bool, for_fluxes: bool) -> None:
    """Register the sharded CATALOG in REPO, as a version beside those that are there."""
    from etendue.app.survey_stars import field_cones
    from etendue.middleware.refcats import REFCATS, WHOLE_SKY, register_refcat, version_name
    from etendue.middleware.repository import Repository
    from etendue.refcat.catalog import ReferenceCatalog

    home, opened = Repository.open(repo), ReferenceCatalog(catalog)
    cones = [cone for name in home.cameras() for cone in field_cones(home, home.camera(name))] if fields else WHOLE_SKY
    count = register_refcat(home, opened, cones=cones, version=version, use=use, for_fluxes=for_fluxes)
    told = f"{count} new shards of version {version or version_name(opened)}{' for fluxes' if for_fluxes else ''}"
    click.echo(f"{told}, which is in use: collection {REFCATS}" if use else told)


@refcat.command("list", short_help="List the catalogs of a repository.")
@REPO
@AS_JSON
def list_catalogs(repo: Path, as_json: bool) -> None:
    """List the versions of reference catalogs in REPO, and which pipelines find."""
    from etendue.middleware.refcats import refcat_versions
    from etendue.middleware.repository import Repository

    found = refcat_versions(Repository.open(repo, writeable=False))
    rows = [{"version": one.name, "in use": "yes" if one.in_use else "", "trixels": one.trixels, "made of": one.about}
            for one in found]  # fmt: skip
    if as_json:
        print_json([{**row, "in use": one.in_use, "runs": one.runs} for row, one in zip(rows, found, strict=True)])
    else:
        print_table(rows, title="reference catalogs")


@refcat.command(short_help="Let pipelines find another catalog of a repository.")
@REPO
@click.argument("version")
def use(repo: Path, version: str) -> None:
    """Let pipelines of REPO find VERSION of a reference catalog, and no other."""
    from etendue.middleware.refcats import REFCATS, use_refcat
    from etendue.middleware.repository import Repository

    use_refcat(Repository.open(repo), version)
    click.echo(f"version {version} is in use: collection {REFCATS}")
