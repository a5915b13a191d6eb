"""Fields are fetched once, whole, from servers that fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.refcat.field_cache import FieldCache
from etendue.refcat.service import load_service

from .conftest import CENTER, gaia_sky

FIELD = {"ra_deg": CENTER[0], "dec_deg": CENTER[1], "radius_deg": 0.3}


def cache():
    return FieldCache(load_service("gaia"))


def impatient(folder, failure):
    """Wait for a slow server less than it takes."""
    if failure == "slow":
        (folder / "refcat.yaml").write_text("defaults: {pause_s: 0.0, timeout_s: 0.8, tries: 2}\n")


def truth(radius=0.3, sky=None):
    sky = gaia_sky() if sky is None else sky
    return set(sky["Source"][separation_deg(*CENTER, sky["RA_ICRS"], sky["DE_ICRS"]) <= radius].tolist())


def test_a_field_holds_every_star_once_in_our_units(tap):
    stars = cache().load_cone(**FIELD)
    assert sorted(stars["id"].tolist()) == sorted(truth())
    np.testing.assert_allclose(stars["raErr"], 0.1 / 3.6e6, rtol=1e-6)
    assert set(stars["epoch"]) == {57388.5}
    sky = gaia_sky()
    row = np.searchsorted(sky["Source"], stars["id"])
    np.testing.assert_allclose(stars["pmra"], sky["pmRA"][row], rtol=1e-6)
    mag = 31.4 - 2.5 * np.log10(stars["G_flux"])
    np.testing.assert_allclose(mag, sky["Gmag"][row] + 0.1136, atol=1e-9)
    np.testing.assert_allclose(stars["G_fluxErr"] / stars["G_flux"], np.hypot(0.003, 0.002) / 1.0857, rtol=1e-3)


def test_a_second_run_asks_nothing(tap):
    first = cache().load_cone(**FIELD)
    asked = len(tap.queries)
    tap.always = "500"
    assert cache().load_cone(**FIELD).content_hash() == first.content_hash()
    assert len(tap.queries) == asked
    assert cache().missing(**FIELD) == []


def test_a_partly_covered_field_fetches_only_what_is_missing(tap):
    cache().load_cone(**FIELD)
    asked = len(tap.queries)
    wider = {**FIELD, "radius_deg": 0.7}
    missing = len(cache().missing(**wider))
    assert missing > 0
    stars = cache().load_cone(**wider)
    assert len(tap.queries) == asked + missing
    assert set(stars["id"].tolist()) == truth(0.7)


@pytest.mark.parametrize("failure", ["500", "slow", "truncated"])
def test_one_failure_is_overcome(tap, failure, tmp_path):
    impatient(tmp_path, failure)
    tap.failures = [failure]
    assert set(cache().load_cone(**FIELD)["id"].tolist()) == truth()


@pytest.mark.parametrize("failure", ["500", "slow", "truncated", "refuse"])
def test_a_dead_server_is_one_line_with_what_to_do_and_leaves_no_tile(tap, failure, tmp_path):
    impatient(tmp_path, failure)
    tap.always = failure
    with pytest.raises(InputError) as caught:
        cache().load_cone(**FIELD)
    message = str(caught.value)
    assert "\n" not in message
    assert "not in the cache" in message
    assert "etendue refcat fetch" in message
    assert "copy this folder" in message
    assert not list(cache().folder.glob("*.parquet"))


def test_a_query_that_the_server_understood_and_refused_is_not_repeated(tap):
    tap.always = "refuse"
    with pytest.raises(InputError, match="Gmagg does not exist"):
        cache().load_cone(**{**FIELD, "radius_deg": 0.001})
    assert len(tap.queries) == len(cache().missing(**{**FIELD, "radius_deg": 0.001}))


def test_no_network_is_one_line(tap, monkeypatch):
    monkeypatch.setenv("ETENDUE_REFCAT_URL_GAIA", "http://127.0.0.1:9/tap")
    with pytest.raises(
        InputError, match=r"no server answers: vizier \(http://127.0.0.1:9/tap\): connection refused; run"
    ):
        cache().load_cone(**FIELD)


def test_answers_cut_short_are_asked_for_in_quarters(tap):
    tap.row_limit = 90
    stars = cache().load_cone(**FIELD)
    assert sorted(stars["id"].tolist()) == sorted(truth())
    assert len(tap.queries) > 4 * len(list(cache().folder.glob("*.parquet")))


def test_as_many_rows_as_were_asked_for_count_as_cut_short(tap, tmp_path):
    settings = tmp_path / "refcat.yaml"
    settings.write_text(settings.read_text() + "gaia: {row_limit: 90}\n")
    assert sorted(cache().load_cone(**FIELD)["id"].tolist()) == sorted(truth())


def test_an_empty_sky_is_remembered(tap):
    nowhere = {"ra_deg": 10.0, "dec_deg": -20.0, "radius_deg": 0.1}
    assert len(cache().load_cone(**nowhere)) == 0
    asked = len(tap.queries)
    assert len(cache().load_cone(**nowhere)) == 0
    assert len(tap.queries) == asked


def test_a_damaged_tile_is_fetched_again(tap):
    cache().load_cone(**FIELD)
    tile = sorted(cache().folder.glob("*.parquet"))[0]
    tile.write_bytes(tile.read_bytes()[:100])
    assert set(cache().load_cone(**FIELD)["id"].tolist()) == truth()


def test_a_copied_cache_works_without_network(tap, tmp_path, monkeypatch):
    cache().load_cone(**FIELD)
    shutil.copytree(tmp_path / "cache", tmp_path / "elsewhere")
    monkeypatch.setenv("ETENDUE_CACHE", str(tmp_path / "elsewhere"))
    tap.always = "500"
    assert set(cache().load_cone(**FIELD)["id"].tolist()) == truth()


def test_the_second_provider_answers_for_the_first(tap, tmp_path, monkeypatch):
    monkeypatch.delenv("ETENDUE_REFCAT_URL_GAIA")
    vizier, archive = load_service("gaia").providers
    sky = gaia_sky()
    names = {
        theirs.strip('"'): archive.columns[ours] for ours, theirs in vizier.columns.items() if ours in archive.columns
    }
    other = sky.copy()
    for band in ("G", "BP", "RP"):
        other[archive.columns[f"{band}Snr"]] = 1.0857 / sky[f"e_{band}mag"]
    for old, new in names.items():
        other.rename_column(old, new)
    tap.tables["gaiadr3.gaia_source"] = other
    settings = tmp_path / "refcat.yaml"
    providers = [dead := vizier.model_dump(mode="json"), archive.model_dump(mode="json")]
    dead["url"], providers[1]["url"] = "http://127.0.0.1:9/tap", tap.url
    settings.write_text(yaml.safe_dump({**yaml.safe_load(settings.read_text()), "gaia": {"providers": providers}}))
    stars = cache().load_cone(**FIELD)
    assert set(stars["id"].tolist()) == truth()
    np.testing.assert_allclose(stars["G_fluxErr"] / stars["G_flux"], np.hypot(0.003, 0.002) / 1.0857, rtol=1e-3)


def test_two_processes_fetch_every_tile_once(tap):
    tap.delay_s = 0.15
    code = (
        "from etendue.refcat.field_cache import FieldCache; from etendue.refcat.service import load_service;"
        f"FieldCache(load_service('gaia')).load_cone(**{FIELD})"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(tap.queries) == len(list(cache().folder.glob("*.parquet")))
    assert set(cache().load_cone(**FIELD)["id"].tolist()) == truth()


def test_the_far_south_is_refused_by_the_northern_survey(tap):
    with pytest.raises(InputError, match=r"ps1 does not reach south of -30.5"):
        FieldCache(load_service("ps1")).load_cone(ra_deg=10.0, dec_deg=-60.0, radius_deg=0.2)


def test_the_cache_lies_where_the_desktop_says(tap, monkeypatch, tmp_path):
    monkeypatch.delenv("ETENDUE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache().folder == Path(tmp_path) / "etendue" / "refcats" / "gaia-dr3-v1-G20"
