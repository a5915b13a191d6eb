"""A camera: detectors, filters, site and header translation, read from one YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from etendue.camera.band_rule import BandRule
from etendue.camera.detector import Detector
from etendue.camera.header_spec import HeaderSpec
from etendue.errors import InputError


class _Loader(yaml.SafeLoader):
    """Plain YAML without dates: a serial number such as 6393-15-01 stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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

    parity_flipped: bool = True
    """Whether right ascension grows towards smaller x when north is up (the sky as seen)."""

    filters: tuple[Filter, ...] = Field(min_length=1)
    """Known filters."""

    accept_unknown_filters: bool = False
    """Whether a filter that is not listed becomes a band of its own."""

    detectors: tuple[Detector, ...] = Field(min_length=1)
    """The CCDs."""

    header: HeaderSpec
    """Header translation."""

    notes: tuple[str, ...] = ()
    """For a guessed camera: what was found where, and what had to be assumed."""

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        for what, values in (
            ("detector ids", [detector.id for detector in self.detectors]),
            ("physical filters", [entry.physical_filter for entry in self.filters]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{what} repeat: {values}")
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
            If the file or text is no camera: one line with file, key, value and remedy.
        """
        is_text = isinstance(source, str) and "\n" in source
        name = "camera YAML" if is_text else str(source)
        try:
            content = yaml.load(str(source) if is_text else Path(source).read_text(), Loader=_Loader)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", source=name, remedy="give a camera YAML file") from None
        except yaml.YAMLError as error:
            raise InputError(f"is not YAML: {error}", source=name, remedy="correct the line named") from None
        if not isinstance(content, dict):
            raise InputError("holds no camera", source=name, value=content, remedy="see the shipped cameras")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise explain(error, name) from None

    def to_yaml(self) -> str:
        """Return the YAML text that `from_yaml` reads back to an equal camera.

        Returns
        -------
        str
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None)

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
        known = ", ".join(f"{detector.id} ({detector.name})" for detector in self.detectors)
        raise InputError(f"camera {self.name} has no such detector", value=key, remedy=f"known: {known}")

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
    first: Any = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or whole
    remedy = {"extra_forbidden": "remove it or correct its spelling", "missing": f"add '{key}'"}.get(
        first["type"], f"correct '{key}'"
    )
    value = first["input"] if isinstance(first["input"], str | int | float) else None
    message = first["msg"].removeprefix("Value error, ")
    return InputError(f"{key}: {message}", source=source, value=value, remedy=remedy)
