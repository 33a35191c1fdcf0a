"""Where a captioner's model is: a folder that was typed, the toy world, or the hub's cache; else what a download takes.

Nothing is downloaded that nobody agreed to: size and licence are known before, from the captioner's own file, or for
a model that it does not list from the hub. The cache is the one that other programs of Hugging Face use as well."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from captioners.base import CaptionerError, Progress
from settings.paths import absolute, located

ROOT = Path(__file__).resolve().parent.parent
TOY = ROOT / "toy" / "models"
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
HOW_TO_AGREE = "to download it, agree to that (run.download), or choose a model that is on this machine"


@dataclass(frozen=True)
class Published:
    """A model on the hub that is known to work."""

    licence: str
    bytes: int  # of the files that are needed
    files: tuple[str, ...]  # patterns of these files, as the hub's snapshot_download takes them
    about: str = ""  # what it is good for, in a few words
    revision: str = ""


@dataclass(frozen=True)
class Weights:
    """A model that was chosen. `folder` is None while it is not on this machine."""

    model: str  # as it was typed
    where: Literal["folder", "toy", "cache", "hub"]
    folder: Path | None
    missing: tuple[str, ...] = ()  # patterns or files of a half download that are not there
    published: Published | None = None  # None: nobody knows its size and licence here
    files: tuple[str, ...] = ()  # of a hub model: patterns of what a download takes

    @property
    def here(self) -> bool:
        """Whether it can be loaded as it is."""
        return self.folder is not None and not self.missing


def find(model: str, published: dict[str, Published]) -> Weights:
    """What a typed model means. Raises CaptionerError if it is neither a folder nor a hub name."""
    if not model.strip():
        raise CaptionerError("no model is chosen: a folder, or a name on the hub such as author/model")
    if path := located(model):
        if not path.is_dir():
            raise CaptionerError(f"{path} is a file: choose the folder that it is in")
        return Weights(model, "toy" if path.is_relative_to(TOY) else "folder", path)
    if not HUB_NAME.fullmatch(model):
        raise CaptionerError(f"there is nothing at {model!r}, and it is no hub name such as author/model")
    known = published.get(model)
    # A model that is not listed has the same kind of files as those that are.
    files = known.files if known else tuple(dict.fromkeys(one for each in published.values() for one in each.files))
    folder = cached(model, known.revision if known else "")
    if folder is None:
        return Weights(model, "hub", None, published=known, files=files)
    missing = lacking(folder, files, every=known is not None)
    return Weights(model, "cache", folder, missing, known, files)


def fetch(weights: Weights, agreed: bool, progress: Progress) -> Weights:
    """The model on this machine: downloaded or repaired if `agreed`. Raises CaptionerError, which tells size, licence
    and how to agree."""
    if weights.here:
        return weights
    if not agreed:
        state = f"was downloaded in part ({', '.join(weights.missing[:3])} is missing)" if weights.folder else (
            "is not on this machine"
        )
        raise CaptionerError(f"{weights.model} {state}; {about(weights)}; {HOW_TO_AGREE}")
    folder = download(weights, progress)
    missing = lacking(folder, weights.files, every=weights.published is not None)
    if missing:
        raise CaptionerError(f"{weights.model} has no {', '.join(missing[:3])}: it is no model of this kind")
    return replace(weights, where="cache", folder=folder, missing=())


def about(weights: Weights) -> str:
    """What a download takes, in words: "1.3 GB, licence apache-2.0". Asks the hub where nobody has listed the model."""
    known = weights.published or asked(weights)
    if known is None:
        return "its size and licence are not known, because the hub can't be asked now"
    return f"{size(known.bytes)}, licence {known.licence}"


def size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def asked(weights: Weights) -> Published | None:
    """What the hub says about a model; None where it does not answer. Raises CaptionerError if there is no such."""
    from httpx2 import HTTPError  # what the hub's library speaks with
    from huggingface_hub import HfApi, constants, errors

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        info = HfApi().model_info(weights.model, files_metadata=True, timeout=10)
    except errors.RepositoryNotFoundError as error:
        raise CaptionerError(refusal(weights.model, error)) from error
    except (HTTPError, OSError):  # no connection, or the hub has trouble
        return None
    wanted = [file.size or 0 for file in info.siblings or [] if matches(file.rfilename, weights.files)]
    licence = getattr(info.card_data, "license", None) or "not stated"
    return Published(str(licence), sum(wanted), weights.files)


def download(weights: Weights, progress: Progress) -> Path:
    """Fetch what is not there yet of a hub model's files; interrupted downloads go on. Raises CaptionerError."""
    from httpx2 import HTTPError
    from huggingface_hub import constants, errors, snapshot_download

    if constants.HF_HUB_OFFLINE:
        raise CaptionerError(f"{weights.model} is not on this machine, and HF_HUB_OFFLINE forbids to download it")
    revision = weights.published.revision if weights.published else ""
    try:
        folder = snapshot_download(
            weights.model,
            revision=revision or None,
            allow_patterns=list(weights.files) or None,
            tqdm_class=counting(progress),
        )
    except (HTTPError, errors.LocalEntryNotFoundError, errors.XetDownloadError) as error:
        raise CaptionerError(refusal(weights.model, error)) from error
    return Path(folder)


