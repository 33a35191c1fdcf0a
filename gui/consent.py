"""What is told of the captioners' models, and asked before one is downloaded or a picture leaves the machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from captioners import captioners, command
from captioners.base import Captioner, CaptionerError
from captioners.weights import TOY, Weights, asked
from settings.errors import SettingsError, parse
from settings.section import Section


def models(complete: dict[str, Any]) -> list[dict[str, Any]]:
    """What the page tells of each chosen captioner's model."""
    known = captioners()
    return [model_line(known[name], complete.get(name) or {}) for name in complete["captioners"] if name in known]


def model_line(kind: type[Captioner], values: dict[str, Any]) -> dict[str, Any]:
    line: dict[str, Any] = {"name": kind.name, "label": kind.label, "says": kind.says}
    line["packages"] = list(command.missing_packages(kind))
    line["known"] = [{"model": model} | asdict(published) for model, published in kind.published.items()]
    toy = kind.toy or kind.name
    if (TOY / toy).is_dir():
        line["known"].append({"model": f"toy/models/{toy}", "about": "knows only the toy world's pictures"})
    try:
        options = parse(kind.settings, values)
        if address := host(options):
            agreed = address == options.agreed_host.strip().lower()
            return line | {"host": address, "asks": not agreed}
        line["models"] = [weights_line(one) for one in (kind.weights(options), *kind.further(options)) if one]
    except SettingsError:
        return line  # said beside the field
    except CaptionerError as error:
        return line | {"problem": str(error)}
    return line


def weights_line(weights: Weights) -> dict[str, Any]:
    known = weights.published
    return {
        "model": weights.model,
        "where": weights.where,
        "here": weights.here,
        "part": bool(weights.folder and weights.missing),
        "bytes": known.bytes if known else None,
        "licence": known.licence if known else None,
        "about": known.about if known else "",
    }


def host(options: Section) -> str:
    """Where pictures are sent, if these settings send them anywhere."""
    try:
        return urlsplit(str(getattr(options, "url", ""))).hostname or ""
    except ValueError:  # no address; said beside the field
        return ""


def agreements(wish: dict[str, Any]) -> set[str]:
    return {str(one) for one in wish.get("agreed") or []}


def questions_of(config: Section, agreed: set[str]) -> list[dict[str, Any]]:
    """What a person has to agree to first: downloads with their size and licence, and hosts that get the pictures.
    Each has an `id`; what is in `agreed` is not asked again."""
    questions: list[dict[str, Any]] = []
    for name in config.captioners:
        kind, options = captioners()[name], getattr(config, name)
        if address := host(options):
            if address not in agreed | {options.agreed_host.strip().lower()}:
                questions.append({"kind": "host", "id": address, "label": kind.label})
            continue
        for one in filter(None, (kind.weights(options), *kind.further(options))):
            if not one.here and one.model not in agreed:
                questions.append({"kind": "download", "id": one.model, "label": kind.label} | asked_of_hub(one))
    return questions


def asked_of_hub(weights: Weights) -> dict[str, Any]:
    """A model's line, with size and licence from the hub where nobody has listed it."""
    line = weights_line(weights)
    told = asked(weights) if line["bytes"] is None else None
    return line | ({"bytes": told.bytes, "licence": told.licence} if told else {})
