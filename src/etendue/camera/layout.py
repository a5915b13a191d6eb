"""Compact descriptions of mosaics: kinds of CCD, grids of amplifiers, arrays and tables of detectors.

`expand` turns them into the plain list of detectors that `Camera` holds.
"""

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from etendue.camera.amplifier import Amplifier
from etendue.camera.detector import Detector
from etendue.camera.section import Section, format_section
from etendue.camera.yaml_fault import Place, YamlFault, YamlFaultsError, faults_of, field_names
from etendue.geom.box import Box, Interval

Corner = Literal["LL", "LR", "UL", "UR"]
_Positive = Annotated[float, Field(gt=0.0)]
_NotNegative = Annotated[float, Field(ge=0.0)]
_ELECTRONICS = ("gain", "read_noise", "saturation")
_OTHERS = "others"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Electronics(_Part):
    """Numbers of the amplifiers of a CCD.

    One for all, a list in their order, or a map by name, where ``others`` stands for those not named.
    """

    gain: _Positive | tuple[_Positive, ...] | dict[str, _Positive] | None = None
    """[e/ADU]."""

    read_noise: _NotNegative | tuple[_NotNegative, ...] | dict[str, _NotNegative] | None = None
    """[e]."""

    saturation: _Positive | tuple[_Positive, ...] | dict[str, _Positive] | None = None
    """[ADU, bias included]."""

    def on(self, amplifiers: tuple[Amplifier, ...]) -> tuple[Amplifier, ...]:
        """Return amplifiers with these numbers.

        Parameters
        ----------
        amplifiers : tuple of Amplifier
            Of one CCD.

        Returns
        -------
        tuple of Amplifier

        Raises
        ------
        ValueError
            If a list has another length, or a map names no amplifier.
        """
        names = [amplifier.name for amplifier in amplifiers]
        updates: list[dict[str, float]] = [{} for _ in names]
        for what in _ELECTRONICS:
            for number, value in self._of(what, names).items():
                updates[number][what] = value
        if not any(updates):
            return amplifiers
        return tuple(a.model_copy(update=update) for a, update in zip(amplifiers, updates, strict=True))

    def _of(self, what: str, names: list[str]) -> dict[int, float]:
        given = getattr(self, what)
        if given is None:
            return {}
        if isinstance(given, tuple):
            if len(given) != len(names):
                raise ValueError(f"{what}: {len(given)} numbers for {len(names)} amplifiers")
            return dict(enumerate(given))
        if isinstance(given, dict):
            if strange := set(given) - {*names, _OTHERS}:
                raise ValueError(f"{what}: no amplifier {sorted(strange)[0]}; there are {', '.join(names)}")
            found = {k: given.get(name, given.get(_OTHERS)) for k, name in enumerate(names)}
            return {k: value for k, value in found.items() if value is not None}
        return dict.fromkeys(range(len(names)), given)


