"""Every check finds what it is for, in a set drawn for it, and nothing in a good set."""

import json
import unicodedata

import pytest
from PIL import Image, ImageFilter, ImageOps

from dataset import tokens
from dataset.doctor.check import Aim
from dataset.doctor.examine import examine
from dataset.reading import Reader
from dataset.settings import DatasetSettings
from tests.dataset.doctor.test_hashes import drawn, recompressed

SETTINGS = DatasetSettings(resolution=128, bucket_step=64)


@pytest.fixture
def good(tmp_path):
    """Six different pictures with different captions, larger than the resolution."""
    folder = tmp_path / "4_sks dog"
    folder.mkdir()
    for index in range(6):
        add(folder, f"{index}.png", drawn(index, (256, 256)), f"sks dog, place {index}")
    return folder


def add(folder, name, image, caption=None, **how):
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **how)
    if caption is not None:
        (folder / name).with_suffix(".txt").write_text(caption, encoding="utf-8")


def found(folder, trigger="sks dog", settings=SETTINGS):
    """{finding's name: finding}, and that all of it can be told."""
    examination = examine(folder, settings, Aim(trigger))
    json.dumps(examination.as_dict())
    for finding in examination.findings:
        assert finding.title and finding.effect.endswith(".") and finding.fix.endswith(".")
    return {finding.name: finding for finding in examination.findings}


def names(finding):
    return [tuple(path.name for path in case.paths) for case in finding.cases]


def test_nothing_is_said_of_a_good_set(good):
    assert set(found(good, trigger="sks")) == {"captions.common"}  # all have the tag "sks dog"
    assert found(good) == {}


def test_nothing_is_changed(good):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in good.iterdir()}
    found(good)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in good.iterdir()} == before


