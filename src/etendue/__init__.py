"""etendue: survey data management from raw exposures to catalogs, alerts and movers."""

__version__ = "0.1.0"