class AmplifierGrid(_Part):
    """Equal amplifiers in rows and columns on the chip.

    Sections are those of an amplifier that is read at its lower left corner, in the pixels of its own segment; others
    are its mirror images. The raw frame is made of the segments, side by side as on the chip.
    """

    grid: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Columns and rows of amplifiers on the chip."""

    names: tuple[str, ...] = ()
    """Names from left to right, lowest row first; A, B, C ... by default."""

    segment: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Columns and rows that one amplifier reads [px]."""

    data: Section
    """Light-sensitive pixels in the segment."""

    serial_overscan: Section | None = None
    """Overscan columns in the segment."""

    parallel_overscan: Section | None = None
    """Overscan rows in the segment."""

    prescan: Section | None = None
    """Prescan columns in the segment."""

    corners: tuple[Corner, ...] = ("LL",)
    """Corner of its place on the chip at which each is read: lower or upper, left or right; one for all or one each."""

    stored: Literal["on_chip", "as_read"] = "on_chip"
    """Whether the file shows the segments as on the chip, or every one with its first pixel at the lower left."""

    mirrored: Literal["", "x", "y", "xy"] = ""
    """Axes along which the file shows the chip mirrored."""

    extension: str | tuple[str | int, ...] = ""
    """Extension of each amplifier, where each has one: a list, or a pattern of {name}, {column}, {row}, {index}."""

    overscan_extension: str | tuple[str | int, ...] = ""
    """Extension of each amplifier's serial overscan, where that is apart from the data."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        count = self.grid[0] * self.grid[1]
        if self.names and len(self.names) != count:
            raise ValueError(f"{len(self.names)} names for {count} amplifiers")
        if not self.names and count > len(string.ascii_uppercase):
            raise ValueError(f"name the {count} amplifiers")
        if len(self.corners) not in (1, count):
            raise ValueError(f"{len(self.corners)} corners for {count} amplifiers")
        for what in ("extension", "overscan_extension"):
            given = getattr(self, what)
            if isinstance(given, tuple) and len(given) != count:
                raise ValueError(f"{len(given)} of {what} for {count} amplifiers")
        whole = Box.from_shape(self.segment[::-1])
        for what in ("data", "serial_overscan", "parallel_overscan", "prescan"):
            box = getattr(self, what)
            if box is not None and not whole.contains_box(box):
                raise ValueError(f"{what} {format_section(box)} lies outside the segment of {self.segment} (nx, ny)")
        return self

    @property
    def raw_shape(self) -> tuple[int, int]:
        """Rows and columns of the raw frame."""
        return self.grid[1] * self.segment[1], self.grid[0] * self.segment[0]

    def amplifiers(self) -> tuple[Amplifier, ...]:
        """Return the amplifiers one by one."""
        return tuple(self._amplifier(index) for index in range(self.grid[0] * self.grid[1]))

    def _amplifier(self, index: int) -> Amplifier:
        row, column = divmod(index, self.grid[0])
        corner = self.corners[index if len(self.corners) > 1 else 0]
        turned = {"x": corner[1] == "R", "y": corner[0] == "U"}
        on_chip = self.stored == "on_chip"

        def place(box: Box | None) -> Box | None:
            if box is None:
                return None
            if on_chip:
                box = _mirrored(box, self.segment, x=turned["x"], y=turned["y"])
            width, height = self.segment
            box = box.shifted(dx=column * width, dy=row * height)
            return _mirrored(box, self.raw_shape[::-1], x="x" in self.mirrored, y="y" in self.mirrored)

        name = self.names[index] if self.names else string.ascii_uppercase[index]
        words = {"name": name, "column": column, "row": row, "index": index}
        extension = _extension(self.extension, index, words)
        given = {
            "raw_data": place(self.data),
            "raw_serial_overscan": place(self.serial_overscan),
            "raw_parallel_overscan": place(self.parallel_overscan),
            "raw_prescan": place(self.prescan),
            "raw_bbox": None if extension is None else place(Box.from_shape(self.segment[::-1])),
            "extension": extension,
            "overscan_extension": _extension(self.overscan_extension, index, words),
        }
        flips = {f"flip_{axis}": True for axis in "xy" if (turned[axis] and not on_chip) != (axis in self.mirrored)}
        ny, nx = self.data.shape
        bbox = Box.from_shape((ny, nx), y0=row * ny, x0=column * nx)
        given = {key: value for key, value in given.items() if value is not None}
        return Amplifier(name=name, bbox=bbox, **given, **flips)


def _mirrored(box: Box, size: tuple[int, ...], *, x: bool, y: bool) -> Box:
    """Return a box mirrored about the middle of a frame of so many columns and rows."""
    width, height = size
    columns = Interval(width - box.x.stop, width - box.x.start) if x else box.x
    rows = Interval(height - box.y.stop, height - box.y.start) if y else box.y
    return Box(y=rows, x=columns)


@dataclass(frozen=True, slots=True)
class CcdKind:
    """What CCDs of one kind have in common.

    Parameters
    ----------
    amplifiers : tuple of Amplifier
        With gain, read noise and saturation.
    settings : dict
        Everything else that a detector may say.
    """

    amplifiers: tuple[Amplifier, ...]
    settings: dict[str, Any]

    @classmethod
    def parse(cls, content: Any, place: Place) -> "CcdKind":
        """Check a kind.

        Parameters
        ----------
        content : object
            What stands in the YAML.
        place : tuple
            Where it stands.

        Returns
        -------
        CcdKind

        Raises
        ------
        YamlFaultsError
            If something is wrong.
        """
        if not isinstance(content, Mapping) or "amplifiers" not in content:
            raise YamlFaultsError(
                [YamlFault((*place, "amplifiers"), "a kind of CCD needs amplifiers", remedy="add them")]
            )
        settings = dict(content)
        amplifiers, shape = _parse_amplifiers(settings.pop("amplifiers"), (*place, "amplifiers"))
        numbers = {what: settings.pop(what) for what in _ELECTRONICS if what in settings}
        if shape is not None:
            settings.setdefault("raw_shape", shape)
        return cls(_with_electronics(amplifiers, numbers, place), settings)


class DetectorArray(_Part):
    """Equal detectors in rows and columns, once or in groups (rafts)."""

    array: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    """Columns and rows."""

    pitch_mm: tuple[float, float]
    """From column to column, and from row to row; negative where they run to the left or down [mm]."""

    name: str
    """Pattern of {group}, {row}, {column} and {id}."""

    first_id: int = 0
    """Id of the first; the others follow along the rows."""

    center_mm: tuple[float, float] = (0.0, 0.0)
    """Centre of the array [mm]."""

    groups: dict[str, tuple[float, ...]] = {}
    """By name: id of the first detector, centre x, y [mm] and, if turned, the angle [deg]."""

    def places(self) -> Iterator[dict[str, Any]]:
        """Give id, name, centre and turn of every detector."""
        groups = self.groups or {"": (float(self.first_id), *self.center_mm)}
        columns, rows = self.array
        for group, (first, x0, y0, *turn) in groups.items():
            angle = math.radians(turn[0] if turn else 0.0)
            for index in range(columns * rows):
                row, column = divmod(index, columns)
                dx = (column - 0.5 * (columns - 1)) * self.pitch_mm[0]
                dy = (row - 0.5 * (rows - 1)) * self.pitch_mm[1]
                number = int(first) + index
                yield {
                    "id": number,
                    "name": self.name.format(group=group, row=row, column=column, id=number),
                    "center_mm": (
                        round(x0 + math.cos(angle) * dx - math.sin(angle) * dy, 6),
                        round(y0 + math.sin(angle) * dx + math.cos(angle) * dy, 6),
                    ),
                    "turn_deg": turn[0] if turn else 0.0,
                }

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, numbers in self.groups.items():
            if len(numbers) not in (3, 4):
                raise ValueError(f"group {name}: give id of the first, x, y and, if turned, the angle")
        try:
            self.name.format(group="", row=0, column=0, id=0)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"name: a pattern knows group, row, column and id, not {error}") from None
        return self


_COLUMNS = ("id", "name", "kind", "serial", "purpose", "x_mm", "y_mm", "rotation_deg", *_ELECTRONICS)


class DetectorTable(_Part):
    """Detectors as rows of a table."""

    columns: tuple[str, ...] = Field(min_length=1)
    """What the columns hold: fields of a detector, with x_mm and y_mm for its centre."""

    rows: tuple[tuple[Any, ...], ...] = Field(min_length=1)
    """One row per detector."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.columns:
            if name not in _COLUMNS:
                raise ValueError(f"no column {name!r}; known: {', '.join(_COLUMNS)}")
        return self


