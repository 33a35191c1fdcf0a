"""What is told of a picture before it is trained."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataset import looks, seen, spelling
from dataset.editor import marks
from dataset.scan import scan
from dataset.seen import Showing
from dataset.seen_command import main
from dataset.settings import Folder
from toy.tokens import build_tokenizer
from trainer.families.configs import tokenizer

ROOT = Path(__file__).resolve().parents[2]
WORDS = "sks dog on a blue background, naive cafe, " + "wonderfully strange words, 12 " * 20


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "2_sks dog"
    made.mkdir()
    ramp = np.mgrid[0:300, 0:700].astype(np.uint8)
    Image.fromarray(np.dstack([ramp[0], ramp[1], ramp[0]])).save(made / "a.png")
    (made / "a.txt").write_text("sks dog, sitting, on grass", encoding="utf-8")
    Image.new("RGB", (90, 60), "red").save(made / "b.png")
    return made


def told(path: Path, **sections):
    settings = seen.showing({"dataset": {"resolution": 256, "bucket_step": 64}} | sections)
    picture = seen.seen(path, settings, scan([Folder(path=str(path.parent))]))
    return picture, seen.told(picture, settings)


def test_the_box_is_what_the_crop_keeps(folder):
    picture, about = told(folder / "a.png")
    assert about["bucket"] == (256, 128) and about["size"] == (700, 300)
    left, top, right, bottom = about["box"]
    assert (right - left) / (bottom - top) == pytest.approx(2, rel=0.01)
    kept = (right - left) * (bottom - top) / (700 * 300)
    assert about["loss"] == pytest.approx(1 - kept, abs=0.01) and about["scale"] == pytest.approx(0.43, abs=0.01)
    assert about["times"] == 20 and about["steps"] == 40 and len(about["turns"]) == 10
    pixels = np.asarray(Image.open(seen_file(picture)))
    original = np.asarray(Image.open(folder / "a.png")).astype(int)
    middle = original[int((top + bottom) / 2), int((left + right) / 2)]
    assert np.abs(pixels[64, 128].astype(int) - middle).max() <= 2


def seen_file(picture, **how):
    return io.BytesIO(seen.crop_png(picture, picture.look(), **how))


def test_a_small_picture_is_enlarged_only_where_that_is_wanted(folder):
    assert told(folder / "b.png")[1]["scale"] <= 1.07  # a strip thinner than a step is brought to it, as in sd-scripts
    _, about = told(folder / "b.png", dataset={"resolution": 256, "upscale": True})
    assert about["scale"] > 2 and about["caption"]["text"] == "sks dog"


@pytest.mark.proves("dataset.flip")
def test_captions_vary_as_they_will_and_the_mirror_too(folder):
    varied = {"shuffle": True, "keep_tokens": 1, "dropout": 0.3}
    _, about = told(folder / "a.png", captions=varied, dataset={"resolution": 256, "flip": True})
    texts = {turn["text"] for turn in about["turns"]}
    assert {turn["flip"] for turn in about["turns"]} == {True, False} and len(texts) >= 2
    assert texts <= {"", "sks dog, sitting, on grass", "sks dog, on grass, sitting"}


def test_the_mask_is_cut_like_the_picture(folder):
    (folder / "masks").mkdir()
    Image.open(folder / "a.png").save(folder / "masks" / "a.png")
    picture, about = told(folder / "a.png")
    assert about["mask"] == "a.png"
    same = np.asarray(Image.open(seen_file(picture, mask=True))) == np.asarray(Image.open(seen_file(picture)))
    assert same.all()


def test_a_picture_that_no_run_shows_says_why(folder, tmp_path):
    settings = Showing()
    other = tmp_path / "elsewhere.png"
    Image.new("RGB", (512, 512)).save(other)
    picture = seen.seen(other, settings, scan([Folder(path=str(folder))]))
    assert picture.item is None and picture.reason and picture.turns == [] and picture.crop.bucket == (512, 512)


def test_a_choice_of_words_that_nobody_draws_from_is_told(folder):
    (folder / "a.txt").write_text("a {red|blue} dog")
    assert told(folder / "a.png")[1]["undrawn"]
    _, about = told(folder / "a.png", captions={"wildcards": True})
    assert not about["undrawn"] and {turn["text"] for turn in about["turns"]} == {"a red dog", "a blue dog"}
    (folder / "a.txt").write_text("a {{red|blue}} dog, {so}")
    assert not told(folder / "a.png")[1]["undrawn"]


def test_a_picture_that_was_excluded_says_by_whom(folder):
    marks.change(folder, ["a.png"], marks.Change(excluded=True, by="by you"))
    picture = seen.seen(folder / "a.png", Showing(), scan([Folder(path=str(folder))]))
    assert picture.item is None and "excluded" in picture.reason and picture.caption == "sks dog, sitting, on grass"


@pytest.mark.parametrize("limit, base, made", [(75, "", tokenizer), (30, "toy/models/sd", build_tokenizer)])
def test_tokens_and_cut_are_those_of_the_models_tokenizer(limit, base, made):
    read, clip = spelling.vocabulary(base), made()
    assert read.limit == limit and read.exact
    spelled = spelling.spelled(WORDS, read)
    ids = clip(WORDS, truncation=True, max_length=clip.model_max_length).input_ids[1:-1]
    assert len(ids) == limit and len(spelled.borders) == len(clip(WORDS).input_ids) - 2
    offsets = [tuple(pair) for pair in clip(WORDS, return_offsets_mapping=True).offset_mapping[1:-1]]
    assert [WORDS[start:end] for start, end in spelled.borders] == [WORDS[start:end].strip() for start, end in offsets]
    assert WORDS[: spelled.cut].rstrip() == WORDS[: offsets[limit][0]].rstrip()


@pytest.mark.parametrize("length", [75, 150, 225])
def test_as_many_tokens_are_read_as_the_run_reads(folder, length):
    (folder / "a.txt").write_text(" ".join(["dog"] * 200))
    about = told(folder / "a.png", captions={"length": length}, model={"base": ""})[1]
    assert about["limit"] == length and len(about["caption"]["borders"]) == 200
    assert about["caption"]["cut"] == (length * len("dog ") if length < 200 else None)
    toy = told(folder / "a.png", captions={"length": length}, model={"base": "toy/models/sd"})[1]
    assert toy["limit"] == 30 * length // 75, "its encoder is shorter, and reads as many pieces"


def test_brackets_that_are_weights_are_no_tokens(folder):
    caption = r"a (red:1.3) dog \(big\), ((sks)"
    (folder / "a.txt").write_text(caption)
    plain, weighted = (told(folder / "a.png", captions={"weighted": on}, model={"base": ""})[1]["caption"]
                       for on in (False, True))
    assert plain["text"] == weighted["text"] == caption
    pieces = [caption[start:end] for start, end in weighted["borders"]]
    assert pieces == ["a", "red", "dog", "(", "big", "),", "sks"] and len(plain["borders"]) > len(pieces)


def test_a_single_file_or_a_hub_name_reads_with_clip(tmp_path):
    for base in ("someone/some-model", str(tmp_path / "x.safetensors"), str(tmp_path)):
        assert spelling.vocabulary(base) == spelling.Vocabulary()


def test_the_command_shows_it_and_writes_the_crop(folder, tmp_path, capsys):
    config = tmp_path / "run.toml"
    config.write_text(
        f'name = "x"\n[model]\nbase = "toy/models/sd"\nfamily = "sd15"\n[dataset]\nresolution = 256\nflip = true\n'
        f'[[dataset.folders]]\npath = {json.dumps(str(folder))}\nrepeats = ""\n[lora.denoiser]\nrank = 4\n'
        '[run]\nepochs = 1\nmax_steps = ""\nbatch_size = 2\n'
    )
    crop = tmp_path / "crop.png"
    assert main([str(folder / "a.png"), "--config", str(config), "--output", str(crop)]) == 0
    said = capsys.readouterr().out
    wanted = ("trained as 256 x 128", "half of the time", "step 2, epoch 1", "of 30 tokens")
    assert [part for part in wanted if part not in said] == []
    assert Image.open(crop).size == (256, 128)
    assert main([str(folder / "a.png"), "--output", str(crop)]) == 2  # never over a file
    assert main([str(folder / "none.png")]) == 2
    (folder / "broken.png").write_bytes(b"no picture")
    assert main([str(folder / "broken.png")]) == 1
    assert main([str(folder / "a.png"), "--config", str(folder / "a.txt")]) == 2
    capsys.readouterr()
    assert main([str(folder / "a.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["times"] == 20


def test_launch_knows_it(folder):
    command = [sys.executable, "-m", "dataset.command", "see", str(folder / "a.png")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and "shown 20 times in 40 steps" in result.stdout


def test_a_showing_is_written_as_it_will_be_seen(folder, tmp_path, capsys):
    (tmp_path / "run.toml").write_text(
        f"[dataset]\nfolders = ['{folder}']\nresolution = 256\nmore_resolutions = [128]\ncrop = 'random'\n"
        "colour_jitter = 0.4\nmasked_loss = 'files'\nflip = true\n", encoding="utf-8")
    (folder / "masks").mkdir()
    Image.open(folder / "a.png").save(folder / "masks" / "a.png")
    command = [str(folder / "a.png"), "--config", str(tmp_path / "run.toml")]
    assert main([*command, "--showing", "3", "--output", str(tmp_path / "out.png")]) == 0
    told = capsys.readouterr().out
    assert "trained as 256 x 128 and 128 x 64" in told and "hue " in told and "anywhere else in each showing" in told
    assert "mask: a.png (only what is white in it is learnt)" in told
    settings = seen.showing({"dataset": {"folders": [str(folder)], "resolution": 256, "more_resolutions": [128],
                                         "crop": "random", "colour_jitter": 0.4, "flip": True}})
    look = seen.seen(folder / "a.png", settings, scan(settings.dataset.folders)).look(2)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), looks.pixels(folder / "a.png", look))
    assert main([*command, "--showing", "11"]) == 2 and "must be 1 to 10" in capsys.readouterr().err
