"""The plan counts what the trainer then does."""

import itertools
import math
from pathlib import Path

import pytest

from dataset.scan import Dataset, Item, scan
from dataset.turns import lay_out
from settings.errors import SettingsError
from tests.trainer.conftest import draw
from trainer import command
from trainer.batches import Batches
from trainer.plan import plan


def item(number: int, size: tuple[int, int] = (64, 64), repeats: int = 1, regularisation: bool = False) -> Item:
    return Item(Path(f"{number}.png"), *size, f"picture {number}", repeats, "folder", regularisation)


def dataset(*items: Item) -> Dataset:
    return Dataset(list(items), [])


def walk(config, data):
    """Every sample of every step of the run, as the trainer would see it, by process."""
    planned = plan(config, data)
    batches = Batches(config, planned, lay_out(config.dataset, data.items), data.items)
    return planned, [
        [batches.of_step(step, process) for process in range(planned.processes)] for step in range(planned.total_steps)
    ]


CASES = list(itertools.product([1, 2, 5], [1, 3], [1, 2], [1, 2]))


@pytest.mark.parametrize("batch, accumulation, processes, epochs", CASES)
@pytest.mark.proves("run.epochs", "run.batch_size", "run.gradient_accumulation", "accelerate.processes")
def test_steps_planned_are_steps_run(configure, batch, accumulation, processes, epochs):
    data = dataset(
        *(
            item(n, size, repeats)
            for n, (size, repeats) in enumerate(
                [((64, 64), 3), ((64, 64), 2), ((96, 64), 1), ((128, 64), 4), ((64, 128), 1)]
            )
        )
    )
    config = configure(
        run={"batch_size": batch, "gradient_accumulation": accumulation, "epochs": epochs},
        accelerate={"processes": processes},
    )
    planned, steps = walk(config, data)
    seen = [sample for step in steps for process in step for samples in process for sample in samples if sample.weight]
    assert len(seen) == epochs * sum(item.repeats for item in data.items)
    for one in data.items:
        assert sum(sample.item == one for sample in seen) == one.repeats * epochs
    # sd-scripts: epochs * ceil(batches / processes / accumulation), with a last partial batch in every bucket
    buckets = {}
    for entry in lay_out(config.dataset, data.items):
        buckets[entry.crop.bucket] = buckets.get(entry.crop.bucket, 0) + entry.repeats
    batches = sum(math.ceil(count / batch) for count in buckets.values())
    assert planned.total_steps == len(steps) == epochs * math.ceil(batches / processes / accumulation)
    assert all(len(step) == processes and len({len(process) for process in step}) == 1 for step in steps)


def test_a_batch_is_of_one_bucket_and_places_count_through_the_step(configure):
    data = dataset(*(item(n, size, 3) for n, size in enumerate([(64, 64), (96, 64), (64, 96), (64, 64)])))
    config = configure(run={"batch_size": 2, "gradient_accumulation": 3}, accelerate={"processes": 2})
    planned, steps = walk(config, data)
    batches = Batches(config, planned, lay_out(config.dataset, data.items), data.items)
    for number, step in enumerate(steps):
        assert all(len({sample.crop.bucket for sample in samples}) == 1 for process in step for samples in process)
        places = [sample.place for process in step for samples in process for sample in samples if sample.weight]
        assert sorted(places) == list(range(batches.size_of_step(number)))


@pytest.mark.proves("run.seed")
def test_epochs_differ_and_repeat_with_the_seed(configure):
    data = dataset(*(item(n) for n in range(12)))
    orders = {}
    for seed in (1, 2):
        config = configure(run={"epochs": 2, "seed": seed})
        _, steps = walk(config, data)
        names = [samples[0].item.path.name for step in steps for process in step for samples in process]
        assert sorted(names[:12]) == sorted(names[12:]) and names[:12] != names[12:]
        assert names == [s[0].item.path.name for step in walk(config, data)[1] for process in step for s in process]
        orders[seed] = names
    assert orders[1] != orders[2]


