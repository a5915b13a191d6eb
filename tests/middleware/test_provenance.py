"""A product is followed back to what nothing made, and made once more bit for bit from what it was made of."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from toy_survey import INPUTS, TOY

from etendue.app.provenance import provenance_of, rerun_product
from etendue.cli.main import main
from etendue.errors import InputError
from etendue.middleware.calibrations import certify
from etendue.middleware.execution.executor import run_pipeline
from etendue.middleware.provenance import rerun as reruns
from etendue.middleware.provenance.rerun import quanta_of
from etendue.middleware.provenance.trace import find_product, trace
from etendue.middleware.repository import Repository


@pytest.fixture(scope="module")
def finished(filled_folder, tmp_path_factory):
    """A repository with two runs; the second only made totals and summary anew."""
    shutil.copytree(filled_folder, folder := tmp_path_factory.mktemp("provenance") / "repo")
    home = Repository.open(folder)
    for name, pipeline in (("first", TOY), ("second", f"{TOY}#total,summary")):
        inputs = [*INPUTS, *(["toy/out/first"] if name == "second" else [])]
        run_pipeline(home, pipeline, inputs=inputs, output="toy/out", workers=1, progress=False, run_name=name)
    return folder


@pytest.fixture
def home(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "repo")
    return Repository.open(tmp_path / "repo")


def family(home, name, **data_id):
    return trace(home, find_product(home, name, data_id))


def test_the_family_of_a_product_holds_all_that_it_was_made_of(home):
    ancestry = family(home, "total", detector=1)
    kinds = sorted(product.dataset_type for product in ancestry.products.values())
    assert kinds == ["label", *["measured"] * 5, *["number"] * 5, *["offset"] * 2, "total"]
    assert {product.dataset_type for product in ancestry.sources} == {"label", "number", "offset"}
    maker = ancestry.maker_of(ancestry.root)
    assert (maker.task, maker.data_id) == ("total", {"instrument": "toy", "detector": 1})
    assert maker.code.startswith("toy_steps.Total of etendue")
    assert maker.versions["etendue"]
    assert maker.wall_s > 0.0
    measured = ancestry.inputs_of([ancestry.root])["measured"]
    assert {ancestry.maker_of(one).config["scale.factor"] for one in measured} == {3.0}


def test_products_that_a_later_run_took_over_were_made_by_the_earlier_one(home):
    ancestry = family(home, "summary")
    runs = {ancestry.products[ancestry.root].run, *(maker.run for maker in ancestry.makers.values())}
    assert runs == {"toy/out/first", "toy/out/second"}
    assert ancestry.products[ancestry.root].run == "toy/out/second"


def test_what_has_to_run_again_is_in_order_and_only_the_last_step_by_default(home):
    ancestry = family(home, "summary")
    assert [maker.task for maker in quanta_of(ancestry, upstream=False)] == ["summary"]
    order = [maker.task for maker in quanta_of(ancestry, upstream=True)]
    assert sorted(order) == sorted(["measure"] * 10 + ["total"] * 2 + ["summary"])
    assert order[-1] == "summary"
    assert order.index("total") >= 5


@pytest.mark.parametrize("upstream", [False, True])
def test_a_product_is_made_again_bit_for_bit_and_nothing_stays(home, upstream):
    before = (
        sorted(path for path in home.path.rglob("*") if "lock" not in path.name),
        home.butler.collections.query("*"),
    )
    result = rerun_product(home, "summary", [], upstream=upstream, progress=False)
    assert result.ok
    assert result.same_code
    assert len(result.products) == (1 + upstream * (2 * 2 + 10))
    files = sorted(path for path in home.path.rglob("*") if "lock" not in path.name)
    made = [path for path in files if path not in before[0] and path.is_file()]
    assert made == []
    assert home.butler.collections.query("*") == before[1]


def test_a_product_that_was_tampered_with_is_named(home):
    ref = find_product(home, "total", {"detector": 0})
    path = Path(home.butler.getURI(ref).ospath)
    path.write_text(path.read_text().replace("total", "tota1"))
    result = rerun_product(home, "total", ["detector=0"], progress=False)
    assert not result.ok
    assert [product.dataset_type for product in result.products if not product.equal] == ["total"]


@pytest.mark.slow
def test_the_recorded_inputs_are_read_and_not_the_newest(home):
    for detector in (0, 1):
        home.put(7.0, "offset", {"instrument": "toy", "detector": detector}, run="toy/offsets/later")
    with home.writing() as butler:
        certify(butler, ["offset"], run="toy/offsets/later", collection="toy/newer")
        butler.collections.redefine_chain("toy/calib", ["toy/newer", "toy/certified"])
    assert rerun_product(home, "measured", ["exposure=2", "detector=0"], progress=False).ok


@pytest.mark.slow
def test_copies_can_be_kept(home):
    result = rerun_product(home, "total", ["detector=0"], keep="again", progress=False)
    assert result.kept == "again"
    assert {ref.run for ref in home.query("total", collections="again")} == {"again"}
    with pytest.raises(InputError, match="a run of this name exists"):
        rerun_product(home, "total", ["detector=0"], keep="again", progress=False)


@pytest.mark.slow
def test_other_code_is_said(home, monkeypatch):
    monkeypatch.setattr(reruns, "code_version", lambda: "0.0+other")
    assert not rerun_product(home, "total", ["detector=0"], progress=False).same_code


@pytest.mark.parametrize(("product", "words", "message"), [
    ("total", ["detector=9"], "no such product"), ("total", [], "2 products of this type"),
    ("nothing", [], "no such product"), ("total", ["detector"], "no part of a data ID"),
    ("total", ["wavelength=3"], "cannot query"), ("0198c0de-0000-7000-8000-000000000000", [], "no such dataset"),
])  # fmt: skip
def test_a_product_that_is_none_or_several_is_refused(home, product, words, message):
    with pytest.raises(InputError, match=message):
        provenance_of(home, product, words)


@pytest.mark.slow
def test_what_no_run_made_cannot_be_made_again(home):
    with pytest.raises(InputError, match="was not made by a run"):
        rerun_product(home, "number", ["exposure=1", "detector=0"], progress=False)


def test_a_dataset_can_be_named_by_its_id(home):
    ref = find_product(home, "total", {"detector": 0})
    assert find_product(home, str(ref.id), {}).id == ref.id


def test_the_command_prints_a_tree_that_fits_and_draws_it(home, tmp_path):
    plot = tmp_path / "family.png"
    done = CliRunner().invoke(main, ["provenance", str(home.path), "summary", "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "10 x measured, by measure" in done.output
    assert max(map(len, done.output.splitlines())) <= 100
    assert plot.read_bytes().startswith(b"\x89PNG")
    done = CliRunner().invoke(main, ["provenance", str(home.path), "summary", "--json"])
    assert len(json.loads(done.output)["makers"]) == 13


@pytest.mark.slow
def test_the_command_says_with_its_status_whether_all_is_the_same(home):
    done = CliRunner().invoke(main, ["rerun", str(home.path), "total", "detector=0"])
    assert done.exit_code == 0, done.output
    assert "2 of 2 products are the same, bit for bit" in done.output
    path = Path(home.butler.getURI(find_product(home, "total", {"detector": 0})).ospath)
    path.write_text(path.read_text().replace("total", "tota1"))
    assert CliRunner().invoke(main, ["rerun", str(home.path), "total", "detector=0"]).exit_code == 1
