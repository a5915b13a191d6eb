"""The quantities of one header, read as a camera declares, with a record of the card that gave each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.camera.header_field import Found, find_value, number_of, read_text
from etendue.camera.header_spec import FieldSpec, HeaderSpec
from etendue.camera.header_time import SECONDS_PER_DAY, Begin, check_mjd, read_begin
from etendue.camera.metadata_translator import MetadataTranslator
from etendue.errors import InputError


@dataclass(frozen=True, slots=True)
class CardUse:
    """Where one quantity came from.

    Parameters
    ----------
    quantity : str
        Name as in `HeaderSpec`.
    card : str
        Keyword; several joined by ``+``; or ``file name``, ``constant``, ``pixels``.
    value : object
        As it stands there.
    """

    quantity: str
    card: str
    value: Any


class HeaderReader:
    """Reads quantities by name.

    Parameters
    ----------
    header : mapping
        FITS header.
    spec : HeaderSpec
        The camera's translation.
    path : str or Path
        File, named in errors.
    """

    def __init__(self, header: Mapping[str, Any], spec: HeaderSpec, path: str | Path):
        self.spec = spec
        self.path = path
        self.uses: dict[str, CardUse] = {}
        """Where each quantity read so far came from."""
        self._translator = MetadataTranslator(header, spec.translator, path) if spec.translator else None
        self.header: Mapping[str, Any] = header if self._translator is None else self._translator.header

    def find(self, quantity: str, spec: FieldSpec | None = None) -> Found | None:
        """Return which card gives a quantity, and its value as it stands there.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.
        spec : FieldSpec, optional
            In place of the camera's.

        Returns
        -------
        tuple or None
            None where nothing gives one.
        """
        field: FieldSpec = spec or getattr(self.spec, quantity)
        found = self._ask(quantity) or find_value(self.header, field, self.path)
        if found is not None:
            self.uses[quantity] = CardUse(quantity, *found)
        return found

    def text(self, quantity: str, spec: FieldSpec | None = None) -> str:
        """Return a text; empty where nothing gives one.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.
        spec : FieldSpec, optional
            In place of the camera's.

        Returns
        -------
        str
        """
        field: FieldSpec = spec or getattr(self.spec, quantity)
        found = self.find(quantity, field)
        if found is None:
            return ""
        return read_text({"value": found[1]}, FieldSpec(keywords=("value",), values=field.values))

    def own_text(self, quantity: str) -> str:
        """Return a text by the camera's own field, whatever astro-metadata-translator says.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.

        Returns
        -------
        str
        """
        field: FieldSpec = getattr(self.spec, quantity)
        found = find_value(self.header, field, self.path)
        if found is not None:
            self.uses[quantity] = CardUse(quantity, *found)
        return read_text(self.header, field, self.path)

    def number(self, quantity: str) -> float:
        """Return a number in etendue's unit; NaN where nothing gives one.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.

        Returns
        -------
        float

        Raises
        ------
        InputError
            If the value is no number.
        """
        field: FieldSpec = getattr(self.spec, quantity)
        found = self.find(quantity)
        if found is None:
            return math.nan
        if self._ask(quantity) is not None:  # in our unit already
            field = FieldSpec(modulo=field.modulo)
        return number_of(found, field, self.path)

    def optional(self, quantity: str) -> float:
        """Return a number that no frame is refused for; NaN where there is none.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.

        Returns
        -------
        float
        """
        try:
            return self.number(quantity)
        except InputError:
            return math.nan

    def keywords(self, quantity: str) -> str:
        """Return the keywords of a quantity for an error message.

        Parameters
        ----------
        quantity : str
            Name as in `HeaderSpec`.

        Returns
        -------
        str
        """
        field: FieldSpec = getattr(self.spec, quantity)
        return " or ".join([*([field.join] if field.join else []), *field.keywords]) or quantity

    def exposure_time(self) -> float:
        """Return the exposure time [s].

        Returns
        -------
        float

        Raises
        ------
        InputError
            If there is none, or none between 0 and a day.
        """
        seconds = self.number("exposure_time")
        if not 0.0 <= seconds <= SECONDS_PER_DAY:  # what is above is a wrong unit or no number of seconds
            value = None if math.isnan(seconds) else seconds
            raise InputError(f"no valid exposure time in {self.keywords('exposure_time')}", source=self.path,
                             value=value, remedy="correct the header")  # fmt: skip
        return seconds

    def begin(self, exposure_time_s: float) -> Begin:
        """Return when the exposure began.

        Parameters
        ----------
        exposure_time_s : float
            Exposure time [s].

        Returns
        -------
        Begin

        Raises
        ------
        InputError
            If there is no time, or none between 2000 and 2089.
        """
        told = self._ask("begin")
        if told is not None and told[1] is not None:
            mjd = float(told[1].utc.mjd)
            check_mjd(mjd, told[0], str(told[1].isot), self.path)
            self.uses["time"] = CardUse("time", told[0], str(told[1].isot))
            return Begin(mjd, float(told[1].tai.mjd), {})
        begin = read_begin(self.header, self.spec.time, exposure_time_s, self.path)
        self.uses["time"] = CardUse("time", "+".join(begin.cards), " ".join(map(str, begin.cards.values())))
        return begin

    def _ask(self, quantity: str) -> Found | None:
        """Return what astro-metadata-translator says of a quantity."""
        if self._translator is None:
            return None
        told = self._translator.get(quantity)
        return None if told is None or told[1] in (None, "", "unknown", "none") else told
