import numpy as np
import pytest

from etendue.simulate.ccd.ccd import Ccd
from etendue.simulate.ccd.spec import CcdSpec

ALL = CcdSpec.everything()
EFFECTS = [
    name for name in CcdSpec.model_fields if getattr(ALL, name) is not None and name not in ("shot_noise", "converter")
]
NOTHING = {
    "fringing": {"bands": {}},
    "tree_rings": {"rms_px": 0.0},
    "response": {"pixel_rms": 0.0, "column_rms": 0.0},
    "defects": {"dead_pixels": 0.0, "dead_columns": 0.0, "hot_columns": 0.0, "traps": 0.0},
    "dark": {"rate_e_s": 0.0, "hot_fraction": 0.0},
    "cosmic_rays": {"muons_cm2_min": 0.0, "worms_cm2_min": 0.0, "spots_cm2_min": 0.0},
    "full_well": {"electrons": 1e12},
    "parallel_transfer": {"inefficiency": 0.0},
    "serial_transfer": {"inefficiency": 0.0},
    "linearity": {"coefficients": (0.0,)},
    "gain": {"scatter": 0.0},
    "crosstalk": {"linear": 0.0, "quadratic": 0.0},
    "read_noise": {"electrons": 0.0},
}

RUN_BY = {
    "fringing": "fringe",
    "diffusion": "spread",
    "response": "response_map",
    "brighter_fatter": "collect_in_steps",
    "cosmic_rays": "strike",
    "linearity": "response_tables",
    "crosstalk": "crosstalk_matrices",
    "tree_rings": "TreeRings",
    "defects": "DefectMap",
    "dark": "DarkCurrent",
    "full_well": "FullWells",
    "bias": "BiasStructure",
}


def light_of(ccd: Ccd) -> np.ndarray:
    light = np.full(ccd.shape, 300.0, np.float32)
    light[20:24, 30:34] = 2e5
    return light


def raw_of(spec: CcdSpec, detector) -> np.ndarray:
    ccd = Ccd(detector, spec, 5)
    return ccd.expose(light_of(ccd), 60.0, np.random.default_rng(8), band="y", sky=250.0).raw


def without(effect: str) -> CcdSpec:
    return ALL.model_copy(update={effect: None})


def test_with_everything_off_the_chain_only_counts_adu(make_chip):
    detector = make_chip()
    spec = CcdSpec(shot_noise=False)
    ccd = Ccd(detector, spec, 5)
    trimmed = detector.trim(raw_of(spec, detector))
    for amplifier in detector.amplifiers:
        inside = amplifier.bbox.slices_in(detector.bbox)
        expected = np.floor(light_of(ccd)[inside] * np.float32(1.0 / amplifier.gain) + np.float32(0.5))
        np.testing.assert_array_equal(trimmed[inside], np.minimum(expected, 65535))


@pytest.mark.parametrize("effect", sorted(NOTHING))
def test_an_effect_that_is_off_equals_one_of_no_size_bit_for_bit(effect, make_chip):
    detector = make_chip()
    empty = ALL.model_copy(update={effect: type(getattr(ALL, effect))(**NOTHING[effect])})
    limit = ALL.model_copy(update={effect: None})
    if effect == "full_well":  # the brighter-fatter effect counts charge up to full well
        empty, limit = (spec.model_copy(update={"brighter_fatter": None}) for spec in (empty, limit))
    np.testing.assert_array_equal(raw_of(empty, detector), raw_of(limit, detector))


@pytest.mark.parametrize("effect", sorted(RUN_BY))
def test_the_code_of_an_effect_that_is_off_does_not_run(effect, make_chip, monkeypatch):
    reference = raw_of(without(effect), make_chip())
    monkeypatch.delattr(f"etendue.simulate.ccd.ccd.{RUN_BY[effect]}")
    np.testing.assert_array_equal(raw_of(without(effect), make_chip()), reference)


@pytest.mark.parametrize("effect", [name for name in EFFECTS if name not in ("cosmic_rays", "parallel_transfer")])
def test_every_effect_does_something(effect, make_chip):
    detector = make_chip()
    assert not np.array_equal(raw_of(ALL, detector), raw_of(without(effect), detector))


def test_cosmic_rays_disturb_no_other_random_number(make_chip):
    detector = make_chip()
    spec = CcdSpec(read_noise={}, bias={}, response={}, cosmic_rays={"muons_cm2_min": 4000.0})
    struck = Ccd(detector, spec, 5).expose(np.full((128, 128), 300.0, np.float32), 60.0, np.random.default_rng(8))
    calm = Ccd(detector, spec.model_copy(update={"cosmic_rays": None}), 5)
    raw = calm.expose(np.full((128, 128), 300.0, np.float32), 60.0, np.random.default_rng(8)).raw
    changed = detector.trim(struck.raw) != detector.trim(raw)
    assert struck.masks.cosmic_ray.sum() > 100
    assert changed[struck.masks.cosmic_ray].all()
    assert changed.mean() < 4.0 * struck.masks.cosmic_ray.mean()


def test_frames_do_not_depend_on_what_was_exposed_before(make_chip):
    detector = make_chip()
    fresh, used = Ccd(detector, ALL, 5), Ccd(detector, ALL, 5)
    light = light_of(fresh)
    used.expose(light, 10.0, np.random.default_rng(1))
    one, other = (ccd.expose(light, 60.0, np.random.default_rng(8)) for ccd in (fresh, used))
    np.testing.assert_array_equal(one.raw, other.raw)


def test_the_light_given_is_not_changed(make_chip):
    ccd = Ccd(make_chip(), ALL, 5)
    light = light_of(ccd)
    ccd.expose(
        light, 60.0, np.random.default_rng(8), band="y", sky=250.0, illumination=np.full(ccd.shape, 0.9, np.float32)
    )
    np.testing.assert_array_equal(light, light_of(ccd))


def test_a_specification_survives_json():
    assert CcdSpec.model_validate_json(ALL.model_dump_json()) == ALL


def test_other_detectors_and_seeds_are_other_ccds(make_chip):
    detector = make_chip()
    other = detector.model_copy(update={"id": 4})
    assert not np.array_equal(Ccd(detector, ALL, 5).response, Ccd(other, ALL, 5).response)
    assert not np.array_equal(Ccd(detector, ALL, 5).response, Ccd(detector, ALL, 6).response)
    np.testing.assert_array_equal(Ccd(detector, ALL, 5).response, Ccd(detector, ALL, 5).response)
