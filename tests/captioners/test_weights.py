"""Models: folders, the toy world, a hub cache drawn by the test, half downloads, consent, and the hub's refusals."""

import json
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from captioners import weights
from captioners.base import CaptionerError
from captioners.weights import Published, about, fetch, find

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = ("model.onnx", "*.csv")
PUBLISHED = {"someone/tagger": Published("apache-2.0", 1_260_000_000, FILES)}


def silent(*_) -> None:
    """Nobody watches."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """hub("author/model", [files]) puts a model into an empty cache of its own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(model: str, files: list[str], listed: list[str] = (), revision: str = "main") -> Path:
        place = tmp_path / "hub" / f"models--{model.replace('/', '--')}"
        folder = place / "snapshots" / COMMIT
        (place / "refs").mkdir(parents=True, exist_ok=True)
        (place / "refs" / revision).write_text(COMMIT)
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        if listed:
            (place / "trees").mkdir(exist_ok=True)
            tree = {"format_version": 1, "files": {name: {"size": 1, "blob_id": "0"} for name in listed}}
            (place / "trees" / f"{COMMIT}.json").write_text(json.dumps(tree))
        return folder

    return put


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_a_folder_that_was_typed(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for typed in (str(tmp_path / "mine"), "mine", "./mine"):
        found = find(typed, PUBLISHED)
        assert (found.where, found.folder, found.model, found.here) == ("folder", tmp_path / "mine", typed, True)
    assert fetch(found, False, silent) is found


def test_the_toy_world_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = find("toy/models/sd", {})
    assert found.where == "toy" and (found.folder / "model_index.json").exists()


@pytest.mark.parametrize("typed, said", [("", "no model"), ("nothing here", "no hub name"), ("../x", "nothing at")])
def test_what_is_no_model(typed, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaptionerError, match=said):
        find(typed, PUBLISHED)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(CaptionerError, match="choose the folder"):
        find(str(tmp_path / "model.onnx"), PUBLISHED)


def test_what_was_downloaded_before_is_found_without_a_network(hub):
    folder = hub("someone/tagger", ["model.onnx", "selected_tags.csv"])
    found = find("someone/tagger", PUBLISHED)
    assert (found.where, found.folder, found.missing, found.here) == ("cache", folder, (), True)
    assert fetch(found, False, silent).folder == folder


def test_a_pinned_version_is_the_one_that_counts(hub):
    hub("someone/tagger", ["model.onnx", "selected_tags.csv"])
    pinned = {"someone/tagger": Published("mit", 1, FILES, revision="v2")}
    assert find("someone/tagger", pinned).folder is None
    hub("someone/tagger", [], revision="v2")
    assert find("someone/tagger", pinned).folder is not None
    by_commit = {"someone/tagger": Published("mit", 1, FILES, revision=COMMIT)}
    assert find("someone/tagger", by_commit).here


def test_a_half_download_is_noticed(hub, tmp_path):
    folder = hub("someone/tagger", ["selected_tags.csv"])
    assert find("someone/tagger", PUBLISHED).missing == ("model.onnx",)
    (folder / "model.onnx").symlink_to(tmp_path / "never completed")
    assert find("someone/tagger", PUBLISHED).missing == ("model.onnx",)


def test_a_missing_part_of_a_large_model_is_noticed(hub):
    folder = hub("someone/large", ["model-00001-of-00002.safetensors", "config.json"])
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    published = {"someone/large": Published("mit", 1, ("*.json", "*.safetensors"))}
    assert find("someone/large", published).missing == ("model-00002-of-00002.safetensors",)


def test_what_the_hub_listed_and_is_not_here_is_noticed(hub):
    hub("someone/tagger", ["model.onnx", "a.csv"], listed=["model.onnx", "a.csv", "b.csv", "README.md"])
    assert find("someone/tagger", PUBLISHED).missing == ("b.csv",)


def test_without_consent_size_and_licence_are_said_and_how_to_agree(hub):
    with pytest.raises(CaptionerError, match=r"1\.3 GB, licence apache-2\.0.*run\.download"):
        fetch(find("someone/tagger", PUBLISHED), False, silent)
    hub("someone/tagger", ["selected_tags.csv"])
    with pytest.raises(CaptionerError, match=r"in part \(model\.onnx is missing\).*1\.3 GB.*run\.download"):
        fetch(find("someone/tagger", PUBLISHED), False, silent)


def test_of_a_model_that_is_not_listed_the_hub_is_asked(hub, online, monkeypatch):
    files = [SimpleNamespace(rfilename=name, size=size) for name, size in
             (("model.onnx", 400_000_000), ("tags.csv", 600_000), ("training.pt", 9_000_000_000))]
    info = SimpleNamespace(siblings=files, card_data=SimpleNamespace(license="mit"))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: info)
    assert about(find("other/tagger", PUBLISHED)) == "401 MB, licence mit"


def test_a_hub_that_does_not_answer_leaves_size_and_licence_unknown(hub, online, monkeypatch):
    from httpx2 import ConnectError

    def no_network(*_, **__):
        raise ConnectError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", no_network)
    with pytest.raises(CaptionerError, match="not known"):
        fetch(find("other/tagger", PUBLISHED), False, silent)


def test_with_consent_what_is_missing_is_fetched_and_its_progress_told(hub, online, monkeypatch):
    hub("someone/tagger", ["selected_tags.csv"])
    asked, told = {}, []

    def download(model, *, revision, allow_patterns, tqdm_class):
        asked.update(model=model, revision=revision, patterns=allow_patterns)
        names = ("Downloading bytes", "Reconstructing")
        with tqdm_class(desc=names[0], total=10) as other, tqdm_class(desc=names[1], total=10) as bar:
            other.update(3)
            bar.update(4)
            bar.update(6)
        return str(hub("someone/tagger", ["model.onnx"]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    there = fetch(find("someone/tagger", PUBLISHED), True, lambda *progress: told.append(progress))
    assert there.here and there.where == "cache"
    assert asked == {"model": "someone/tagger", "revision": None, "patterns": list(FILES)}
    assert told == [("download", 4, 10), ("download", 10, 10)]


def test_a_repository_without_the_right_files_is_no_model_of_this_kind(hub, online, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(hub("someone/tagger", ["x.csv"])))
    with pytest.raises(CaptionerError, match=r"no model\.onnx"):
        fetch(find("someone/tagger", PUBLISHED), True, silent)


@pytest.mark.parametrize("kind, said", [
    (errors.GatedRepoError, "HF_TOKEN"),
    (errors.RepositoryNotFoundError, "check the name"),
    (errors.RevisionNotFoundError, "no longer has the version"),
    (errors.LocalEntryNotFoundError, "check the connection"),
])
def test_what_the_hub_refuses_is_said_in_plain_words(kind, said, hub, online, monkeypatch):
    def refuse(*_, **__):
        raise kind.__new__(kind, "said")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(CaptionerError, match=said):
        fetch(find("someone/tagger", PUBLISHED), True, silent)


def test_offline_nothing_is_tried(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CaptionerError, match="HF_HUB_OFFLINE"):
        fetch(find("someone/tagger", PUBLISHED), True, silent)


def test_sizes_for_people():
    assert [weights.size(count) for count in (3, 41_000_000, 1_260_000_000, 17_000_000_000)] == [
        "1 MB", "41 MB", "1.3 GB", "17.0 GB"]
