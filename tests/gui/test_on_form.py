"""Other rooms read captions as the training form says."""

import pytest

from gui import on_form


def at(window, **sections):
    window.drafts.save("train", sections)
    return on_form.reader(window)


@pytest.mark.parametrize(("sections", "name"), [
    ({}, "clip-75"),
    ({"model": {"family": "sdxl"}, "captions": {"length": 225}}, "clip-225"),
    ({"model": {"family": "sdxl"}, "captions": {"length": 80}}, "clip-75"),
    ({"model": {"family": "flux"}, "captions": {"length": 225}}, "t5-512"),
    ({"model": {"family": "sana"}}, "gemma-300"),
    ({"model": {"family": "none such"}}, "clip-75"),
])  # fmt: skip
def test_family_and_length(window, sections, name):
    assert at(window, **sections).name == name


def test_weights_are_those_of_the_form(window):
    assert at(window, captions={"weighted": True}).weighted and not at(window, captions={"weighted": "x"}).weighted
    assert not at(window, model={"family": "flux"}, captions={"weighted": True}).weighted


def test_the_tag_editor_follows_it_as_it_changes(window, page, tmp_path):
    def ask(what, **values):
        return page.post(f"/api/tags/{what}", json=values).json()

    window.drafts.save("train", {"captions": {"length": 150}})
    opened = ask("open", path=str(tmp_path))
    assert opened["limits"][0] == {"name": "train", "label": "CLIP, 150 tokens, as in LoRA training"}
    words = {"album": opened["key"], "text": "a cat " * 300}
    assert [ask("words", limit=limit, **words)["limit"] for limit in ("", "train", "clip-75")] == [150, 150, 75]
    window.drafts.save("train", {"model": {"family": "flux"}})
    assert ask("changes", album=opened["key"])["reads"] == "T5, 512 tokens, as in LoRA training"
    assert ask("words", limit="train", **words)["reads"] == "T5, 512 tokens"
    (truncate,) = (edit for edit in ask("edits")["edits"] if edit["name"] == "truncate")
    assert {field["name"]: field["default"] for field in truncate["fields"]} == {"tokens": 512, "encoder": "t5"}
