"""A collection of chosen datasets shows these, and nothing else of the run that made them."""

from etendue.camera.shipped import load_camera
from etendue.middleware.repository import Repository
from etendue.middleware.tagged import tagged


def test_only_what_was_chosen_is_in_the_collection(tmp_path):
    home = Repository.create(tmp_path / "repo")
    home.register_camera(load_camera("simcam"))
    for name in ("wanted", "other"):
        home.register_dataset_type(name, ("instrument",), "EtendueText")
        home.put(name, name, {"instrument": "simcam"}, run="one")
    refs = home.query("wanted", collections="one")
    collection = tagged(home, "simcam/chosen", refs)
    assert collection.startswith("simcam/chosen/")
    assert tagged(home, "simcam/chosen", refs) == collection
    assert home.query("wanted", collections=collection) == refs
    assert home.query("other", collections=collection) == ()
