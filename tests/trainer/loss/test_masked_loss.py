"""Masked loss: what is masked out teaches nothing, sizes of masks don't matter, and batches are put together right."""

import numpy as np
import pytest
import torch
from PIL import Image

from dataset.scan import scan
from dataset.settings import DatasetSettings
from settings.errors import SettingsError, warnings
from tests.trainer.reading import events, losses, newest
from trainer import command
from trainer.batches import Batches
from trainer.loop import train
from trainer.loss.masks import Masks
from trainer.plan import plan
from trainer.run import Run


def mask(pictures, name: str, shown: tuple[slice, slice] = (slice(0, 32), slice(None))) -> None:
    """A mask beside the others, white where shown."""
    (pictures / "masks").mkdir(exist_ok=True)
    with Image.open(pictures / f"{name}.png") as picture:
        grey = np.zeros(picture.size[::-1], np.uint8)
    grey[shown] = 255
    Image.fromarray(grey).save(pictures / "masks" / f"{name}.png")


def samples(config):
    from dataset.turns import lay_out

    data = scan(config.dataset.folders)
    batches = Batches(config, plan(config, data), lay_out(config.dataset, data.items), data.items)
    return {sample.item.path.stem: sample for sample in batches.distinct()}


def of(config, *names, size=(8, 8)):
    found = samples(config)
    return Masks(config.dataset).of([found[name] for name in names], size)


@pytest.mark.proves("dataset.masked_loss", "dataset.unmasked_weight")
def test_weights_are_cut_and_scaled_as_the_picture_is(configure, pictures):
    mask(pictures, "00")  # the upper half of 64 x 64, trained at 32 x 32
    config = configure(dataset={"masked_loss": "files"})
    found = of(config, "00", "01")
    assert found.shape == (2, 1, 8, 8) and found.dtype == torch.float32
    assert found[0, 0, :3].min() > 0.95 and found[0, 0, 5:].max() < 0.05
    assert (found[1] == 1).all(), "a picture without a mask is learnt whole"
    assert of(config, "01") is None
    soft = of(configure(dataset={"masked_loss": "files", "unmasked_weight": 0.2}), "00")
    assert torch.allclose(soft, 0.2 + 0.8 * found[:1])
    assert of(configure(), "00") is None


def test_a_mirrored_picture_has_a_mirrored_mask(configure, pictures):
    from dataclasses import replace

    mask(pictures, "00", (slice(None), slice(0, 32)))
    config = configure(dataset={"masked_loss": "files"})
    sample = samples(config)["00"]
    plain, flipped = (Masks(config.dataset).of([replace(sample, flip=flip)], (8, 8)) for flip in (False, True))
    assert torch.equal(plain, flipped.flip(-1)) and plain[0, 0, 0, 0] > 0.9 > 0.1 > flipped[0, 0, 0, 0]


def test_transparency_is_a_mask_too(configure, pictures):
    clear = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 64, 32))
    clear.save(pictures / "00.png")
    alpha, either = ({"masked_loss": kind} for kind in ("alpha", "either"))
    found = of(configure(dataset=alpha), "00")
    assert found[0, 0, :3].max() < 0.05 and found[0, 0, 5:].min() > 0.95
    assert of(configure(dataset={"masked_loss": "files"}), "00") is None
    mask(pictures, "00")
    assert of(configure(dataset=either), "00")[0, 0, 0, 0] > 0.9, "a mask file comes before transparency"


def gradients(configure, **sections):
    """Of the first step."""
    found = []

    def stop(self, loss):
        found.append([weight.grad.clone() for weight in self.parameters])
        raise SettingsError({"run": "enough"})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "update", stop)
        with pytest.raises(SettingsError, match="enough"):
            train(command.create(configure(**sections)).folder)
    return found[0]


