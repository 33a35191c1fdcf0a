"""What the tests of captioners that write have in common: pictures, a loaded captioner, an eye on its model."""

from pathlib import Path

from PIL import Image

from captioners.base import Captioner, Picture, Place, Said
from captioners.weights import find
from settings.section import Section


def pictures(count: int = 3, **known: str) -> list[Picture]:
    """Small pictures of different sizes and colours, as the loop would hand them over."""
    colours = ((200, 30, 30), (20, 160, 60), (40, 60, 220), (240, 220, 40))
    return [
        Picture(Path("dogs") / f"{number}.png", Image.new("RGB", (40 + 9 * number, 50), colours[number % 4]), **known)
        for number in range(count)
    ]


def loaded(kind: type[Captioner], options: Section, seed: int = 0) -> Captioner:
    captioner = kind(options, Place(threads=1, seed=seed))
    captioner.load(find(options.model, {}), lambda *_: None)
    return captioner


def spoken(captioner: Captioner, some: list[Picture], attempt: int = 0) -> list[Said]:
    return captioner.say([captioner.prepare(picture) for picture in some], attempt)


def raw(said: list[Said]) -> list[str]:
    return [one.raw for one in said]


def watch(monkeypatch, model) -> list[dict]:
    """What the model's `generate` is called with, from now on."""
    calls = []
    plain = model.generate

    def generate(*arguments, **named):
        calls.append(named)
        return plain(*arguments, **named)

    monkeypatch.setattr(model, "generate", generate)
    return calls


def letters(*special: str) -> tuple[dict[str, int], list]:
    """The vocabulary of a byte-level tokenizer that knows every letter and no word, special tokens in front."""
    from tokenizers.pre_tokenizers import ByteLevel

    names = [*special, *sorted(ByteLevel.alphabet())]
    return {name: number for number, name in enumerate(names)}, []
