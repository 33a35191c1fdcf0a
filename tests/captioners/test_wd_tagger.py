"""The WD tagger with real onnxruntime and tiny models in every form in which taggers are published."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioners import wd_tagger
from captioners.asking import Asker
from captioners.base import CaptionerError, Picture, Place
from captioners.tags import pixels
from captioners.tags.options import Tagging
from captioners.tags.probabilities import ProbabilityCache, identity, scores
from captioners.wd_tagger import WdTagger, providers, recommended, retagged
from captioners.weights import find
from dataset import pictures
from tests.captioners.tiny_wd_tagger import TAGS, Form, write

COLOURS = {"red": (230, 10, 10), "green": (10, 230, 10), "blue": (10, 10, 230)}
SAID = {"red": "apple (toy world), red, >_<", "green": "green, >_<", "blue": "sky (toy world), blue thing, >_<"}
FORMS = {
    "dynamic": Form(), "fixed at 1": Form(batch=1), "fixed at 4": Form(batch=4), "channels first": Form(layout="NCHW"),
    "cl_tagger": Form(layout="NCHW", labels="json", logits=True), "logits": Form(logits=True),
    "half precision": Form(half=True), "any size": Form(size="side"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three plain pictures."""
    made = tmp_path / "pictures"
    made.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (20, 20), colour).save(made / f"{name}.png")
    return made


def options(model: Path, **more) -> Tagging:
    return Tagging(model=str(model), **{"character_threshold": 0.8, "general_threshold": 0.5} | more)


def loaded(chosen: Tagging, place: Place = Place()) -> WdTagger:  # noqa: B008  frozen
    tagger = WdTagger(chosen, place)
    tagger.load(find(chosen.model, WdTagger.published), lambda *_: None)
    return tagger


def asked(tagger: WdTagger, paths: list[Path]):
    return tagger.say([tagger.prepare(Picture(path, pictures.read(path))) for path in paths])


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_export_says_the_same(tmp_path, folder, form):
    tagger = loaded(options(write(tmp_path / "model", form)))
    paths = [folder / f"{name}.png" for name in SAID]
    assert [said.text for said in asked(tagger, paths)] == list(SAID.values())
    assert tagger.notes == []
    tagger.close()


@pytest.mark.parametrize("batch", [1, 4, "batch"])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_a_last_batch_that_is_not_full(tmp_path, folder, batch, count):
    tagger = loaded(options(write(tmp_path / "model", Form(batch=batch)), keep=False))
    names = [list(SAID)[number % 3] for number in range(count)]
    said = asked(tagger, [folder / f"{name}.png" for name in names])
    assert [one.text for one in said] == [SAID[name] for name in names]


def test_numbers_are_those_of_the_model(tmp_path, folder):
    tagger = loaded(options(write(tmp_path / "model"), keep=False))
    said, = asked(tagger, [folder / "red.png"])
    colour = np.array([10, 10, 230]) / 255
    for tag in said.tags:
        row = next(one for one in TAGS if one[0] == tag.name)
        assert tag.score == pytest.approx(1 / (1 + np.exp(-(colour @ row[3] + row[4]))), abs=1e-5)


def test_a_model_in_a_folder_inside_the_chosen_one(tmp_path, folder):
    write(tmp_path / "model" / "cl_tagger_1_02", FORMS["cl_tagger"])
    assert asked(loaded(options(tmp_path / "model")), [folder / "red.png"])[0].text == SAID["red"]


# --- what may be wrong with a model -----------------------------------------------------------------------------------


def test_a_list_of_another_model_is_refused(tmp_path):
    model = write(tmp_path / "model")
    listed = model / "selected_tags.csv"
    listed.write_text(listed.read_text("utf-8") + "99,one_more,0,1\n", encoding="utf-8")
    with pytest.raises(CaptionerError, match="do not belong together"):
        loaded(options(model))


def test_a_half_download_is_refused(tmp_path):
    model = write(tmp_path / "model")
    whole = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CaptionerError, match="download it again"):
        loaded(options(model))


def test_a_folder_without_a_model_or_without_a_list_is_refused(tmp_path):
    model = write(tmp_path / "model")
    (model / "selected_tags.csv").unlink()
    with pytest.raises(CaptionerError, match="the names of the tags"):
        loaded(options(model))
    (model / "model.onnx").unlink()
    with pytest.raises(CaptionerError, match="no .onnx file"):
        loaded(options(model))


def test_a_model_that_is_no_tagger_is_refused(tmp_path):
    from toy.onnx_file import Node, Port, onnx_file

    model = write(tmp_path / "model")
    content = onnx_file([Node("Sigmoid", ["x"], "y")], {}, (Port("x", ["n", 5]), Port("y", ["n", 5])))
    (model / "model.onnx").write_bytes(content)
    with pytest.raises(CaptionerError, match="no tagger"):
        loaded(options(model))


# --- providers --------------------------------------------------------------------------------------------------------


