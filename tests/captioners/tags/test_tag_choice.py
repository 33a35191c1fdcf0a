"""From probabilities to a caption: every option, and tests named after what other programs get wrong."""

import numpy as np
import pytest

from captioners.base import Tag
from captioners.tags.choose import Chooser, choose, limits, mcut
from captioners.tags.labels import Labels
from captioners.tags.options import Tagging
from captioners.tags.probabilities import scores
from settings.errors import SettingsError, check

TAGS = {
    "general": "rating", "sensitive": "rating", "questionable": "rating", "explicit": "rating",
    "1girl": "general", "solo": "general", "long_hair": "general", "hair": "general", "smile": "general",
    ">_<": "general", "unicorn": "general", "\\m/": "general", "hat_(red)": "general",
    "rem_(re:zero)": "character", "ram_(re:zero)": "character", "unicorn_(azur_lane)": "character",
    "re:zero": "copyright", "highres": "meta", "best_quality": "quality", "someone": "artist",
}  # fmt: skip
LABELS = Labels(tuple(TAGS), tuple(TAGS.values()))


def picture(given: dict[str, float]):
    values = np.zeros(len(LABELS), np.float32)
    for name, value in given.items():
        values[LABELS.names.index(name)] = value
    return scores(values, LABELS)


def text(given: dict[str, float], **options) -> str:
    return choose(LABELS, picture(given), Tagging(**options)).text


GIRL = {"general": 0.9, "explicit": 0.1, "1girl": 0.99, "long_hair": 0.8, "hair": 0.7, "smile": 0.5, "solo": 0.95}


@pytest.mark.parametrize("values, cut", [
    ([0.9, 0.85, 0.8, 0.3, 0.25, 0.1], 0.55), ([0.99, 0.5, 0.49, 0.01], 0.745), ([0.4], 0.4), ([], 1.0),
])  # fmt: skip
def test_mcut(values, cut):
    assert mcut(np.array(values)) == pytest.approx(cut)


def test_the_most_probable_first():
    assert text(GIRL) == "1girl, solo, long hair, hair, smile"


@pytest.mark.parametrize("value, there", [(0.35, False), (0.3500001, True)])
def test_not_as_kohya_a_tag_at_the_threshold_is_not_above_it(value, there):
    assert (text({"smile": value}, general_threshold=0.35) == "smile") is there


def test_characters_have_a_threshold_of_their_own():
    given = {"smile": 0.5, "rem_(re:zero)": 0.5}
    assert text(given) == "smile"
    assert text(given, character_threshold=0.4) == "smile, rem (re:zero)"


def test_the_recommended_threshold_of_a_model_counts_where_none_was_chosen():
    options = Tagging()
    assert choose(LABELS, picture({"smile": 0.3}), options).text == ""
    assert choose(LABELS, picture({"smile": 0.3}), options, {"general": 0.25}).text == "smile"
    assert choose(LABELS, picture({"smile": 0.3}), Tagging(general_threshold=0.5), {"general": 0.25}).text == ""
    assert limits(options, {"general": 0.25})["general"] == 0.25


def test_series_and_artists_follow_characters_and_the_rest_is_only_said_when_asked_for():
    given = {"re:zero": 0.9, "someone": 0.9, "highres": 0.99, "best_quality": 0.99}
    assert text(given) == "re:zero, someone"
    assert text(given, meta_threshold=0.5, quality_threshold=0.5, copyright_threshold=1, artist_threshold=0.95) == (
        "highres, best quality"
    )


def test_a_threshold_for_single_tags():
    given = {"smile": 0.5, "hair": 0.5, "long_hair": 0.5}
    assert text(given, tag_thresholds=["smile = 0.6", "hair = 0.1"], general_threshold=0.5) == "hair"
    assert text(given, tag_thresholds=["*hair = 0.6", "/^sm/ = 0.7"]) == ""


