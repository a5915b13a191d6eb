"""Measure light curves: a real night against its bars, and simulated series against their truth.

Usage: python benchmarks/series.py NIGHT OUT.json [--refcat DIR] [--repo DIR] [--seeds 401 402 ...]

NIGHT is the folder of the hatp32 frames; --repo keeps the repository, or takes one that `etendue quickstart` made.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from campaign import write_json
from machine import machine_facts
from series_truth import score_seeds

from etendue.app.light_curves import (
    curve_of,
    draw,
    find_curves,
    fit_transit,
    scatter_picture,
    series_tables,
    transit_summary,
)
from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.table.table import Table

HATP32 = (31.0428, 46.6878)  # ICRS [deg]
MIN_SNR = 5.0
SEEDS = tuple(range(401, 409))


def measure(repository: Path, *, target: tuple[float, float] = HATP32, radius_arcsec: float = 20.0) -> dict[str, Any]:
    """Return the figures of the night and whether each bar is met."""
    curves, stars = series_tables(Repository.open(repository, writeable=False))
    figures = repeatability(stars) | {"variables": variables(stars), "claims": claims(curves, stars)}
    figures["transit"] = transit(curves, stars, target, radius_arcsec)
    figures["bars"] = bars(figures)
    return figures


def repeatability(stars: Table) -> dict[str, Any]:
    """Return how well the stars repeat that are usable, at S/N above 5, on more than 90% of the frames."""
    often = np.asarray((stars["nUsable"] > 0.9 * stars["nImage"]) & (stars["snr"] > MIN_SNR))
    raw, detrended = (np.sort(1e3 * np.asarray(stars[name], float)[often]) for name in ("rms", "rmsDetrended"))
    return {
        "frames": int(stars["nImage"].max()),
        "stars": len(stars),
        "usable_in_90_percent": int(often.sum()),
        "below_20_mmag_raw": int((raw < 20.0).sum()),
        "below_20_mmag_detrended": int((detrended < 20.0).sum()),
        "best_20_median_raw_mmag": float(np.median(raw[:20])),
        "best_20_median_detrended_mmag": float(np.median(detrended[:20])),
        "best_raw_mmag": float(raw[0]),
        "best_detrended_mmag": float(detrended[0]),
    }


def variables(stars: Table) -> list[dict[str, float]]:
    names = ("ra", "dec", "mag", "rmsDetrended", "rmsExpected", "significance", "confirmedFraction", "period")
    return [{name: float(stars[name][k]) for name in names} for k in np.flatnonzero(stars["isVariable"])]


def claims(curves: Table, stars: Table) -> dict[str, Any]:
    """Test every claim by another way: each half of the frames alone must scatter more than like stars do."""
    rows = np.flatnonzero(stars["isVariable"])
    confirmed = np.asarray(stars["confirmedFraction"], float)[rows]
    ratios = []
    for k in rows:
        curve = curve_of(curves, stars, int(k))
        mag = curve.column("deltaMagDetrended")
        ratios.append(min(float(np.std(mag[first::2])) for first in (0, 1)) / float(stars["rmsExpected"][k]))
    return {
        "claimed": int(rows.size),
        "unconfirmed": int((confirmed < 0.5).sum()),
        "least_scatter_of_a_half_over_expected": min(ratios, default=None),
    }


def transit(curves: Table, stars: Table, target: tuple[float, float], radius_arcsec: float) -> dict[str, Any] | None:
    """Return the transit of the target; None where no star is there (no reference catalog, other frame)."""
    try:
        found = find_curves(curves, stars, ra_deg=target[0], dec_deg=target[1], radius_arcsec=radius_arcsec)
    except InputError as error:
        print(f"no transit: {error}")
        return None
    return transit_summary(found[0], fit_transit(found[0]))


def bars(figures: dict[str, Any]) -> dict[str, bool]:
    found = {
        "500 stars usable in 90%": figures["usable_in_90_percent"] >= 500,
        "80 below 20 mmag": figures["below_20_mmag_raw"] >= 80,
        "best 20 raw <= 7 mmag": figures["best_20_median_raw_mmag"] <= 7.0,
        "best 20 detrended <= 6 mmag": figures["best_20_median_detrended_mmag"] <= 6.0,
        "best star <= 5 mmag": min(figures["best_raw_mmag"], figures["best_detrended_mmag"]) <= 5.0,
        "no unconfirmed claim": figures["claims"]["unconfirmed"] == 0,
    }
    fit = figures["transit"]
    if fit is not None:
        found |= {
            "transit at 8 sigma": fit["snr"] >= 8.0,
            "depth 27 +- 6 mmag": abs(fit["depth_mmag"] - 27.0) <= 6.0,
            "middle 4.96 +- 0.1 h": abs(fit["mid_utc_h"] - 4.96) <= 0.1,
        }
    return found


def run_night(
    folder: Path, repository: Path, refcat: str | None, workers: int, target: tuple[float, float]
) -> dict[str, Any]:
    """Process the night if the repository does not exist, then measure it."""
    from etendue.app.quickstart import quickstart

    cost: dict[str, Any] = {}
    if not (repository / "butler.yaml").is_file():
        start = time.perf_counter()
        run = quickstart(
            [folder], repository=repository, refcat=refcat, pipeline="series", workers=workers, progress=False
        )
        cost = {"wall_s": time.perf_counter() - start, "workers": workers, "wall_by_step_s": run.wall_s}
    return {"cost": cost, "refcat": refcat is not None, **measure(repository, target=target)}


def write_pictures(repository: Path, folder: Path, target: tuple[float, float]) -> None:
    """Write the scatter plot and the transit of the target."""
    curves, stars = series_tables(Repository.open(repository, writeable=False))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scatter.png").write_bytes(scatter_picture(stars))
    curve = find_curves(curves, stars, ra_deg=target[0], dec_deg=target[1], radius_arcsec=20.0)[0]
    (folder / "transit.png").write_bytes(draw(curve, fit_transit(curve)))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Light curves of a real night and of simulated series, as JSON.")
    parser.add_argument("night", type=Path, help="folder of the hatp32 frames")
    parser.add_argument("out", type=Path, help="JSON file")
    parser.add_argument("--refcat", help="reference catalog; without one the target is not found by position")
    parser.add_argument(
        "--target", type=float, nargs=2, metavar=("RA", "DEC"), default=HATP32,
        help="position of HAT-P-32 in the frame of the images [deg]; that of the headers without a catalog",
    )  # fmt: skip
    parser.add_argument("--repo", type=Path, help="repository to make or to measure; a temporary one by default")
    parser.add_argument("--pictures", type=Path, help="folder for the scatter plot and the transit")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS), help="of the simulated series")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    result: dict[str, Any] = {
        "what": "light curves",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine_facts(),
    }
    if options.night.is_dir() or options.repo:
        with tempfile.TemporaryDirectory(prefix="series") as scratch:
            repository = options.repo or Path(scratch) / "night"
            result["hatp32"] = run_night(
                options.night, repository, options.refcat, options.workers, tuple(options.target)
            )
            if options.pictures:
                write_pictures(repository, options.pictures, tuple(options.target))
        for bar, met in result["hatp32"]["bars"].items():
            print(f"{'met' if met else 'MISSED'}: {bar}")
    else:
        print(f"hatp32 skipped: the frames are not there ({options.night.name})")
    if options.seeds:
        result["simulated"] = score_seeds(options.seeds)
        print(result["simulated"]["summary"])
    write_json(result, options.out)


if __name__ == "__main__":
    main()
