"""Draw the timeline on the page about calibrations: half a year of a camera with two detectors and two filters.

python tools/make_calibration_pictures.py docs/images/calibration-timeline.png
"""

import sys
import tempfile
from pathlib import Path

from astropy.time import Time
from lsst.daf.butler import Timespan

from etendue.app.calibration_timeline import calibration_timeline
from etendue.camera.shipped import load_camera
from etendue.middleware.curated.versions import load_curated
from etendue.middleware.repository import Repository

CAMERA = load_camera("simcam")
DETECTORS, FILTERS = (0, 1), ("g_sim", "r_sim")
KEY = ("instrument", "detector")
MEASURED = {"2026-03": "2026-03-01", "2026-05": "2026-05-10", "2026-07": "2026-07-05"}
NIGHTS = [day for month in range(6) for day in range(61102 + 30 * month, 61115 + 30 * month)]  # around new moon
BOXES = "boxes:\n- {x0: 7, y0: 0, width: 1, height: 1000}\n"


def add_exposures(home: Repository) -> None:
    """Insert records of science exposures, and raw frames without files."""
    insert = home.butler.registry.insertDimensionData
    home.register_dataset_type("raw", ("instrument", "exposure", "detector"), "EtendueRaw")
    insert("physical_filter", *({"instrument": CAMERA.name, "name": name, "band": name[0]} for name in FILTERS),
           skip_existing=True)  # fmt: skip
    for night in NIGHTS:
        begin, end = (Time(night + part, format="mjd", scale="tai") for part in (0.2, 0.201))
        date = int(begin.strftime("%Y%m%d"))
        insert("day_obs", {"instrument": CAMERA.name, "id": date})
        for seq, name in enumerate(FILTERS):
            number = date * 100000 + seq
            insert("group", {"instrument": CAMERA.name, "name": str(number)})
            insert("exposure", {
                "instrument": CAMERA.name, "id": number, "obs_id": str(number), "group": str(number), "day_obs": date,
                "physical_filter": name, "observation_type": "science", "timespan": Timespan(begin, end),
            })  # fmt: skip
    data_ids = [{"instrument": CAMERA.name, "exposure": date * 100000, "detector": k} for k in DETECTORS]
    home.butler.registry.insertDatasets("raw", data_ids, run=f"{CAMERA.name}/raw/all")


def add_measured(home: Repository) -> None:
    """Certify biases, flats, gains and defects of three runs; a flat is missing for some weeks."""
    storage = {"bias": "EtendueExposure", "ptc": "EtenduePtc", "defects": "EtendueDefects", "flat": "EtendueExposure"}
    for kind, name in storage.items():
        home.register_dataset_type(kind, (*KEY, "physical_filter") if kind == "flat" else KEY, name, calibration=True)
    for label, date in MEASURED.items():
        run = f"{CAMERA.name}/calibrations/{label}"
        with home.writing(run=run) as butler:
            for kind in storage:
                for detector in DETECTORS:
                    for name in FILTERS if kind == "flat" else ("",):
                        if (label, detector, name) != ("2026-05", 1, "g_sim"):
                            more = {"physical_filter": name} if name else {}
                            data_id = {"instrument": CAMERA.name, "detector": detector, **more}
                            butler.registry.insertDatasets(kind, [data_id], run=run)
        home.butler.registry.refresh()
        begin = float(Time(date, scale="tai").mjd)
        for kind in storage:
            home.certify([kind], run=run, begin_mjd_tai=begin, replace=True)
    with home.writing() as butler:  # the flat in g of the first run was not good for so long
        span = Timespan(Time("2026-05-10", scale="tai"), Time("2026-07-05", scale="tai"))
        data_id = {"instrument": CAMERA.name, "detector": 1, "physical_filter": "g_sim"}
        butler.registry.decertify(home.calibration_collection(CAMERA.name), "flat", span, dataIds=[data_id])


def add_curated(home: Repository, folder: Path) -> None:
    """Load defects that were drawn by hand, of both detectors, one of them twice."""
    for name in ("S00/20260401T000000", "S00/20260620T000000", "S01/20260401T000000"):
        path = folder / CAMERA.name / "defects" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BOXES)
    load_curated(home, folder, label="v2")


def main() -> None:
    """Draw."""
    with tempfile.TemporaryDirectory() as folder:
        home = Repository.create(Path(folder) / "survey")
        home.register_camera(CAMERA)
        add_exposures(home)
        add_measured(home)
        add_curated(home, Path(folder) / "kept")
        result = calibration_timeline(home, CAMERA)
    print("\n".join(result.lines()))
    Path(sys.argv[1]).write_bytes(result.plot())


if __name__ == "__main__":
    main()
