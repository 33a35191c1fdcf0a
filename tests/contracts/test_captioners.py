"""What every captioner must do, whatever kind of model it has: the promises of captioners/base.py, one by one.

A captioner takes part by being there. `tiny_NAME` in a module tests/captioners/tiny_*.py makes its tiny model; without
one its toy model is taken; without that either only its description is looked at.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from captioners import captioners
from captioners.base import Captioner, Picture, Place, Said
from captioners.config import CaptionConfig
from captioners.run import run
from captioners.weights import HUB_NAME, ROOT
from dataset import pictures
from jobs.events import read_events
from jobs.folder import create
from settings import toml
from settings.errors import check
from settings.section import Section, section_help, settings
from tests.captioners import hostile
from tests.captioners.tiny import TINY
from toy.draw import draw

PICTURES = 3


@dataclass
class Loaded:
    captioner: Captioner
    section: Section
    told: list[tuple[str, int, int]]  # what was said of the progress


def section_for(name: str, folder: Path) -> Section:
    """Settings with a model that is quick to run; skips the test where there is none."""
    kind = captioners()[name]
    if maker := TINY.get(name):
        folder.mkdir(parents=True, exist_ok=True)
        return maker(folder)
    toy = ROOT / "toy" / "models" / name
    if "model" in kind.settings.model_fields and toy.is_dir():
        return kind.settings(model=str(toy))
    pytest.skip(f"there is no tests/captioners/tiny_*.py with tiny_{name}, and no toy model of it")


def loaded_with(name: str, section: Section) -> Loaded:
    kind, told = captioners()[name], []
    weights = kind.weights(section)
    assert weights is None or weights.here
    captioner = kind(section, Place(threads=1, seed=3))
    captioner.load(weights, lambda *progress: told.append(progress))
    return Loaded(captioner, section, told)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> dict[str, Section]:
    """Each captioner's settings; made when they are asked for first."""
    folder = tmp_path_factory.mktemp("tiny")

    class Made(dict):
        def __missing__(self, name: str) -> Section:
            self[name] = section_for(name, folder / name)
            return self[name]

    return Made()


@pytest.fixture(scope="module", params=captioners())
def loaded(request, tiny) -> Iterator[Loaded]:
    made = loaded_with(request.param, tiny[request.param])
    with closing(made.captioner):
        yield made


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Pictures of the toy world, each of another size."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(PICTURES)]
    for number, path in enumerate(paths):
        draw(5, number)[0].resize((64 + 16 * number, 64)).save(path)
    return paths


def seen(path: Path) -> Picture:
    return Picture(path, pictures.read(path), f"existing {path.stem}", "dog, cat", "a dog")


def said(captioner: Captioner, paths: list[Path], attempt: int = 0) -> list[Said]:
    return captioner.say([captioner.prepare(seen(path)) for path in paths], attempt)


@pytest.mark.parametrize("name", captioners())
def test_it_describes_itself(name):
    kind = captioners()[name]
    assert kind.name == name == kind.__module__.rpartition(".")[2], "flag, table and file have the same name"
    assert kind.label and kind.says in ("tags", "caption") and kind.batch_size >= 1
    assert section_help(kind.settings), "what it is good for"
    for setting in settings(kind.settings):
        assert setting.help and len(setting.help) <= 400, setting.path


@pytest.mark.parametrize("name", captioners())
def test_its_models_are_told_with_size_and_licence(name):
    kind = captioners()[name]
    for model, published in kind.published.items():
        assert HUB_NAME.fullmatch(model)
        assert published.licence and published.bytes > 1_000_000 and published.files, model
    if kind.published:
        model = kind.settings.model_fields["model"]
        assert model.get_default() in kind.published
        assert any(getattr(rule, "kind", "") == "model" for rule in model.metadata)


@pytest.mark.parametrize("name", captioners())
def test_its_settings_are_kept_in_a_file(name):
    config = check(CaptionConfig, {"captioners": [name]})
    assert getattr(check(CaptionConfig, toml.loads(CaptionConfig, toml.dumps(config))), name) == getattr(config, name)


def test_it_loads_and_tells_how_far_it_is(loaded):
    for what, done, total in loaded.told:
        assert isinstance(what, str) and 0 <= done <= max(done, total)
    assert all(isinstance(note, str) for note in loaded.captioner.notes)


def test_it_says_one_line_about_each_picture(loaded, files):
    answers = said(loaded.captioner, files)
    assert len(answers) == len(files)
    for answer in answers:
        assert isinstance(answer, Said) and isinstance(answer.raw, str)
        assert answer.text == " ".join(answer.text.split()), "one line, and no space too many"


def test_tags_have_names_and_probabilities(loaded, files):
    if loaded.captioner.says != "tags":
        pytest.skip("it says sentences")
    for answer in said(loaded.captioner, files):
        for tag in answer.tags:
            assert tag.name and tag.category and 0 <= float(tag.score) <= 1


def test_what_it_says_of_a_picture_does_not_depend_on_the_batch(loaded, files):
    together = [answer.text for answer in said(loaded.captioner, files)]
    alone = [said(loaded.captioner, [path])[0].text for path in files]
    turned = [answer.text for answer in said(loaded.captioner, files[::-1])][::-1]
    assert together == alone == turned


def test_asked_again_it_says_the_same(loaded, files):
    first = [answer.text for answer in said(loaded.captioner, files, 1)]
    assert [answer.text for answer in said(loaded.captioner, files, 1)] == first


def test_pictures_can_be_prepared_in_threads(loaded, files):
    captioner = loaded.captioner
    with ThreadPoolExecutor(4) as threads:
        ready = list(threads.map(captioner.prepare, [seen(path) for path in files * 4]))
    texts = [captioner.say([one])[0].text for one in ready]
    assert texts == [answer.text for answer in said(captioner, files)] * 4


def test_it_lets_go_also_without_having_loaded_and_takes_nothing_from_another(loaded, files):
    before = said(loaded.captioner, files[:1])
    unused = type(loaded.captioner)(loaded.section, Place())
    unused.close()
    unused.close()
    assert said(loaded.captioner, files[:1]) == before


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("name", captioners())
def test_hostile_pictures_are_described_or_named(name, tiny, tmp_path, workspace):
    section, folder = tiny[name], tmp_path / "hostile"
    folder.mkdir()
    odd, broken = hostile.odd(folder), hostile.broken(folder)
    for path in odd:
        path.with_suffix(".txt").write_text("there already")
    values: dict[str, Any] = {
        "captioners": [name], name: section.model_dump(), "source": {"folders": [str(folder)]},
        "write": {"mode": "append"}, "run": {"device": "cpu", "workers": 2},
    }  # fmt: skip
    job = create("captions", "hostile", toml.dumps(check(CaptionConfig, values)), ["python"])
    run(job.folder)
    events, _ = read_events(job.events_path)
    assert job.state() == "finished"
    told = {Path(event["picture"]): event for event in events if event["kind"] in ("caption", "problem")}
    problems = {path for path, event in told.items() if event["kind"] == "problem"}
    assert broken <= problems and set(told) == odd | broken
    assert all(told[path]["reason"] and told[path]["fix"] for path in problems)
    silent = {path.name: told[path]["reason"] for path in problems & odd if path.name not in hostile.STRIPS}
    assert all("answer" in why or "nothing was said" in why for why in silent.values()), silent
    for path in odd:
        assert path.with_suffix(".txt").read_text(encoding="utf-8").startswith("there already"), path

