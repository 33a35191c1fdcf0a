"""Rank and layer dropout of every kind: what is left out, how often, what is made up for, and that it follows from the
generator."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tests.lora import spec
from trainer.lora import inject
from trainer.lora.dropping import Dropping
from trainer.lora.kinds import LAYERS

KINDS = tuple(LAYERS)
RANKED = tuple(kind for kind in KINDS if kind != "oft")
RANK, BATCH = 8, 24


class Small(nn.Module):
    """A linear layer and a convolution, so that what each adds can be seen alone."""

    def __init__(self):
        super().__init__()
        self.flat, self.wide = nn.Linear(12, 20), nn.Conv2d(24, 20, 3, padding=1)

    def forward(self, words, picture):
        return self.flat(words), self.wide(picture)


def adapted(ranks: float, updates: float, kind: str = "lora", rank: int = RANK, moved: bool = True) -> Small:
    torch.manual_seed(0)
    module = Small()
    wanted = spec(module, "denoiser", ".*", rank, rank)
    inject.inject(module, replace(wanted, kind=kind, dropping=Dropping(ranks, updates)), seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in inject.parameters(module) if moved else ():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.3)
    return module.train()


def given():
    random = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 7, 12, generator=random), torch.randn(BATCH, 24, 3, 3, generator=random)


def added(module: Small) -> list[torch.Tensor]:
    """What the updates of the two layers add."""
    base = module.flat.base_layer(given()[0]), module.wide.base_layer(given()[1])
    return [whole - plain for whole, plain in zip(module(*given()), base)]


def test_whole_ranks_of_single_samples_are_dropped_and_the_rest_is_stronger():
    module = adapted(0.25, 0)
    for layer, inputs, axis in ((module.flat, given()[0], -1), (module.wide, given()[1], 1)):
        down = layer.lora_A["default"]
        hooked, plain = down(inputs), down.eval()(inputs)
        shares = (hooked / plain).movedim(axis, 1).flatten(2)
        assert torch.allclose(shares, shares[..., :1].expand_as(shares), atol=1e-4), "a rank is dropped as a whole"
        kinds = shares[..., 0]
        assert bool(((kinds.abs() < 1e-6) | ((kinds - 4 / 3).abs() < 1e-4)).all())
        assert 0.15 < (kinds.abs() < 1e-6).float().mean() < 0.36
        assert not torch.equal(kinds[0], kinds[1]), "each sample has its own"


def answer(kind: str, layer, x: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """In float64, what a linear layer answers whose ranks count so much (`second` is of LoHa's other product)."""
    base, own = layer.base_layer, {name: weight.detach().double() for name, weight in inject.weights(layer).items()}
    weight, x = base.weight.double(), x.double()
    if kind == "loha":
        w1_a, w1_b, w2_a, w2_b = own.values()
        changed = weight + (w1_a * first @ w1_b) * (w2_a * second @ w2_b)
    elif kind == "lokr":
        changed = weight + torch.kron(own["lokr_w1"], own["lokr_w2_a"] * first @ own["lokr_w2_b"])
    else:
        down, up = list(own.values())[:2]
        scale = 2**0.5 if kind == "rslora" else 1.0  # alpha is the rank
        changed = weight + scale * up * first @ down
        if kind == "pissa":
            changed = changed - layer.first_up.double() * first @ layer.first_down.double()
        if kind == "dora":
            length = (weight + up @ down).norm(dim=0)
            changed = changed * (own["dora_scale"][0] / length)
    return functional.linear(x, changed, base.bias.double())


@pytest.mark.parametrize("kind", RANKED)
def test_what_is_left_out_is_ranks_and_nothing_else(kind):
    """With two ranks there are few ways to leave some out, and each answer is one of them."""
    module, x = adapted(0.5, 0, kind, rank=2), given()[0]
    ways = [torch.tensor(way) * 2.0 for way in itertools.product((0.0, 1.0), repeat=2)]
    with torch.no_grad():
        wanted = torch.stack([answer(kind, module.flat, x, *pair) for pair in itertools.product(ways, ways)])
        found = set()
        for _ in range(24):
            gone = (module.flat(x).double() - wanted).abs().amax(dim=(2, 3))  # [ways, B]
            assert gone.min(dim=0).values.max() < 1e-4
            found |= set(gone.argmin(dim=0).tolist())
            assert (len(set(gone.argmin(dim=0).tolist())) > 1) == (kind not in ("loha", "lokr")), "each picture its own"
        assert len(found) >= 4
        assert torch.allclose(module.eval().flat(x).double(), answer(
            kind, module.flat, x, torch.ones(2), torch.ones(2)), atol=1e-4), "and nothing is left out of samples"


@pytest.mark.parametrize("kind", ["lora", "loha"])
def test_on_average_rank_dropout_changes_nothing(kind):
    module = adapted(0.2, 0, kind, rank=2)
    with torch.no_grad():
        mean = [torch.stack(several).mean(0) for several in zip(*(added(module) for _ in range(500)))]
        plain = added(module.eval())
    for found, wanted in zip(mean, plain):
        assert (found - wanted).abs().mean() < 0.1 * wanted.abs().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_whole_updates_are_dropped_for_the_whole_batch_and_not_made_up_for(kind):
    module = adapted(0, 0.4, kind)
    with torch.no_grad():
        plain = added(module.eval())
        module.train()
        rounds = [added(module) for _ in range(150)]
    for place, wanted in enumerate(plain):
        dropped = [not found[place].any() for found in rounds]
        assert 0.28 < sum(dropped) / len(rounds) < 0.52
        assert all(gone or torch.allclose(found[place], wanted, atol=1e-5) for gone, found in zip(dropped, rounds))
    assert len({tuple(bool(found.any()) for found in one) for one in rounds}) == 4, "each layer by itself"


@pytest.mark.parametrize("kind", KINDS)
def test_it_starts_as_nothing_whatever_is_left_out(kind):
    module = adapted(0.5 * (kind != "oft"), 0.5, kind, moved=False)
    assert all(not found.any() for _ in range(8) for found in added(module))


@pytest.mark.parametrize("kind", KINDS)
def test_it_follows_from_the_generator_and_not_in_eval(kind):
    module = adapted(0.5 * (kind != "oft"), 0.5, kind)

    def seeded(seed):
        torch.manual_seed(seed)
        return added(module)[0]

    assert torch.equal(seeded(1), seeded(1)) and len({seeded(seed).sum().item() for seed in range(8)}) > 1
    module.eval()
    assert torch.equal(seeded(1), seeded(2))


@pytest.mark.parametrize("ranks, updates", [(0.5, 0), (0, 0.5), (0.5, 0.5)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpointed_layer_draws_the_same_again(kind, ranks, updates):
    module = adapted(ranks * (kind != "oft"), updates, kind)

    def gradients(run):
        torch.manual_seed(4)
        module.zero_grad()
        sum(out.square().sum() for out in run(*given())).backward()
        return [weight.grad.clone() for weight in inject.parameters(module)]

    plain = gradients(module)
    again = gradients(lambda *inputs: checkpoint(module, *inputs, use_reentrant=False))
    assert all(torch.equal(one, other) for one, other in zip(plain, again)) and any(one.any() for one in plain)


@pytest.mark.parametrize("kind", ["dora", "pissa", "loha", "lokr"])
def test_in_groups_a_rank_is_left_out_of_all_pictures(kind):
    torch.manual_seed(0)
    module = nn.ModuleDict({"wide": nn.Conv2d(24, 20, 3, padding=1, groups=2)})
    wanted = inject.AdapterSpec("denoiser", spec(module, "denoiser", ".*", 2, 2.0).sizes, kind=kind)
    inject.inject(module, replace(wanted, dropping=Dropping(0.5, 0)), seed=0)
    with torch.no_grad():
        for weight in inject.parameters(module):
            weight.add_(torch.randn(weight.shape) * 0.3)
    module.train()
    x, layer = given()[1], module["wide"]
    with torch.no_grad():
        rounds = [layer(x) for _ in range(40)]
        different = {round(float(one[0].sum()), 3) for one in rounds}
        whole = layer.eval()(x)
    assert len(different) > 1 and whole.shape == rounds[0].shape
