"""A planned survey: everything random is fixed by its seed, and any frame can be made alone."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.electronics import ConverterSpec
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.lsst_bands import BANDS
from etendue.simulate.night.plan import plan_exposures
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.population.layer import Layer
from etendue.simulate.surveys.sky_layers import bandpass_of, make_layers, reach_deg
from etendue.simulate.surveys.spec import SurveySpec


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What every frame of a survey is made of; make it with `plan`.

    Parameters
    ----------
    spec : SurveySpec
        What is simulated.
    seed : int
        Seed of everything random.
    camera : Camera
        The camera.
    bandpasses : dict of str to Bandpass
        By band.
    exposures : tuple of PlannedExposure
        In order of time.
    layers : tuple of Layer
        What shines.
    """

    spec: SurveySpec
    seed: int
    camera: Camera
    bandpasses: dict[str, Bandpass]
    exposures: tuple[PlannedExposure, ...]
    layers: tuple[Layer, ...]
    _ccds: dict[int, Ccd] = field(default_factory=dict)

    @classmethod
    def plan(cls, spec: SurveySpec, seed: int = 1) -> "Survey":
        """Draw the sky and plan the exposures.

        Parameters
        ----------
        spec : SurveySpec
            What is simulated.
        seed : int
            Equal seeds give equal surveys.

        Returns
        -------
        Survey

        Raises
        ------
        InputError
            If the camera, a band, a file or the cadence is wrong.
        """
        camera = load_camera(spec.camera)
        _check_calibrations(spec, camera)
        known = {*BANDS, *spec.bands}  # others, of narrow filters say, can be in no cadence
        bands = [entry.band for entry in camera.filters if entry.band in known]
        bandpasses = {band: bandpass_of(band, spec.bands.get(band)) for band in bands}
        exposures = plan_exposures(
            spec.cadence,
            spec.conditions,
            camera,
            bandpasses,
            spec.air,
            seed,
            first_seq=1 + calibration_count(spec, camera),
        )
        _check_detectors(spec, camera)
        return cls(spec, seed, camera, bandpasses, exposures, make_layers(spec.sky, spec.dust, camera, exposures, seed))

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Detectors that are read."""
        chosen = self.spec.detectors or tuple(detector.id for detector in self.camera.detectors)
        return tuple(self.camera.detector(number) for number in chosen)

    @property
    def reach_deg(self) -> float:
        """Largest field angle [deg]."""
        return reach_deg(self.camera)

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands in use, in order of wavelength."""
        used = {exposure.band for exposure in self.exposures}
        return tuple(sorted(used, key=lambda band: self.bandpasses[band].pivot_nm))

    def ccd(self, detector: Detector) -> Ccd:
        """Return the CCD of a detector.

        Parameters
        ----------
        detector : Detector
            The detector.

        Returns
        -------
        Ccd
        """
        if detector.id not in self._ccds:
            spec = self.spec.ccd
            if spec.converter.bits is None:
                spec = spec.model_copy(update={"converter": ConverterSpec(bits=self.camera.files.bits)})
            self._ccds[detector.id] = Ccd(detector, spec, self.seed)
        return self._ccds[detector.id]

    def exposure(self, number: int) -> PlannedExposure:
        """Return an exposure by its id.

        Parameters
        ----------
        number : int
            Exposure id.

        Returns
        -------
        PlannedExposure

        Raises
        ------
        InputError
            If there is none.
        """
        for exposure in self.exposures:
            if exposure.exposure == number:
                return exposure
        raise InputError("no such exposure in the survey", value=number)

    def zero_point_mag(self, exposure: PlannedExposure, *, below_air: bool = False) -> float:
        """Return the AB magnitude that yields one electron in an exposure.

        Parameters
        ----------
        exposure : PlannedExposure
            Band, time, airmass and clouds.
        below_air : bool
            Count magnitudes below air and clouds, as the sky's brightness is.

        Returns
        -------
        float
            [mag].
        """
        bandpass = self.bandpasses[exposure.band]
        seen = bandpass if below_air else self.spec.air.below(bandpass, exposure.airmass)
        electrons = seen.electrons_per_second(self.spec.area_m2) * exposure.exposure_time_s
        return float(2.5 * np.log10(electrons)) - (0.0 if below_air else exposure.cloud_mag)


def calibration_count(spec: SurveySpec, camera: Camera) -> int:
    """Return the largest number of calibration frames of each detector before any night.

    Parameters
    ----------
    spec : SurveySpec
        The survey.
    camera : Camera
        Its filters and amplifiers.

    Returns
    -------
    int
    """
    amplifiers = max(len(detector.amplifiers) for detector in camera.detectors)
    return spec.calibrations.count(len(camera.filters), amplifiers)


def _check_calibrations(spec: SurveySpec, camera: Camera) -> None:
    kind = camera.header.observation_type
    if not kind.keywords and kind.constant is not None and calibration_count(spec, camera) > 0:
        raise InputError(
            f"every header of camera {camera.name} says '{kind.constant}', none can say bias, dark or flat",
            source=Path(spec.camera), remedy="leave out 'calibrations'",
        )  # fmt: skip


def _check_detectors(spec: SurveySpec, camera: Camera) -> None:
    known = [detector.id for detector in camera.detectors]
    wrong = [number for number in spec.detectors if number not in known]
    if wrong:
        raise InputError("camera has no such detector", source=Path(spec.camera), value=wrong[0],
                         remedy=f"it has {known}")  # fmt: skip
