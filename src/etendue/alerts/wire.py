"""The Confluent wire format: which schema an Avro message was written with."""

import struct

from etendue.errors import InputError

_HEADER = struct.Struct(">BI")  # magic byte 0, then the schema id, big-endian


def to_wire(schema_id: int, payload: bytes) -> bytes:
    """Return an Avro payload with its Confluent header.

    Parameters
    ----------
    schema_id : int
        Number of the schema in the registry.
    payload : bytes
        Avro without schema.

    Returns
    -------
    bytes
    """
    return _HEADER.pack(0, schema_id) + payload


def from_wire(message: bytes) -> tuple[int, bytes]:
    """Return schema id and Avro payload of a message.

    Parameters
    ----------
    message : bytes
        Confluent header and payload.

    Returns
    -------
    schema_id : int
    payload : bytes

    Raises
    ------
    InputError
        If the message does not start with the header.
    """
    if len(message) < _HEADER.size or message[0] != 0:
        raise InputError("not in the Confluent wire format", source="alert", value=message[:5])
    return _HEADER.unpack_from(message)[1], message[_HEADER.size :]
