"""The file of manual overrides: bad frames, masks, hand-given WCSs and corrections of headers."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import yaml
from astropy.io import fits
from pydantic import Field, ValidationError, field_validator, model_validator

from etendue.camera.camera import explain
from etendue.camera.fits_name import without_ending
from etendue.camera.frame_override import (
    Declination,
    FrameOverride,
    ObservationType,
    Part,
    Region,
    RightAscension,
)
from etendue.errors import InputError
from etendue.geom.wcs_header import read_wcs

_WCS_CARD = re.compile(
    r"CTYPE[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CUNIT[12]|CROTA[12]|CD[12]_[12]|PC[12]_[12]|PV[12]_\d+|"
    r"[AB]P?_ORDER|[AB]P?_\d_\d|RADESYS|RADECSYS|EQUINOX|LONPOLE|LATPOLE|WCSAXES"
)


_WILD = frozenset("*?[")


class Selection(Part):
    """Which frames are meant: those that agree with everything given."""

    frame: str | int | None = None
    """File name, with or without its ending and with ``*`` and ``?`` for any text, or exposure id."""

    detector: int | str | None = None
    """Detector id or name."""

    physical_filter: str | None = None
    """Filter."""

    camera: str | None = None
    """Camera; needless if the repository has one."""

    def selects(self, frame: "Frame") -> bool:
        """Tell whether a frame is meant.

        Parameters
        ----------
        frame : Frame
            The frame.

        Returns
        -------
        bool
        """
        return (
            self.camera in (None, frame.camera)
            and self.physical_filter in (None, frame.physical_filter)
            and (self.detector is None or str(self.detector) in (str(frame.detector), frame.detector_name))
            and (self.frame is None or _names(str(self.frame), frame))
        )


class Frame(Part):
    """What is known of a frame when overrides are looked up."""

    camera: str
    """Camera."""

    file_name: str
    """File without folders."""

    exposure: int
    """Exposure id."""

    detector: int
    """Detector id."""

    detector_name: str
    """Detector name."""

    physical_filter: str = ""
    """Filter by the header or the repository."""

    @cached_property
    def stem(self) -> str:
        """File name without the endings of FITS files."""
        return without_ending(self.file_name)


class _OneFrame(Selection):
    """A selection that names frames."""

    @model_validator(mode="after")
    def _check_frame(self) -> Self:
        if self.frame is None:
            raise ValueError("name the frame: a file name or an exposure id")
        return self


class BadFrame(_OneFrame):
    """Frames to leave out."""

    reason: str = Field(min_length=1)
    """Why, shown wherever the frame is missed."""


class FrameMask(Selection, Region):
    """A region to mask on the frames selected."""

    @model_validator(mode="after")
    def _check_selection(self) -> Self:
        if self.frame is None and self.detector is None and self.physical_filter is None:
            raise ValueError("say where: frame, detector or physical_filter; frame: '*' is every frame")
        return self

    def region(self) -> Region:
        """Return the shape without the selection."""
        return Region.model_validate({name: getattr(self, name) for name in Region.model_fields})


class FrameWcs(_OneFrame):
    """A WCS by hand, from cards or from a file; it counts the pixels that the camera's own headers count."""

    cards: dict[str, str | int | float] | None = None
    """Header cards; without CTYPE it is a TAN projection."""

    file: Path | None = None
    """FITS file or text of header cards (``.wcs``, ``.fits``, ``.hdr``, ``.head``), absolute or beside the YAML."""

    reason: str = ""
    """Why, for people."""

    @field_validator("cards")
    @classmethod
    def _check_cards(cls, cards: dict[str, Any] | None) -> dict[str, Any] | None:
        for name in cards or ():
            if not _WCS_CARD.fullmatch(name):
                raise ValueError(f"{name} is no keyword of a celestial WCS")
        return cards

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.cards is None) == (self.file is None):
            raise ValueError("give either cards or file")
        return self


class HeaderCorrection(_OneFrame):
    """What a header should have said."""

    observation_type: ObservationType | None = None
    """Observation type."""

    corrected_filter: str | None = None
    """Filter. (`physical_filter` selects frames by the filter of the header.)"""

    object: str | None = None
    """Target."""

    ra_deg: RightAscension | None = None
    """Boresight right ascension [deg]."""

    dec_deg: Declination | None = None
    """Boresight declination [deg]."""

    reason: str = ""
    """Why, for people."""

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if not any(value is not None for value in self.values().values()):
            raise ValueError("corrects nothing: give observation_type, corrected_filter, object, ra_deg or dec_deg")
        if (self.ra_deg is None) != (self.dec_deg is None):
            raise ValueError("a pointing needs both ra_deg and dec_deg")
        return self

    def values(self) -> dict[str, Any]:
        """Return the corrections by their names in `FrameOverride`."""
        return {
            "observation_type": self.observation_type,
            "physical_filter": self.corrected_filter,
            "object": self.object,
            "ra_deg": self.ra_deg,
            "dec_deg": self.dec_deg,
        }


