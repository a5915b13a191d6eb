"""Loggers that write one line per event and never print."""

import logging


def get_logger(name: str) -> logging.Logger:
    """Return the logger ``name``, which is always inside ``etendue``.

    Parameters
    ----------
    name : str
        Usually ``__name__``.

    Returns
    -------
    logging.Logger
    """
    inside = name if name == "etendue" or name.startswith("etendue.") else f"etendue.{name}"
    return logging.getLogger(inside)
