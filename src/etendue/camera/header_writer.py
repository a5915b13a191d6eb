"""What a camera writes into the header of a raw frame: the inverse of `translate`."""

from etendue.camera.camera import Camera
from etendue.camera.header_field import write_value
from etendue.camera.header_spec import Scalar
from etendue.camera.header_time import write_begin
from etendue.camera.observation_info import ObservationInfo


def write_header(info: ObservationInfo, camera: Camera) -> dict[str, Scalar]:
    """Return header cards that `translate` reads back to the same information (WCS apart).

    Parameters
    ----------
    info : ObservationInfo
        The frame.
    camera : Camera
        Camera whose keywords are written.

    Returns
    -------
    dict
        Keyword to value, in the camera's units and spellings.
    """
    spec = camera.header
    cards: dict[str, Scalar] = {
        keyword: value if isinstance(value, str) else value[0] for keyword, value in spec.match.items()
    }
    cards |= write_begin(info.mjd_tai_begin, info.exposure_time_s, spec.time)
    detector = camera.detector(info.detector_id)
    # A camera that maps the numbers in its headers, or writes units, means names.
    by_number = spec.detector_by == "id" and spec.detector.unit == "" and not spec.detector.values
    for value, field in (
        (info.exposure_time_s, spec.exposure_time),
        (info.observation_type, spec.observation_type),
        (info.day_obs, spec.day_obs),
        (info.seq, spec.sequence),
        (info.observation_id, spec.observation_id),
        (info.group, spec.group),
        (info.physical_filter, spec.physical_filter),
        (detector.id if by_number else detector.name, spec.detector),
        (info.object, spec.object),
        (info.ra_deg, spec.ra),
        (info.dec_deg, spec.dec),
        (info.rotation_deg, spec.rotation),
        (info.airmass, spec.airmass),
        (info.header_gain, spec.gain),
        (info.header_read_noise, spec.read_noise),
        (info.temperature_c, spec.temperature),
        (info.lamp_monitor, spec.lamp_monitor),
        (info.readout_mode, spec.readout_mode),
    ):
        cards |= write_value(value, field)
    return cards
