"""Make whole raw frames of one 4k detector: 20,000 sources in z, air, optics and every effect of the CCD.

Then frames of 1k x 1k of shipped surveys: of the demo, and of the core of a globular cluster. Nothing else may run.
Usage: python benchmarks/simulated_frame.py [--frames 5] [--out benchmarks/results]
"""

import argparse
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from campaign import write_json
from machine import machine_facts

from etendue.camera.shipped import load_camera
from etendue.simulate.surveys.frames import science_frame
from etendue.simulate.surveys.presets import load_survey
from etendue.simulate.surveys.spec import SurveySpec
from etendue.simulate.surveys.survey import Survey


def one_detector(folder: Path) -> Path:
    """Write a camera that is the first detector of ``widecam`` alone, on the axis."""
    camera = load_camera("widecam")
    middle = camera.detectors[0].model_copy(update={"center_mm": (0.0, 0.0)})
    path = folder / "one.yaml"
    path.write_text(camera.model_copy(update={"detectors": (middle,)}).to_yaml())
    return path


TELESCOPE = {
    "nodes": 7,
    "optics": {"zernikes": [{"noll": 4, "constant": 40.0}, {"noll": 7, "constant": 60.0}]},
    "distortion": {"scale_error": 2.0e-4, "radial": [0.02, 0.0], "detector_shift_px": 1.0, "pointing_arcsec": 1.0},
    "vignetting": {"clear_deg": 0.05, "edge_deg": 0.4},
    "stray": {"ghosts": [{"fraction": 1.0e-3, "radius_mm": 1.0}]},
}
"""Effects that are off by default, and vignetting on the axis; turbulence, refraction, halos and spikes are on."""


def survey(camera: Path, frames: int) -> SurveySpec:
    return SurveySpec.parse(
        {
            "name": "one", "camera": str(camera), "area_m2": 34.0, "telescope": TELESCOPE,
            "cadence": {"fields": [{"ra_deg": 330.1, "dec_deg": -29.9}], "start": "2025-09-30",
                        "nights": [{"day": 0, "bands": "z" * frames, "spacing_min": 1.0}]},
            "sky": {"galaxies": {"faintest_mag": 26.6}, "stars": {"faintest_mag": 26.6}},
        },
        "benchmark",
    )  # fmt: skip


SHIPPED = ("demo", "crowded")


def costs(planned: Survey, frames: int) -> dict[str, Any]:
    """Return CPU time and sources of frames of the first detector; its first frame reads tables and is told apart."""
    cpu_s, counts = [], []
    for exposure in planned.exposures[: frames + 1]:
        begin = time.process_time()
        frame = science_frame(planned, exposure, planned.detectors[0])
        cpu_s.append(round(time.process_time() - begin, 2))
        assert frame.scene is not None
        counts.append(int(frame.scene.sources["x"].size))
    return {"cpu_s": cpu_s[1:], "median_cpu_s": median(cpu_s[1:]), "first_cpu_s": cpu_s[0], "sources": counts[1:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    facts = machine_facts()
    with tempfile.TemporaryDirectory() as folder:
        planned = Survey.plan(survey(one_detector(Path(folder)), options.frames + 1), seed=1)
    found = {
        "what": "raw frames of 4000 x 4000 px with all effects, one core", "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        "machine": facts, **costs(planned, options.frames),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip
    found["shipped"] = {name: costs(Survey.plan(load_survey(name), seed=1), options.frames) for name in SHIPPED}
    write_json(found, options.out / f"simulated-frame-{found['date']}.json")
    print(found)


if __name__ == "__main__":
    main()