@pytest.mark.parametrize("folder", ["empty", "none"])
def test_a_folder_without_pictures_is_serious(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    told = found(tmp_path / folder)
    assert told["files.empty"].severity == told["files.left_out"].severity == "serious"


def test_broken_files_are_left_out_by_name(good):
    whole = (good / "0.png").read_bytes()
    jpeg = good / "big.jpg"
    Image.effect_noise((300, 300), 60).convert("RGB").save(jpeg)
    data = bytearray(jpeg.read_bytes())
    (good / "cut.png").write_bytes(whole[: len(whole) // 2])
    (good / "cut.jpg").write_bytes(data[: len(data) // 2])
    (good / "middle.png").write_bytes(whole[: len(whole) // 2] + b"\0" * 40 + whole[len(whole) // 2 + 40 :])
    (good / "nothing.jpg").write_bytes(b"")
    (good / "text.jpg").write_text("not a picture")
    (good / "phone.heic").write_bytes(b"x")
    Image.new("1", (8000, 6000)).save(good / "vast.png")
    finding = found(good)["files.left_out"]
    assert finding.severity == "serious"
    assert {name for (name,) in names(finding)} == {"cut.png", "cut.jpg", "middle.png", "nothing.jpg", "text.jpg",
                                                    "phone.heic", "vast.png"}


def test_files(good):
    add(good, "tiny.png", drawn(10, (60, 90)), "sks dog, tiny")
    add(good, "huge.jpg", drawn(11, (4000, 3100)), "sks dog, huge")
    first, second = drawn(12, (200, 200)), drawn(13, (200, 200))
    add(good, "moving.gif", first, "sks dog, moving", save_all=True, append_images=[second])
    exif = Image.Exif()
    exif[274] = 6
    add(good, "turned.jpg", drawn(14, (300, 200)), "sks dog, turned", exif=exif)
    see_through = drawn(15, (200, 200)).convert("RGBA")
    see_through.putpixel((3, 3), (0, 0, 0, 0))
    add(good, "glass.png", see_through, "sks dog, glass")
    add(good, "opaque.png", drawn(16, (200, 200)).convert("RGBA"), "sks dog, opaque")
    add(good, "jpeg.png", drawn(17, (200, 200)), "sks dog, jpeg", format="JPEG")
    told = found(good)
    assert {name: names(told[name]) for name in told if name.startswith("files.")} == {
        "files.tiny": [("tiny.png",)], "files.huge": [("huge.jpg",)], "files.animated": [("moving.gif",)],
        "files.turned": [("turned.jpg",)], "files.transparent": [("glass.png",)], "files.misnamed": [("jpeg.png",)],
    }


def test_equal_names_share_a_caption(good):
    add(good, "0.jpg", drawn(20, (256, 256)))
    accented = unicodedata.normalize("NFD", "é")
    add(good, "é.png", drawn(21, (256, 256)), "sks dog, x")
    if not (good / f"{accented}.png").exists():
        add(good, f"{accented}.jpg", drawn(22, (256, 256)), "sks dog, y")
    finding = found(good)["files.same_name"]
    assert finding.severity == "serious" and ("0.jpg", "0.png") in names(finding)


def test_captions(good):
    (good / "0.txt").write_bytes(b"")
    (good / "1.txt").write_text("sks dog, one\nsecond line")
    (good / "2.txt").write_bytes("sks dog, Käse".encode("cp1252"))
    (good / "3.txt").write_text("sks doggy, three")
    (good / "4.txt").write_text("a SKS Dog, " + "very " * 80 + "long")
    (good / "5.txt").unlink()
    told = found(good)
    assert names(told["captions.empty"]) == [("0.txt",)]
    assert names(told["captions.lines"]) == [("1.txt",)]
    assert names(told["captions.encoding"]) == [("2.txt",)]
    assert names(told["captions.trigger"]) == [("3.png",)]
    assert names(told["captions.long"]) == [("4.png",)]
    assert names(told["captions.folder_words"]) == [("0.png",), ("5.png",)]
    assert "captions.missing" not in told  # the folder's words stand in


def test_pictures_without_any_words_are_serious(tmp_path):
    add(tmp_path / "x", "a.png", drawn(1, (256, 256)))
    finding = found(tmp_path / "x")["captions.missing"]
    assert finding.severity == "serious" and names(finding) == [("a.png",)]


def test_without_a_trigger_none_is_missed(good):
    (good / "0.txt").write_text("a cat")
    assert "captions.trigger" not in found(good, trigger="")


def test_long_captions_say_where_they_end(good):
    (good / "0.txt").write_text("sks dog " + "one two three " * 30)
    (good / "1.txt").write_text("sks dog " + "one two three " * 60)
    finding = found(good)["captions.long"]
    assert names(finding) == [("1.png",), ("0.png",)]  # the longest first
    assert finding.cases[1].detail.startswith(f"{tokens.count('sks dog ' + 'one two three ' * 30)} tokens; not seen: ")
    assert "1 is over 150" in finding.effect


@pytest.mark.parametrize(("reader", "long", "advice"), [
    (Reader("clip", 150), ["1.png"], "at 225"), (Reader("clip", 225), [], ""),
    (Reader("t5", 100), ["1.png"], "Shorten them, or"), (Reader("t5", 512), [], ""),
])  # fmt: skip
def test_long_is_what_the_run_does_not_read(good, reader, long, advice):
    (good / "0.txt").write_text("sks dog " + "one two three " * 30)
    (good / "1.txt").write_text("sks dog " + "one two three " * 60)
    told = {finding.name: finding for finding in examine(good, SETTINGS, Aim(reader=reader)).findings}
    finding = told.get("captions.long")
    assert ([name for (name,) in names(finding)] if finding else []) == long
    assert not long or (advice in finding.fix and f"more than {reader.limit}" in finding.title)


def test_common_tags(good):
    for index in range(6):
        (good / f"{index}.txt").write_text(f"sks dog, Red hair, place {index}" + ", park" * (index < 4))
    finding = found(good)["captions.common"]
    assert [case.detail for case in finding.cases] == ['"red hair" in 6 of 6']


def test_duplicates_are_grouped_and_the_best_is_kept(good):
    image = Image.blend(drawn(30, (400, 300)), Image.effect_noise((400, 300), 90).convert("RGB"), 0.2)
    add(good, "x large.png", image, "sks dog, x")
    add(good, "x small.png", image.resize((280, 210)), "sks dog, x small")
    add(good, "x poor.jpg", recompressed(image).filter(ImageFilter.GaussianBlur(1)), "sks dog, x poor")
    told = found(good)
    (case,) = told["duplicates.near"].cases
    assert case.keep == case.paths[0] == good / "x large.png"
    assert {path.name for path in case.paths[1:]} == {"x small.png", "x poor.jpg"}
    assert "280 x 210" in case.detail and "duplicates.exact" not in told and "duplicates.mirrored" not in told


def test_the_same_pixels_are_exact_whatever_else_is_in_the_file(good):
    add(good, "copy.bmp", Image.open(good / "0.png"))
    told = found(good)
    (case,) = told["duplicates.exact"].cases
    assert case.keep == good / "0.png"  # which has the caption
    assert names(told["duplicates.exact"]) == [("0.png", "copy.bmp")] and "duplicates.near" not in told


def test_mirrored_pictures_are_told_apart_from_copies(good):
    mirrored = ImageOps.mirror(drawn(2, (256, 256)))
    add(good, "mirror.png", mirrored, "sks dog, mirror")
    add(good, "mirror2.jpg", recompressed(mirrored), "sks dog, mirror two")
    told = found(good)
    assert {tuple(sorted(group)) for group in names(told["duplicates.near"])} == {("mirror.png", "mirror2.jpg")}
    (group,) = names(told["duplicates.mirrored"])
    assert "2.png" in group and len(group) == 2


def test_copies_of_a_symmetrical_picture_are_told_once(good):
    half = drawn(31, (128, 256))
    whole = Image.new("RGB", (256, 256))
    whole.paste(half, (0, 0))
    whole.paste(ImageOps.mirror(half), (128, 0))
    add(good, "s.png", whole, "sks dog, s")
    add(good, "s2.jpg", recompressed(whole), "sks dog, s2")
    told = found(good)
    assert ("duplicates.near" in told) != ("duplicates.mirrored" in told)


def test_quality_is_ranked_within_the_set(good):
    for index in range(6):  # the same detail everywhere, so that a blurred one falls behind
        noisy = Image.blend(drawn(index, (256, 256)), Image.effect_noise((256, 256), 90).convert("RGB"), 0.3)
        add(good, f"{index}.png", noisy)
    add(good, "blurred.png", drawn(40, (256, 256)).filter(ImageFilter.GaussianBlur(3)), "sks dog, blurred")
    add(good, "darker.png", drawn(41, (256, 256)).point(lambda value: value // 12), "sks dog, darker")
    add(good, "dark.png", drawn(42, (256, 256)).point(lambda value: value // 6), "sks dog, dark")
    add(good, "white.png", drawn(43, (256, 256)).point(lambda value: 250 + value // 64), "sks dog, white")
    add(good, "strip.png", drawn(44, (800, 200)), "sks dog, strip")
    boxed = Image.new("RGB", (256, 256))
    boxed.paste(drawn(45, (256, 200)), (0, 28))
    add(good, "boxed.png", boxed, "sks dog, boxed")
    add(good, "blank.png", Image.new("RGB", (256, 256), "teal"), "sks dog, blank")
    told = found(good)
    assert names(told["quality.dark"]) == [("darker.png",), ("dark.png",)]
    assert names(told["quality.bright"]) == [("white.png",)]
    assert names(told["quality.odd"]) == [("strip.png",)]
    assert names(told["quality.letterboxed"]) == [("boxed.png",)]
    assert names(told["quality.plain"])[0] == ("blank.png",)
    assert ("blurred.png",) in names(told["quality.blurry"]) and ("0.png",) not in names(told["quality.blurry"])


def test_sizes(good):
    add(good, "wide.png", drawn(50, (300, 120)), "sks dog, wide")
    add(good, "small.png", drawn(51, (110, 110)), "sks dog, small")
    told = found(good.rename(good.with_name("1_sks dog")))
    assert names(told["sizes.small"]) == [("small.png",)]
    assert "1.16 times" in told["sizes.small"].cases[0].detail
    assert ("small.png",) in names(told["sizes.cropped"])  # 64 x 64 of 110 x 110
    assert ("small.png",) in names(told["sizes.lonely"])


def test_without_buckets_much_is_cut_off(good):
    add(good, "wide.png", drawn(50, (400, 200)), "sks dog, wide")
    told = found(good, settings=SETTINGS.model_copy(update={"buckets": False}))
    assert names(told["sizes.cropped"]) == [("wide.png",)]
    assert told["sizes.cropped"].cases[0].detail.startswith("50%") and "sizes.lonely" not in told


def test_regularisation_of_a_prepared_folder_is_examined_too(tmp_path):
    for index in range(3):
        add_to(tmp_path / "img" / "4_sks dog", f"{index}.png", drawn(index, (256, 256)))
    add_to(tmp_path / "reg" / "1_dog", "r.png", drawn(1, (256, 256)))
    examination = examine(tmp_path, SETTINGS)
    assert [item.regularisation for item in examination.subject.items] == [False, False, False, True]
    (case,) = next(one for one in examination.findings if one.name == "duplicates.exact").cases
    assert "regularisation" in case.detail
    assert examination.as_dict()["pictures"][3]["path"] == "reg/1_dog/r.png"


def add_to(folder, name, image):
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / name)


def test_progress_is_told_for_every_picture(good):
    (good / "cut.png").write_bytes((good / "0.png").read_bytes()[:-200] + b"IEND")
    told = []
    examine(good, SETTINGS, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] and len(told) == told[-1][1]