def test_mcut_of_each_category():
    given = {"1girl": 0.9, "solo": 0.85, "smile": 0.3, "hair": 0.25, "rem_(re:zero)": 0.4, "ram_(re:zero)": 0.05}
    assert text(given, general_mcut=True) == "1girl, solo"
    assert text(given, character_mcut=True, general_threshold=1) == "rem (re:zero)"
    assert text({"rem_(re:zero)": 0.12}, character_mcut=True) == ""  # never below 0.15
    assert text({"re:zero": 0.3}, other_mcut=True) == "re:zero"
    assert text({"rem_(re:zero)": 0.3}, other_mcut=True) == ""  # that is for the others


def test_mcut_of_what_is_kept_is_that_of_all_probabilities():
    rng = np.random.default_rng(3)
    names = tuple(f"tag{number}" for number in range(400))
    many = Labels(names, ("general",) * len(names))
    for _ in range(50):
        values = (rng.random(len(names)) ** rng.integers(2, 30)).astype(np.float32)
        said = choose(many, scores(values, many), Tagging(general_mcut=True))
        assert {tag.name for tag in said.tags} == {name for name, v in zip(names, values) if v > mcut(values)}


def test_at_most_so_many_the_most_probable_whatever_the_order():
    assert text(GIRL, max_tags=2) == "1girl, solo"
    assert text(GIRL, max_tags=3, order="alphabet") == "1girl, long hair, solo"


@pytest.mark.parametrize("rating, expected", [
    ("off", "smile"), ("first", "general, smile"), ("last", "smile, general"), ("only", "general"),
])  # fmt: skip
def test_the_rating_is_the_most_probable_one(rating, expected):
    said = choose(LABELS, picture({"general": 0.5, "sensitive": 0.3, "smile": 0.9}), Tagging(rating=rating))
    assert said.text == expected
    assert [tag for tag in said.tags if tag.category == "rating"] == [Tag("general", 0.5, "rating")]


def test_a_rating_may_be_too_improbable_or_unwanted():
    given = {"general": 0.4, "smile": 0.9}
    assert text(given, rating="first", rating_threshold=0.5) == "smile"
    assert text(given, rating="first", exclude=["general"]) == "smile"


@pytest.mark.parametrize("rule", ["long hair", "long_hair", "Long Hair", "long*", "/^long/", r"a, long hair, b"])
def test_not_as_kohya_an_undesired_tag_may_be_written_in_either_spelling(rule):
    assert "long" not in text(GIRL, exclude=[rule])
    assert "long" not in text(GIRL, exclude=[rule], underscores="keep")


def test_not_as_lora_scripts_an_excluded_tag_that_is_not_there_is_no_error():
    assert text({"smile": 0.9}, exclude=["hat", "nothing like it"]) == "smile"


def test_not_as_kohya_a_replacement_replaces_that_tag_and_only_that():
    assert text(GIRL, replace=["smile = grin"]) == "1girl, solo, long hair, hair, grin"
    assert text(GIRL, replace=["long hair = very long", "1girl = woman"]) == "woman, solo, very long, hair, smile"


def test_a_replacement_by_several_or_none_or_by_one_that_is_there():
    assert text(GIRL, replace=["smile = happy, grin"]) == "1girl, solo, long hair, hair, happy, grin"
    assert text(GIRL, replace=["smile ="]) == "1girl, solo, long hair, hair"
    assert text(GIRL, replace=["smile = solo"]) == "1girl, solo, long hair, hair"
    assert text(GIRL, replace=[r"/^(\d)girl$/ = \1 woman"]).startswith("1 woman, ")


def test_other_names_are_one_to_every_option():
    assert text(GIRL, alias=["coiffure = hair, long hair"]) == "1girl, solo, coiffure, smile"
    assert text(GIRL, alias=["coiffure = hair, long hair"], exclude=["coiffure"]) == "1girl, solo, smile"


