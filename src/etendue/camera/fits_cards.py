"""Header cards read fast: the plain ones, which nearly all are; odd ones are left to astropy."""

import re
from typing import Any, BinaryIO

BLOCK = 2880
_CARD = 80
_VALUE = re.compile(
    r"""=\ +
    (?: '(?P<text>(?:[^']|'')*)'
      | (?P<logical>[TF])
      | (?P<integer>[+-]?\d+)
      | (?P<real>[+-]?(?:\d+\.\d*|\.\d+)(?:[ED][+-]?\d+)?|[+-]?\d+[ED][+-]?\d+)
    )\ *(?:/.*)?""",
    re.VERBOSE,
)
_KEYWORD = re.compile(r"[A-Z0-9_-]+ *")
_RECORD = re.compile(r"[A-Za-z_][\w.-]*: +[+-]?[\d.]")  # record-valued cards: a field and a number in the text
_TEXTS = ("COMMENT ", "HISTORY ")


def read_cards(stream: BinaryIO) -> dict[str, Any] | None:
    """Read the header at the current place of a file, and stop behind it.

    Parameters
    ----------
    stream : binary file
        At the beginning of a header.

    Returns
    -------
    dict or None
        Keyword to value, as `etendue.camera.fits_images.to_dict` gives it: COMMENT and HISTORY as one text each, cards
        without a value left out. None where anything is not plain, and where the file ends before the header does.
    """
    cards: dict[str, Any] = {}
    while len(block := stream.read(BLOCK)) == BLOCK:
        try:
            text = block.decode("ascii")
        except UnicodeDecodeError:
            return None
        for begin in range(0, BLOCK, _CARD):
            card = text[begin : begin + _CARD]
            if card[:8] == "END     ":
                return None if text[begin + 3 :].strip() else cards
            if not _add(cards, card):
                return None
    return None


def _add(cards: dict[str, Any], card: str) -> bool:
    """Add a card; return whether it is a plain one."""
    keyword = card[:8]
    if keyword in _TEXTS:
        value, name = card[8:].rstrip(), keyword.rstrip()
        cards[name] = f"{cards[name]}\n{value}" if name in cards else value
        return card[8] != "=" and value.isprintable()
    if not card.strip():
        return True
    match = _VALUE.fullmatch(card, 8)
    if match is None or _KEYWORD.fullmatch(keyword) is None:
        return False
    kind, found = match.lastgroup, match[match.lastgroup or 0]
    if kind == "text":
        if not found.isprintable() or found.endswith("&") or _RECORD.match(found):
            return False
        cards[keyword.rstrip()] = found.replace("''", "'").rstrip()
    elif kind == "logical":
        cards[keyword.rstrip()] = found == "T"
    else:
        cards[keyword.rstrip()] = int(found) if kind == "integer" else float(found.replace("D", "E"))
    return True
