"""Colour terms give standard stars their standard magnitudes, with honest errors, and nothing outside their range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.camera.band_rule import BandRule
from etendue.camera.shipped import load_camera
from etendue.errors import InputError
from etendue.refcat.bands import add_bands, colour_terms, in_camera_bands
from etendue.refcat.service import load_service
from etendue.refcat.service_rows import reference_rows
from etendue.table.table import Table

MAG_PER_LN = 2.5 / np.log(10.0)


def njy(mag):
    return 10.0 ** (0.4 * (31.4 - np.asarray(mag, float)))


def stars(err_mag=0.0, **mags):
    """Return reference stars with AB magnitudes by band."""
    n = np.size(next(iter(mags.values())))
    columns = {"id": np.arange(n), "ra": np.zeros(n), "dec": np.zeros(n)}
    for band, mag in mags.items():
        flux = np.atleast_1d(njy(mag))
        columns |= {f"{band}_flux": flux, f"{band}_fluxErr": flux * err_mag / MAG_PER_LN}
    return Table("refcat", columns)


def mag(table, band):
    return 31.4 - 2.5 * np.log10(table[f"{band}_flux"])


def gaia(g, colour, err=0.0):
    """Return stars of Vega magnitude G and colour BP - RP, as the service gives them."""
    return stars(err, G=np.add(g, 0.1136), BP=np.add(g, 0.4 * np.asarray(colour)) + 0.0155,
                 RP=np.add(g, -0.6 * np.asarray(colour)) + 0.3561)  # fmt: skip


def test_the_sun_has_its_known_colours_in_gaia_s_terms():
    """BP - RP = 0.82 (Casagrande & VandenBerg 2018); B - V, V - R, V - I, g - r and r - i below."""
    sun = add_bands(gaia([15.0], [0.82]), "BVRIgriz", catalog="gaia")
    vega = {band: mag(sun, band)[0] - offset for band, offset in {"B": -0.09, "V": 0.02, "R": 0.21, "I": 0.45}.items()}
    assert vega["V"] - 15.0 == pytest.approx(0.16, abs=0.03)
    assert vega["B"] - vega["V"] == pytest.approx(0.65, abs=0.06)
    assert vega["V"] - vega["R"] == pytest.approx(0.36, abs=0.03)
    assert vega["V"] - vega["I"] == pytest.approx(0.70, abs=0.04)
    assert (mag(sun, "g") - mag(sun, "r"))[0] == pytest.approx(0.44, abs=0.07)
    assert (mag(sun, "r") - mag(sun, "i"))[0] == pytest.approx(0.11, abs=0.05)


def test_two_catalogs_agree_on_a_star_within_their_scatter():
    """The same solar-type star as PS1 (g - r = 0.41, Tonry et al. 2012) and as Gaia see it."""
    of_gaia = add_bands(gaia([15.0], [0.82]), "VRI", catalog="gaia")
    r = mag(add_bands(gaia([15.0], [0.82]), "r", catalog="gaia"), "r")[0]
    of_ps1 = add_bands(stars(g=[r + 0.41], r=[r], i=[r - 0.12]), "VRI", catalog="ps1")
    for band in "VRI":
        assert mag(of_ps1, band)[0] == pytest.approx(mag(of_gaia, band)[0], abs=0.07)


@pytest.mark.parametrize(("catalog", "band"), [(c, b) for c in ("gaia", "ps1") for b in colour_terms(c) if b != "VR"])
def test_a_flux_is_nan_exactly_outside_the_colours_of_its_rule(catalog, band):
    rule = colour_terms(catalog)[band]
    if rule.color is None:
        pytest.skip("holds for any colour")
    offsets = (
        {name: spec.offset for name, spec in load_service(catalog).bands.items()} if rule.system == "catalog" else {}
    )
    colour = np.linspace(rule.range[0] - 0.5, rule.range[1] + 0.5, 41) + 1e-4
    first, second = rule.color
    mags = {first: 15.0 + colour + offsets.get(first, 0.0), second: np.full(41, 15.0 + offsets.get(second, 0.0))}
    mags.setdefault(rule.band, np.full(41, 15.0))
    made = add_bands(stars(**mags), [band], catalog=catalog)
    inside = (colour >= rule.range[0]) & (colour <= rule.range[1])
    np.testing.assert_array_equal(np.isfinite(made[f"{band}_flux"]), inside)


@settings(max_examples=25)
@given(colour=st.floats(0.1, 2.9), err=st.floats(0.001, 0.1))
def test_errors_hold_all_magnitudes_and_the_scatter(colour, err):
    made = add_bands(gaia([15.0], [colour], err), ["V"], catalog="gaia")
    rule = colour_terms("gaia")["V"]
    slope = np.polynomial.Polynomial(rule.polynomial).deriv()(colour)
    expected = np.sqrt(err**2 * (1.0 + 2.0 * slope**2) + rule.scatter**2)
    assert made["V_fluxErr"][0] / made["V_flux"][0] * MAG_PER_LN == pytest.approx(expected, rel=1e-4)


def test_a_magnitude_that_is_base_and_colour_counts_once():
    """V = r + a (g - r) moves by 1 - a when r does, not by 1 and by a apart."""
    table = stars(g=[15.5], r=[15.0]).with_columns(r_fluxErr=njy([15.0]) * 0.1 / MAG_PER_LN, g_fluxErr=[0.0])
    made = add_bands(table, ["V"], catalog="ps1")
    slope = 0.462 + 2.0 * 0.013 * 0.5
    expected = np.hypot(0.1 * (1.0 - slope), 0.012)
    assert made["V_fluxErr"][0] / made["V_flux"][0] * MAG_PER_LN == pytest.approx(expected, rel=1e-4)


def test_wide_bands_lie_between_their_parts():
    made = add_bands(gaia([15.0], [1.0]), ["VR", "V", "R", "clear"], catalog="gaia")
    assert mag(made, "R")[0] < mag(made, "VR")[0] < mag(made, "V")[0]
    assert mag(made, "clear")[0] == pytest.approx(15.1136)


@pytest.mark.parametrize(
    ("name", "band"), [("rp", "r"), ("SDSS-r", "r"), ("Rc", "R"), ("Luminance", "clear"), ("Ks", "K")]
)
def test_filters_by_other_names_are_known(name, band):
    made = add_bands(gaia([15.0], [0.8]), [name, band], catalog="gaia")
    assert made[f"{name}_flux"][0] == made[f"{band}_flux"][0]


def test_bands_that_cannot_be_had_are_left_out():
    assert "u" not in add_bands(gaia([15.0], [0.8]), ["u", "y", "Halpha"], catalog="gaia").bands
    assert add_bands(stars(J=[15.0]), ["V"], catalog="2mass").bands == ("J",)
    assert add_bands(stars(g=[15.0], r=[14.5]), ["V"]).bands == ("g", "r")  # a file's bands may be of any system


def test_a_camera_says_itself_what_its_filter_is():
    camera = load_camera("lowell42")
    rules = {"gaia": BandRule(band="G", color=("BP", "RP"), polynomial=(0.0, 0.1)), "any": BandRule(band="R")}
    filters = (camera.filters[0].model_copy(update={"reference": rules}),)
    mine = camera.model_copy(update={"filters": filters})
    table = gaia([15.0], [1.0])
    ab_colour = 1.0 + 0.0155 - 0.3561
    assert mag(in_camera_bands(table, mine, catalog="gaia"), "VR")[0] == pytest.approx(15.1136 + 0.1 * ab_colour)
    assert mag(in_camera_bands(stars(R=[14.0]), mine), "VR")[0] == pytest.approx(14.0)


def test_a_camera_s_correction_of_a_band_stands_on_the_published_one():
    rules = {"R": BandRule(band="R", color=("V", "R"), polynomial=(0.0, 0.2))}
    table = gaia([15.0], [1.0])
    plain = add_bands(table, ["V", "R"], catalog="gaia")
    mine = add_bands(table, ["R"], catalog="gaia", rules=rules)
    expected = mag(plain, "R") + 0.2 * (mag(plain, "V") - mag(plain, "R"))
    np.testing.assert_allclose(mag(mine, "R"), expected)


def test_a_rule_without_sense_is_refused():
    with pytest.raises(ValueError, match="needs 'color'"):
        BandRule(band="G", polynomial=(0.0, 1.0))
    with pytest.raises(ValueError, match="either"):
        BandRule()


def rows(name, **columns):
    return reference_rows({key: np.atleast_1d(value) for key, value in columns.items()}, load_service(name))


def test_poor_gaia_solutions_keep_their_place_with_a_large_error():
    g = {"ra": [1.0] * 4, "dec": [2.0] * 4, "id": [1, 2, 3, 4], "raErr": [1e-8] * 4, "decErr": [1e-8] * 4,
         "G": [15.0] * 4, "pmra": [1.0, np.nan, 1.0, 1.0], "pmdec": [1.0, np.nan, 1.0, 1.0],
         "ruwe": [1.0, 1.0, 3.0, 1.0],
         "BP": [15.4] * 4, "RP": [14.4] * 4, "excess": [1.217, 1.217, 1.217, 1.6]}  # fmt: skip
    table = rows("gaia", **g)
    np.testing.assert_array_equal(table["raErr"] > 2e-5, [False, True, True, False])
    np.testing.assert_array_equal(np.isfinite(table["BP_flux"]), [True, True, True, False])  # blended spectra
    assert np.isfinite(table["G_flux"]).all()


def test_ps1_leaves_out_bad_objects_and_the_fluxes_of_galaxies_and_saturated_stars():
    base = {band: [17.0, 17.0, 17.0, 13.0] for band in "grizy"}
    table = rows("ps1", ra=[1.0] * 4, dec=[2.0] * 4, id=[1, 2, 3, 4], **base, iKron=[16.98, 16.5, 16.98, 12.99],
                 quality=[4, 4, 64 | 4, 4])  # fmt: skip
    assert table["id"].tolist() == [1, 2, 4]
    np.testing.assert_array_equal(np.isfinite(table["r_flux"]), [True, False, False])
    np.testing.assert_array_equal(np.isfinite(table["y_flux"]), [True, False, True])


def test_2mass_bands_count_by_their_letters_and_stars_by_their_place():
    table = rows("2mass", ra=[1.0, 1.001], dec=[2.0, 2.0], J=[12.0, 12.0], H=[11.5, 11.5], K=[11.4, 11.4],
                 quality=["AUA", "AAX"], epoch=[2451105.5, 2451105.5])  # fmt: skip
    assert len(set(table["id"].tolist())) == 2
    np.testing.assert_array_equal(np.isfinite(table["H_flux"]).sum(), 1)
    assert mag(table, "J")[0] == pytest.approx(12.91)
    assert table["epoch"][0] == pytest.approx(51105.0)


def test_an_answer_without_a_needed_column_is_refused():
    with pytest.raises(InputError, match="lacks columns"):
        rows("2mass", ra=[1.0], dec=[2.0], J=[12.0])


def test_the_user_s_file_changes_a_service_and_its_cache(tmp_path, monkeypatch):
    mine = tmp_path / "mine.yaml"
    mine.write_text("gaia: {faintest: {mag: 18}}\n")
    monkeypatch.setenv("ETENDUE_REFCAT_CONFIG", str(mine))
    assert load_service("gaia").folder == "gaia-dr3-v1-G18"
    mine.write_text("gaia: {faintest: {mag: bright}}\n")
    with pytest.raises(InputError, match=r"mine.yaml: gaia.faintest.mag"):
        load_service("gaia")
    mine.write_text("gaia: [")
    with pytest.raises(InputError, match="cannot be read"):
        load_service("gaia")
    monkeypatch.setenv("ETENDUE_REFCAT_CONFIG", str(tmp_path / "absent.yaml"))
    with pytest.raises(InputError, match=r"absent.yaml"):
        load_service("gaia")


def test_an_unknown_service_is_refused():
    with pytest.raises(InputError, match="gaia, ps1, 2mass"):
        load_service("usno")