class Overrides(Part):
    """The content of ``overrides.yaml``."""

    bad_frames: tuple[BadFrame, ...] = ()
    """Frames to leave out."""

    masks: tuple[FrameMask, ...] = ()
    """Regions to mask on science frames."""

    wcs: tuple[FrameWcs, ...] = ()
    """WCSs by hand."""

    headers: tuple[HeaderCorrection, ...] = ()
    """Corrections of headers."""

    @classmethod
    def read(cls, path: Path) -> "Overrides":
        """Read and check a file; WCS files that it names are read too.

        Parameters
        ----------
        path : Path
            YAML file; one that does not exist overrides nothing.

        Returns
        -------
        Overrides

        Raises
        ------
        InputError
            One line that names the file, the entry, the value and the remedy.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", source=path) from None
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: Path) -> "Overrides":
        """Check the text of a file; see `read`.

        Parameters
        ----------
        text : str
            YAML.
        path : Path
            Where it stands: named in errors, and the folder of the WCS files.

        Returns
        -------
        Overrides
        """
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"is not YAML: {error}", source=path, remedy="correct the line named") from None
        if content is None:
            return cls()
        if not isinstance(content, dict):
            raise InputError("holds no overrides", source=path, remedy="see docs/user/overrides.md")
        try:
            found = cls.model_validate(content)
        except ValidationError as error:
            raise explain(error, path, "overrides") from None
        given = tuple(_with_cards(entry, number, path) for number, entry in enumerate(found.wcs))
        return found.model_copy(update={"wcs": given})

    def of_frame(self, frame: Frame) -> FrameOverride:
        """Return everything said about a frame.

        Parameters
        ----------
        frame : Frame
            The frame; a corrected filter counts where masks are selected by filter.

        Returns
        -------
        FrameOverride
            Later entries win; one that says nothing where no entry selects the frame.
        """
        said = self._corrections(frame)
        true = _corrected(frame, said)
        for given in self.wcs:
            if given.selects(true):
                said["wcs"] = given.cards
        said["masks"] = tuple(mask.region() for mask in self.masks if mask.selects(true))
        said["excluded"] = "; ".join(entry.reason for entry in self.bad_frames if entry.selects(true))
        return FrameOverride(exposure=frame.exposure, detector=frame.detector, **said)

    def unmatched(self, frames: Iterable[Frame]) -> list[str]:
        """Return the entries that mean no frame.

        Parameters
        ----------
        frames : iterable of Frame
            All frames; a corrected filter counts as well as the header's.

        Returns
        -------
        list of str
            Places in the file, ``bad_frames.0``.
        """
        left = self.entries()
        for frame in frames:
            if not left:
                break
            true = _corrected(frame, self._corrections(frame))
            left = {name: entry for name, entry in left.items() if not (entry.selects(frame) or entry.selects(true))}
        return list(left)

    def _corrections(self, frame: Frame) -> dict[str, Any]:
        """Return what the header of a frame should have said."""
        said: dict[str, Any] = {}
        for correction in self.headers:
            if correction.selects(frame):
                said |= {name: value for name, value in correction.values().items() if value is not None}
        return said

    def entries(self) -> dict[str, Selection]:
        """Return every entry by its place in the file, ``bad_frames.0``."""
        return {f"{name}.{k}": entry for name in Overrides.model_fields for k, entry in enumerate(getattr(self, name))}


def _corrected(frame: Frame, said: Mapping[str, Any]) -> Frame:
    """Return a frame with the filter that its header should have named."""
    name = said.get("physical_filter", frame.physical_filter)
    return frame if name == frame.physical_filter else frame.model_copy(update={"physical_filter": name})


def _names(wanted: str, frame: Frame) -> bool:
    """Tell whether a file name, pattern or exposure id names a frame."""
    if wanted in (frame.file_name, frame.stem, str(frame.exposure)):
        return True
    pattern = not _WILD.isdisjoint(wanted)
    return pattern and any(fnmatchcase(name, wanted) for name in (frame.file_name, frame.stem))


def _with_cards(entry: FrameWcs, number: int, path: Path) -> FrameWcs:
    """Return an entry with its cards read, completed and checked."""
    source = f"{path} wcs.{number}"
    cards: dict[str, Any] = dict(entry.cards or {})
    if entry.file is not None:
        cards = _read_cards(path.parent / entry.file)
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"} | cards
    try:
        read_wcs(cards)
    except InputError as error:
        raise InputError(str(error), source=source, remedy="correct the cards") from None
    return entry.model_copy(update={"cards": cards, "file": None})


def _read_cards(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(4_000_000)
        if b"\n" in data[:4000]:
            header = fits.Header.fromstring(data.decode("ascii", "replace"), sep="\n")
        else:
            header = fits.Header.fromstring(data)
        cards: Mapping[str, Any] = {key: header[key] for key in header if _WCS_CARD.fullmatch(key)}
    except FileNotFoundError:
        raise InputError("no such file", source=path, remedy="correct 'file' in the overrides") from None
    except (OSError, ValueError, fits.VerifyError) as error:
        raise InputError(f"holds no header cards: {error}", source=path, remedy="give a .wcs or .hdr file") from None
    return dict(cards)