def test_falling_back_to_the_cpu_is_said_aloud(tmp_path):
    tagger = loaded(options(write(tmp_path / "model")), Place("cuda"))
    assert any("computes on the CPU" in note and "onnxruntime-gpu" in note for note in tagger.notes)
    chosen = loaded(options(write(tmp_path / "model"), provider="directml"))
    assert any("DmlExecutionProvider" in note for note in chosen.notes)


def test_a_provider_that_is_there_and_does_not_start_is_said_aloud(tmp_path):
    tagger = WdTagger(options(write(tmp_path / "model")), Place("cuda"))
    tagger._tell_fallback(["CPUExecutionProvider"], ["CUDAExecutionProvider", "CPUExecutionProvider"], "1.31")
    assert "did not start" in tagger.notes[0]


def test_two_onnxruntimes_that_overwrite_each_other_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(wd_tagger, "installed", lambda package: True)
    assert "overwrite each other" in loaded(options(write(tmp_path / "model"))).notes[0]


def test_not_as_kohya_the_cpu_is_always_asked_for_too():
    every = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers("auto", "cuda:1", every) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers("auto", "cpu", every) == ["CPUExecutionProvider"]
    assert providers("coreml", "cpu", every) == ["CPUExecutionProvider"]
    assert providers("auto", "cuda", ["DmlExecutionProvider", "CPUExecutionProvider"])[0] == "DmlExecutionProvider"


def test_not_as_comfyui_the_session_is_made_once(tmp_path, folder):
    tagger = loaded(options(write(tmp_path / "model"), keep=False))
    session = tagger.session
    for _ in range(3):
        asked(tagger, [folder / "red.png"])
    assert tagger.session is session


def test_every_core_runs_the_model_on_its_share(tmp_path, folder):
    paths = [folder / f"{name}.png" for name in list(SAID) * 3][:7]
    said = {}
    for threads in (1, 3):
        tagger = loaded(options(write(tmp_path / f"model{threads}"), keep=False), Place(threads=threads))
        sizes, real = [], tagger._run
        tagger._run = lambda part, sizes=sizes, real=real: (sizes.append(len(part)), real(part))[1]
        said[threads] = asked(tagger, paths)
        assert sorted(sizes) == {1: [7], 3: [1, 3, 3]}[threads]
    assert said[1] == said[3]


def test_too_little_memory_halves_the_batch(tmp_path, folder):
    tagger = loaded(options(write(tmp_path / "model"), keep=False), Place(threads=1))
    real, sizes = tagger.session, []

    class Small:
        def get_inputs(self):
            return real.get_inputs()

        def run(self, outputs, feed):
            sizes.append(len(feed["input"]))
            if sizes[-1] > 2:
                raise RuntimeError("Failed to allocate memory for requested buffer of size 123")
            return real.run(outputs, feed)

    tagger.session = Small()
    warnings: list[str] = []
    asker = Asker(tagger, 8, warnings.append)
    paths = [folder / f"{name}.png" for name in list(SAID) * 3][:8]
    prepared = [tagger.prepare(Picture(path, pictures.read(path))) for path in paths]
    assert [said.text for said in asker.answers(prepared)] == [SAID[path.stem] for path in paths]
    assert sizes == [8, 4, 2, 2, 2, 2] and len(warnings) == 2


# --- probabilities that are kept --------------------------------------------------------------------------------------


def test_a_picture_that_was_seen_is_not_computed_again_and_said_the_same(tmp_path, folder):
    chosen = options(write(tmp_path / "model"))
    first = loaded(chosen)
    paths = sorted(folder.glob("*.png"))
    before = asked(first, paths)
    first.close()
    again = loaded(chosen)
    again.session = None  # would fail if it were asked
    assert asked(again, paths) == before
    again.close()


def test_a_moved_threshold_shows_what_a_run_would_write(tmp_path, folder):
    model = write(tmp_path / "model")
    paths = sorted(folder.glob("*.png"))
    asked(loaded(options(model)), paths)
    for more in ({"general_threshold": 0.9}, {"general_threshold": 0.0, "rating": "first"}, {"general_mcut": True},
                 {"character_threshold": 0.0, "expand_characters": True}):
        shown = retagged(options(model, **more), paths)
        run = asked(loaded(options(model, keep=False, **more)), paths)
        assert [shown[path] for path in paths] == run


def test_what_was_not_seen_is_not_known(tmp_path, folder):
    model = write(tmp_path / "model")
    paths = sorted(folder.glob("*.png"))
    asked(loaded(options(model)), paths[:1])
    shown = retagged(options(model), [*paths, folder / "gone.png"])
    assert [one is not None for one in shown.values()] == [True, False, False, False]
    assert retagged(options(write(tmp_path / "other", Form(batch=1))), paths)[paths[0]] is None  # of another model
    assert retagged(Tagging(), paths) == dict.fromkeys(paths)  # of a model that is not on this machine


