"""What joint calibration hands to later steps: a WCS and a flux scale per exposure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etendue.errors import InputError
from etendue.geom.content import content_digest
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.photo_calib import PhotoCalib

_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExposureCalibration:
    """Calibration of one detector of one visit.

    Parameters
    ----------
    visit, detector : int
        Which exposure.
    wcs : SkyWcs
        Solved WCS.
    photo_calib : PhotoCalib
        Solved flux scale.
    n_stars_astrometry, n_stars_photometry : int
        Stars used; 0 where the starting values were kept.
    astrometric_rms_arcsec, photometric_rms_mag : float
        Root mean square residuals per axis [arcsec] and in brightness [mag]; NaN without stars.
    """

    visit: int
    detector: int
    wcs: SkyWcs
    photo_calib: PhotoCalib
    n_stars_astrometry: int = 0
    n_stars_photometry: int = 0
    astrometric_rms_arcsec: float = float("nan")
    photometric_rms_mag: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
            With None for NaN.
        """
        return {
            "visit": self.visit,
            "detector": self.detector,
            "wcs": self.wcs.to_dict(),
            "photo_calib": self.photo_calib.to_dict(),
            "n_stars_astrometry": self.n_stars_astrometry,
            "n_stars_photometry": self.n_stars_photometry,
            "astrometric_rms_arcsec": _or_none(self.astrometric_rms_arcsec),
            "photometric_rms_mag": _or_none(self.photometric_rms_mag),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ExposureCalibration":
        """Return the calibration written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        ExposureCalibration
        """
        return cls(
            visit=int(state["visit"]),
            detector=int(state["detector"]),
            wcs=SkyWcs.from_dict(state["wcs"]),
            photo_calib=PhotoCalib.from_dict(state["photo_calib"]),
            n_stars_astrometry=int(state["n_stars_astrometry"]),
            n_stars_photometry=int(state["n_stars_photometry"]),
            astrometric_rms_arcsec=_or_nan(state["astrometric_rms_arcsec"]),
            photometric_rms_mag=_or_nan(state["photometric_rms_mag"]),
        )


@dataclass(frozen=True, slots=True)
class JointCalibration:
    """Calibrations of all exposures of a tract, sorted by visit and detector.

    Parameters
    ----------
    exposures : tuple of ExposureCalibration
        In any order; stored sorted.
    astrometric_floor_arcsec, photometric_floor_mag : float
        Scatter per measurement that the formal errors leave unexplained [arcsec, mag].

    Raises
    ------
    InputError
        If an exposure occurs twice.
    """

    exposures: tuple[ExposureCalibration, ...]
    astrometric_floor_arcsec: float = 0.0
    photometric_floor_mag: float = 0.0

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.exposures, key=lambda item: (item.visit, item.detector)))
        keys = [(item.visit, item.detector) for item in ordered]
        if len(set(keys)) < len(keys):
            raise InputError("an exposure is calibrated twice", value=sorted({k for k in keys if keys.count(k) > 1}))
        object.__setattr__(self, "exposures", ordered)

    def __contains__(self, key: object) -> bool:
        return any((item.visit, item.detector) == key for item in self.exposures)

    def get(self, *, visit: int, detector: int) -> ExposureCalibration:
        """Return the calibration of one exposure.

        Parameters
        ----------
        visit, detector : int
            Which exposure.

        Returns
        -------
        ExposureCalibration

        Raises
        ------
        InputError
            If the exposure was not part of the solution.
        """
        for item in self.exposures:
            if (item.visit, item.detector) == (visit, detector):
                return item
        raise InputError("exposure is not in the joint calibration", value={"visit": visit, "detector": detector})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return {
            "version": _VERSION,
            "exposures": [item.to_dict() for item in self.exposures],
            "astrometric_floor_arcsec": self.astrometric_floor_arcsec,
            "photometric_floor_mag": self.photometric_floor_mag,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "JointCalibration":
        """Return the calibrations written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        JointCalibration

        Raises
        ------
        InputError
            If a newer etendue wrote it.
        """
        if int(state["version"]) > _VERSION:
            raise InputError("joint calibration was written by a newer etendue", value=state["version"])
        return cls(
            tuple(ExposureCalibration.from_dict(item) for item in state["exposures"]),
            float(state["astrometric_floor_arcsec"]),
            float(state["photometric_floor_mag"]),
        )

    def content_hash(self) -> str:
        """Return the hash of all calibrations.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        return content_digest([self.to_dict()])


def _or_none(value: float) -> float | None:
    return float(value) if value == value else None


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else float(value)
