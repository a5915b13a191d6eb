"""Measure what single-frame astrometry leaves on simulated frames without turbulence, and what refraction costs.

Usage: python benchmarks/astrometry.py RESULT.json [--seeds N...] [--lowell42 REPOSITORY]

Frames of g and r at airmass 1.5 go through `calibrate_image` with the survey's own reference catalog (5 mas errors);
positions of stars without neighbours by the fitted WCS are compared with the true ones. With a repository of the
lowell42 night its joint solution is repeated with and without refraction of the single stars.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts, rounded
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from etendue.geom.horizon import toward_zenith
from etendue.geom.sphere import tangent_plane
from etendue.middleware.repository import Repository
from etendue.simulate.surveys.frames import SimulatedFrame, science_frame
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.refcat import make_refcat
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey
from etendue.stages.calibrate_image import CalibrateImage, CalibrateImageConfig, CalibrateImageResult
from etendue.stages.joint_calibrate import JointCalibrate
from etendue.table.table import Table
from etendue.tasks.astrometry.align import AlignExposuresTask
from etendue.tasks.astrometry.isolated_star import IsolatedStars, IsolatedStarTask
from etendue.tasks.astrometry.joint import JointAstrometryConfig, JointAstrometryResult, JointAstrometryTask
from etendue.tasks.match.sky import MatchSkyTask

Vector = NDArray[np.float64]

SEEDS = (8101, 8102, 8103, 8104, 8105)
COLOR = "g-r"


def survey(seed: int) -> Survey:
    """Return one detector of 1k x 1k at airmass 1.5 and galactic latitude -35: stars only, no turbulence."""
    smoke = load_survey("smoke").model_dump(exclude_unset=True)
    smoke["cadence"] |= {"nights": [{"day": 0, "bands": "gr"}], "fields": [{"ra_deg": 340.0, "dec_deg": 18.0}]}
    smoke["telescope"] |= {"turbulence": None, "refraction": True}
    smoke["sky"] = {"margin_deg": 0.02, "stars": {"brightest_mag": 14.0, "faintest_mag": 23.0, "density": 3.0}}
    return Survey.plan(SurveySpec.parse(smoke, "benchmark"), seed=seed)


def reference(planned: Survey) -> Table:
    """Return the survey's reference catalog as a table."""
    stars = make_refcat(planned)
    values = {"id": stars["id"], "ra": stars["ra"], "dec": stars["dec"], "raErr": stars["ra_err"] / 3.6e6,
              "decErr": stars["dec_err"] / 3.6e6, "epoch": stars["epoch"]}  # fmt: skip
    for band in planned.bands:
        flux = 10.0 ** (-0.4 * (stars[f"{band}_mag"] - 31.4))
        values |= {f"{band}_flux": flux, f"{band}_fluxErr": flux * stars[f"{band}_mag_err"] / 1.0857}
    return Table("refcat", values)


def frame_residuals(
    frame: SimulatedFrame, result: CalibrateImageResult, catalog: Table, *, corrected: bool
) -> tuple[Vector, Vector, float]:
    """Return S/N of stars, how far they are from their true places per axis [mas], and the true slope by colour.

    With ``corrected`` the fitted refraction of the catalog's colours is taken out.
    """
    assert frame.scene is not None
    truth, stars, image = frame.scene.sources, result.stars, result.exposure
    clean = np.flatnonzero(
        ~stars["centroid_flag"] & ~stars["pixelFlags_saturated"] & ~stars["pixelFlags_edge"] & (stars["snr"] > 30.0)
    )
    ra, dec = image.wcs.pixel_to_sky(x=stars["x"][clean], y=stars["y"][clean])
    found = MatchSkyTask().run(ra1_deg=ra, dec1_deg=dec, ra2_deg=truth["ra"], dec2_deg=truth["dec"])
    named = MatchSkyTask().run(
        ra1_deg=truth["ra"], dec1_deg=truth["dec"], ra2_deg=catalog["ra"], dec2_deg=catalog["dec"]
    )
    color = np.full(truth["ra"].size, np.nan)
    mags = [-2.5 * np.log10(catalog[f"{band}_flux"]) for band in COLOR.split("-")]
    color[named.first] = (mags[0] - mags[1])[named.second]
    i, j = found.first, found.second
    keep = np.isfinite(color[j]) & alone(truth, j)
    i, j = i[keep], j[keep]
    place = truth["ra"][j], truth["dec"][j]
    east, north = (3.6e6 * v for v in tangent_plane(ra[i], dec[i], *place))
    info, facts = image.visit_info, image.metadata
    zenith = np.array(toward_zenith(*place, mjd_tai=info.mjd_tai, longitude_deg=info.longitude_deg,
                                    latitude_deg=info.latitude_deg))  # fmt: skip
    # What the simulator did: its shift on the sky along the zenith per tan z, against colour.
    jacobian = image.wcs.jacobian(x=truth["x"][j], y=truth["y"][j])
    air = np.einsum("nij,jn->in", jacobian, np.stack([truth["air_dx"][j], truth["air_dy"][j]]))
    along = (air * zenith).sum(axis=0) / (zenith**2).sum(axis=0)
    slope = float(np.polyfit(color[j], along, 1)[0])
    if corrected:
        shift = 1000.0 * facts["refraction_arcsec_per_mag"] * (color[j] - facts["refraction_reference_color"])
        east, north = east - shift * zenith[0], north - shift * zenith[1]
    return np.asarray(stars["snr"][clean][i], float), np.stack([east, north]), slope


