"""Updates that are too large are scaled to the norm that is allowed, and no others."""

import pytest
import torch

from tests.lora import attach, scramble, tiny_parts
from tests.trainer.reading import events
from trainer import command
from trainer.loop import train
from trainer.lora import inject, reading
from trainer.lora.norms import limit
from trainer.tools.recognise import recognised


def dense(parts) -> dict[str, torch.Tensor]:
    """Every update multiplied out in float64."""
    state, alphas = {name: weight.double() for name, weight in inject.state(parts).items()}, inject.alphas(parts)
    return {name: (state[f"{name}.lora_B.weight"].flatten(1) @ state[f"{name}.lora_A.weight"].flatten(1))
            * (alpha / state[f"{name}.lora_A.weight"].shape[0]) for name, alpha in alphas.items()}


def test_what_is_larger_is_scaled_to_the_norm_and_the_rest_stays():
    parts = tiny_parts()
    attach(parts, layers="all", rank=4, alpha=2.0)
    scramble(parts)
    before = dense(parts)
    sizes = {name: update.norm().item() for name, update in before.items()}
    most = 1.001 * sorted(sizes.values())[len(sizes) // 2]
    kept = {name: weight.clone() for name, weight in inject.state(parts).items()}
    count = limit(parts, most)
    assert count.item() == sum(size > most for size in sizes.values()) > 10
    assert not limit(parts, most), "and once is enough"
    for name, update in dense(parts).items():
        wanted = before[name] * min(1, most / sizes[name])
        assert torch.allclose(update, wanted, rtol=1e-4, atol=1e-7)
    down, up = (inject.state(parts)[f"{name}.lora_{letter}.weight"] / kept[f"{name}.lora_{letter}.weight"]
                for name in [max(sizes, key=sizes.get)] for letter in "AB")
    assert down.mean().item() == pytest.approx(up.mean().item(), rel=1e-5), "each matrix takes half of it"
    small = min(sizes, key=sizes.get)
    assert all(torch.equal(inject.state(parts)[f"{small}.lora_{letter}.weight"], kept[f"{small}.lora_{letter}.weight"])
               for letter in "AB")


def test_untrained_updates_are_left_alone():
    parts = tiny_parts()
    attach(parts)
    before = {name: weight.clone() for name, weight in inject.state(parts).items()}
    assert limit(parts, 0.1).item() == 0
    assert all(torch.equal(weight, before[name]) for name, weight in inject.state(parts).items())


@pytest.mark.proves("lora.max_norm")
def test_a_run_keeps_to_it_and_says_how_many_were_scaled(configure, capsys):
    most = 0.001
    config = configure(run={"max_steps": 3}, lora={"max_norm": most}, optimizer={"ema_decay": 0.9})
    job = command.create(config)
    train(job.folder)
    scaled = [event["scaled"] for event in events(job, "step")]
    assert scaled[-1] > 10 and f"{scaled[-1]} layers at max norm" in capsys.readouterr().out
    # The average of each matrix is taken alone, and their product may be a little larger.
    for name, room in (("tiny", 1.01), ("tiny-ema", 1.2)):
        found = recognised(reading.load(job.folder / f"{name}.safetensors"), "sd15").adapters.values()
        assert 0.5 * most < max(one.delta().norm().item() for one in found) < room * most
