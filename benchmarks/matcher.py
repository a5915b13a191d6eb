"""Score the pattern matcher on random fields whose truth is known, and on fields that are somewhere else.

Usage: python benchmarks/matcher.py RESULT.json [--fields N] [--foreign N] [--seed N]

Fields of 4,096 x 4,096 px hold 5 to 5,000 true matches (log-uniform) among up to 70% other detections, seen with a
start that is wrong by up to 800 px, 5 deg, 1.5% in scale, and in half of the fields in parity.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray

from etendue.errors import AlgorithmError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import tangent_plane_inverse
from etendue.tasks.astrometry.fit import FitAstrometryConfig, FitAstrometryTask
from etendue.tasks.match.pattern import MatchPatternConfig, MatchPatternTask

Vector = NDArray[np.float64]

SIDE = 4096.0
MARGIN = 900.0  # the catalog reaches this far beyond the frame [px]
SLOPE = 0.3  # of the logarithm of star counts with magnitude
SCALES = (0.2, 0.5, 1.0)  # [arcsec/px]
FULL_FIT = (5000, 0.5)  # true stars and other detections per true one of the timed field


@dataclass(frozen=True)
class Field:
    """Sources and reference stars [px], and the truth."""

    source: Vector
    source_flux: Vector
    reference: Vector
    reference_flux: Vector
    n_true: int
    row: NDArray[np.int64]  # (n_true,) references of the first sources
    error: Vector  # their position errors

    def arrays(self, scale: float) -> dict[str, Vector]:
        """Return the arguments of the matcher on a plane in arcsec."""
        return {
            "source": self.source * scale, "source_flux": self.source_flux,
            "reference": self.reference * scale, "reference_flux": self.reference_flux,
        }  # fmt: skip


def magnitudes(rng: np.random.Generator, n: int, faintest: float) -> Vector:
    """Return magnitudes of a magnitude-limited catalog, whose counts grow by 10**(SLOPE mag)."""
    return faintest + np.log10(rng.random(n)) / SLOPE


def places(rng: np.random.Generator, n: int) -> Vector:
    """Return where stars are: evenly spread, in one field of six with a third of them in a cluster."""
    half = SIDE / 2.0 + MARGIN
    xy = rng.uniform(-half, half, (n, 2))
    if rng.random() < 1.0 / 6.0:
        member = rng.random(n) < 0.33
        xy[member] = rng.uniform(-half / 2, half / 2, 2) + rng.normal(0.0, rng.uniform(100.0, 600.0), (member.sum(), 2))
    return xy


def clutter(rng: np.random.Generator, n: int, stars: Vector, flux: Vector) -> tuple[Vector, Vector]:
    """Return detections that are in no catalog: faint stars, blobs around bright stars, bad columns, cosmic rays.

    A third is as bright as the stars are, the rest mostly faint.
    """
    xy = rng.uniform(-SIDE / 2, SIDE / 2, (n, 2))
    kind = rng.random(n)
    if len(stars):
        bright = stars[np.argsort(-flux)[: max(1, len(stars) // 20)]]
        around = kind < 0.25
        xy[around] = bright[rng.integers(0, len(bright), around.sum())] + rng.normal(0.0, 40.0, (around.sum(), 2))
    column = kind > 0.85
    xy[column, 0] = rng.choice(rng.uniform(-SIDE / 2, SIDE / 2, 4), column.sum()) + rng.normal(0.0, 0.5, column.sum())
    faint = flux.min() if flux.size else 1.0
    brightness = faint * 10.0 ** (0.4 * rng.exponential(0.6, n))
    like_stars = rng.random(n) < 0.33
    brightness[like_stars] = rng.choice(flux, like_stars.sum()) if flux.size else 1.0
    return xy, brightness


def random_field(rng: np.random.Generator, *, n_true: int | None = None, per_true: float | None = None) -> Field:
    """Return one field with at least five true matches."""
    wanted = int(np.exp(rng.uniform(np.log(5.0), np.log(5000.0)))) if n_true is None else n_true
    deeper = rng.uniform(-1.5, 1.5)  # how much deeper the catalog is than the frame [mag]
    inside = wanted / 0.9 * 10.0 ** (SLOPE * max(deeper, 0.0))
    for more in (1.0, 1.3, 1.7, 2.2, 3.0, 5.0, 10.0, 20.0):
        n = int(more * inside * (1.0 + 2.0 * MARGIN / SIDE) ** 2) + 5
        catalog, mag = places(rng, n), magnitudes(rng, n, 20.0)
        turn, scale = np.radians(rng.uniform(-5.0, 5.0)), 1.0 + rng.uniform(-0.015, 0.015)
        angle, far = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 800.0)
        mirror = rng.random() < 0.5
        limit = 20.0 - max(deeper, 0.0)
        saturated = np.quantile(mag, 0.02)
        on_frame = (np.abs(catalog) < SIDE / 2).all(axis=1)
        seen = np.flatnonzero(on_frame & (mag < limit + rng.normal(0.0, 0.2, n)) & (mag > saturated))
        seen = seen[rng.random(seen.size) < 0.95][:wanted]
        if seen.size >= min(wanted, 5000) or more == 20.0:
            break
    rng.shuffle(seen)
    share = rng.uniform(0.0, 0.7)
    others = round(seen.size * (share / (1.0 - share) if per_true is None else per_true))
    # The frame sees the catalog turned, scaled, shifted and perhaps mirrored; the matcher has to undo it.
    flux = 10.0 ** (-0.4 * (mag - 20.0))
    error = np.hypot(0.02, 0.2 * np.sqrt(flux[seen].min() / flux[seen]))
    bulge = rng.uniform(0.0, 1.0) * catalog[seen] * ((catalog[seen] / SIDE * 2.0) ** 2).sum(axis=1)[:, None] / SIDE
    moved = rng.normal(0.0, 1.0, (seen.size, 2)) * np.where(rng.random(seen.size) < 0.03, 8.0, 0.0)[:, None]
    xy = catalog[seen] + bulge + moved + rng.normal(0.0, 1.0, (seen.size, 2)) * error[:, None]
    clutter_xy, clutter_flux = clutter(rng, others, catalog[seen], flux[seen])
    z = np.concatenate([xy, clutter_xy]) @ (1.0, 1.0j) * scale * np.exp(1j * turn)
    z = (z.conj() if mirror else z) + far * np.exp(1j * angle)
    brightness = np.r_[flux[seen] * 10.0 ** (0.4 * rng.normal(0.0, 0.3, seen.size)), clutter_flux]
    return Field(
        np.stack([z.real, z.imag], axis=1), brightness, catalog, flux * 10.0 ** (0.4 * rng.normal(0.0, 0.1, n)),
        seen.size, seen, error,
    )  # fmt: skip


def settings(scale: float) -> MatchPatternConfig:
    """Return the shipped choices with a limit of the shift that 800 px, 5 deg and 1.5% can reach off the middle."""
    return MatchPatternConfig(max_shift_arcsec=1000.0 * scale)


def score(rng: np.random.Generator, n_fields: int, *, foreign: bool) -> dict[str, Any]:
    """Match fields; with ``foreign`` to the catalog of another field."""
    rows = []
    for _ in range(n_fields):
        field, scale = random_field(rng), float(rng.choice(SCALES))
        arrays = field.arrays(scale)
        if foreign:
            other = random_field(rng).arrays(scale)
            arrays |= {"reference": other["reference"], "reference_flux": other["reference_flux"]}
        start = time.process_time()
        try:
            match = MatchPatternTask(settings(scale)).run(**arrays)
        except AlgorithmError as error:
            rows.append((field, scale, None, time.process_time() - start, error.metadata["log10_false_alarm"]))
            continue
        seconds = time.process_time() - start
        stars = match.source < field.n_true
        right = stars & (field.row[np.minimum(match.source, field.n_true - 1)] == match.reference)
        rows.append((field, scale, float(right.sum() / max(stars.sum(), 1)), seconds, match.log10_false_alarm))
    return summary(rows, foreign=foreign)


def summary(rows: list[Any], *, foreign: bool) -> dict[str, Any]:
    """Count successes (80% of the true stars that matched have their own reference star) and false solutions."""
    good = [right is not None and right >= 0.8 and not foreign for _, _, right, *_ in rows]
    false = [right is not None and (right < 0.8 or foreign) for _, _, right, *_ in rows]
    seconds = np.array([row[3] for row in rows])
    bins = {}
    for low, high in ((5, 8), (8, 15), (15, 50), (50, 500), (500, 5001)):
        inside = [low <= row[0].n_true < high for row in rows]
        bins[f"{low} to {high - 1} true"] = {
            "fields": sum(inside),
            "matched": sum(g for g, i in zip(good, inside, strict=True) if i),
        }
    alarms = [row[4] for row in rows]
    missed = [] if foreign else [row for row, g in zip(rows, good, strict=True) if not g]
    return {
        "fields": len(rows),
        "matched": sum(good),
        "false": sum(false),
        "by_true_matches": bins,
        "largest_log10_false_alarm_of_a_match": max((a for a, g in zip(alarms, good, strict=True) if g), default=None),
        "smallest_log10_false_alarm_without": min(
            (a for a, g in zip(alarms, good, strict=True) if not g), default=None
        ),
        "cpu_s": {"median": float(np.median(seconds)), "p95": float(np.quantile(seconds, 0.95)), "max": seconds.max()},
        "missed": [
            {"true": f.n_true, "sources": len(f.source), "references": len(f.reference), "arcsec_per_px": scale}
            for f, scale, *_ in missed[:20]
        ],
    }


def full_fit(seed: int) -> dict[str, Any]:
    """Time matcher and WCS fit together on 5,000 true stars, and look at what the fit leaves."""
    rng = np.random.default_rng(seed)
    field = random_field(rng, n_true=FULL_FIT[0], per_true=FULL_FIT[1])
    scale = 0.2
    wcs = SkyWcs((0.0, 0.0), (120.0, -30.0), np.diag([-scale, scale]) / 3600.0)
    plane = field.reference * (-scale, scale) / 3600.0
    ra, dec = tangent_plane_inverse(plane[:, 0], plane[:, 1], 120.0, -30.0)
    error = np.full(len(field.source), 0.2)
    error[: field.n_true] = field.error
    pattern = settings(scale)
    task = FitAstrometryTask(FitAstrometryConfig(pattern=pattern))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        fit = task.run(
            x=field.source[:, 0], y=field.source[:, 1], x_err=error, y_err=error, flux=field.source_flux, wcs=wcs,
            ref_ra_deg=ra, ref_dec_deg=dec, ref_flux=field.reference_flux,
        )  # fmt: skip
        seconds.append(time.process_time() - start)
    return {
        "true": field.n_true, "sources": len(field.source), "references": len(field.reference),
        "cpu_s": float(np.median(seconds)), "used": fit.n_used, "rms_mas": 1000.0 * fit.rms_arcsec,
        "chi2_per_dof": fit.chi2_per_dof, "order": fit.order,
    }  # fmt: skip


def main() -> None:
    """Score and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--fields", type=int, default=2000)
    parser.add_argument("--foreign", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7001)
    given = parser.parse_args()
    result = {"machine": machine_facts(), "date": time.strftime("%Y-%m-%d"), "seed": given.seed}
    result["fields"] = score(np.random.default_rng(given.seed), given.fields, foreign=False)
    result["foreign"] = score(np.random.default_rng(given.seed + 1), given.foreign, foreign=True)
    result["full_fit"] = full_fit(given.seed + 2)
    given.result.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
