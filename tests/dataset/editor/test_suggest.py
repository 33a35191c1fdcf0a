"""What a half-typed tag may become: the data set's own first, then those of lists, whatever their form."""

import random
import time

import pytest
from test_table import Album

from dataset.editor import suggest
from dataset.editor.suggest import Tag, TagList, TagListError, read, suggestions

DANBOORU = """1girl,0,6008644,"1girls,sole_female"
long_hair,0,4350743,"/lh,longhair"
hatsune_miku,4,100000,"初音ミク,miku"
very_long_hair,0,90000,
lo,,,
"comma, inside",0,5,
touhou,3,800000,"""


@pytest.fixture
def danbooru(tmp_path):
    path = tmp_path / "danbooru.csv"
    path.write_text(DANBOORU, encoding="utf-8")
    return read(path)


def tags(prefix, album=None, lists=(), **more):
    return [one.tag for one in suggestions(prefix, album, lists, **more)]


def test_a_list_as_other_programs_complete_from(danbooru):
    by_name = {tag.name: tag for tag in danbooru.tags}
    assert by_name["long_hair"] == Tag("long_hair", "general", 4350743, ("lh", "longhair"))
    assert by_name["touhou"].category == "copyright" and by_name["lo"] == Tag("lo") and "comma, inside" in by_name
    assert danbooru.categories["hatsune miku"] == "character"


def test_a_taggers_own_list(tmp_path):
    path = tmp_path / "selected_tags.csv"
    path.write_text("tag_id,name,category,count\n9999,general,9,7\n470575,1girl,0,4225150\n", encoding="utf-8-sig")
    assert read(path).tags == [Tag("1girl", "general", 4225150), Tag("general", "rating", 7)]


def test_a_plain_list(tmp_path):
    path = tmp_path / "tags.txt"
    path.write_text("sks dog\n\n red hat \n" + "x" * 300 + "\n")
    assert [tag.name for tag in read(path).tags] == ["sks dog", "red hat"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"tag_id,name\n", b"\0\0\0\0", b",,,\n"])
def test_a_file_without_tags_is_no_list(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(TagListError, match="no tags in a.csv"):
        read(path)


def test_anything_is_a_list_or_refused_in_words(tmp_path):
    dice = random.Random(2)
    for suffix in (".csv", ".txt"):
        path = tmp_path / f"x{suffix}"
        for _ in range(200):
            path.write_bytes(bytes(dice.choices(b'a,"\n\r\0;\xff\xc3 1_', k=dice.randint(0, 60))))
            try:
                assert read(path).tags
            except TagListError as error:
                assert str(error)
    with pytest.raises(TagListError, match="can't be read"):
        read(tmp_path / "missing.csv")


def test_own_tags_come_first_then_those_of_lists_each_once(danbooru):
    album = Album("very long hair, hair", "hair, Long Skirt", "lonely")
    found = suggestions("lo", album, [danbooru])
    assert [one.tag for one in found] == ["lonely", "Long Skirt", "very long hair", "long_hair", "lo"]
    assert [one.own for one in found] == [True, True, True, False, False]
    assert found[2].category == "general"


def test_the_rest_of_a_tag_and_other_names_are_found(danbooru):
    assert tags("hair", None, [danbooru]) == ["long_hair", "very_long_hair"]
    assert tags("LONGH", None, [danbooru]) == ["long_hair"] and suggestions("lh", None, [danbooru])[0].alias == "lh"
    assert tags("初", None, [danbooru]) == ["hatsune_miku"] and tags("long_h", None, [danbooru])[0] == "long_hair"
    assert tags("voc", Album("miku (vocaloid)")) == ["miku (vocaloid)"] and tags("girls", None, [danbooru]) == []


def test_nothing_typed_is_nothing_suggested(danbooru):
    assert suggestions("  ", Album("a"), [danbooru]) == [] and tags("zzz", Album("a"), [danbooru]) == []


def test_only_so_many(danbooru):
    assert len(tags("a", Album(", ".join(f"a{n}" for n in range(50))), [danbooru], most=7)) == 7


def test_what_is_suggested_begins_so_and_is_the_most_frequent_of_all():
    dice = random.Random(4)
    names = {"".join(dice.choices("abc _", k=dice.randint(1, 5))).strip() for _ in range(400)} - {""}
    listed = [Tag(name, "", dice.randint(1, 10**6)) for name in sorted(names)]
    pool = TagList(listed)
    for _ in range(100):
        wanted = suggest.key("".join(dice.choices("abc", k=dice.randint(1, 3))))
        best = sorted((tag for tag in listed if suggest.key(tag.name).startswith(wanted)), key=lambda tag: -tag.count)
        keys = list(dict.fromkeys(suggest.key(tag.name) for tag in best))[:5]
        assert [suggest.key(one) for one in tags(wanted, None, [pool], most=5)][: len(keys)] == keys


def test_a_long_list_answers_while_a_person_types():
    dice = random.Random(6)
    names = ("_".join("".join(dice.choices("abcdefgh", k=4)) for _ in range(2)) for _ in range(40_000))
    pool = TagList(Tag(name, "general", dice.randint(0, 10**6)) for name in names)
    suggestions("a", None, [pool])  # the first time it is put in order
    before = time.thread_time()
    for prefix in ("a", "ab", "abc", "h", "zz"):
        suggestions(prefix, None, [pool])
    assert time.thread_time() - before < 0.5