def refusal(model: str, error: Exception) -> str:
    """What an error of the hub means for the person, told by its name."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    page = f"https://huggingface.co/{model}"
    if "GatedRepoError" in kinds:
        return (f"the hub gives {model} only to people who accepted its licence: accept it on {page}, then save your "
                "token in Settings, or put it into the environment variable HF_TOKEN")
    if "RepositoryNotFoundError" in kinds:
        return f"the hub has no model {model!r}, or it is private: check the name"
    if "RevisionNotFoundError" in kinds:
        return f"the hub no longer has the version of {model} that is known to work"
    why = str(error.__cause__ or error).partition("\n")[0]
    return f"{model} could not be downloaded, check the connection; what is here already is kept ({why})"


def counting(progress: Progress) -> type[Any]:
    """A progress bar of the hub's downloads that reports bytes and draws nothing."""
    from tqdm import tqdm

    class Counting(tqdm):
        def __init__(self, *arguments: Any, **options: Any):
            # Of its three bars only one counts the bytes of all files that are on the disk.
            self._counts = str(options.get("desc", "")).startswith("Reconstructing")
            super().__init__(*arguments, **options | {"file": open(os.devnull, "w")})  # noqa: SIM115  closed with it

        def update(self, n: float | None = 1) -> bool | None:
            drawn = super().update(n)
            if self._counts:
                progress("download", int(self.n), int(self.total or 0))
            return drawn

        def close(self) -> None:
            super().close()
            self.fp.close()

    return Counting


def cached(model: str, revision: str = "") -> Path | None:
    """The folder of a hub model in the cache, whole or not; None if it was never downloaded."""
    from huggingface_hub import constants

    place = absolute(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}"
    name = revision or "main"
    reference = place / "refs" / name
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else name
    folder = place / "snapshots" / commit
    return folder if folder.is_dir() else None


def lacking(folder: Path, files: Iterable[str], every: bool = True) -> tuple[str, ...]:
    """What a download into `folder` still lacks: patterns that nothing matches (with `every`), files that the hub's
    list of the model has, shards that an index names."""
    # A link whose target was deleted, or never completed, is no file.
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    missing = [pattern for pattern in files if not any(matches(name, [pattern]) for name in present)] if every else []
    missing += [name for name in listed(folder) if name not in present and matches(name, files)]
    for index in (name for name in present if name.endswith(".safetensors.index.json")):
        shards = sorted(set(read_object(folder / index).get("weight_map", {}).values()))
        missing += [shard for shard in shards if (Path(index).parent / shard).as_posix() not in present]
    return tuple(dict.fromkeys(missing))


def listed(folder: Path) -> list[str]:
    """The files of a model according to the list that the hub's downloader keeps; none if it has kept none."""
    return list(read_object(folder.parent.parent / "trees" / f"{folder.name}.json").get("files", {}))


def read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or torn: then it says nothing
        return {}
    return value if isinstance(value, dict) else {}


def matches(name: str, patterns: Iterable[str]) -> bool:
    """As snapshot_download does it; no patterns mean every file."""
    patterns = [f"{pattern}*" if pattern.endswith("/") else pattern for pattern in patterns]
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
