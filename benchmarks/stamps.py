"""Draw 200 random stamps on fresh seeds as GalSim does, and state how far ours are from its.

Usage: python benchmarks/stamps.py [--seeds 311 312] [--out benchmarks/results]
Profiles, PSFs and tolerances are those of tests/simulate/drawing.
"""

import argparse
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from campaign import write_json
from machine import HERE, machine_facts

STAMPS = 200
BARS = {"peak": 3e-3, "flux": 1e-3, "moments": 1e-3}


def scored(seed: int) -> dict[str, Any]:
    """Return median and largest differences, and how many stamps are within all bars."""
    sys.path.insert(0, str(HERE.parent / "tests" / "simulate" / "drawing"))
    from galsim_stamps import compare

    found = [compare(seed, number) for number in range(STAMPS)]
    result: dict[str, Any] = {"seed": seed, "stamps": STAMPS}
    inside = np.ones(STAMPS, bool)
    for name, bar in BARS.items():
        values = np.array([getattr(one, name) for one in found])
        inside &= np.isnan(values) | (values < bar)
        result[name] = {"bar": bar, "median": float(np.nanmedian(values)), "largest": float(np.nanmax(values))}
    result["moments"]["not measurable"] = sum(bool(np.isnan(one.moments)) for one in found)
    result["within all bars"] = int(inside.sum())
    result["outside"] = [vars(found[number]) for number in np.flatnonzero(~inside)]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[311, 312])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    date = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    seeds = [scored(seed) for seed in options.seeds]
    found = {"what": "stamps against GalSim", "date": date, "machine": machine_facts(), "seeds": seeds}
    write_json(found, options.out / f"stamps-{date}.json")
    print(found["seeds"])


if __name__ == "__main__":
    main()
