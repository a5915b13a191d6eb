import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsst.daf.butler import Butler, CollectionType, DatasetRef
from lsst.daf.butler.time_utils import TimeConverter

from etendue.errors import InputError
from etendue.middleware.repository import Repository
from etendue.middleware.router.rules import Rule
from etendue.middleware.router.scanner import Scanner, nanoseconds, now_ns


def rule(datasets="number", **settings):
    return Rule(name="r", datasets=datasets, sinks="s", **settings)


@pytest.fixture(scope="module")
def scanner(filled_folder):
    return Scanner(Repository.open(filled_folder, writeable=False))


@pytest.fixture
def fresh(toy_repository):
    scanner = Scanner(Repository.open(toy_repository.path, writeable=False))
    yield scanner
    scanner.close()


def found(scanner, *arguments, **settings):
    return {(event.run, *event.data_id.values()) for event in scanner.find(rule(*arguments, **settings))}


def test_everything_in_runs_is_found_with_its_data_id(scanner):
    events = list(scanner.find(rule()))
    assert len(events) == 12
    assert events[0].data_id.keys() == {"instrument", "exposure", "detector"}
    assert events[0].implied["band"] == "none"


def test_types_expressions_and_collections_narrow_it(scanner):
    assert len(found(scanner, "*")) == 17
    assert len(found(scanner, "off?et")) == 4
    assert len(found(scanner, where="exposure < 3 AND detector = 1")) == 2
    assert found(scanner, "*", collections="toy/lab*") == {("toy/labels", "toy")}
    assert found(scanner, "nothing") == set()
    assert found(scanner, collections="nowhere/*") == set()
    assert found(scanner, collections=["not/yet", "toy/numbers"]) == found(scanner)


def test_chains_tags_and_validity_ranges_are_searched_too(toy_repository, fresh):
    assert found(fresh, "offset", collections="toy/calib") == found(fresh, "offset")
    with toy_repository.writing() as butler:
        butler.collections.register("chosen", CollectionType.TAGGED)
        butler.registry.associate("chosen", toy_repository.query("number", collections="toy/numbers")[:3])
    assert len(found(fresh, collections="chosen")) == 3


def test_what_other_tools_register_is_found(toy_repository, fresh):
    fresh.changed()
    assert fresh.changed() is False
    begin = now_ns()
    Butler.from_config(toy_repository.root, run="stock/run", writeable=True).put(
        5, "number", instrument="toy", exposure=1, detector=0
    )
    assert fresh.changed() is True
    [event] = fresh.find(rule(), begin)
    assert (event.run, event.data_id) == ("stock/run", {"instrument": "toy", "exposure": 1, "detector": 0})


def test_a_dataset_that_is_written_anew_under_its_old_id_is_another_revision(toy_repository, fresh):
    [before] = fresh.find(rule("label"))
    [ref] = toy_repository.query("label", collections="toy/labels")
    with toy_repository.writing(run="toy/labels") as butler:
        butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
        butler.put("another", DatasetRef(ref.datasetType, ref.dataId, run=ref.run, id=ref.id))
    [after] = fresh.find(rule("label"), before.revision)
    assert after.dataset_id == before.dataset_id
    assert after.key != before.key


@pytest.mark.parametrize("where", ["exposur < 3", "exposure <", "exposure < 'a'"])
def test_a_wrong_expression_is_one_line_that_names_the_rule(where, scanner):
    with pytest.raises(InputError, match=r"rule r: cannot query number: .*correct 'where'") as error:
        list(scanner.find(rule(where=where)))
    assert "\n" not in str(error.value)


def test_a_repository_of_plain_butler_code_is_read(tmp_path):
    Butler.makeRepo(str(tmp_path / "plain"))
    scanner = Scanner(Repository.open(tmp_path / "plain", writeable=False))
    assert list(scanner.find(rule("*"))) == []


@given(st.integers(10**18, 3 * 10**18))
def test_times_are_those_of_rubins_converter(ns):
    assert nanoseconds(TimeConverter().nsec_to_astropy(ns)) == ns
