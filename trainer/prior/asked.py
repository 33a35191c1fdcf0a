"""Prior preservation without pictures, as far as it is about words: which captions the base model is asked with.

For each training picture there is one more caption that does not call up what is learnt: a prompt of the class, or its
own with the class word in place of the trigger (differential output preservation). With it the LoRA must leave the
prediction as it was; trainer/prior/preserving.py has the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from dataset import turns
from trainer.config.prior import whole

if TYPE_CHECKING:
    from dataset.scan import Dataset
    from trainer.config import TrainSettings

Asked = Callable[[str], str | None]


def asked(config: TrainSettings) -> Asked:
    """(caption as it is shown) -> the caption that the model is asked with, too; None where there is no such."""
    prior = config.prior
    if not prior.asks:
        return lambda _: None
    if prior.kind == "model":
        return lambda _: prior.class_prompt
    trigger = whole(config.triggers)

    def replaced(caption: str) -> str | None:
        other, found = trigger.subn(lambda _: prior.class_word, caption)
        return other if found else None  # to keep its answer to what is learnt would be to learn nothing

    return replaced


def all_asked(config: TrainSettings, wordings: Collection[str]) -> set[str]:
    """Every caption that the model will be asked with in a run that shows these."""
    found = map(asked(config), wordings)
    return {caption for caption in found if caption is not None}


def nothing_asked(config: TrainSettings, dataset: Dataset) -> dict[str, str]:
    """What is wrong where no caption has the trigger."""
    if not config.prior.asks or len(silent(config, dataset)) < len(dataset.training):
        return {}
    said = ", ".join(config.triggers)
    return {"prior.trigger": f"no caption contains {said}: write it into them, or say here what calls up your subject"}


def rarely_asked(config: TrainSettings, dataset: Dataset) -> dict[str, str]:
    """What to know where some captions don't have it."""
    count = len(silent(config, dataset)) if config.prior.asks else 0
    said = f"{count} of {len(dataset.training)} captions don't contain the trigger: nothing is preserved with those"
    return {"prior.trigger": said} if count else {}


def silent(config: TrainSettings, dataset: Dataset) -> set[str]:
    """The training pictures with whose caption the model is never asked anything."""
    ask, found = asked(config), set()
    for item in dataset.training:
        # A trigger in a {choice} is found in the caption as it is written, one in a prefix in what is made of it.
        varied = turns.wordings(config.run.seed, item.caption, config.captions)
        if all(ask(caption) is None for caption in (item.caption, *varied)):
            found.add(str(item.path))
    return found
