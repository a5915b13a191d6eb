"""What is said about one raw frame: left out, masked, or with another header than its own."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from etendue.camera.section import Section
from etendue.schema.mask_planes import MASK_PLANES

ObservationType = Literal["bias", "dark", "flat", "science", "focus", "test", "other"]
_SHAPES = ("box", "circle", "polygon", "sky_box", "sky_circle", "sky_polygon")
Positive = Annotated[float, Field(gt=0.0)]
RightAscension = Annotated[float, Field(ge=0.0, le=360.0)]
Declination = Annotated[float, Field(ge=-90.0, le=90.0)]


class Part(BaseModel):
    """Base of what stands in the file: frozen, typo-proof, infinite numbers refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


class Region(Part):
    """A shape on an image, and the mask plane set inside. Exactly one shape is given.

    Pixels are those of the trimmed detector image, counted from 1 as in FITS sections and in DS9. Places on the
    sky go through the WCS that the frame starts with: leave room for the error of its pointing.
    """

    box: Section | None = None
    """FITS section, ``"[x1:x2,y1:y2]"``."""

    circle: tuple[float, float, Positive] | None = None
    """Centre x, y and radius [px]."""

    polygon: tuple[tuple[float, float], ...] | None = Field(None, min_length=3)
    """Corners ``[x, y]`` [px]."""

    sky_box: tuple[RightAscension, Declination, Positive, Positive] | None = None
    """Centre right ascension and declination [deg], width along and height across the parallel [arcsec]."""

    sky_circle: tuple[RightAscension, Declination, Positive] | None = None
    """Centre right ascension and declination [deg], radius [arcsec]."""

    sky_polygon: tuple[tuple[RightAscension, Declination], ...] | None = Field(None, min_length=3)
    """Corners, right ascension and declination [deg]."""

    plane: str = "BAD"
    """Mask plane."""

    reason: str = ""
    """Why, for people."""

    @field_validator("plane")
    @classmethod
    def _check_plane(cls, plane: str) -> str:
        if plane not in MASK_PLANES:
            raise ValueError(f"no such mask plane; use one of {', '.join(MASK_PLANES)}")
        return plane

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        given = [name for name in _SHAPES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(_SHAPES)}, not {' and '.join(given) or 'none'}")
        return self


class FrameOverride(Part):
    """Everything that people, or a search of its stars, have said about one frame, as stages see it."""

    exposure: int
    """Exposure id."""

    detector: int
    """Detector id."""

    excluded: str = ""
    """Why the frame is left out; empty for a frame that is used."""

    masks: tuple[Region, ...] = ()
    """Regions to mask."""

    wcs: dict[str, str | int | float] | None = None
    """Header cards of a WCS that replaces the frame's own."""

    wcs_from_stars: bool = False
    """Whether the star pattern of the frame gave ``wcs``, not a person."""

    observation_type: ObservationType | None = None
    """Instead of the header's."""

    physical_filter: str | None = None
    """Instead of the header's."""

    object: str | None = None
    """Instead of the header's."""

    ra_deg: RightAscension | None = None
    """Boresight, instead of the header's [deg]."""

    dec_deg: Declination | None = None
    """Boresight, instead of the header's [deg]."""

    @property
    def says_nothing(self) -> bool:
        """Whether the frame is as if there were no override."""
        return self == FrameOverride(exposure=self.exposure, detector=self.detector)

    def of_header(self) -> dict[str, Any]:
        """Return what it says instead of the header: what ingest and visit definition depend on."""
        return self.model_dump(include={"wcs", "observation_type", "physical_filter", "object", "ra_deg", "dec_deg"})

    def describe(self) -> str:
        """Return all of it in one line."""
        words = [f"excluded: {self.excluded}"] if self.excluded else []
        if self.masks:
            words.append(f"{len(self.masks)} mask{'s' if len(self.masks) > 1 else ''}")
        for name, value in self.of_header().items():
            if name == "wcs" and value is not None:
                words.append("WCS of its stars" if self.wcs_from_stars else "WCS")
            elif value is not None:
                words.append(f"{name} {value}")
        return ", ".join(words) or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict.

        Returns
        -------
        dict
        """
        return self.model_dump(mode="json", exclude_defaults=True)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "FrameOverride":
        """Return the override written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`.

        Returns
        -------
        FrameOverride
        """
        return cls.model_validate(dict(state))
