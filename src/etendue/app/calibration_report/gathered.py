"""Products of a run, what was judged about them, and what they left in single frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etendue.camera.camera import Camera
from etendue.errors import InputError
from etendue.middleware.changes import own_collections
from etendue.middleware.repository import Repository
from etendue.middleware.verification import JudgedDetector, judged

PRODUCTS: Mapping[str, str] = {
    "bias": "Bias",
    "dark": "Dark current",
    "flat": "Flats",
    "illumination": "Illumination corrections",
    "shutter": "Shutter",
    "defects": "Defects",
    "ptc": "Gain, noise and photon transfer",
    "linearizer": "Linearity",
    "crosstalk": "Crosstalk",
    "charge_transfer": "Charge transfer",
    "brighter_fatter": "Brighter-fatter effect",
    "fringe": "Fringes",
    "sky": "Sky frames",
}
"""Dataset types in the order of the page, and their headings."""

Verdict = dict[str, Any]


@dataclass(frozen=True)
class Gathered:
    """What a report is made of.

    Parameters
    ----------
    home : Repository
        The repository.
    collection : str
        The run.
    camera : Camera
        Its camera.
    refs : mapping of str to sequence
        Datasets by type, in order of their data IDs.
    found : sequence of JudgedDetector
        Verdicts by detector.
    checks : mapping of int to sequence of dict
        Numbers of single frames by detector.
    """

    home: Repository
    collection: str
    camera: Camera
    refs: Mapping[str, Sequence[Any]]
    found: Sequence[JudgedDetector]
    checks: Mapping[int, Sequence[dict[str, Any]]]

    def name(self, detector: int) -> str:
        """Return the name of a detector."""
        return self.camera.detector(detector).name

    def verdicts(self, product: str | None = None) -> list[Verdict]:
        """Return verdicts with their detectors, failures first.

        Parameters
        ----------
        product : str, optional
            Only those about it.

        Returns
        -------
        list of dict
        """
        rows = [
            {"detector": self.name(one.detector)} | verdict
            for one in self.found
            for verdict in one.verdicts
            if product in (None, verdict["product"])
        ]
        return sorted(rows, key=lambda row: bool(row["passed"]))

    def shown(self, product: str, most: int) -> list[Any]:
        """Return the datasets of a product that get a picture: those of detectors that failed first.

        Parameters
        ----------
        product : str
            Dataset type.
        most : int
            At most so many.

        Returns
        -------
        list of DatasetRef
        """
        failed = {one.detector for one in self.found if any(
            not v["passed"] and v["product"] == product for v in one.verdicts)}  # fmt: skip
        return sorted(self.refs.get(product, ()), key=lambda ref: int(ref.dataId["detector"]) not in failed)[:most]


def gather(home: Repository, collection: str) -> Gathered:
    """Gather the products in a collection.

    Parameters
    ----------
    home : Repository
        The repository.
    collection : str
        Run or chain.

    Returns
    -------
    Gathered

    Raises
    ------
    InputError
        If there is no calibration in it, or calibrations of several cameras.
    """
    own = own_collections(home, collection) or [collection]  # not what the run read
    refs = {name: _ordered(home, name, own) for name in PRODUCTS}
    cameras = {str(ref.dataId["instrument"]) for each in refs.values() for ref in each}
    if len(cameras) != 1:
        raise InputError("holds no calibration" if not cameras else "holds calibrations of several cameras",
                         source=collection, value=", ".join(sorted(cameras)) or None,
                         remedy="name the output of a calibration pipeline, such as CAMERA/calib_full")  # fmt: skip
    checks: dict[int, list[dict[str, Any]]] = {}
    for ref in _ordered(home, "calibration_check", own):
        checks.setdefault(int(ref.dataId["detector"]), []).extend(home.get(ref))
    found = judged(home.butler, own)
    return Gathered(home, collection, home.camera(cameras.pop()), refs, found, checks)


def _ordered(home: Repository, name: str, collections: Sequence[str]) -> tuple[Any, ...]:
    refs = home.query(name, collections=collections)
    return tuple(sorted(refs, key=lambda ref: tuple(str(value).zfill(9) for value in ref.dataId.required.values())))