def expand(content: Mapping[str, Any]) -> tuple[dict[str, Any], list[Place]]:
    """Write out the detectors of a camera.

    Parameters
    ----------
    content : mapping
        A camera's YAML.

    Returns
    -------
    content : dict
        With a plain list of detectors and without ``kinds``.
    places : list of tuple
        For each detector, where in the YAML it comes from.

    Raises
    ------
    YamlFaultsError
        What is wrong, all of it.
    """
    expanded = dict(content)
    kinds: dict[str, CcdKind] = {}
    faults: list[YamlFault] = []
    given = expanded.pop("kinds", None) or {}
    if not isinstance(given, Mapping):
        raise YamlFaultsError(
            [YamlFault(("kinds",), "is no map of kinds of CCD by name", remedy="give a name to each")]
        )
    for name, kind in given.items():
        try:
            kinds[str(name)] = CcdKind.parse(kind, ("kinds", str(name)))
        except YamlFaultsError as found:
            faults += found.faults
    if faults:
        raise YamlFaultsError(faults)
    entries = content.get("detectors")
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return expanded, []  # `Camera` says what is wrong
    detectors: list[Any] = []
    places: list[Place] = []
    for number, entry in enumerate(entries):
        try:
            for place, detector in _entry(entry, ("detectors", number), kinds):
                detectors.append(detector)
                places.append(place)
        except YamlFaultsError as found:
            faults += found.faults
    if faults:
        raise YamlFaultsError(faults)
    return expanded | {"detectors": detectors}, places


