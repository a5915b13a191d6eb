from hypothesis import given
from hypothesis import strategies as st

from etendue.app.sequences import Shot, recognised


def shot(seq: int, kind: str = "science", *, at_s: float, filters: str = "r", seconds: float = 30.0, **place) -> Shot:
    return Shot(20260320, seq, kind, filters, "field", seconds, at_s, at_s + seconds, **place)


def kinds(shots) -> list[tuple[str, int]]:
    return [(found.kind, len(found.shots)) for found in recognised(shots)]


def test_calibrations_end_where_kind_filter_or_time_breaks():
    shots = [shot(n, "bias", at_s=10.0 * n, seconds=0.0) for n in range(5)]
    shots += [shot(10 + n, "dark", at_s=100 + 400.0 * n, seconds=300.0) for n in range(3)]
    shots += [shot(20 + n, "flat", at_s=2000 + 20.0 * n, seconds=5.0) for n in range(4)]
    shots += [shot(30 + n, "flat", at_s=2100 + 20.0 * n, seconds=5.0, filters="i") for n in range(2)]
    shots += [shot(40 + n, "bias", at_s=9000 + 10.0 * n, seconds=0.0) for n in range(2)]
    assert kinds(shots) == [("bias", 5), ("dark", 3), ("flat", 4), ("flat", 2), ("bias", 2)]


def test_pairs_of_flats_over_exposure_times_are_told_from_plain_flats():
    pairs = [shot(n, "flat", at_s=60.0 * n, seconds=float(1 + n // 2)) for n in range(8)]
    assert kinds(pairs) == [("flat pairs", 8)]
    twilight = [shot(n, "flat", at_s=60.0 * n, seconds=1.0 + 0.7 * n) for n in range(8)]
    assert kinds(twilight) == [("flat", 8)]


def test_a_field_seen_again_within_hours_is_a_revisit_even_with_others_between():
    here, there = {"ra_deg": 10.0, "dec_deg": 5.0}, {"ra_deg": 13.0, "dec_deg": 5.0}
    shots = [shot(1, at_s=0, **here), shot(2, at_s=40, **there), shot(3, at_s=1800, filters="i", **here)]
    assert kinds(shots) == [("revisits", 2), ("visits", 1)]
    assert recognised(shots)[0].row()["filters"] == "r i"


def test_a_field_without_a_pause_is_a_series():
    assert kinds([shot(n, at_s=40.0 * n, ra_deg=10.0, dec_deg=5.0) for n in range(30)]) == [("series", 30)]


def test_fields_without_pointing_are_told_by_their_target():
    assert kinds([shot(1, at_s=0), shot(2, at_s=50)]) == [("visits", 2)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["bias", "dark", "flat", "science", "focus"]), st.floats(0, 8e4), st.floats(0, 300)),
        max_size=40,
    )
)
def test_every_exposure_is_in_one_sequence(drawn):
    shots = [shot(n, kind, at_s=at_s, seconds=seconds) for n, (kind, at_s, seconds) in enumerate(drawn)]
    found = [one.seq for sequence in recognised(shots) for one in sequence.shots]
    assert sorted(found) == list(range(len(shots)))
