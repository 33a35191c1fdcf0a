"""What can be chosen about tags: which of them count, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from captioners.tags.rewrite import RuleError, pairs, rules
from settings.section import Section, Ui

Share = Annotated[float | None, Field(ge=0, le=1)]
Order = Literal["score", "list", "alphabet", "booru"]
Provider = Literal["auto", "cpu", "cuda", "rocm", "directml", "coreml", "openvino"]


class Tagging(Section):
    """Danbooru's tags with a probability each, for drawn pictures; quick on any machine. WD taggers and their kin."""

    model: Annotated[str, Ui(level="quick", kind="model", kohya="repo_id model_dir")] = "SmilingWolf/wd-vit-tagger-v3"
    """A model on the hub, or a folder with an .onnx file and its selected_tags.csv or tag_mapping.json."""

    general_threshold: Annotated[Share, Ui(level="quick", step=0.01, kohya="general_threshold thresh")] = None
    """General tags above this probability are written. Empty: what the model's author measured to be best."""

    character_threshold: Annotated[Share, Ui(level="quick", step=0.01, kohya="character_threshold")] = None
    """The same for names of characters. Empty: what is recommended for the model, usually 0.85."""

    copyright_threshold: Annotated[Share, Ui(level="expert", step=0.01, kohya="copyright_threshold")] = None
    """The same for series and games, where the model knows them. Empty: as for characters."""

    artist_threshold: Annotated[Share, Ui(level="expert", step=0.01, kohya="artist_threshold")] = None
    """The same for artists, where the model knows them. Empty: as for characters."""

    meta_threshold: Annotated[Share, Ui(level="expert", step=0.01, kohya="meta_threshold")] = None
    """The same for tags about the file, such as highres. Empty: none of them."""

    quality_threshold: Annotated[Share, Ui(level="expert", step=0.01, kohya="quality_threshold")] = None
    """The same for verdicts, such as best quality. Empty: none of them."""

    model_threshold: Annotated[
        Share, Ui("Generator threshold", level="expert", step=0.01, kohya="model_threshold")
    ] = None
    """The same for the program that made the picture, where the tagger guesses it. Empty: none of them."""

    tag_thresholds: Annotated[list[str], Ui("Thresholds of single tags", level="expert")] = []
    """Lines such as "smile = 0.6"; with * and ?, or /regular expression/ = 0.6. They go before the category's."""

    general_mcut: Annotated[bool, Ui("General: threshold by largest gap")] = False
    """Each picture's own threshold, in the largest gap between its probabilities (MCut), not the general one."""

    character_mcut: Annotated[bool, Ui("Characters: threshold by largest gap")] = False
    """The same for characters; never below 0.15."""

    other_mcut: Annotated[bool, Ui("Other categories: threshold by largest gap", level="expert")] = False
    """The same for series, artists and what else the model knows, each category on its own."""

    max_tags: Annotated[int | None, Field(ge=1, le=1000), Ui("At most this many tags")] = None
    """The most probable ones. Empty: all that are above the thresholds."""

    rating: Annotated[
        Literal["off", "first", "last", "only"], Ui(kohya="use_rating_tags use_rating_tags_as_last_tag")
    ] = "off"
    """The most probable rating among the tags: not at all, in front, at the end, or nothing else.
    The template's {rating} is it in any case."""

    rating_threshold: Annotated[float, Field(ge=0, le=1), Ui(level="expert", step=0.01)] = 0.0
    """A rating that is less probable than this is not used."""

    exclude: Annotated[list[str], Ui(level="quick", kohya="undesired_tags")] = []
    """Tags that are never written, with commas between or one a line; spaces or underscores; * and ? for any letters;
    /regular expression/ on a line of its own. A comma, star or question mark that is part of a tag: \\, \\* \\?"""

    replace: Annotated[list[str], Ui(kohya="tag_replacement")] = []
    """Lines such as "old tag = new tag", also with several new ones, or none; the old one with * and ?, or as a
    /regular expression/, whose groups are \\1, \\2 in the new one."""

    alias: Annotated[list[str], Ui("Other names", level="expert")] = []
    """Lines such as "bangs = blunt bangs, parted bangs": those on the right are written as the one on the left, and
    every other option sees only that one."""

    first: Annotated[list[str], Ui("Always first", kohya="always_first_tags")] = []
    """These tags in front, in this order, where the picture has them. To add a word to all pictures use the trigger."""

    characters_first: Annotated[bool, Ui(kohya="character_tags_first")] = False
    """Names of characters before the other tags."""

    expand_characters: Annotated[bool, Ui("Series of characters apart", kohya="character_tag_expand")] = False
    """rem_(re:zero) becomes two tags, rem and re:zero. A name that is also a general tag, as in unicorn_(azur_lane),
    stays whole; a series is said once."""

    drop_implied: Annotated[bool, Ui("Without what others imply")] = False
    """Leave out hair where there is long hair: tags that another chosen tag ends with."""

    drop_traits: Annotated[bool, Ui("Without a character's traits")] = False
    """Leave out hair, eyes, ears and the like, so that a LoRA of a character binds them to its trigger."""

    order: Annotated[Order, Ui()] = "score"
    """score: the most probable first. list: as in the model's list, the most frequent first. alphabet. booru: solo and
    the number of people first."""

    underscores: Annotated[Literal["spaces", "keep"], Ui(kohya="remove_underscore")] = "spaces"
    """long hair or long_hair."""

    kaomoji: Annotated[bool, Ui("Faces keep their underscores", level="expert")] = True
    """^_^ and the like are not written with spaces."""

    escape: Annotated[bool, Ui("Brackets with backslashes", level="expert")] = False
    """Write rem \\(re:zero\\), as prompts want it. Captions for training don't."""

    separator: Annotated[str, Field(min_length=1), Ui(level="expert", kohya="caption_separator")] = ", "
    """Stands between two tags."""

    provider: Annotated[Provider, Ui(level="expert")] = "auto"
    """What computes, of those that the installed onnxruntime has. auto: as run.device says."""

    keep: Annotated[bool, Ui("Keep probabilities", level="expert")] = True
    """Keep them in the workspace (about 2 KB a picture), so that a moved threshold shows at once and a picture that was
    seen before need not be computed again."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for name in ("exclude", "first"):
            try:
                rules(getattr(self, name))
            except RuleError as error:
                yield name, str(error)
        for name in ("replace", "alias", "tag_thresholds"):
            try:
                found = pairs(getattr(self, name))
            except RuleError as error:
                yield name, str(error)
                continue
            for old, new in found if name == "tag_thresholds" else []:
                if not is_share(new):
                    yield name, f"the threshold of {old.text!r} must be a number from 0 to 1; got {new!r}"


def is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
