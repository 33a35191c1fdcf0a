"""What is said of the machine stands in the command that starts the run, and nothing else of it changes."""

import pytest

from settings.errors import check
from trainer import command
from trainer.config import TrainSettings

# option: (what is set beside it, its other value, words that go, words that come)
OPTIONS = {
    "accelerate.mixed_precision": ({}, "fp16", {"--mixed_precision=bf16"}, {"--mixed_precision=fp16"}),
    "accelerate.processes": ({"cpu_threads": 2}, 3, {"--num_processes=1"}, {"--num_processes=3", "--multi_gpu"}),
    "accelerate.gpu_ids": ({}, "1", {"--gpu_ids=all"}, {"--gpu_ids=1"}),
    "accelerate.cpu": ({}, True, {"--gpu_ids=all"}, {"--cpu"}),
    "accelerate.cpu_threads": (
        {"cpu_threads": 2}, 5, {"--num_cpu_threads_per_process=2"}, {"--num_cpu_threads_per_process=5"},
    ),
}  # fmt: skip


@pytest.mark.proves(*OPTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_these_words_of_the_command_change_and_no_others(option):
    beside, other, gone, come = OPTIONS[option]
    words = [
        set(command.argv(check(TrainSettings, {"accelerate": beside | changed})))
        for changed in ({}, {option.removeprefix("accelerate."): other})
    ]
    assert words[0] - words[1] == gone and words[1] - words[0] == come


def test_a_run_waits_for_the_gpus_that_it_names_and_for_none_on_the_cpu():
    both = ({"gpu_ids": "1"}, {"cpu": True})
    named, on_cpu = (command.needs(check(TrainSettings, {"accelerate": said})) for said in both)
    assert named != on_cpu and on_cpu == command.NONE


@pytest.mark.parametrize("said, threads", [("3", 3), ("", 4), ("4,2", 4)])
def test_threads_are_those_of_the_environment_else_the_cores(monkeypatch, said, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    monkeypatch.setattr(command, "cores", lambda: 8)
    assert f"--num_cpu_threads_per_process={threads}" in command.argv(
        check(TrainSettings, {"accelerate": {"processes": 2}})
    )
