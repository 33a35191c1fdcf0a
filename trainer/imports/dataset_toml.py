"""The data set file of sd-scripts (`--dataset_config`): `[general]`, then `[[datasets]]`, then their
`[[datasets.subsets]]`, each laid over the one above. The pictures of a run have one set of settings here, so what
differs between subsets is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trainer.imports.report import ImportProblem, Report
from trainer.imports.rules import translated
from trainer.imports.translation import OF_SUBSET
from trainer.imports.values import shown

OWN = {"image_dir", "num_repeats", "class_tokens", "is_reg"}  # of a subset, which is a folder here
NAMES = {"batch_size": "train_batch_size"}
SILENT = {"enable_bucket": False, "resolution": 512, "caption_extension": ".caption"}
BUCKETS = {"bucket_no_upscale": False, "min_bucket_reso": 256, "max_bucket_reso": 1024}


def read(found: dict[str, Any]) -> Report:
    """A report on a file's values. Raises ImportProblem."""
    given = arguments(found)
    return translated("sd-scripts data set", given, SILENT | (BUCKETS if given.get("enable_bucket") else {}))


def arguments(found: dict[str, Any]) -> dict[str, Any]:
    """sd-scripts' arguments for the same: the first subset's, with a row for each folder; `... of subset 2` is where
    a later one differs. Raises ImportProblem."""
    rows, given, first = [], {}, {}
    everything = list(all_subsets(found))
    subsets = [subset for subset in everything if not preserves(subset)]
    if not subsets:
        raise ImportProblem("this data set file has no [[datasets.subsets]] with pictures")
    more = further_resolutions(subsets)
    for place, subset in enumerate(subsets, start=1):
        if row := folder(subset):
            rows += [row] if row["path"] not in [other["path"] for other in rows] else []
        options = {NAMES.get(name, name): value for name, value in subset.items() if name not in OWN}
        given |= options if place == 1 else differing(first, options, place)
        first = options if place == 1 else first
    if more:
        given = {name: value for name, value in given.items() if not name.startswith(f"resolution{OF_SUBSET}")}
        given["more_resolutions"] = more
    if kept := next(filter(preserves, everything), None):
        words = {"trigger": subsets[0].get("class_tokens"), "class_word": kept.get("class_tokens")}
        given["custom_attributes"] = kept["custom_attributes"] | words
    return given | {"folders": rows}


def preserves(subset: dict[str, Any]) -> bool:
    """Is the subset not learnt, but to be drawn as the base model draws it?"""
    said = subset.get("custom_attributes")
    return isinstance(said, dict) and bool(said.get("diff_output_preservation"))


def further_resolutions(subsets: list[dict[str, Any]]) -> list[Any]:
    """Those after the first, where every folder is trained at all of them, as often at each."""
    ways: dict[str, list[tuple[Any, Any]]] = {}
    for subset in subsets:
        if path := str(subset.get("image_dir") or ""):
            ways.setdefault(path, []).append((subset.get("resolution", 512), subset.get("num_repeats", 1)))
    sides = [[side for side, _ in way] for way in ways.values()]
    even = all(len({repeats for _, repeats in way}) == 1 for way in ways.values())
    return sides[0][1:] if even and all(one == sides[0] for one in sides) else []


def differing(first: dict[str, Any], later: dict[str, Any], place: int) -> dict[str, Any]:
    """What a later subset says otherwise than the first, or leaves out."""
    names = [*later, *(name for name in first if name not in later)]
    return {f"{name}{OF_SUBSET}{place}": later.get(name, "") for name in names if later.get(name) != first.get(name)}


def all_subsets(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every subset with all that it inherits. The same folder may come twice, at two resolutions."""
    general = table(found.get("general", {}), "general")
    for dataset in tables(found.get("datasets", []), "datasets"):
        inherited = general | {name: value for name, value in dataset.items() if name != "subsets"}
        for subset in tables(dataset.get("subsets", []), "datasets.subsets"):
            yield inherited | subset


def folder(subset: dict[str, Any]) -> dict[str, Any] | None:
    """A row of `dataset.folders`. Repeats are always said: a number in the folder's name means nothing there."""
    path = str(subset.get("image_dir") or "")
    repeats = subset.get("num_repeats", 1)
    if not path:
        return None
    return {"path": path, "repeats": repeats, "regularisation": subset.get("is_reg", False),
            "class_words": str(subset.get("class_tokens") or "")}


def table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ImportProblem(f"[{where}] must be a table; got {shown(value)}")
    return value


def tables(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ImportProblem(f"write [[{where}]] with two brackets; got {shown(value)}")
    return [table(item, where) for item in value]
