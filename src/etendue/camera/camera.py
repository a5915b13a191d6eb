"""A camera: detectors, filters, site and header translation, read from one YAML file."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from etendue.camera.band_rule import BandRule
from etendue.camera.compact import compact_detectors
from etendue.camera.detector import Detector
from etendue.camera.file_spec import CubeSpec, FileSpec
from etendue.camera.header_spec import FieldSpec, HeaderSpec, TimeSpec, TypeSpec
from etendue.camera.layout import LAYOUT_KEYS, expand
from etendue.camera.yaml_fault import Place, YamlFault, YamlFaultsError, faults_of, field_names, with_lines
from etendue.errors import InputError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C's is 10 times faster
    """YAML where numbers look like numbers: 6393-15-01, 1_53, 010 and 12:30:45 stay text, 1e-3 does not."""


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that any reader might take for a number."""


_NUMBERS = {
    "tag:yaml.org,2002:int": (re.compile(r"[-+]?(0|[1-9][0-9]*)$"), "-+0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(r"([-+]?(\.\d+|\d+\.\d*)([eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+|[-+]?\.inf|\.nan)$"),
        "-+.0123456789",
    ),
}  # fmt: skip
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag not in (*_NUMBERS, "tag:yaml.org,2002:timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Dumper.yaml_implicit_resolvers = {
    first: list(known) for first, known in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
for _tag, (_pattern, _first) in _NUMBERS.items():
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))
_MOST_NAMED = 12


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Filter(_Part):
    """A filter of the camera."""

    physical_filter: str
    """Name in the header."""

    band: str
    """Band of the products; filters with equal bands are coadded together."""

    reference: Mapping[str, BandRule] = {}
    """How reference stars get their brightness in this band, by catalog (``gaia``, ``ps1``, ``2mass``, or ``any``);
    without one the band's name decides."""


class Observatory(_Part):
    """The site."""

    name: str
    """Name."""

    longitude_deg: float = Field(ge=-180.0, le=360.0)
    """Longitude, positive East [deg]."""

    latitude_deg: float = Field(ge=-90.0, le=90.0)
    """Latitude [deg]."""

    elevation_m: float = 0.0
    """Height above the ellipsoid [m]."""

    mpc_code: str = ""
    """Observatory code of the Minor Planet Center."""


class Camera(_Part):
    """Everything etendue must know of a camera."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """Instrument name, as in data IDs."""

    description: str = ""
    """One line for people, with the sources of the numbers."""

    observatory: Observatory | None = None
    """Site; needed for airmass, parallax and reports to the MPC."""

    plate_scale: float = Field(gt=0.0)
    """Pixel scale [arcsec/px]."""

    distortion: tuple[float, float] = (0.0, 0.0)
    """Radial distortion: the angle from the optical axis is the nominal one, r [deg], times ``1 + a r**2 + b r**4``
    [1/deg**2, 1/deg**4]."""

    field_radius_mm: float | None = Field(None, gt=0.0)
    """Radius of the unvignetted field around the optical axis; pixels beyond are VIGNETTED. Flats tell it too [mm]."""

    parity_flipped: bool = True
    """Whether right ascension grows towards smaller x when north is up (the sky as seen)."""

    filters: tuple[Filter, ...] = Field(min_length=1)
    """Known filters."""

    accept_unknown_filters: bool = False
    """Whether a filter that is not listed becomes a band of its own."""

    detectors: tuple[Detector, ...] = Field(min_length=1)
    """The CCDs."""

    files: FileSpec = FileSpec()
    """How raw files hold frames."""

    visits: Literal["one", "group"] = "one"
    """Which exposures make a visit: each by itself, or those of one group (snaps)."""

    header: HeaderSpec
    """Header translation."""

    notes: tuple[str, ...] = ()
    """For a guessed camera: what was found where, and what had to be assumed."""

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        for what, values in (
            ("detector ids", [str(detector.id) for detector in self.detectors]),
            ("detector names", [detector.name for detector in self.detectors]),
            ("physical filters", [entry.physical_filter for entry in self.filters]),
        ):
            if repeated := [value for value, count in Counter(values).items() if count > 1]:
                raise ValueError(f"{what} repeat: {', '.join(repeated)}")
        return self

    @classmethod
    def from_yaml(cls, source: str | Path) -> "Camera":
        """Read and check a camera.

        Parameters
        ----------
        source : str or Path
            File, or the YAML text itself (anything with a line break).

        Returns
        -------
        Camera

        Raises
        ------
        InputError
            If the file or text is no camera: one line with file, line, key, value and remedy.
        """
        camera, faults = read_camera(source)
        if camera is None:
            raise faults[0].error(_name(source))
        return camera

    def to_yaml(self) -> str:
        """Return the YAML text that `from_yaml` reads back to an equal camera.

        Returns
        -------
        str
        """
        content = self.model_dump(mode="json", exclude_defaults=True, exclude={"detectors"})
        order = [name for name in type(self).model_fields if name in content or name == "detectors"]
        at = order.index("detectors")
        parts = {name: content[name] for name in order[:at]} | compact_detectors(self.detectors)
        parts |= {name: content[name] for name in order[at + 1 :]}
        return yaml.dump(parts, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=None)

    def detector(self, key: int | str) -> Detector:
        """Return a detector by id or name.

        Parameters
        ----------
        key : int or str
            Detector id or name.

        Returns
        -------
        Detector

        Raises
        ------
        InputError
            If the camera has no such detector.
        """
        for detector in self.detectors:
            if key == detector.id or str(key) == detector.name:
                return detector
        known = [f"{detector.id} ({detector.name})" for detector in self.detectors]
        some = ", ".join(known[:_MOST_NAMED]) + (f" ... {known[-1]}" if len(known) > _MOST_NAMED else "")
        raise InputError(f"camera {self.name} has no such detector", value=key, remedy=f"known: {some}")

    def find_detector(self, text: str, by: Literal["id", "name"] = "id") -> Detector | None:
        """Return the detector that a header names.

        Parameters
        ----------
        text : str
            Number or name, the name in letters of any case.
        by : {"id", "name"}
            What digits mean where they are both.

        Returns
        -------
        Detector or None
            None if the camera has no such detector.
        """
        named = next((detector for detector in self.detectors if detector.name.lower() == text.lower()), None)
        if not text.isdigit() or (by == "name" and named is not None):
            return named
        return next((detector for detector in self.detectors if detector.id == int(text)), None)

    def band(self, physical_filter: str, source: object = None) -> str:
        """Return the band of a filter.

        Parameters
        ----------
        physical_filter : str
            Name as in `filters`.
        source : object, optional
            File named in the error.

        Returns
        -------
        str

        Raises
        ------
        InputError
            If the filter is unknown and the camera accepts only known ones.
        """
        for entry in self.filters:
            if entry.physical_filter == physical_filter:
                return entry.band
        if self.accept_unknown_filters:
            return "".join(char for char in physical_filter if char.isalnum()) or "unknown"
        known = ", ".join(entry.physical_filter for entry in self.filters)
        raise InputError(
            f"camera {self.name} has no such filter",
            source=source,
            value=physical_filter,
            remedy=f"known: {known}; add it to 'filters' in the camera YAML",
        )


def read_camera(source: str | Path) -> tuple[Camera | None, list[YamlFault]]:
    """Read a camera and list everything that is wrong with its YAML.

    Parameters
    ----------
    source : str or Path
        File, or the YAML text itself (anything with a line break).

    Returns
    -------
    camera : Camera or None
        None if something is wrong.
    faults : list of YamlFault
        In the order of the lines; empty for a good camera.

    Raises
    ------
    InputError
        If the file cannot be read, is no YAML or holds no map.
    """
    is_text = isinstance(source, str) and "\n" in source
    name = _name(source)
    try:
        text = str(source) if is_text else Path(source).read_text()
        content = yaml.load(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", source=name, remedy="give a camera YAML file") from None
    except yaml.YAMLError as error:
        raise InputError(f"is not YAML: {error}", source=name, remedy="correct the line named") from None
    if not isinstance(content, dict):
        raise InputError("holds no camera", source=name, value=content, remedy="see the shipped cameras")
    places: list[Place] = []
    try:
        expanded, places = expand(content)
        return Camera.model_validate(expanded), []
    except YamlFaultsError as found:
        faults = [*found.faults, *_faults_elsewhere(content)]
    except ValidationError as error:
        faults = [_in_source(fault, places) for fault in faults_of(error, whole="camera", known=_KEYS)]
    return None, with_lines(faults, text, _Loader)


def _faults_elsewhere(content: dict[str, Any]) -> list[YamlFault]:
    """Return what is wrong outside the detectors, which could not be written out."""
    rest = {key: value for key, value in content.items() if key not in ("kinds", "detectors")}
    try:
        Camera.model_validate(rest)
    except ValidationError as error:
        return [fault for fault in faults_of(error, whole="camera", known=_KEYS) if fault.place[0] != "detectors"]
    return []


def _in_source(fault: YamlFault, places: list[Place]) -> YamlFault:
    """Return a fault of a written-out detector at its place in the YAML."""
    place = fault.place
    if len(place) > 1 and place[0] == "detectors" and isinstance(place[1], int) and place[1] < len(places):
        return replace(fault, place=(*places[place[1]], *place[2:]))
    return fault


def _name(source: str | Path) -> str:
    return "camera YAML" if isinstance(source, str) and "\n" in source else str(source)


def explain(error: ValidationError, source: object, whole: str = "camera") -> InputError:
    """Turn the first of pydantic's complaints into one line.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    source : object
        File named in the line.
    whole : str
        What the file describes, named where no key is to blame.

    Returns
    -------
    InputError
    """
    return faults_of(error, whole=whole)[0].error(source)


_KEYS = LAYOUT_KEYS | field_names(Camera, Filter, Observatory, BandRule, FileSpec, CubeSpec, HeaderSpec, FieldSpec,
                                  TypeSpec, TimeSpec)  # fmt: skip