def test_a_changed_picture_is_not_known(tmp_path, folder):
    model = write(tmp_path / "model")
    asked(loaded(options(model)), [folder / "red.png"])
    Image.new("RGB", (21, 20), "blue").save(folder / "red.png")
    assert retagged(options(model), [folder / "red.png"]) == {folder / "red.png": None}


def test_nothing_is_kept_where_that_is_not_wanted(tmp_path, folder):
    model = write(tmp_path / "model")
    asked(loaded(options(model, keep=False)), [folder / "red.png"])
    assert not wd_tagger.cache_folder().exists()


def test_every_tag_of_a_picture_whatever_the_thresholds(tmp_path, folder):
    model = write(tmp_path / "model")
    asked(loaded(options(model)), [folder / "red.png"])
    found = wd_tagger.every_tag(options(model, general_threshold=1.0), folder / "red.png")
    assert [tag.name for tag in found][:2] == ["apple_(toy_world)", "red"] or found[0].name == "general"
    assert wd_tagger.every_tag(options(model), folder / "blue.png") is None


def test_how_sure_it_was_of_one_tag(tmp_path, folder):
    model = write(tmp_path / "model")
    asked(loaded(options(model)), [folder / "red.png"])
    best, *_ = wd_tagger.every_tag(options(model), folder / "red.png")
    paths = [folder / "red.png", folder / "blue.png"]
    assert wd_tagger.scores_of(options(model), paths, best.name) == {folder / "red.png": pytest.approx(best.score)}
    assert wd_tagger.scores_of(options(model), paths, best.name.replace("_", " ").upper()).keys() == {paths[0]}
    assert wd_tagger.scores_of(options(model), paths, "no such tag") == {}
    assert wd_tagger.scores_of(Tagging(), paths, best.name) == {}
    assert wd_tagger.labels_file(options(model)) == model / "selected_tags.csv"
    assert wd_tagger.labels_file(Tagging()) is None


def test_two_thousand_pictures_are_tagged_anew_within_a_second(tmp_path, workspace):
    model = write(tmp_path / "model")
    names = ["tag_id,name,category,count", *(f"{n},tag_{n},{4 if n > 8000 else 0},1" for n in range(10_861))]
    (model / "selected_tags.csv").write_text("\n".join(names) + "\n", encoding="utf-8")
    paths = [tmp_path / f"{number}.png" for number in range(2000)]
    for number, path in enumerate(paths):
        path.write_bytes(str(number).encode())
    listed = wd_tagger.lists.read(model / "selected_tags.csv")
    rng = np.random.default_rng(0)
    values = np.where(rng.random(len(listed)) < 0.015, rng.random(len(listed)), 0.001).astype(np.float32)
    cache = ProbabilityCache(wd_tagger.cache_folder())
    key = identity([model / "model.onnx", model / "selected_tags.csv"], pixels.VERSION)
    digests = cache.digests(paths)
    cache.put(key, dict.fromkeys(digests.values(), scores(values, listed)))
    cache.close()
    began = time.process_time()
    shown = retagged(Tagging(model=str(model), general_threshold=0.8, exclude=["/^x/", "y*"]), paths)
    assert time.process_time() - began < 1
    assert all(said and said.text for said in shown.values())


def test_the_window_needs_no_onnxruntime_to_move_a_threshold(tmp_path, folder):
    model = write(tmp_path / "model")
    asked(loaded(options(model)), [folder / "red.png"])
    program = (
        "import sys; from pathlib import Path; from captioners.wd_tagger import Tagging, retagged\n"
        f"said = retagged(Tagging(model={str(model)!r}), [Path({str(folder / 'red.png')!r})])\n"
        "print(*(one.text for one in said.values())); print({'onnxruntime', 'torch'} & set(sys.modules))"
    )
    root = Path(wd_tagger.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "apple (toy world), red, >_<\nset()\n"


# --- recommended thresholds -------------------------------------------------------------------------------------------


def test_each_published_model_has_its_own_recommended_threshold(tmp_path):
    assert recommended("SmilingWolf/wd-eva02-large-tagger-v3", None) == {"general": 0.5296}
    assert recommended("/models/wd-vit-tagger-v3", tmp_path) == {"general": 0.2614}
    assert recommended("somebody/model", None) == {}
    (tmp_path / "thresholds.json").write_text('{"general": 0.2, "character": 0.6}', encoding="utf-8")
    assert recommended("somebody/model", tmp_path) == {"general": 0.2, "character": 0.6}
    assert wd_tagger.limits(Tagging(model="SmilingWolf/wd-vit-tagger-v3"))["general"] == 0.2614


@pytest.mark.parametrize("content", ["", "[]", '{"general": "much"}'])
def test_thresholds_that_cannot_be_read_are_named(tmp_path, content):
    (tmp_path / "thresholds.json").write_text(content, encoding="utf-8")
    with pytest.raises(CaptionerError, match="thresholds.json"):
        recommended("x/y", tmp_path)
