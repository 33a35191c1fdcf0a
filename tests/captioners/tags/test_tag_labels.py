"""Lists of tags as they are published, and broken ones."""

import json

import pytest

from captioners.base import CaptionerError
from captioners.tags import labels

HEADER = "tag_id,name,category,count\n"


def test_a_csv_with_quotes_and_backslashes(tmp_path):
    path = tmp_path / "selected_tags.csv"
    path.write_text(HEADER + '9,general,9,1\n1,"don\'t_say_""lazy""",4,1\n2,\\m/,0,1\n3,>_<,0,1\n', encoding="utf-8")
    found = labels.read(path)
    assert found.names == ("general", 'don\'t_say_"lazy"', "\\m/", ">_<")
    assert found.categories == ("rating", "character", "general", "general")


def test_not_as_kohya_categories_are_told_by_their_column_and_not_by_their_place(tmp_path):
    path = tmp_path / "selected_tags.csv"
    path.write_text(HEADER + "1,rem,4,1\n2,smile,0,1\n9,general,9,1\n3,hat,0,1\n", encoding="utf-8")
    found = labels.read(path)
    assert {kind: places.tolist() for kind, places in found.places.items()} == {
        "character": [0], "general": [1, 3], "rating": [2]}  # fmt: skip


@pytest.mark.parametrize("content", [
    {"1": {"tag": "b", "category": "Character"}, "0": {"tag": "a", "category": "General"}},
    [{"tag": "a", "category": "General"}, {"tag": "b", "category": "Character"}],
    {"idx_to_tag": {"0": "a", "1": "b"}, "tag_to_category": {"a": "General", "b": "Character"}},
])  # fmt: skip
def test_json_labels_in_all_their_forms(tmp_path, content):
    path = tmp_path / "tag_mapping.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert labels.read(path) == labels.Labels(("a", "b"), ("general", "character"))


@pytest.mark.parametrize("name, content", [
    ("selected_tags.csv", ""), ("selected_tags.csv", HEADER), ("selected_tags.csv", "name\na\n"),
    ("selected_tags.csv", "<html>gone</html>\nyes\n"), ("tag_mapping.json", '{"0": {"tag": "a"'),
    ("tag_mapping.json", '{"0": {"tag": "a", "category": "x"}, "2": {"tag": "b", "category": "x"}}'),
    ("tag_mapping.json", "[1]"), ("tag_mapping.json", "null"), ("tag_mapping.json", '{"a": {}}'),
])  # fmt: skip
def test_what_is_no_list_is_said_with_its_path(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CaptionerError, match="download"):
        labels.read(path)


def test_a_changed_list_is_read_again(tmp_path):
    path = tmp_path / "selected_tags.csv"
    path.write_text(HEADER + "1,a,0,1\n", encoding="utf-8")
    first = labels.read(path)
    assert labels.read(path) is first
    path.write_text(HEADER + "1,other,0,1\n", encoding="utf-8")
    assert labels.read(path).names == ("other",)
