"""WD taggers: which of some ten thousand Danbooru tags a drawing has, each with a probability, by onnxruntime.

The model only runs for pictures that it has not seen yet: probabilities are kept (`tags/probabilities.py`), and what is
said follows from them and from the options alone (`tags/choose.py`), in a run as in the window.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from captioners.base import Captioner, CaptionerError, Picture, Progress, Said, Tag
from captioners.tags import labels as lists
from captioners.tags import pixels
from captioners.tags.choose import Chooser
from captioners.tags.choose import limits as limits_of
from captioners.tags.options import Tagging
from captioners.tags.probabilities import ProbabilityCache, Scores, identity, scores
from captioners.weights import Published, Weights, find
from dataset.editor.words import key
from jobs.folder import home
from settings.section import Section

MODELS = ("model.onnx", "model_optimized.onnx")
FILES = (MODELS[0], lists.FILES[0])
PROVIDERS = {  # of onnxruntime, in the order of preference for a device
    "cuda": ("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider", "DmlExecutionProvider"),
    "mps": ("CoreMLExecutionProvider",),
    "rocm": ("ROCMExecutionProvider", "MIGraphXExecutionProvider"),
    "directml": ("DmlExecutionProvider",),
    "coreml": ("CoreMLExecutionProvider",),
    "openvino": ("OpenVINOExecutionProvider",),
    "cpu": (),
}
# Where precision and recall are the same, from the models' own pages; for ViT, SwinV2 and ConvNeXt v3 those of the
# second version, which is what the hub gives. Whoever trains a model may put a thresholds.json beside it.
RECOMMENDED = {
    "wd-vit-tagger-v3": 0.2614,
    "wd-swinv2-tagger-v3": 0.2653,
    "wd-convnext-tagger-v3": 0.2682,
    "wd-vit-large-tagger-v3": 0.2606,
    "wd-eva02-large-tagger-v3": 0.5296,
    "wd-v1-4-moat-tagger-v2": 0.3771,
    "wd-v1-4-swinv2-tagger-v2": 0.3771,
    "wd-v1-4-convnext-tagger-v2": 0.3685,
    "wd-v1-4-convnextv2-tagger-v2": 0.3710,
    "idolsankaku-eva02-large-tagger-v1": 0.4985,
}


@dataclass(frozen=True)
class Seen:
    """A picture on its way through the tagger: known already, or as pixels."""

    digest: bytes | None  # None: not kept
    scores: Scores | None
    pixels: np.ndarray | None  # as `pixels.square` gives them


@dataclass(frozen=True)
class Shape:
    """What a model takes: pictures of `size` pixels square, `batch` of them at once, or any number for 0."""

    size: int
    batch: int
    layout: pixels.Layout
    element: type[np.generic]
    logits: bool = False  # it gives values before the sigmoid


class WdTagger(Captioner):
    name = "wd_tagger"
    label = "WD tagger"
    order = 10
    says: ClassVar[Literal["tags", "caption"]] = "tags"
    settings: ClassVar[type[Section]] = Tagging
    published: ClassVar[dict[str, Published]] = {
        "SmilingWolf/wd-vit-tagger-v3": Published("apache-2.0", 378_844_778, FILES, "quick, good on a CPU"),
        "SmilingWolf/wd-swinv2-tagger-v3": Published("apache-2.0", 467_300_000, FILES, "a little better and slower"),
        "SmilingWolf/wd-convnext-tagger-v3": Published("apache-2.0", 395_300_000, FILES, "about as good as SwinV2"),
        "SmilingWolf/wd-eva02-large-tagger-v3": Published("apache-2.0", 1_260_700_000, FILES, "the best, for a GPU"),
        "SmilingWolf/wd-vit-large-tagger-v3": Published("apache-2.0", 1_260_700_000, FILES, "large, for a GPU"),
        "SmilingWolf/wd-v1-4-moat-tagger-v2": Published("apache-2.0", 326_500_000, FILES, "of 2023, fewer tags"),
        "deepghs/idolsankaku-eva02-large-tagger-v1": Published("apache-2.0", 1_260_700_000, FILES, "photographs"),
        "cella110n/cl_tagger": Published(
            "apache-2.0", 1_400_000_000, ("cl_tagger_1_02/model_optimized.onnx", "cl_tagger_1_02/tag_mapping.json"),
            "42,163 tags, also series, artists, quality",
        ),
    }  # fmt: skip
    batch_size = 8

    options: Tagging

    def load(self, weights: Weights | None, progress: Progress) -> None:
        assert weights is not None and weights.folder is not None
        model, listed = model_files(weights.folder)
        self.labels = lists.read(listed)
        self.chooser = Chooser(self.labels, self.options, recommended(weights.model, weights.folder))
        self.session, self.shape, self.at_once = self._session(model)
        self.lanes = ThreadPoolExecutor(self.at_once, "tagger")
        self.batch_size = max(type(self).batch_size, self.at_once)
        given = self.session.get_outputs()[0].shape[-1]
        if isinstance(given, int) and given != len(self.labels):
            raise CaptionerError(
                f"{model.name} gives {given} values and {listed.name} has {len(self.labels)} tags: they do not belong "
                f"together; download both again (in {model.parent})"
            )
        self.cache = self._cache() if self.options.keep else None
        self.identity = identity([model, listed], pixels.VERSION)
        if self.cache is not None:
            with contextlib.suppress(sqlite3.OperationalError):  # locked or full: then no name is known of what is kept
                self.cache.introduce(self.identity, weights.model, self.labels.names)
        self.shape = self._tried()

    def _session(self, model: Path) -> tuple[Any, Shape, int]:
        """The loaded model, what it takes, and how many times at once it is to be run.

        On the processor that is once on every core, each time with a share of the pictures: threads that share every
        layer of one run wait for each other, and for the cores on which pictures are being prepared."""
        import onnxruntime

        wanted = providers(self.options.provider, self.place.device, onnxruntime.get_available_providers())
        session = loaded(model, wanted, 1)
        self._tell_fallback(session.get_providers(), wanted, onnxruntime.__version__)
        shape, cores = shape_of(session), self.place.threads or os.cpu_count() or 1
        if session.get_providers() != ["CPUExecutionProvider"]:
            return session, shape, 1
        if shape.batch > 1:  # such a number of pictures can't be shared out
            return loaded(model, wanted, cores), shape, 1
        return session, shape, cores

    def _tell_fallback(self, got: Sequence[str], wanted: Sequence[str], version: str) -> None:
        asked = self.options.provider if self.options.provider != "auto" else self.place.device.partition(":")[0]
        if asked != "cpu" and got[0] == "CPUExecutionProvider":
            name = PROVIDERS[asked][0]
            why = (f"{name} did not start: the versions of CUDA and of onnxruntime {version} may not fit"
                   if len(wanted) > 1 else f"the installed onnxruntime has no {name}")
            fix = "; pip install onnxruntime-gpu in its place" if asked == "cuda" and len(wanted) == 1 else ""
            self.notes.append(f"the tagger computes on the CPU, which is slower: {why}{fix}")
        both = [name for name in ("onnxruntime", "onnxruntime-gpu") if installed(name)]
        if len(both) == 2:
            self.notes.append("onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
                              "uninstall both, then install the one that you want")

    def _cache(self) -> ProbabilityCache | None:
        try:
            return ProbabilityCache(cache_folder())
        except (OSError, sqlite3.Error) as error:
            self.notes.append(f"probabilities can't be kept ({error}): a moved threshold will need a new run")
            return None

    def _tried(self) -> Shape:
        """The shape, completed by a trial with a white picture: an export without the sigmoid gives it away there."""
        side = self.shape.size
        given = self._run([np.full((side, side, 3), 255, np.uint8)])
        if given.shape[1:] != (len(self.labels),):
            raise CaptionerError(f"the model gives values in the shape {given.shape[1:]} for {len(self.labels)} tags")
        outside = bool((given < 0).any() or (given > 1).any())
        return Shape(side, self.shape.batch, self.shape.layout, self.shape.element, outside)

    def prepare(self, picture: Picture) -> Seen:
        digest = known = None
        if self.cache is not None:
            digest = self.cache.digests([picture.path]).get(picture.path)
            known = self.cache.get(self.identity, [digest]).get(digest) if digest else None
        if known is not None:
            return Seen(digest, known, None)
        return Seen(digest, None, pixels.square(picture.image, self.shape.size))

    def say(self, batch: Sequence[Seen], attempt: int = 0) -> list[Said]:
        fresh = [seen for seen in batch if seen.pixels is not None]
        found = self._scores([seen.pixels for seen in fresh]) if fresh else []
        self._keep({seen.digest: one for seen, one in zip(fresh, found) if seen.digest})
        rest = iter(found)
        return [self.chooser.choose(seen.scores or next(rest)) for seen in batch]

    def _keep(self, known: dict[bytes, Scores]) -> None:
        if self.cache is None:
            return
        # Captions matter more than what makes the next ones quicker: a full disk stops them soon enough.
        with contextlib.suppress(sqlite3.OperationalError):
            self.cache.put(self.identity, known)

    def _scores(self, pictures: Sequence[np.ndarray]) -> list[Scores]:
        step = self.shape.batch or math.ceil(len(pictures) / self.at_once)
        parts = [pictures[start : start + step] for start in range(0, len(pictures), step)]
        return [scores(row, self.labels) for rows in self.lanes.map(self._run, parts) for row in rows]

    def _run(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities [pictures, labels]."""
        batch = pixels.batch(pictures, self.shape.layout, self.shape.element, self.shape.batch)
        given = self.session.run(None, {self.session.get_inputs()[0].name: batch})[0][: len(pictures)]
        given = given.astype(np.float32, copy=False)
        return 1 / (1 + np.exp(-np.clip(given, -60, 60))) if self.shape.logits else given

    def close(self) -> None:
        if lanes := getattr(self, "lanes", None):
            lanes.shutdown()
        if cache := getattr(self, "cache", None):
            cache.close()


