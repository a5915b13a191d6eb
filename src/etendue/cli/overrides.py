"""Commands for manual overrides: bad frames, masks, WCSs and header corrections."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON

if TYPE_CHECKING:
    from etendue.middleware.repository import Repository

_REPO = click.option("-b", "--repo", required=True, type=click.Path(path_type=Path), help="The repository.")
_CAMERA = click.option("--camera", help="Registered camera; needed only if there are several.")


@click.group(short_help="Bad frames, masks, WCSs and header corrections by hand.")
def overrides() -> None:
    """Say by hand what the pipelines cannot know: REPO/overrides.yaml, kept across reruns."""


@overrides.command(short_help="Check REPO/overrides.yaml and tell what it would change.")
@_REPO
@_CAMERA
@AS_JSON
def check(repo: Path, camera: str | None, as_json: bool) -> None:
    """Check REPO/overrides.yaml: every entry, which frames it means, and entries that mean none."""
    from etendue.middleware.repository import Repository

    home = Repository.open(repo, writeable=False)
    store = home.overrides(home.camera(camera).name)
    content = store.read()
    rows, unmatched = _rows(home, camera), store.unmatched(home.butler, content)
    if as_json:
        print_json({"file": str(store.path), "entries": len(content.entries()), "frames": rows, "unmatched": unmatched})
        return
    entries, frames = len(content.entries()), len(rows)
    print_lines([f"{store.path}: {entries} entr{'y' if entries == 1 else 'ies'}, {frames} frame{'s' * (frames != 1)}"])
    print_lines([f"{name} means no frame of this repository: correct its name, or ingest it" for name in unmatched])


@overrides.command(short_help="List what is said about which frame.")
@_REPO
@_CAMERA
@AS_JSON
def show(repo: Path, camera: str | None, as_json: bool) -> None:
    """List the frames of REPO about which something is said, and whether it is in force."""
    from etendue.middleware.repository import Repository

    rows = _rows(Repository.open(repo, writeable=False), camera)
    if as_json:
        print_json({"frames": rows})
    else:
        print_table(rows, title="overrides")


@overrides.command(short_help="Add an entry.")
@_REPO
@_CAMERA
@click.option("--bad", required=True, metavar="FRAME", help="File name (* and ? for any text) or exposure id.")
@click.option("--reason", required=True, help="Why it is left out.")
def add(repo: Path, camera: str | None, bad: str, reason: str) -> None:
    """Leave FRAME out of everything from the next run on; the entry can be edited in REPO/overrides.yaml."""
    from etendue.middleware.repository import Repository

    home = Repository.open(repo)
    store = home.overrides(home.camera(camera).name)
    store.add_bad_frame(bad, reason)
    told = [f"{c.file} (exposure {c.exposure}): {c.after}" for c in home.apply_overrides(camera)]
    print_lines(told or [f"{bad}: no frame of this repository is meant yet"])


@overrides.command("apply", short_help="Bring REPO/overrides.yaml into force.")
@_REPO
@_CAMERA
def apply_command(repo: Path, camera: str | None) -> None:
    """Bring REPO/overrides.yaml into force; "etendue ingest", "run" and "quickstart" do it by themselves."""
    from etendue.middleware.repository import Repository

    changes = Repository.open(repo).apply_overrides(camera)
    print_lines([f"{c.file} (exposure {c.exposure}): {c.before} -> {c.after}" for c in changes] or ["nothing changed"])


def _rows(home: "Repository", camera: str | None) -> list[dict[str, Any]]:
    store = home.overrides(home.camera(camera).name)
    wanted = store.effects(home.butler, store.read())
    current = store.said(home.butler)
    return [
        {
            "exposure": str(exposure),
            "detector": detector,
            "file": wanted[exposure, detector].file if (exposure, detector) in wanted else "",
            "said": wanted[exposure, detector].override.describe() if (exposure, detector) in wanted else "nothing",
            "in force": current.get((exposure, detector))
            == (wanted[exposure, detector].override if (exposure, detector) in wanted else None),
        }
        for exposure, detector in sorted({*wanted, *current})
    ]
