"""Captions from a server that speaks OpenAI's language: a service, or vLLM, LM Studio, Ollama on one's own machine.

Pictures leave this machine, so nothing is sent before somebody has written down the host that may have them. The key
is read from an environment variable and never written anywhere.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from captioners.base import Captioner, CaptionerError, Picture, Progress, Said
from captioners.weights import Weights
from captioners.writers import clean
from captioners.writers.online import Address, Server, address_of, is_this_machine
from captioners.writers.prompts import filled, problems
from settings.section import Section, Ui

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
PROMPT = """Describe this picture in one or two plain sentences: what is in it, how it looks, and the style.
These tags may help: {tags}
Begin with the subject. Don't guess, don't judge, and don't speak of the picture itself."""


class EndpointSettings(Section):
    """Sends the pictures to a server that speaks OpenAI's language. Off until you name the host that may have them."""

    url: Annotated[str, Field(max_length=500), Ui("Address", level="quick")] = ""
    """Where the server is, such as http://127.0.0.1:8000/v1."""

    agreed_host: Annotated[str, Field(max_length=300), Ui("Pictures may be sent to", level="quick")] = ""
    """Write the host of the address here to agree that every picture of the run is sent to it."""

    model: Annotated[str, Field(max_length=300), Ui(level="quick")] = ""
    """The model's name, as the server knows it."""

    key_variable: Annotated[str, Field(max_length=200), Ui("Key is in", level="standard")] = "LORATORY_ENDPOINT_KEY"
    """The environment variable that has the key. The key itself belongs into no setting. Not set: none is sent."""

    prompt: Annotated[str, Field(min_length=1, max_length=8000), Ui(level="quick", kind="text")] = PROMPT
    """What is asked. {tags} {caption} (what others in this run said before), {existing}, {name} (of the file) and
    {directory} are filled in; a line whose fields are all empty is left out."""

    system: Annotated[str, Field(max_length=8000), Ui("System prompt", level="expert", kind="text")] = ""
    """Tells the model what it is."""

    largest_side: Annotated[int, Field(ge=64, le=8192), Ui(level="expert")] = 1024
    """Pictures are made smaller until they fit this many pixels, and sent as JPEG without what else is in the file."""

    max_tokens: Annotated[int, Field(ge=1, le=32768), Ui()] = 300
    """At most so many tokens; models that think first need more."""

    temperature: Annotated[float | None, Field(ge=0, le=2), Ui(level="expert", step=0.1)] = None
    """Lower is more predictable. Empty: what the server takes; some models know no other."""

    timeout: Annotated[int, Field(ge=1, le=3600), Ui("Seconds to wait", level="expert")] = 120
    """For one answer."""

    retries: Annotated[int, Field(ge=0, le=10), Ui(level="expert")] = 4
    """How often a question is asked again when the server is busy or gone, waiting longer each time."""

    clean: Annotated[list[str], Ui("Take out", level="expert")] = clean.OPENINGS
    """Regular expressions of what is taken out of every caption, whatever its case: openings that say nothing."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for wrong in clean.broken(self.clean):
            yield "clean", wrong
        for wrong in problems(self.prompt):
            yield "prompt", wrong
        if not VARIABLE.fullmatch(self.key_variable):  # maybe a key: not repeated
            yield "key_variable", "is the name of an environment variable, in capitals; the key itself is kept nowhere"
        if self.url.strip():
            try:
                address_of(self.url)
            except CaptionerError as error:
                yield "url", str(error)


@dataclass(frozen=True)
class Letter:
    """What is sent for one picture."""

    place: str  # the picture's path
    body: dict[str, Any]


class Endpoint(Captioner):
    """Asks a server. Several questions are under way at once; what was answered is not asked again."""

    name = "endpoint"
    label = "Server (OpenAI-compatible)"
    order = 60
    says = "caption"
    settings = EndpointSettings
    batch_size = 4

    @classmethod
    def weights(cls, settings: Section) -> Weights | None:
        """There are none; but whether anything may be sent is known before the job begins. Raises CaptionerError."""
        allowed(settings)
        return None

    def load(self, weights: Weights | None, progress: Progress) -> None:
        address = allowed(self.options)
        key = os.environ.get(self.options.key_variable, "").strip()
        if key and not address.encrypted and not is_this_machine(address.host):
            raise CaptionerError(f"the key would go to {address.host} for everybody to read: use an https:// address, "
                                 f"or unset {self.options.key_variable}")
        if not (key.isascii() and key.isprintable()):
            raise CaptionerError(f"what is in {self.options.key_variable} is no key")
        self.server = Server(address, key, self.options.timeout, self.options.retries)
        self.answered: dict[tuple[str, int], Said] = {}
        self.notes.append(f"pictures are sent to {address.host}")
        if not key:
            self.notes.append(f"{self.options.key_variable} is not set: no key is sent")

    def prepare(self, picture: Picture) -> Letter:
        options = self.options
        content = [
            {"type": "text", "text": filled(options.prompt, picture)},
            {"type": "image_url", "image_url": {"url": as_jpeg(picture, options.largest_side)}},
        ]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if options.system.strip():
            messages.insert(0, {"role": "system", "content": options.system.strip()})
        body = {"model": options.model.strip(), "messages": messages, "max_tokens": options.max_tokens}
        if options.temperature is not None:
            body["temperature"] = options.temperature
        return Letter(str(picture.path), body)

    def say(self, batch: Sequence[Letter], attempt: int = 0) -> list[Said]:
        waiting = [letter for letter in batch if (letter.place, attempt) not in self.answered]
        with ThreadPoolExecutor(max(1, len(waiting)), "endpoint") as threads:
            futures = [(letter, threads.submit(self._ask, letter, attempt)) for letter in waiting]
        # All have ended by now. If one failed, what the others cost is kept for when they are asked one by one.
        failures = [future.exception() for _, future in futures if future.exception()]
        for letter, future in futures:
            if not future.exception():
                self.answered[letter.place, attempt] = future.result()
        if failures:
            raise failures[0]
        return [self.answered.pop((letter.place, attempt)) for letter in batch]

    def _ask(self, letter: Letter, attempt: int) -> Said:
        body = letter.body
        if self.place.seed or attempt:
            body = body | {"seed": (self.place.seed + attempt) % 2**31}
        answer = self.server.ask(body)
        text = clean.cleaned(answer.text, self.options.clean)
        return Said(clean.whole_sentences(text) if answer.cut else text, raw=answer.text.strip())


def allowed(options: EndpointSettings) -> Address:
    """Where pictures may be sent. Raises CaptionerError, which names the host, while nobody has agreed."""
    if not options.url.strip():
        raise CaptionerError("no server is named: write its address into endpoint.url, such as http://127.0.0.1:8000/v1")
    address = address_of(options.url)
    agreed = options.agreed_host.strip().lower().rstrip(".")
    if agreed not in (address.host, f"{address.host}:{address.port}"):
        given = f", not {options.agreed_host.strip()}" if agreed else ""
        raise CaptionerError(f"every picture of the run would be sent to {address.host}{given}: to agree, write "
                             f"{address.host} into endpoint.agreed_host")
    if not options.model.strip():
        raise CaptionerError("no model is named: write its name into endpoint.model, as the server knows it")
    return address


def as_jpeg(picture: Picture, largest_side: int) -> str:
    """The picture as a data: address. It is encoded anew, so places and cameras in the file stay here."""
    image = picture.image
    if max(image.size) > largest_side:
        image = image.copy()
        image.thumbnail((largest_side, largest_side))
    image.info = {}
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
