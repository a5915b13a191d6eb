"""Tables as astropy tables, for the user's edge."""

import astropy.table
from astropy import units

from etendue.table.table import Table


def to_astropy(table: Table) -> astropy.table.Table:
    """Return an astropy table with units, descriptions and the facts about the table.

    Parameters
    ----------
    table : Table
        Any table.

    Returns
    -------
    astropy.table.Table
        A copy of the data.
    """
    result = astropy.table.Table(meta={"name": table.schema.name, **table.meta})
    for name in table.names:
        column = table.schema.column(name)
        unit = units.Unit(column.unit) if column.unit else None
        meta = {"ucd": column.ucd} if column.ucd else {}
        result[name] = astropy.table.Column(table[name].copy(), unit=unit, description=column.doc, meta=meta)
    return result
