import io

import fastavro
import numpy as np
import pytest

from etendue.alerts.alert_schema import load_alert_schema
from etendue.alerts.batch import AlertBatch
from etendue.alerts.decode import decode_alert, dia_source_table
from etendue.alerts.package import package_alerts
from etendue.alerts.wire import from_wire
from etendue.errors import InputError
from etendue.table.table import Table

from .conftest import VISIT, detections


def test_packets_start_with_the_confluent_header_of_the_newest_schema(batch):
    assert all(
        packet[0] == 0 and int.from_bytes(packet[1:5], "big") == load_alert_schema().schema_id for packet in batch
    )


def test_another_reader_of_the_schema_understands_the_packets(batch):
    schema_id, payload = from_wire(batch.packets[0])
    stream = io.BytesIO(payload)
    alert = fastavro.schemaless_reader(stream, load_alert_schema(schema_id).definition)
    assert stream.read() == b""
    assert fastavro.validate(alert, load_alert_schema(schema_id).definition)


def test_alerts_are_sorted_by_id_and_keep_the_values(batch):
    alerts = [decode_alert(packet) for packet in batch]
    assert [alert["diaSourceId"] for alert in alerts] == list(batch.ids) == [100, 101, 102]
    assert alerts[0]["diaSource"]["psfFlux"] == 1002.0
    assert alerts[0]["diaSource"]["band"] == "r"


def test_what_was_not_measured_is_null(batch):
    source = decode_alert(batch.packets[0])["diaSource"]
    assert source["diaObjectId"] is None  # 0 in the table
    assert source["trailFlux"] is None
    assert source["reliabilityVersion"] is None
    assert source["ssObjectId"] is None


def test_history_is_earlier_and_of_the_same_object():
    earlier = detections(visit=VISIT - 1, mjd=58567.5, first=50)
    now = detections()
    alerts = [
        decode_alert(p)
        for p in package_alerts(visit=VISIT, detector=0, dia_sources=now, history=Table.concat([now, earlier]))
    ]
    assert alerts[0]["prvDiaSources"] is None  # no object, no history
    assert [source["diaSourceId"] for source in alerts[2]["prvDiaSources"]] == [52]


def test_object_and_forced_photometry_are_attached():
    objects = Table(
        "dia_object",
        {
            "diaObjectId": [2, 1],
            "ra": [120.0, 121.0],
            "dec": [25.0, 25.0],
            "nDiaSources": [4, 5],
            "r_psfFluxMean": [7.0, 8.0],
        },
    )
    forced = Table(
        "dia_forced_source",
        {
            "diaObjectId": [1, 1],
            "visit": [1, 2],
            "detector": [0, 0],
            "band": ["r", "r"],
            "ra": [1.0, 1.0],
            "dec": [1.0, 1.0],
            "psfFlux": [1.0, 2.0],
            "psfFluxErr": [1.0, 1.0],
            "midpointMjdTai": [58568.0, 58567.0],
        },
    )
    batch = package_alerts(
        visit=VISIT, detector=0, dia_sources=detections(), dia_objects=objects, forced_sources=forced
    )
    alert = decode_alert(batch.packets[1])
    assert alert["diaObject"]["diaObjectId"] == 1
    assert alert["diaObject"]["r_psfFluxMean"] == 8.0
    assert alert["diaObject"]["u_psfFluxMean"] is None
    assert [row["psfFlux"] for row in alert["prvDiaForcedSources"]] == [2.0, 1.0]  # in the order of time


def test_cutouts_follow_their_detections():
    stamps = {"cutoutScience": [b"a", b"b", b"c"]}
    batch = package_alerts(visit=VISIT, detector=0, dia_sources=detections(), cutouts=stamps)
    assert decode_alert(batch.packets[0], ("cutoutScience",)) == {"cutoutScience": b"c"}


def test_wrong_cutouts_are_refused():
    with pytest.raises(InputError, match="1 cutouts for 3"):
        package_alerts(visit=VISIT, detector=0, dia_sources=detections(), cutouts={"cutoutScience": [b"a"]})
    with pytest.raises(InputError, match="no such cutout"):
        package_alerts(visit=VISIT, detector=0, dia_sources=detections(), cutouts={"cutoutX": [b""] * 3})


def test_the_same_input_gives_the_same_bytes(batch):
    again = package_alerts(visit=VISIT, detector=0, dia_sources=detections())
    assert again.content_hash() == batch.content_hash()


def test_a_batch_survives_its_file(batch):
    assert AlertBatch.from_bytes(batch.to_bytes()) == batch
    empty = AlertBatch(VISIT, 1, (), ())
    assert AlertBatch.from_bytes(empty.to_bytes()) == empty


@pytest.mark.parametrize("keep", [0, 5, 30, -1])
def test_a_batch_file_that_is_cut_off_is_refused(batch, keep):
    with pytest.raises(InputError):
        AlertBatch.from_bytes(batch.to_bytes()[:keep])


def test_a_batch_file_with_a_damaged_header_is_refused(batch):
    content = batch.to_bytes()
    for old, new in ((b'"visit"', b'"vizit"'), (b'{"', b'["'), (b'"sizes":[', b'"sizes":[1')):
        with pytest.raises(InputError):
            AlertBatch.from_bytes(content.replace(old, new, 1))


def test_a_damaged_packet_is_one_clear_error(batch):
    for message in (b"", b"\x01abcdefg", batch.packets[0][:40], b"\x00\xff\xff\xff\xff"):
        with pytest.raises(InputError):
            decode_alert(message)


def test_detections_come_back_as_a_table(batch):
    table = dia_source_table(batch)
    expected = detections().sort_by("diaSourceId")
    for name in ("diaSourceId", "diaObjectId", "ra", "psfFlux", "snr", "band"):
        np.testing.assert_array_equal(table[name], expected[name])
    assert len(dia_source_table([])) == 0


@pytest.mark.realdata
def test_real_lsst_packets_are_read(shared_data):
    found = sorted((shared_data / "boom_hist").glob("tests_data_alerts_lsst_*.avro"))
    alerts = [decode_alert(path.read_bytes()) for path in found]
    assert [alert["diaSource"]["diaSourceId"] for alert in alerts] == [25409136044802067, 7912941781254298]
