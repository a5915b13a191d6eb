"""Bias, gain, flats and defects, and the frames that were refused."""

from typing import Any

import numpy as np

from etendue.app.missing_calibrations import missing_calibrations
from etendue.app.report.reader import Reader, data_id_of, data_id_text
from etendue.app.report.section import Column, Grid, Picture, Section, absent
from etendue.image.ptc import AmplifierGain
from etendue.qa.thumbnail import thumbnail

_CALIBRATIONS = ("bias", "flat", "ptc", "defects")


def gather(reader: Reader) -> dict[str, Any]:
    """Return bias levels, gains against headers, flats, defects, refusals and what science frames went without."""
    return {
        "bias": [row for ref in reader.refs("bias") if (row := _bias(reader, ref))],
        "amplifiers": [row for ref in reader.refs("ptc") for row in _amplifiers(reader, ref)],
        "flats": [row for ref in reader.refs("flat") if (row := _flat(reader, ref))],
        "defects": [row for ref in reader.refs("defects") if (row := _defects(reader, ref))],
        "without": [line for name in reader.home.cameras() for line in missing_calibrations(reader.home, name)],
        "refused": [
            {"task": outcome.label, "message": outcome.message}
            for _, outcome in reader.outcomes
            if outcome.status == "defeated" and "refused" in outcome.message
        ],
    }


def _bias(reader: Reader, ref: Any) -> dict[str, Any] | None:
    image, facts = reader.get(ref, "image"), reader.get(ref, "metadata")
    if image is None or facts is None:
        return None
    noise = facts.get("read_noise_adu", {})
    return {
        "detector": ref.dataId["detector"],
        "frames": facts.get("n_frames"),
        "exposures": _exposures(reader, ref, "bias"),
        "level_adu": float(np.nanmedian(image.array)),
        "structure_adu": float(np.nanstd(image.array)),
        "read_noise_adu": noise,
    }


def _amplifiers(reader: Reader, ref: Any) -> list[dict[str, Any]]:
    ptc = reader.get(ref)
    return [] if ptc is None else [_amplifier(int(ref.dataId["detector"]), entry) for entry in ptc.amplifiers]


def _amplifier(detector: int, entry: AmplifierGain) -> dict[str, Any]:
    silent = not np.isfinite(entry.header_gain)
    return {
        "detector": detector,
        "amplifier": entry.name,
        "gain": entry.gain,
        "gain_err": entry.gain_err,
        "header_gain": entry.header_gain,
        "verdict": "header silent" if silent else "consistent" if entry.consistent else "inconsistent",
        "read_noise_electron": entry.read_noise,
        "read_noise_adu": entry.read_noise_adu,
    }


def _flat(reader: Reader, ref: Any) -> dict[str, Any] | None:
    image, facts = reader.get(ref, "image"), reader.get(ref, "metadata")
    if image is None or facts is None:
        return None
    low, high = np.nanpercentile(image.array, (1.0, 99.0))
    levels = facts.get("levels_adu", [])
    return {
        **{key: value for key, value in data_id_of(ref).items() if key != "instrument"},
        "frames": facts.get("n_frames"),
        "exposures": _exposures(reader, ref, "flat", str(ref.dataId["physical_filter"])),
        "darkest_adu": min(levels, default=None),
        "brightest_adu": max(levels, default=None),
        "percentile_1": low,
        "percentile_99": high,
        "files": facts.get("files", []),
    }


def _exposures(reader: Reader, ref: Any, kind: str, physical_filter: str | None = None) -> int:
    """Return how many exposures of a type and filter there are, used or not."""
    records = reader.home.butler.query_dimension_records(
        "exposure", instrument=ref.dataId["instrument"], explain=False, limit=None
    )
    same = [record for record in records if record.observation_type == kind]
    return sum(physical_filter in (None, record.physical_filter) for record in same)


def _defects(reader: Reader, ref: Any) -> dict[str, Any] | None:
    defects = reader.get(ref)
    if defects is None:
        return None
    area = sum(box.area for box in defects.boxes)
    return {"detector": ref.dataId["detector"], "regions": len(defects.boxes), "pixels": int(area)}


def present(numbers: dict[str, Any], reader: Reader) -> Section:
    """Return the section of `gather`'s numbers, with pictures of the flats."""
    missing = [absent(name, "calib") for name in _CALIBRATIONS if not reader.refs(name)] + numbers["without"]
    grids = [grid for grid in _grids(numbers) if grid.rows]
    inconsistent = sum(row["verdict"] == "inconsistent" for row in numbers["amplifiers"])
    lead = "The gain is measured from pairs of flats; the header's value is only compared."
    if inconsistent:
        lead += f" {inconsistent} of {len(numbers['amplifiers'])} amplifiers contradict it: what was measured is used."
    return Section("calibration", "Calibration", lead, (), grids, _pictures(reader), missing)


def _grids(numbers: dict[str, Any]) -> list[Grid]:
    bias = [row | {"noise": list(row["read_noise_adu"].values())} for row in numbers["bias"]]
    return [
        Grid("Gain and read noise", (
            Column("detector", "detector"), Column("amplifier", "amplifier"), Column("gain", "gain [e⁻/ADU]", ".3f"),
            Column("gain_err", "±", ".3f"), Column("header_gain", "header’s gain", ".3f"), Column("verdict", "verdict"),
            Column("read_noise_electron", "read noise [e⁻]", ".2f"), Column("read_noise_adu", "[ADU]", ".3f"),
        ), numbers["amplifiers"]),
        Grid("Bias", (
            Column("detector", "detector"), Column("frames", "frames used"), Column("exposures", "of"),
            Column("level_adu", "level above overscan [ADU]", ".2f"),
            Column("structure_adu", "structure, rms [ADU]", ".2f"),
            Column("noise", "read noise by amplifier [ADU]", ".3f"),
        ), bias),
        Grid("Flats", (
            Column("detector", "detector"), Column("physical_filter", "filter"), Column("frames", "frames used"),
            Column("exposures", "of"),
            Column("darkest_adu", "darkest frame [ADU]", ".0f"),
            Column("brightest_adu", "brightest frame [ADU]", ".0f"),
            Column("percentile_1", "1% of pixels below", ".3f"), Column("percentile_99", "1% above", ".3f"),
        ), numbers["flats"]),
        Grid("Defects", (
            Column("detector", "detector"), Column("regions", "regions"), Column("pixels", "pixels"),
        ), numbers["defects"]),
        Grid("Refused frames", (Column("task", "task"), Column("message", "reason")), numbers["refused"]),
    ]  # fmt: skip


def _pictures(reader: Reader) -> list[Picture]:
    flats = [(ref, reader.get(ref, "image")) for ref in reader.refs("flat")[:6]]
    shown = [_flat_picture(image.array, data_id_text(data_id_of(ref))) for ref, image in flats if image]
    if not shown:
        return []
    return [Picture(
        "Master flats", shown,
        right="A smooth field that darkens towards the corners, with dust rings; amplifiers may differ.",
        wrong="stars (twilight flats without dither), stripes, a gradient across the whole field.",
    )]  # fmt: skip


def _flat_picture(pixels: np.ndarray, label: str) -> tuple[bytes, str]:
    """Return a flat on a linear scale around its middle; vignetted corners are black."""
    low, middle, high = np.nanpercentile(pixels, (1.0, 50.0, 99.0))
    black, white = max(low, 0.85 * middle) - 0.02, min(high, 1.2 * middle) + 0.02
    return thumbnail(pixels, size=300, linear=(black, white)), f"{label}, {black:.2f} (black) to {white:.2f}"
