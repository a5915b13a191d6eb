"""Ingest of many raw files: ours against plain daf_butler code, the files of one night and a hundred thousand.

Usage: python benchmarks/ingest.py [--files 3000] [--many 100000] [--repeat 3] [--out benchmarks/results]

The files are 1 MB each: four CCDs of 720 x 720 pixels per exposure, 88 cards. The peer reads headers with astropy in
one process, enters records and datasets in bulk, and defines no visits: what a team would write with `Butler.ingest`
itself. The hundred thousand are sparse beyond their headers (no disk here holds 100 GB); only headers are read of them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from machine import HERE, machine_facts, rounded
from total_cpu import count

ETENDUE = str(Path(sys.executable).parent / "etendue")
BAR_FILES_PER_S = 400.0
SIDE_PX = 720
CAMERA = """
name: bench
description: four CCDs for a benchmark
plate_scale: 0.18
filters: [{physical_filter: r, band: r}]
kinds:
  chip:
    pixel_size_mm: 0.015
    gain: 1.5
    read_noise: 5
    saturation: 60000
    amplifiers: {grid: [1, 1], names: [A], corners: [LL], segment: [720, 720], data: "[1:700,1:720]",
                 serial_overscan: "[701:720,1:720]"}
detectors: [{kind: chip, array: [2, 2], pitch_mm: [11, 11], name: "c{row}{column}", first_id: 1}]
header:
  match: {INSTRUME: BenchCam}
  time: {date: [DATE-OBS]}
  exposure_time: {keywords: [EXPTIME]}
  observation_type: {keywords: [OBSTYPE], values: {object: science}}
  physical_filter: {keywords: [FILTER]}
  sequence: {keywords: [SEQ]}
  detector: {keywords: [CCDNUM]}
  ra: {keywords: [RA], unit: deg}
  dec: {keywords: [DEC], unit: deg}
"""


def write_files(folder: Path, number: int, *, sparse: bool) -> Path:
    """Write raw files, 2,400 per night."""
    pixels = np.random.default_rng(1).integers(900, 1100, (SIDE_PX, SIDE_PX)).astype(np.uint16)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(_cards())
    whole = Path(tempfile.mkdtemp()) / "whole.fits"
    hdu.writeto(whole)
    content = whole.read_bytes()
    shutil.rmtree(whole.parent)
    data = content[len(hdu.header.tostring()) :]
    begin = Time("2026-01-01T12:00:00", scale="utc").mjd
    for number_of_file in range(number):
        exposure, detector = divmod(number_of_file, 4)
        night, seq = divmod(exposure, 600)
        time_of = Time(begin + night + seq * 40.0 / 86400.0, format="mjd", scale="utc").isot
        hdu.header.update({"DATE-OBS": time_of, "CCDNUM": detector + 1, "SEQ": seq})
        path = folder / f"{night:03d}" / f"{exposure:06d}_{detector}.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(hdu.header.tostring().encode())
            if sparse:
                stream.truncate(len(content))
            else:
                stream.write(data)
    return folder


def _cards() -> dict[str, Any]:
    pointing = {"RA": 10.0, "DEC": -20.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": -20.0,
                "CRPIX1": 360.0, "CRPIX2": 360.0, "CD1_1": -5e-5, "CD1_2": 0.0, "CD2_1": 0.0,
                "CD2_2": 5e-5}  # fmt: skip
    names = {"INSTRUME": "BenchCam", "OBSTYPE": "OBJECT", "FILTER": "r", "EXPTIME": 30.0, "OBJECT": "field"}
    return names | pointing | {f"TELE{number:03d}": number * 1.5 for number in range(60)}


def repository(scratch: Path, name: str, *options: str) -> Path:
    """Make an empty repository with the camera."""
    (scratch / "bench.yaml").write_text(CAMERA)
    home = scratch / name
    shutil.rmtree(home, ignore_errors=True)
    for command in (["init", home, *options], ["camera", "register", home, scratch / "bench.yaml"]):
        subprocess.run([ETENDUE, *map(str, command)], check=True, capture_output=True)
    return home


def measured(command: list[object]) -> dict[str, float]:
    """Run a command; return CPU and wall time of all its processes [s], and the memory of the largest [MiB]."""
    spent = count([str(part) for part in command], HERE)
    return {name: spent[name] for name in ("cpu_s", "wall_s", "peak_mib")}


def sides(scratch: Path, files: Path) -> Iterator[tuple[str, list[object]]]:
    """Give each way with an empty repository of its own."""
    for transfer in ("direct", "link", "copy"):
        for sums in ("--no-checksums", "--checksums"):
            home = repository(scratch, "ours", sums)
            name = f"etendue ingest, {transfer}, {'no ' * (sums != '--checksums')}checksums"
            yield name, [ETENDUE, "ingest", home, files, "--transfer", transfer]
    home = repository(scratch, "stock", "--no-checksums")
    yield "Butler.ingest, direct, no checksums", [sys.executable, HERE / "ingest_peer.py", home, files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        facts = {
            "what": "ingest of raw files of 1 MB",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine_facts(),
            "files": options.files,
            "sides": compare(scratch, options.files, options.repeat),
            "many": many(scratch, options.many) if options.many else None,
        }
    path = options.out / f"ingest-{facts['date']}.json"
    path.write_text(json.dumps(rounded(facts), indent=1) + "\n")
    print(path.read_text())


def compare(scratch: Path, number: int, repeat: int) -> list[dict[str, Any]]:
    """Measure all ways in turn, several times."""
    files = write_files(scratch / "raw", number, sparse=False)
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeat):
        for name, command in sides(scratch, files):
            found.setdefault(name, []).append(measured(command))
    shutil.rmtree(files)
    return [judged(name, values, number) for name, values in found.items()]


def judged(name: str, values: list[dict[str, float]], number: int) -> dict[str, Any]:
    """Return rates; with two cores busy all the time, CPU allows twice the files of one core."""
    rates = sorted(number / value["wall_s"] for value in values)
    cpu = sorted(1e3 * value["cpu_s"] / number for value in values)
    middle = len(values) // 2
    return {"name": name, "files_per_s": rates[middle], "all_files_per_s": rates, "cpu_ms_per_file": cpu[middle],
            "files_per_s_of_two_free_cores": 2e3 / cpu[middle], "peak_mib": max(v["peak_mib"] for v in values),
            "bar_met": rates[middle] >= BAR_FILES_PER_S}  # fmt: skip


def many(scratch: Path, number: int) -> dict[str, Any]:
    """Ingest very many files, then look at them again."""
    files = write_files(scratch / "many", number, sparse=True)
    home = repository(scratch, "large", "--no-checksums")
    command: list[object] = [ETENDUE, "ingest", home, files, "--transfer", "direct"]
    first, again = measured(command), measured(command)
    return {"files": number, "first": first, "files_per_s": number / first["wall_s"], "again": again}


if __name__ == "__main__":
    main()
