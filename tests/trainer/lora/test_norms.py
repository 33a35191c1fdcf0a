"""Updates that are too large are scaled to the norm that is allowed, and no others."""

from dataclasses import replace

import pytest
import torch

from tests.lora import attach, scramble, spec, tiny_parts
from tests.trainer.reading import events
from trainer import command
from trainer.loop import train
from trainer.lora import file, inject, reading, targets
from trainer.lora.kinds import LAYERS
from trainer.lora.norms import Limit
from trainer.tools.recognise import recognised

KINDS = ("lora", "rslora", "dora", "loha", "lokr")


def adapted(kind: str) -> dict[str, torch.nn.Module]:
    """The tiny UNet with updates of this kind in all its layers, as if they had been trained hard."""
    parts = {"denoiser": tiny_parts()["denoiser"]}
    wanted = spec(parts["denoiser"], "denoiser", targets.UNET["all"], 2, 1.5)
    inject.inject(parts["denoiser"], replace(wanted, kind=kind, factor=2 if kind == "lokr" else None), seed=0)
    scramble(parts)
    return parts


def dense(parts) -> dict[str, torch.Tensor]:
    """Every product multiplied out in float64; of DoRA without its lengths."""
    found = {}
    for name, one in file.updates_of(inject.state(parts), inject.alphas(parts)).items():
        own = {key.removesuffix(".weight"): weight.double() for key, weight in one.weights.items()}
        if one.kind == "loha":
            product = (own["hada_w1_a"] @ own["hada_w1_b"]) * (own["hada_w2_a"] @ own["hada_w2_b"])
        elif one.kind == "lokr":
            large = own["lokr_w2"].flatten(1) if "lokr_w2" in own else own["lokr_w2_a"] @ own["lokr_w2_b"]
            product = torch.kron(own["lokr_w1"], large)
        else:
            product = own["lora_B"].flatten(1) @ own["lora_A"].flatten(1)
        found[name] = product * (1.0 if "lokr_w2" in own else one.alpha / one.rank)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_larger_is_scaled_to_the_norm_and_the_rest_stays(kind):
    parts = adapted(kind)
    before = dense(parts)
    sizes = {name: update.norm().item() for name, update in before.items()}
    most = 1.001 * sorted(sizes.values())[len(sizes) // 2]
    kept = {name: weight.clone() for name, weight in inject.state(parts).items()}
    limit = Limit(parts, most)
    count = limit()
    assert count.item() == sum(size > most for size in sizes.values()) > 10
    assert not limit(), "and once is enough"
    for name, update in dense(parts).items():
        wanted = before[name] * min(1, most / sizes[name])
        assert torch.allclose(update, wanted, rtol=1e-4, atol=1e-7)
        assert update.norm() <= most * 1.0001
    after = inject.state(parts)
    large, small = max(sizes, key=sizes.get), min(sizes, key=sizes.get)
    shares = [(after[key] / kept[key]).nanmean().item() for key in kept
              if key.startswith(f"{large}.") and "dora_scale" not in key]
    assert shares == pytest.approx([(most / sizes[large]) ** (1 / len(shares))] * len(shares), rel=1e-4), "all alike"
    assert all(torch.equal(after[key], kept[key]) for key in kept if key.startswith(f"{small}.") or "dora" in key)


@pytest.mark.parametrize("kind", LAYERS)
def test_where_updates_are_is_looked_up_once(kind, monkeypatch):
    limit = Limit(adapted(kind), 1e9)
    monkeypatch.setattr(torch.nn.Module, "named_modules", None)
    assert not limit()


def test_untrained_updates_are_left_alone():
    parts = tiny_parts()
    attach(parts)
    before = {name: weight.clone() for name, weight in inject.state(parts).items()}
    assert Limit(parts, 0.1)().item() == 0
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
