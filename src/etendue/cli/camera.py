"""Commands about cameras."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, FRAMES, REPO

_MOST_FRAMES = 20


@click.group()
def camera() -> None:
    """Describe, register and check cameras."""


@camera.command("list")
@click.option("-b", "--repo", type=click.Path(path_type=Path), help="List those registered there, not the shipped.")
@AS_JSON
def list_cameras(repo: Path | None, as_json: bool) -> None:
    """List the shipped cameras, or those of a repository."""
    from etendue.camera.shipped import load_camera, shipped_cameras

    if repo is None:
        cameras = [load_camera(name) for name in shipped_cameras()]
    else:
        from etendue.middleware.repository import Repository

        home = Repository.open(repo, writeable=False)
        cameras = [home.camera(name) for name in home.cameras()]
    rows = [
        {
            "camera": entry.name,
            "detectors": len(entry.detectors),
            "bands": " ".join(dict.fromkeys(item.band for item in entry.filters)),
            "arcsec/px": entry.plate_scale,
            "description": entry.description,
        }
        for entry in cameras
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows)


@camera.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the YAML of the shipped camera NAME, to be copied, or of a camera file after checking it."""
    from etendue.camera.shipped import load_camera, shipped_cameras, shipped_text

    click.echo(shipped_text(name) if name in shipped_cameras() else load_camera(name).to_yaml(), nl=False)


@camera.command()
@REPO
@click.argument("name")
@click.option("--update", is_flag=True, help="Replace a different camera of the same name.")
def register(repo: Path, name: str, update: bool) -> None:
    """Register the camera NAME (a shipped one, or a YAML file) in REPO."""
    from etendue.camera.shipped import load_camera
    from etendue.middleware.repository import Repository

    chosen = load_camera(name)
    Repository.open(repo).register_camera(chosen, update=update)
    click.echo(f"registered {chosen.name}; next: etendue ingest {repo} FOLDER")


@camera.command()
@click.argument("frame", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the YAML there instead of printing it.")
def guess(frame: Path, output: Path | None) -> None:
    """Write the YAML of a camera with one CCD from the header of FRAME; its notes say what was assumed."""
    from etendue.camera.guess import guess_camera

    text = guess_camera(frame).to_yaml()
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text)
        click.echo(f"wrote {output}; check its notes, then: etendue camera check {output} {frame}")


@camera.command()
@click.argument("name")
@click.argument("frames", nargs=-1, type=FRAMES)
@click.option("--plot", type=click.Path(path_type=Path), help="Write a picture of the focal plane there, as PNG.")
@AS_JSON
def check(name: str, frames: tuple[Path, ...], plot: Path | None, as_json: bool) -> None:
    """Check the camera NAME (shipped, or a YAML file), and what it reads from the headers of FRAMES."""
    from etendue.app.camera_check import check_camera, draw_camera
    from etendue.errors import InputError

    found = check_camera(name, frames)
    if as_json:
        print_json(found.to_dict())
    if found.camera is None:
        if len(found.faults) > 1 and not as_json:
            print_lines([f"fault {fault}" for fault in found.faults])
        raise InputError(found.faults[0] if len(found.faults) == 1 else f"{name}: {len(found.faults)} faults")
    if plot is not None:
        draw_camera(found.camera, plot)
    if not as_json:
        _print_check(found, plot)
    if found.refused:
        raise InputError(f"{len(found.refused)} of {len(found.frames)} frames cannot be read with this camera",
                         source=name, remedy="correct the YAML, or leave the frames out")  # fmt: skip


def _print_check(found: object, plot: Path | None) -> None:
    from etendue.app.camera_check import CameraCheck

    assert isinstance(found, CameraCheck)
    print_lines([found.summary(), *(f"note {note}" for note in found.notes)])
    good = [frame for frame in found.frames if frame.info is not None]
    if good:
        print_table(good[0].trace(), title=f"{good[0].path.name}, card by card")
        print_table([frame.row() for frame in good[:_MOST_FRAMES]])
    if len(good) > _MOST_FRAMES:
        print_lines([f"... and {len(good) - _MOST_FRAMES} more; --json tells all"])
    print_lines([f"refused {fault}" for fault in found.refused])
    if plot is not None:
        print_lines([f"wrote {plot}"])