def test_not_as_kohya_every_tag_of_always_first_is_first_in_the_given_order():
    assert text(GIRL, first=["smile, hair"]) == "smile, hair, 1girl, solo, long hair"
    assert text(GIRL, first=["hair", "long_hair"]) == "hair, long hair, 1girl, solo, smile"
    assert text(GIRL, first=["hat"]) == text(GIRL)  # what is not in the picture is not added


def test_not_as_kohya_several_characters_in_front_keep_their_order():
    given = {"smile": 0.99, "rem_(re:zero)": 0.95, "ram_(re:zero)": 0.9}
    assert text(given, characters_first=True) == "rem (re:zero), ram (re:zero), smile"


def test_not_as_kohya_the_series_of_two_characters_is_said_once_and_is_a_tag_of_its_own():
    given = {"rem_(re:zero)": 0.95, "ram_(re:zero)": 0.9}
    assert text(given, expand_characters=True) == "rem, re:zero, ram"
    assert text(given, expand_characters=True, exclude=["re:zero"]) == "rem, ram"
    assert text(given, expand_characters=True, exclude=["rem_(re:zero)"]) == "ram, re:zero"


def test_a_character_whose_name_is_a_general_tag_stays_whole():
    given = {"unicorn_(azur_lane)": 0.95}
    assert text(given, expand_characters=True) == "unicorn (azur lane), azur lane"


def test_implied_tags_and_traits_are_left_out_when_asked_for():
    assert text(GIRL, drop_implied=True) == "1girl, solo, long hair, smile"
    assert text(GIRL, drop_traits=True) == "1girl, solo, smile"


@pytest.mark.parametrize("order, expected", [
    ("score", "smile, solo, >_<, 1girl"), ("list", "1girl, solo, smile, >_<"), ("alphabet", "1girl, >_<, smile, solo"),
    ("booru", "solo, 1girl, smile, >_<"),
])  # fmt: skip
def test_orders(order, expected):
    assert text({"smile": 0.9, "solo": 0.8, ">_<": 0.7, "1girl": 0.6}, order=order) == expected


def test_how_tags_are_written():
    given = {"long_hair": 0.9, ">_<": 0.8, "hat_(red)": 0.7, "\\m/": 0.6}
    assert text(given) == "long hair, >_<, hat (red), \\m/"
    assert text(given, underscores="keep") == "long_hair, >_<, hat_(red), \\m/"
    assert text(given, kaomoji=False) == "long hair, > <, hat (red), \\m/"
    assert text(given, escape=True) == "long hair, >_<, hat \\(red\\), \\\\m/"
    assert text(given, separator=" | ") == "long hair | >_< | hat (red) | \\m/"


def test_tags_have_the_models_own_names():
    said = choose(LABELS, picture({"long_hair": 0.9, "rem_(re:zero)": 0.95}), Tagging())
    names = [(tag.name, tag.category) for tag in said.tags]
    assert names[:2] == [("rem_(re:zero)", "character"), ("long_hair", "general")]


def test_everything_that_is_known_of_a_picture():
    found = Chooser(LABELS, Tagging()).everything(picture({"smile": 0.2, "solo": 0.9}))
    assert [tag.name for tag in found[:2]] == ["solo", "smile"]


@pytest.mark.parametrize("values, where", [
    ({"exclude": ["/(/"]}, "exclude"), ({"replace": ["a"]}, "replace"), ({"alias": ["a=b"]}, "alias"),
    ({"tag_thresholds": ["smile = much"]}, "tag_thresholds"), ({"tag_thresholds": ["smile = 2"]}, "tag_thresholds"),
    ({"general_threshold": 1.5}, "general_threshold"), ({"first": ["/[/"]}, "first"),
])  # fmt: skip
def test_rules_that_cannot_be_read_are_named_before_anything_is_loaded(values, where):
    with pytest.raises(SettingsError) as caught:
        check(Tagging, values)
    assert list(caught.value.problems) == [where]
