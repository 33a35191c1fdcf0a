"""`train --like JOB`: another run with the settings of one that there was, and what is said beside it."""

import pytest

from jobs import folder
from settings import toml
from settings.errors import check
from trainer import command
from trainer.config import TrainSettings


@pytest.fixture
def job(workspace):
    config = check(TrainSettings, {"name": "cat", "optimizer": {"name": "lion"}, "lora": {"denoiser": {"rank": 24}}})
    return folder.create("train", "cat", toml.dumps(config), ["python"])


@pytest.fixture
def train(monkeypatch):
    """The settings that the command would train with."""

    def train(*arguments):
        wanted = []
        monkeypatch.setattr(command, "prepared", lambda config, at: wanted.append((config, at)))
        monkeypatch.setattr(command, "follow", lambda job: 0)
        assert command.main(list(arguments)) == 0
        config, at = wanted.pop()
        assert at is None  # a job of its own
        return config

    return train


def test_settings_of_the_other_under_a_name_of_its_own(job, train):
    config = train("--like", job.id, "--lora.denoiser.rank", "32")
    assert (config.name, config.optimizer.name, config.lora.denoiser.rank) == ("cat-2", "lion", 32)
    assert train("--like", str(job.folder), "--name", "dog").name == "dog"
    assert train("--like", "cat").optimizer.name == "lion"


def test_names_are_counted_on_and_stay_short_enough(job):
    for name in ("cat-2", "cat-3"):
        folder.create("train", name, "", ["python"])
    assert command.another_name("cat") == command.another_name("cat-2") == "cat-4"
    assert command.another_name("x" * 64) == "x" * 62 + "-2"
    assert command.another_name("v-1234") == "v-1234-2"


def test_what_is_refused(job, capsys):
    assert command.main(["--like", "nothing"]) == 2
    assert "no job nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["a.toml", "--like", job.id])
    assert "not both" in capsys.readouterr().err