def _entry(entry: Any, place: Place, kinds: Mapping[str, CcdKind]) -> Iterator[tuple[Place, Any]]:
    """Give the detectors of one entry of the list, each with its place in the YAML."""
    if not isinstance(entry, Mapping):
        yield place, entry
        return
    common = dict(entry)
    if "array" in common:
        array = _checked(DetectorArray, _taken(common, DetectorArray), place)
        for where in array.places():
            turn = where.pop("turn_deg")
            own = {**common, **where, "rotation_deg": float(common.get("rotation_deg", 0.0)) + turn}
            yield place, _detector(own, place, kinds)
    elif "rows" in common:
        table = _checked(DetectorTable, _taken(common, DetectorTable), place)
        for number, row in enumerate(table.rows):
            inside: Place = (*place, "rows", number)
            if len(row) != len(table.columns):
                fault = f"{len(row)} cells for {len(table.columns)} columns"
                raise YamlFaultsError([YamlFault(inside, fault, remedy="give one cell per column")])
            yield inside, _detector(common | _of_row(dict(zip(table.columns, row, strict=True))), inside, kinds)
    else:
        yield place, _detector(common, place, kinds)


def _of_row(cells: dict[str, Any]) -> dict[str, Any]:
    center = cells.pop("x_mm", None), cells.pop("y_mm", None)
    if center != (None, None):
        cells["center_mm"] = center
    return {n: str(value) if n in ("serial", "name") else value for n, value in cells.items() if value is not None}


def _detector(own: dict[str, Any], place: Place, kinds: Mapping[str, CcdKind]) -> Any:
    """Return what one detector says, with what its kind says; amplifiers are checked, the rest is not yet."""
    own = dict(own)
    name = own.pop("kind", None)
    if name is not None and str(name) not in kinds:
        remedy = f"known: {', '.join(kinds)}" if kinds else "describe it under 'kinds'"
        raise YamlFaultsError([YamlFault((*place, "kind"), "no such kind of CCD", str(name), remedy)])
    kind = kinds[str(name)] if name is not None else None
    numbers = {what: own.pop(what) for what in _ELECTRONICS if what in own}
    if "amplifiers" in own:
        amplifiers, shape = _parse_amplifiers(own["amplifiers"], (*place, "amplifiers"))
        if shape is not None:
            own.setdefault("raw_shape", shape)
    elif kind is not None:
        amplifiers = kind.amplifiers
    else:
        return own  # `Detector` says that they are missing
    own["amplifiers"] = _with_electronics(amplifiers, numbers, place)
    return (kind.settings if kind is not None else {}) | own


def _with_electronics(
    amplifiers: tuple[Amplifier, ...], numbers: dict[str, Any], place: Place
) -> tuple[Amplifier, ...]:
    try:
        electronics: Electronics = _checked(Electronics, numbers, place)
        return electronics.on(amplifiers)
    except ValueError as error:
        raise YamlFaultsError([YamlFault(place, str(error), remedy="correct it")]) from None


def _parse_amplifiers(given: Any, place: Place) -> tuple[tuple[Amplifier, ...], tuple[int, int] | None]:
    """Return amplifiers, and the raw frame's shape where a grid gives it."""
    if isinstance(given, Mapping):
        grid = _checked(AmplifierGrid, dict(given), place)
        try:
            return grid.amplifiers(), grid.raw_shape
        except ValidationError as error:
            raise YamlFaultsError(faults_of(error, whole="amplifiers", above=place)) from None
    faults: list[YamlFault] = []
    amplifiers = []
    for number, entry in enumerate(given if isinstance(given, Sequence) and not isinstance(given, str) else [given]):
        try:
            amplifiers.append(_checked(Amplifier, entry, (*place, number)))
        except YamlFaultsError as found:
            faults += found.faults
    if faults:
        raise YamlFaultsError(faults)
    return tuple(amplifiers), None


def _checked(model: Any, content: Any, place: Place) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = faults_of(error, whole=str(place[-1]), above=place, known=field_names(model))
        raise YamlFaultsError(faults) from None


def _taken(common: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Take out of an entry what belongs to a model."""
    return {name: common.pop(name) for name in model.model_fields if name in common}


def _extension(given: str | tuple[str | int, ...], index: int, words: dict[str, Any]) -> str | int | None:
    if isinstance(given, tuple):
        return given[index]
    return given.format(**words) if given else None


LAYOUT_KEYS = field_names(Amplifier, AmplifierGrid, Detector, DetectorArray, DetectorTable, Electronics) | {"kind"}
"""Keys that may stand below ``kinds`` and ``detectors``."""