def shape_of(session: Any) -> Shape:
    """What a loaded model takes, by its input. Raises CaptionerError."""
    port = session.get_inputs()[0]
    if len(port.shape) != 4 or 3 not in (port.shape[1], port.shape[3]):
        raise CaptionerError(f"this model is no tagger: it takes values in the shape {port.shape}, not pictures")
    layout: pixels.Layout = "NHWC" if port.shape[3] == 3 else "NCHW"
    side = port.shape[1] if layout == "NHWC" else port.shape[2]
    batch = port.shape[0] if isinstance(port.shape[0], int) and port.shape[0] > 0 else 0
    element = np.float16 if port.type == "tensor(float16)" else np.float32
    return Shape(side if isinstance(side, int) and side > 0 else 448, batch, layout, element)


def loaded(model: Path, wanted: Sequence[str], threads: int) -> Any:
    """A session of onnxruntime; `threads` are for the parts of it that the processor computes."""
    import onnxruntime

    if "CUDAExecutionProvider" in wanted and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries from torch's wheels, where there is no other CUDA
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3  # what it warns about is told in words
    # Threads that wait in a loop would take the cores from those that prepare pictures.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    extra = {"OpenVINOExecutionProvider": {"precision": "FP32"}}  # in half precision it gives nonsense
    try:
        return onnxruntime.InferenceSession(str(model), settings, [(name, extra.get(name, {})) for name in wanted])
    except load_errors() as error:
        raise CaptionerError(f"{model} can't be loaded ({error}): download it again, or choose another") from error


