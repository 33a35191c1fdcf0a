"""The drawn world: the same numbers give the same pictures, and captions say what is on them."""

import numpy as np
import pytest
from PIL import Image

from toy.draw import (
    CHARACTER,
    COLOURS,
    DEMO_FOLDER,
    GROUNDS,
    THINGS,
    Scene,
    character_picture,
    contact_sheet,
    draw,
    draw_jumble,
    draw_scene,
    vocabulary,
    write_demo,
)
from toy.measure import see
from toy.score import character_score


def pixels(image):
    return np.asarray(image, dtype=int)


def test_a_picture_depends_on_seed_and_index_alone():
    first, scene = draw(5, 17)
    draw(5, 18)
    again, same = draw(5, 17)
    assert scene == same and (pixels(first) == pixels(again)).all()
    assert any((pixels(first) != pixels(draw(6, 17)[0])).ravel())


def test_captions_say_what_is_drawn():
    wrong = []
    for index in range(120):
        image, scene = draw(31, index)
        seen = see(image)
        assert seen.ground == scene.ground and seen.thing == scene.thing, scene.caption
        assert scene.second or seen.colour == scene.colour, scene.caption
        wrong += [scene.caption] if seen.colour not in (scene.colour, scene.second) else []
    assert len(wrong) <= 2, wrong  # a dark stripe on a dark thing may outvote both


def test_the_whole_world_is_drawn():
    scenes = [draw(8, index)[1] for index in range(400)]
    assert {scene.thing for scene in scenes} == set(THINGS)
    assert {scene.colour for scene in scenes} == set(COLOURS)
    assert {scene.ground for scene in scenes} == set(GROUNDS)
    assert 0.15 < np.mean([bool(scene.second) for scene in scenes]) < 0.35
    assert not [scene for scene in scenes if scene.ground in (scene.colour, scene.second)]


def test_captions_and_tags_read_well():
    plain = Scene("star", "orange", "blue")
    assert plain.caption == "an orange star on a blue background"
    assert plain.tags == ["star", "orange", "blue background"]
    mixed = Scene("ball", "red", "orange", "white", "stripes")
    assert mixed.caption == "a red and white ball on an orange background"
    assert mixed.tags == ["ball", "red", "white", "orange background"]
    assert set(plain.tags) | set(mixed.tags) <= set(vocabulary())


@pytest.mark.parametrize("pattern", ["half", "band", "stripes", "trim"])
def test_a_second_colour_shows(pattern):
    image = draw_scene(Scene("flower", "red", "white", "blue", pattern), np.random.default_rng(1))
    blue = (pixels(image)[:, :, 2] > 150) & (pixels(image)[:, :, 0] < 100)
    assert blue.sum() > 30


def test_a_size_may_be_any_and_need_not_be_square():
    assert draw(1, 1, 128)[0].size == (128, 128)
    image = draw_scene(Scene("box", "red", "white"), np.random.default_rng(0), (96, 160))
    assert image.size == (96, 160) and see(image).ground == "white"
    assert draw_jumble(1, 1, 32).size == (32, 32)


def test_the_base_never_sees_the_character_or_its_words():
    captions = " ".join(draw(9, index)[1].caption for index in range(200))
    assert not set(CHARACTER.split()) & set(captions.split())
    assert character_score([draw(9, index)[0] for index in range(100)]) < 0.02


def test_demo_pictures_are_what_the_command_draws(tmp_path):
    written = write_demo(tmp_path)
    committed = sorted(DEMO_FOLDER.glob("*.png"))
    assert [path.name for path in committed] == [path.name for path in written] and 16 <= len(written) <= 24
    for old, new in zip(committed, written):
        difference = np.abs(pixels(Image.open(old)) - pixels(Image.open(new)))
        assert difference.mean() < 0.1, old.name  # rounding of an edge may differ between machines
        caption = old.with_suffix(".txt").read_text(encoding="utf-8")
        assert caption == new.with_suffix(".txt").read_text(encoding="utf-8")
        assert caption.startswith(f"{CHARACTER} on a") and see(Image.open(old)).ground in caption
    assert len({Image.open(path).size for path in committed}) > 3


def test_character_pictures_differ_in_pose_and_ground():
    first, second = (character_picture(1, index) for index in (0, 8))
    assert first[1] == second[1] and (pixels(first[0]) != pixels(second[0])).any()
    assert character_picture(1, 0, ground="orange")[1] == f"{CHARACTER} on an orange background"


def test_a_contact_sheet_holds_every_picture():
    sheet = contact_sheet([Image.new("RGB", (30, 60), "red")] * 9, columns=4, cell=50)
    assert sheet.size == (200, 150) and sheet.getpixel((12, 125)) == (255, 0, 0)
