"""Rank and module dropout: what is dropped, how often, what is made up for, and that it follows from the generator."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.lora import scramble, spec
from trainer.lora import inject
from trainer.lora.dropping import drop

RANK, BATCH = 8, 64


class Small(nn.Module):
    """A linear layer and a convolution, so that what each adds can be seen alone."""

    def __init__(self):
        super().__init__()
        self.flat, self.wide = nn.Linear(6, 5), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, words, picture):
        return self.flat(words), self.wide(picture)


def adapted(ranks: float, updates: float) -> Small:
    torch.manual_seed(0)
    module = Small()
    inject.inject(module, spec(module, "denoiser", ".*", RANK, RANK), seed=0)
    scramble({"denoiser": module})
    drop(module, ranks, updates)
    return module.train()


def given():
    random = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, 7, 6, generator=random), torch.randn(BATCH, 4, 5, 5, generator=random)


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
        assert 0.15 < (kinds.abs() < 1e-6).float().mean() < 0.35
        assert not torch.equal(kinds[0], kinds[1]), "each sample has its own"


def test_on_average_rank_dropout_changes_nothing():
    module = adapted(0.3, 0)
    with torch.no_grad():
        mean = [torch.stack(several).mean(0) for several in zip(*(added(module) for _ in range(600)))]
        plain = added(module.eval())
    for found, wanted in zip(mean, plain):
        assert (found - wanted).abs().mean() < 0.05 * wanted.abs().mean()


def test_whole_updates_are_dropped_for_the_whole_batch_and_not_made_up_for():
    module = adapted(0, 0.4)
    with torch.no_grad():
        plain = added(module.eval())
        module.train()
        rounds = [added(module) for _ in range(200)]
    for place, wanted in enumerate(plain):
        dropped = [not found[place].abs().max() > 1e-6 for found in rounds]
        assert 0.3 < sum(dropped) / len(rounds) < 0.5
        assert all(gone or torch.allclose(found[place], wanted, atol=1e-6) for gone, found in zip(dropped, rounds))


def test_it_follows_from_the_generator_and_not_in_eval():
    module = adapted(0.5, 0.5)

    def seeded(seed):
        torch.manual_seed(seed)
        return added(module)[0]

    assert torch.equal(seeded(1), seeded(1)) and len({seeded(seed).sum().item() for seed in range(8)}) > 2
    module.eval()
    assert torch.equal(seeded(1), seeded(2))


@pytest.mark.parametrize("ranks, updates", [(0.5, 0), (0, 0.5), (0.5, 0.5)])
def test_a_checkpointed_layer_draws_the_same_again(ranks, updates):
    module = adapted(ranks, updates)

    def gradients(run):
        torch.manual_seed(4)
        module.zero_grad()
        sum(out.square().sum() for out in run(*given())).backward()
        return [weight.grad.clone() for weight in inject.parameters(module)]

    plain = gradients(module)
    again = gradients(lambda *inputs: checkpoint(module, *inputs, use_reentrant=False))
    assert all(torch.equal(one, other) for one, other in zip(plain, again)) and any(one.any() for one in plain)
