from etendue.middleware.repository import Repository
from etendue.middleware.router.checkup import check
from etendue.middleware.router.rules import Rules

RULES = """
sinks:
  replica: {kind: repository, path: replica}
  files: {kind: directory, path: files, layout: "{exposure}_{detector}"}
rules: [{name: numbers, datasets: number, sinks: [replica, files]}]
"""


def checked(routing, **settings):
    home = Repository.open(routing.repository.path, writeable=False)
    return {found.name: found for found in check(home, Rules.read(routing.rules(RULES)), **settings)}


def test_before_the_first_run_everything_is_unseen(routing, replica, files):
    found = checked(routing)
    assert [one.unseen for one in found.values()] == [12, 12]
    assert not any(one.ok for one in found.values())


def test_after_a_run_everything_is_where_it_should_be(routing, replica, files):
    routing.once(RULES)
    found = checked(routing)
    assert all(one.ok for one in found.values())
    assert [one.looked_at for one in found.values()] == [12, 12]


def test_what_is_lost_is_found_and_repaired(routing, replica, files):
    routing.once(RULES)
    other = replica()
    refs = other.query("number", collections="toy/numbers")
    other.butler.pruneDatasets(refs[:1], disassociate=True, unstore=True, purge=True)
    with open(other.butler.getURI(refs[1]).ospath, "w") as stream:  # noqa: PTH123
        stream.write("77")
    (files / "1_0.json").unlink()
    (files / "2_0.json").write_text("88")
    for settings, back in (({}, 0), ({"repair": True}, 2)):
        for found in checked(routing, **settings).values():
            row = found.row()
            assert (row["missing"], row["damaged"], row["ok"], found.put_back) == (1, 1, "no", back)
    routing.once(RULES)
    assert all(one.ok for one in checked(routing).values())


def test_a_sink_that_is_not_there_is_told(routing, replica, files, tmp_path):
    routing.once(RULES)
    (tmp_path / "replica").rename(tmp_path / "away")
    files.rename(tmp_path / "away_too")
    found = checked(routing)
    assert "is not a repository" in found["replica"].down
    assert "no such folder" in found["files"].down
    assert not any(one.ok for one in found.values())
