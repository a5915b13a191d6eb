"""Commands about cameras."""

from pathlib import Path

import click

from etendue.cli.output import print_json, print_lines, print_table
from etendue.cli.repository import AS_JSON, FRAMES, REPO


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
            "filters": " ".join(item.physical_filter for item in entry.filters),
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
    """Print the YAML of the shipped camera NAME, or of a camera file after checking it."""
    from etendue.camera.shipped import load_camera

    click.echo(load_camera(name).to_yaml(), nl=False)


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
@AS_JSON
def check(name: str, frames: tuple[Path, ...], as_json: bool) -> None:
    """Check the camera NAME (shipped, or a YAML file), and what it reads from the headers of FRAMES."""
    from etendue.camera.shipped import load_camera
    from etendue.errors import InputError

    chosen = load_camera(name)
    rows, faults = [], []
    for frame in frames:
        try:
            rows.append(_facts(frame, chosen))
        except InputError as error:
            faults.append(str(error))
    if as_json:
        print_json({"camera": chosen.name, "frames": rows, "faults": faults})
    else:
        print_lines(
            [f"{chosen.name}: {len(chosen.detectors)} detectors, {len(chosen.filters)} filters; description ok"]
        )
        if rows:
            print_table(rows)
        print_lines([f"refused {fault}" for fault in faults])
    if faults:
        raise InputError(f"{len(faults)} of {len(frames)} frames cannot be read with this camera", source=name,
                         remedy="correct the YAML, or leave the frames out")  # fmt: skip


def _facts(frame: Path, camera: object) -> dict[str, object]:
    from etendue.camera.camera import Camera
    from etendue.camera.raw import read_header
    from etendue.camera.translate import translate

    assert isinstance(camera, Camera)
    info = translate(read_header(frame), camera, frame)
    return {
        "frame": frame.name,
        "exposure": str(info.exposure_id),
        "type": info.observation_type,
        "filter": info.physical_filter,
        "exposure [s]": info.exposure_time_s,
        "mid MJD TAI": round(info.mjd_tai_mid, 5),
        "RA [deg]": round(info.ra_deg, 4),
        "Dec [deg]": round(info.dec_deg, 4),
        "WCS": "yes" if info.wcs is not None else "no",
    }
