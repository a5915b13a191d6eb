"""Headers through astro-metadata-translator, for the cameras that it knows.

Only what needs no position of the observatory is asked of it: its lookup of unknown sites would go to the network.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from etendue.errors import InputError

_READ: Mapping[str, Callable[[Any], Any]] = {
    "begin": lambda translator: translator.to_datetime_begin(),
    "exposure_time": lambda translator: float(translator.to_exposure_time().to_value("s")),
    "observation_type": lambda translator: str(translator.to_observation_type()),
    "sequence": lambda translator: int(translator.to_observation_counter()),
    "observation_id": lambda translator: str(translator.to_observation_id()),
    "physical_filter": lambda translator: str(translator.to_physical_filter()),
    "detector": lambda translator: int(translator.to_detector_num()),
    "object": lambda translator: str(translator.to_object()),
}


class MetadataTranslator:
    """One header as astro-metadata-translator sees it.

    Parameters
    ----------
    header : mapping
        FITS header; it is not changed.
    name : str
        Translator, such as ``DECam``.
    source : object
        File named in errors.

    Raises
    ------
    InputError
        If there is no such translator.
    """

    def __init__(self, header: Mapping[str, Any], name: str, source: object = None):
        from astro_metadata_translator import fix_header

        kind = translator_class(name, source)
        self.header: dict[str, Any] = dict(header)
        """The header with the corrections that are published for it."""
        fix_header(self.header, translator_class=kind, filename=None if source is None else str(source))
        self._translator = kind(self.header)

    def get(self, quantity: str) -> tuple[str, Any] | None:
        """Return which cards gave a quantity, and its value.

        Parameters
        ----------
        quantity : str
            ``begin`` (an astropy Time), ``exposure_time`` [s], ``observation_type``, ``sequence``, ``observation_id``,
            ``physical_filter``, ``detector`` (its number) or ``object``.

        Returns
        -------
        tuple or None
            None where the translator knows nothing of it, or cannot read it from this header.
        """
        read = _READ.get(quantity)
        if read is None:
            return None
        before = self._translator.cards_used()
        try:
            value = read(self._translator)
        except Exception:  # strange headers make translators raise anything; the YAML's own fields are tried then
            return None
        cards = sorted(self._translator.cards_used() - before)
        return ("+".join(cards) or type(self._translator).__name__, value)


@cache
def translator_class(name: str, source: object = None) -> Any:
    """Return a class of astro-metadata-translator.

    Parameters
    ----------
    name : str
        Its name, such as ``DECam``.
    source : object
        File named in errors.

    Returns
    -------
    type

    Raises
    ------
    InputError
        If there is none of this name.
    """
    from astro_metadata_translator import MetadataTranslator as Base

    known = Base.translators
    if name not in known:
        raise InputError("astro-metadata-translator has no such class", source=source, value=name,
                         remedy=f"known: {', '.join(sorted(known))}")  # fmt: skip
    return known[name]
