"""Commands that make a repository and fill it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_table

if TYPE_CHECKING:
    from etendue.middleware.configuration import Places
    from etendue.middleware.repository import Repository

_MOST_NAMES = 12
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
FRAMES = click.Path(path_type=Path, readable=False)  # each is judged by itself: one that cannot be read stops no other
REPO = click.argument("repo", type=click.Path(path_type=Path))


def require_collection(home: "Repository", name: str) -> None:
    """Refuse a collection that a repository does not have, and name those it has.

    Parameters
    ----------
    home : Repository
        The repository.
    name : str
        What the user asked for.

    Raises
    ------
    InputError
        There is no such collection.
    """
    from etendue.errors import InputError

    if not home.has_collection(name):
        chains = sorted(info.name for info in home.butler.collections.query_info("*") if info.type.name == "CHAINED")
        known = ", ".join(chains[:_MOST_NAMES]) or "none"
        raise InputError("no such collection", source=home.path, value=name, remedy=f"there are {known}")


def PLACES(command: Any) -> Any:  # noqa: N802 (used like the other options)
    """Add the options that say where a repository keeps what it knows and holds."""
    for option in (
        click.option("--checksums/--no-checksums", default=True, show_default=True,
                     help="Record a checksum of every file."),
        click.option("--mirror", "mirrors", multiple=True,
                     help="Folder or URL that gets a copy of every file; repeatable."),
        click.option("--files", help="Folder or URL (s3://bucket/path) of the files instead of REPO itself."),
        click.option("--schema", help="Schema in that database; several repositories can share one database."),
        click.option("--database", help="postgresql://user@host/name instead of SQLite inside the folder."),
    ):  # fmt: skip
        command = option(command)
    return command


def places_of(
    database: str | None, schema: str | None, files: str | None, mirrors: tuple[str, ...], checksums: bool
) -> "Places":
    """Return what the options of `PLACES` say."""
    from etendue.middleware.configuration import Places

    return Places(database, schema, files, mirrors, checksums)


@click.command(short_help="Create the repository REPO.")
@click.argument("repo")
@PLACES
def init(repo: str, **places: Any) -> None:
    """Create the repository REPO, a folder; of a URL postgresql://user@host/NAME the folder is NAME."""
    from etendue.errors import InputError
    from etendue.middleware.repository import Repository

    folder = repo
    if repo.startswith("postgresql"):
        if places["database"] is not None:
            raise InputError("two databases", value=repo, remedy="give a folder, or a URL without --database")
        places["database"], folder = repo, repo.partition("?")[0].rstrip("/").rpartition("/")[2]
    made = Repository.create(Path(folder), places_of(**places))
    click.echo(f"created {made.path}; next: etendue camera register {folder} CAMERA")


@click.command(short_help="Lay a skymap around all science frames.")
@REPO
@click.option("--camera", help="Registered camera; needed only if there are several.")
@AS_JSON
def skymap(repo: Path, camera: str | None, as_json: bool) -> None:
    """Lay a skymap (name "field") around all science frames of REPO, one tract around each separate field."""
    from etendue.app.quickstart import SKYMAP, lay_out_sky
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    lay_out_sky(home, home.camera(camera))
    found = home.get("skyMap", {"skymap": SKYMAP}, collections="skymaps")
    facts = [_tract_row(found.tract(number)) for number in range(found.n_tracts)]
    if as_json:
        print_json({"skymap": SKYMAP, "tracts": facts})
    else:
        print_table(facts, title=f"skymap {SKYMAP}")


def _tract_row(tract: Any) -> dict[str, Any]:
    """Return what a tract is, for people."""
    rows, columns = tract.patch_grid
    ra, dec = tract.wcs.pixel_to_sky(x=tract.bbox.x.center, y=tract.bbox.y.center)
    return {"tract": tract.id, "ra": float(ra), "dec": float(dec), "patches": rows * columns, "patch_rows": rows,
            "patch_columns": columns}  # fmt: skip


@click.command("hash", short_help="Print the content hash of every product.")
@REPO
@click.argument("collection")
@click.option("-t", "--type", "types", multiple=True, help="Dataset type, repeatable; default all products.")
@AS_JSON
def hash_command(repo: Path, collection: str, types: tuple[str, ...], as_json: bool) -> None:
    """Print the content hash of every product in COLLECTION of REPO.

    Equal hashes mean equal pixels, tables and calibrations, whatever made them.
    """
    import hashlib

    from etendue.errors import InputError
    from etendue.middleware.content_hash import content_hashes
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    require_collection(home, collection)
    hashes = content_hashes(home, collection, types or None)
    if not hashes:
        wanted = " ".join(types) or "product"
        raise InputError(f"holds no {wanted}", source=collection, remedy="see 'butler query-collections REPO'")
    total = hashlib.sha256("".join(f"{key} {value}\n" for key, value in hashes.items()).encode()).hexdigest()
    if as_json:
        print_json({"collection": collection, "products": hashes, "all": total})
        return
    for key, value in hashes.items():
        click.echo(f"{value[:16]}  {key}")
    click.echo(f"{total[:16]}  all {len(hashes)} products")
