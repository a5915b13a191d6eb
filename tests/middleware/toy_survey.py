"""A repository of numbers for the toy pipeline: two detectors, six exposures, one of them a bias."""

from pathlib import Path
from typing import Any

from astropy.time import Time
from lsst.daf.butler import CollectionType, Timespan

from etendue.middleware.calibrations import certify
from etendue.middleware.repository import Repository

TOY = Path(__file__).with_name("toy.yaml")
DETECTORS = (0, 1)
EXPOSURES = (1, 2, 3, 4, 5, 6)


def exposure_record(exposure: int, kind: str) -> dict[str, Any]:
    begin = Time(60000.0 + exposure, format="mjd", scale="tai")
    end = Time(60000.1 + exposure, format="mjd", scale="tai")
    return {
        "instrument": "toy",
        "id": exposure,
        "obs_id": str(exposure),
        "physical_filter": "none",
        "group": str(exposure),
        "day_obs": 20230225,
        "observation_type": kind,
        "timespan": Timespan(begin, end),
    }


def fill(repository: Repository) -> None:
    registry = repository.butler.registry
    insert = registry.insertDimensionData
    insert("instrument", {"name": "toy", "class_name": "etendue.middleware.cameras.toy", "detector_max": 2})
    insert("physical_filter", {"instrument": "toy", "name": "none", "band": "none"})
    insert("day_obs", {"instrument": "toy", "id": 20230225})
    for detector in DETECTORS:
        insert("detector", {"instrument": "toy", "id": detector, "full_name": f"d{detector}"})
    for exposure in EXPOSURES:
        insert("group", {"instrument": "toy", "name": str(exposure)})
        insert("exposure", exposure_record(exposure, "bias" if exposure == 6 else "science"))
    key = ("instrument", "exposure", "detector")
    repository.register_dataset_type("number", key, "EtendueJson")
    repository.register_dataset_type("offset", ("instrument", "detector"), "EtendueJson", calibration=True)
    repository.register_dataset_type("label", ("instrument",), "EtendueText")
    with repository.writing(run="toy/numbers") as butler:
        for exposure in EXPOSURES:
            for detector in DETECTORS:
                butler.put(exposure + 10 * detector, "number", instrument="toy", exposure=exposure, detector=detector)
    repository.put("toy survey", "label", {"instrument": "toy"}, run="toy/labels")
    for detector in DETECTORS:
        repository.put(0.5, "offset", {"instrument": "toy", "detector": detector}, run="toy/offsets/early")
        repository.put(0.25, "offset", {"instrument": "toy", "detector": detector}, run="toy/offsets/late")
    repository.butler.collections.register("toy/calib", CollectionType.CHAINED)


def certify_offsets(repository: Repository) -> None:
    with repository.writing() as butler:
        certify(butler, ["offset"], run="toy/offsets/early", collection="toy/certified", end_mjd_tai=60003.5)
        certify(butler, ["offset"], run="toy/offsets/late", collection="toy/certified", begin_mjd_tai=60003.5)
        butler.collections.redefine_chain("toy/calib", ["toy/certified"])


INPUTS = ("toy/numbers", "toy/calib", "toy/labels")