@pytest.mark.parametrize("training, regularisation, used", [(6, 4, 6), (6, 6, 6), (3, 10, 3), (6, 0, 0), (7, 3, 7)])
def test_regularisation_pictures_are_shown_as_often_as_training_pictures(configure, training, regularisation, used):
    items = [item(n) for n in range(training)] + [item(100 + n, regularisation=True) for n in range(regularisation)]
    planned = plan(configure(), dataset(*items))
    assert (planned.repeated, planned.regularisation_repeated) == (training, used)
    counts = [entry.repeats for entry in lay_out(configure().dataset, items) if items[entry.item].regularisation]
    assert not counts or max(counts) - min(counts) <= 1


@pytest.mark.proves("prior.weight", "dataset.folders.regularisation")
def test_regularisation_counts_with_its_weight(configure):
    data = dataset(item(0), item(1, regularisation=True))
    _, steps = walk(configure(prior={"weight": 0.25}), data)
    weights = {
        s.item.regularisation: s.weight for step in steps for process in step for samples in process for s in samples
    }
    assert weights == {False: 1.0, True: 0.25}


@pytest.mark.proves("run.max_steps")
def test_max_steps_stand_instead_of_epochs(configure):
    planned = plan(configure(run={"max_steps": 17}), dataset(*(item(n) for n in range(5))))
    assert (planned.total_steps, planned.steps_per_epoch, planned.epochs) == (17, 5, 4)


@pytest.mark.proves("save.every_epochs", "save.every_steps", "preview.every_epochs")
def test_saves_and_samples(configure):
    data = dataset(*(item(n) for n in range(5)))
    config = configure(
        run={"epochs": 4}, save={"every_epochs": 2, "every_steps": 7}, preview={"prompts": ["sks"], "every_epochs": 1}
    )
    planned = plan(config, data)
    assert planned.saves == (7, 10, 14)  # the end is the finished file, no checkpoint
    assert planned.samples == (0, 5, 10, 15, 20)
    assert plan(configure(run={"epochs": 4}), data).samples == ()


def test_the_sentence_says_the_sum(configure):
    planned = plan(configure(run={"epochs": 8, "batch_size": 2}), dataset(*(item(n, repeats=10) for n in range(36))))
    assert planned.sentence == "36 pictures x 10 repeats x 8 epochs / batch 2 = 1,440 steps"


def test_what_is_wrong_is_said_before_anything_is_loaded(configure, tmp_path):
    with pytest.raises(SettingsError) as wrong:
        plan(configure(model={"base": str(tmp_path / "nothing.safetensors")}, dataset={"folders": []}))
    assert set(wrong.value.problems) == {"model.base", "dataset.folders"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="no pictures"):
        plan(configure(dataset={"folders": [{"path": str(tmp_path / "empty")}]}))


@pytest.mark.proves("dataset.folders.path")
def test_a_kohya_folder_plans_as_its_name_says(configure, tmp_path):
    draw(tmp_path / "img" / "10_sks dog", sizes=[(64, 64)] * 4)
    config = configure(dataset={"folders": [{"path": str(tmp_path / "img")}]}, run={"epochs": 2})
    planned = plan(config, scan(config.dataset.folders))
    assert (planned.pictures, planned.repeated, planned.total_steps) == (4, 40, 80)


NO_PLACE = {  # none of these can be; no system has such names
    "model.base": lambda said: {"model": {"base": said}},
    "model.vae": lambda said: {"model": {"vae": said}},
    "model.merge.0.file": lambda said: {"model": {"merge": [{"file": said}]}},
    "lora.weights": lambda said: {"lora": {"weights": said}},
    "words.new.0.start_from": lambda said: {"words": {"new": [{"word": "sks", "start_from": said}]}},
    "dataset.folders": lambda said: {"dataset": {"folders": [{"path": said}]}},
    "save.folder": lambda said: {"save": {"folder": said}},
}


@pytest.mark.parametrize("said", ["x" * 300, "~nobody-here/x" * 40, "a/" * 3000], ids=["name", "home", "path"])
@pytest.mark.parametrize("setting", NO_PLACE)
def test_a_path_that_no_system_could_hold_is_named(configure, setting, said):
    values = NO_PLACE[setting](said)
    with pytest.raises(SettingsError) as refused:
        command.create(configure(**values))
    assert any(path.startswith(setting) for path in refused.value.problems)