def alone(truth: dict[str, Vector], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which sources have no other within 10 px that is brighter than 1% of them."""
    tree = cKDTree(np.stack([truth["x"], truth["y"]], axis=1))
    near = tree.query_ball_point(np.stack([truth["x"][rows], truth["y"][rows]], axis=1), 10.0)
    light = truth["electrons"]
    return np.array([not (light[[k for k in group if k != row]] > 0.01 * light[row]).any()
                     for group, row in zip(near, rows, strict=True)])  # fmt: skip


def robust(values: Vector) -> float:
    return float(0.7413 * np.ptp(np.percentile(values, [25.0, 75.0]))) if values.size else float("nan")


def scored(snr: Vector, offset: Vector) -> dict[str, Any]:
    """Return scatter per axis about the frame's truth [mas], means included."""
    found = {}
    for name, low, high in (("snr 80 to 125", 80.0, 125.0), ("snr above 300", 300.0, np.inf)):
        inside = (snr > low) & (snr < high)
        values = offset[:, inside].ravel()
        found[name] = {"stars": int(inside.sum()), "robust_mas": robust(values),
                       "beyond_5_sigma": float(np.mean(np.abs(values) > 5.0 * robust(values)))}  # fmt: skip
    return found


def simulated(seeds: tuple[int, ...]) -> dict[str, Any]:
    """Calibrate the frames of all seeds with and without refraction."""
    rows: dict[str, dict[str, list[Any]]] = {}
    slopes: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        planned = survey(seed)
        catalog = reference(planned)
        for exposure in planned.exposures:
            frame = science_frame(planned, exposure, planned.detectors[0])
            for name, color in (("without", ""), ("with", COLOR)):
                task = CalibrateImage(CalibrateImageConfig(refraction_color=color))
                result = task.run(raws=(frame.raw,), camera=planned.camera, reference=(catalog,))
                snr, offset, slope = frame_residuals(frame, result, catalog, corrected=bool(color))
                rows.setdefault(exposure.band, {}).setdefault(name, []).append((snr, offset))
            facts = result.exposure.metadata
            slopes.setdefault(exposure.band, []).append({
                "seed": seed, "airmass": exposure.airmass, "true_mas_per_mag": 1000.0 * slope,
                "fitted_mas_per_mag": 1000.0 * facts["refraction_arcsec_per_mag"],
                "err_mas_per_mag": 1000.0 * facts["refraction_err_arcsec_per_mag"],
            })  # fmt: skip
    return {
        band: {
            "refraction": slopes[band],
            **{
                f"{name} refraction": scored(np.concatenate([s for s, _ in parts]), np.hstack([o for _, o in parts]))
                for name, parts in kinds.items()
            },
        }
        for band, kinds in rows.items()
    }


class _Handle:
    def __init__(self, home: Repository, ref: Any):
        self.home, self.ref, self.data_id = home, ref, dict(ref.dataId.mapping)

    def get(self, component: str | None = None, box: Any = None) -> Any:
        return self.home.get(self.ref, component=component)


def repeatability(stars: IsolatedStars, result: JointAstrometryResult, min_snr: float) -> dict[str, Any]:
    """Return the median over stars of the scatter per axis [mas], one term more taken off where it was fitted."""
    terms = 1.0 if result.refraction is None else 1.5
    found = []
    for star in np.flatnonzero(stars.snr > min_snr):
        rows = (stars.star == star) & result.used
        n = int(rows.sum())
        if n < 6:
            continue
        axes = np.stack([result.residual_east_arcsec[rows], result.residual_north_arcsec[rows]])
        axes = axes - axes.mean(axis=1, keepdims=True)
        found.append(1000.0 * float(np.sqrt((axes**2).sum() / (2.0 * (n - terms)))))
    return {"stars": len(found), "median_mas": float(np.median(found))}


def lowell42(path: Path) -> dict[str, Any]:
    """Repeat the joint solution of the night."""
    home = Repository.open(path)
    images = tuple(_Handle(home, ref) for ref in home.query("preliminary_visit_image", collections="lowell42/drp"))
    tables = tuple(home.get(ref) for ref in home.query("single_visit_star", collections="lowell42/drp"))
    exposures = AlignExposuresTask().run(exposures=JointCalibrate()._exposures(tables, images).stars).exposures
    stars = IsolatedStarTask().run(exposures=exposures)
    infos = {image.data_id["visit"]: image.get(component="visit_info") for image in images}
    zenith = np.array([
        toward_zenith(*one.wcs.crval, mjd_tai=infos[one.visit].mjd_tai, longitude_deg=infos[one.visit].longitude_deg,
                      latitude_deg=infos[one.visit].latitude_deg)
        for one in exposures
    ])  # fmt: skip
    found: dict[str, Any] = {"largest_airmass": max(info.airmass for info in infos.values())}
    for fitted in (False, True):
        start = time.process_time()
        result = JointAstrometryTask(JointAstrometryConfig(fit_refraction=fitted)).run(
            stars=stars, wcs=[one.wcs for one in exposures], toward_zenith=zenith
        )
        found["with refraction" if fitted else "without refraction"] = {
            "snr above 50": repeatability(stars, result, 50.0), "snr above 200": repeatability(stars, result, 200.0),
            "floor_mas": 1000.0 * result.floor_arcsec, "cpu_s": time.process_time() - start,
            "scatter_of_refraction_mas_per_tan_z":
                None if result.refraction is None else 1000.0 * result.refraction.scatter_arcsec,
        }  # fmt: skip
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--lowell42", type=Path)
    given = parser.parse_args()
    result = {"machine": machine_facts(), "date": time.strftime("%Y-%m-%d"), "seeds": list(given.seeds)}
    result["simulated"] = simulated(tuple(given.seeds))
    if given.lowell42 is not None:
        result["lowell42"] = lowell42(given.lowell42)
    given.result.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