def test_what_is_masked_out_teaches_nothing(configure, pictures, monkeypatch):
    """The trained network sees the whole picture, but its error outside the mask has no gradient: with a mask of one
    part the gradient is that of this part's mean error, and other noise in the target elsewhere changes nothing."""
    for name in ("00", "01", "02", "03", "04", "05"):
        mask(pictures, name, (slice(0, 16), slice(0, 16)))
    masked = {"masked_loss": "files"}
    plain = gradients(configure)
    some = gradients(configure, dataset=masked)
    assert not all(torch.allclose(one, two) for one, two in zip(plain, some))
    from trainer.loss.objective import Denoising

    right = Denoising.target

    def wrong(self, latents, noise, timesteps):
        target = right(self, latents, noise, timesteps).clone()
        target[..., target.shape[-2] // 2 :, :] += 100.0
        return target

    monkeypatch.setattr(Denoising, "target", wrong)
    again = gradients(configure, dataset=masked)
    assert all(torch.equal(one, two) for one, two in zip(some, again))


@pytest.mark.parametrize("size, accumulated", [(1, 5), (2, 3)])
def test_however_a_step_is_put_together_masks_count_the_same(configure, pictures, size, accumulated):
    """P21: five of one, or two, two and one, are one of five, when they come in the same order."""
    (pictures / "05.png").unlink()
    (pictures / "05.txt").unlink()
    for path in pictures.glob("*.png"):
        with Image.open(path) as picture:
            square = picture.resize((64, 64))
        square.save(path)
    mask(pictures, "00", (slice(0, 8), slice(None)))
    mask(pictures, "01", (slice(0, 50), slice(0, 50)))

    def found(size: int, accumulated: int) -> list[torch.Tensor]:
        order = [list(range(5))[start : start + size] for start in range(0, 5, size)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Batches, "_shuffled", lambda self, epoch: order)
            run = {"batch_size": size, "gradient_accumulation": accumulated}
            return gradients(configure, run=run, dataset={"masked_loss": "files"})

    together, apart = found(5, 1), found(size, accumulated)
    assert any(one.any() for one in together)
    largest = max(one.abs().max().item() for one in together)
    assert all(torch.allclose(one, two, rtol=1e-3, atol=1e-4 * largest) for one, two in zip(together, apart))


@pytest.mark.proves("dataset.folders.loss_weight")
def test_a_weight_of_a_folder_counts_as_often(configure, pictures):
    half = {"folders": [{"path": str(pictures), "loss_weight": 0.5}]}
    plain, less = gradients(configure), gradients(configure, dataset=half)
    assert all(torch.allclose(0.5 * one, two, rtol=1e-5) for one, two in zip(plain, less))


def test_a_whole_run_and_what_a_changed_mask_says_when_it_goes_on(configure, pictures):
    mask(pictures, "00")
    job = command.create(configure(dataset={"masked_loss": "files"}))
    train(job.folder)
    assert job.state() == "finished" and all(tensor.isfinite().all() for tensor in newest(job).adapters.values())
    plain = command.create(configure())
    train(plain.folder)
    assert losses(job) != losses(plain)
    noise = np.random.default_rng(0).integers(1, 255, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(pictures / "masks" / "00.png")
    command.extend(job, 2)
    train(job.folder)
    assert any("pictures have changed" in event["message"] for event in events(job, "warning"))


def test_masks_that_can_not_be_used_are_named(configure, pictures):
    mask(pictures, "02")
    Image.new("L", (10, 90), 255).save(pictures / "masks" / "02.png")
    with pytest.raises(SettingsError, match="another shape"):
        of(configure(dataset={"masked_loss": "files"}), "02")
    mask(pictures, "00", (slice(0, 0), slice(0, 0)))
    with pytest.raises(SettingsError, match="masked out whole"):
        of(configure(dataset={"masked_loss": "files"}), "00")
    assert of(configure(dataset={"masked_loss": "files", "unmasked_weight": 0.1}), "00").max() == pytest.approx(0.1)


def test_settings_without_effect_are_told():
    assert set(warnings(DatasetSettings(unmasked_weight=0.5))) == {"unmasked_weight"}
    assert not warnings(DatasetSettings(unmasked_weight=0.5, masked_loss="files"))
