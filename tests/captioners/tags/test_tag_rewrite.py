"""Spellings of tags, rules about them, and what kohya_ss gets wrong with them."""

import pytest

from captioners.tags import rewrite
from captioners.tags.rewrite import RuleError, expanded, implied, is_trait, items, key, pairs, rule, rules, spaced


@pytest.mark.parametrize("name, parts", [
    ("jeanne_d'arc_alter_(avenger)_(fate)", ["jeanne_d'arc_alter_(avenger)", "fate"]),
    (";)", [";)"]),
    (":)", [":)"]),
    ("puru-see_(hoshizuki_(seigetsu))", ["puru-see", "hoshizuki_(seigetsu)"]),
    ("hatsune_miku", ["hatsune_miku"]),
    ("(fate)", ["(fate)"]),
    ("name_()", ["name_()"]),
    ("a)_b)", ["a)_b)"]),
])  # fmt: skip
def test_a_character_and_its_series(name, parts):
    assert expanded(name) == parts


@pytest.mark.parametrize("face", sorted(rewrite.KAOMOJI))
def test_faces_keep_their_underscores(face):
    assert spaced(face) == face


def test_not_as_kohya_a_long_face_keeps_its_underscore():
    assert spaced("<o>_<o>") == "<o>_<o>" and spaced("<|>_<|>") == "<|>_<|>"
    assert spaced("a_b") == "a b"  # a short tag that is no face


def test_there_are_nineteen_faces_and_one_that_newer_lists_have():
    assert len(rewrite.KAOMOJI) in (19, 20)


@pytest.mark.parametrize("text", ["rem_(re:zero)", r"\m/", r"\||/", "plain", r"a\(b", "((", ""])
def test_escaping_can_be_undone(text):
    assert rewrite.unescaped(rewrite.escaped(text)) == text


def test_escaping_is_for_brackets_and_backslashes():
    assert rewrite.escaped(r"rem_(re:zero)\m/") == r"rem_\(re:zero\)\\m/"


def test_spellings_of_the_same_tag():
    assert key("Long_Hair") == key("long hair") == key(" long  hair ")
    assert key(r"rem \(re:zero\)") == key("rem_(re:zero)")
    assert key(r"\m/") != key("m/")


@pytest.mark.parametrize("text, name, expected", [
    ("long hair", "long_hair", True),
    ("LONG_HAIR", "long_hair", True),
    ("hair", "long_hair", False),
    ("*hair", "long_hair", True),
    ("* hair", "long_hair", True),
    ("*_hair", "hair", False),
    ("?girl", "1girl", True),
    ("?girl", "10girl", False),
    (r"\?", "?", True),
    (r"\?", "!", False),
    ("?", "!", True),
    (r"\*", "*", True),
    ("/^long/", "long_hair", True),
    ("/long hair/", "long_hair", True),
    ("/hair$/", "hair_bow", False),
    ("[x]", "x", False),
    ("[x]*", "[x]y", True),
    (">_<", ">_<", True),
    (r"\m/", r"\m/", True),
    ("don't_say_\"lazy\"", "don't_say_\"lazy\"", True),
])  # fmt: skip
def test_rules(text, name, expected):
    assert rule(text).matches(name) is expected


def test_rules_of_a_line_have_commas_between_and_a_tag_may_have_one():
    assert items(r"a, b c ,, d\,e") == ["a", "b c", "d,e"]
    assert items("/a{1,2}/") == ["/a{1,2}/"]
    assert [one.text for one in rules(["a, b", "/c,d/"])] == ["a", "b", "/c,d/"]


def test_a_broken_regular_expression_is_named():
    with pytest.raises(RuleError, match="no regular expression"):
        rule("/(/")


def test_pairs_have_a_sign_with_spaces_so_that_faces_may_be_renamed():
    found = pairs(["old = new", "=_= = tired, sad", "gone ="])
    assert [(old.text, new) for old, new in found] == [("old", "new"), ("=_=", "tired, sad"), ("gone", "")]
    for wrong in ("old", "a=b", " = b"):
        with pytest.raises(RuleError, match="old = new"):
            pairs([wrong])


def test_groups_of_a_regular_expression_are_put_into_the_new_name():
    (old, new), = pairs([r"/^(.*)_hair$/ = \1 fur"])
    assert old.renamed("long_hair", new) == "long fur"


def test_implied_tags_are_those_that_others_end_with():
    assert implied(["hair", "long_hair", "very_long_hair", "hair_bow", "1girl"]) == {"hair", "long_hair"}
    assert implied(["chair", "hair"]) == set()


def test_traits_are_the_body_and_not_the_clothes():
    traits = ["long_hair", "blue_eyes", "cat_ears", "ahoge", "twintails", "hair_between_eyes", "fox tail", "tail"]
    others = ["hair_ornament", "smile", "closed_mouth", "school_uniform", "detached_wings_prop", "chair", "1girl"]
    assert all(map(is_trait, traits)) and not any(map(is_trait, others))