def load_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises about a file that it can't load: it has no class that they have in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as known

    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return tuple(getattr(known, name) for name in names)


def providers(chosen: str, device: str, available: Sequence[str]) -> list[str]:
    """What onnxruntime is asked for, the CPU always last."""
    wanted = PROVIDERS[device.partition(":")[0] if chosen == "auto" else chosen]
    return [*(name for name in wanted if name in available), "CPUExecutionProvider"]


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def model_files(folder: Path) -> tuple[Path, Path]:
    """(model, list of labels) in a folder or in one inside it. Raises CaptionerError."""
    found = sorted(folder.rglob("*.onnx"), key=lambda path: (len(path.parts), path.name not in MODELS, path.name))
    for model in found:
        for name in lists.FILES:
            if (model.parent / name).is_file():
                return model, model.parent / name
    if found:
        raise CaptionerError(f"{found[0].parent} has no {' or '.join(lists.FILES)}, the names of the tags")
    raise CaptionerError(f"{folder} has no .onnx file: choose the folder of a tagger")


def recommended(model: str, folder: Path | None) -> dict[str, float]:
    """Thresholds by category that go with a model, as far as anybody has measured them."""
    name = Path(model).name if model else ""
    known = {"general": RECOMMENDED[name]} if name in RECOMMENDED else {}
    beside = folder / "thresholds.json" if folder else None
    if beside and beside.is_file():
        try:
            known |= {str(kind): float(value) for kind, value in json.loads(beside.read_text("utf-8")).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise CaptionerError(f"{beside} must be like {{\"general\": 0.35}} ({error})") from error
    return known


def cache_folder() -> Path:
    return home() / "cache" / "probabilities"


# --- what the window asks; no model runs for it ---------------------------------------------------------------------


def retagged(options: Tagging, paths: Sequence[Path]) -> dict[Path, Said | None]:
    """What a run with these options would say of pictures that were tagged before; None: it was not, or by another
    model. Raises CaptionerError if the model's list of tags can't be read."""
    chooser, found = _known(options, paths)
    return {path: chooser.choose(found[path]) if chooser and path in found else None for path in paths}


def every_tag(options: Tagging, path: Path) -> list[Tag] | None:
    """All that is known of a picture, the most probable first, whatever the thresholds; None if it was not tagged."""
    chooser, found = _known(options, [path])
    return chooser.everything(found[path]) if chooser and path in found else None


def scores_of(options: Tagging, paths: Sequence[Path], tag: str) -> dict[Path, float]:
    """How probable one tag is in pictures that were tagged before, 0 where it was too improbable to be kept; nothing
    for a tag that the model doesn't know. Case and underscores don't matter. Raises CaptionerError."""
    chooser, found = _known(options, paths)
    names = chooser.labels.names if chooser else ()
    label = next((place for place, name in enumerate(names) if key(name) == key(tag)), None)
    if label is None:
        return {}
    return {path: float(scores.values[scores.labels == label].sum()) for path, scores in found.items()}


def labels_file(options: Tagging) -> Path | None:
    """The model's list of tags; None: the model isn't on this machine. Raises CaptionerError."""
    weights = find(options.model, WdTagger.published)
    return model_files(weights.folder)[1] if weights.here and weights.folder else None


def limits(options: Tagging) -> dict[str, float]:
    """The threshold of each category that a run with these options would use."""
    weights = find(options.model, WdTagger.published)
    return limits_of(options, recommended(weights.model, weights.folder))


def _known(options: Tagging, paths: Sequence[Path]) -> tuple[Chooser | None, Mapping[Path, Scores]]:
    weights = find(options.model, WdTagger.published)
    if not weights.here or weights.folder is None:
        return None, {}
    model, listed = model_files(weights.folder)
    chooser = Chooser(lists.read(listed), options, recommended(weights.model, weights.folder))
    with contextlib.closing(ProbabilityCache(cache_folder())) as cache:
        digests = cache.digests(paths, read=len(paths) == 1)  # a whole folder may take minutes to read, a slider can't
        kept = cache.get(identity([model, listed], pixels.VERSION), digests.values())
    return chooser, {path: kept[digest] for path, digest in digests.items() if digest in kept}
