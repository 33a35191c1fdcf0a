"""Blurry, dark, bright, odd, letterboxed pictures and such with little in them, the worst first.

What is sharp for a photograph is not so for a drawing, and a set of night scenes is dark on purpose. So these are
places in a ranking within the set, for a person to look at, and no verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from dataset.doctor.check import Case, Finding, Subject, check, finding

BLURRY = 0.2  # of the set's median sharpness
ENOUGH = 5  # pictures of which a median says something
DARK = 0.32  # brightness 0..1 that 99 % of a dark picture's pixels stay below
BRIGHT = 0.95  # and that 95 % of a bright one's are above
PLAIN = 3.0  # bits of entropy; photographs have 6 to 9
NARROW = 0.35  # shorter side / longer side


@check
def blurry(subject: Subject) -> Iterator[Finding]:
    ranked = subject.ranked(lambda look: look.quality.sharpness)
    if len(ranked) < ENOUGH:
        return
    usual = median(sharpness for sharpness, _ in ranked)
    cases = (
        Case((item.path,), f"sharpness {sharpness:.0f}, the set's median {usual:.0f}; place {place} of {len(ranked):,}")
        for place, (sharpness, item) in enumerate(ranked, start=1)
        if sharpness < BLURRY * usual
    )
    yield from finding(
        "quality.blurry", "warning", cases, "{picture} far less sharp than the others",
        "The model learns blur together with the subject, and draws it.",
        "Look at them, the least sharp first, and leave out those that are out of focus or shaken.")


@check
def dark(subject: Subject) -> Iterator[Finding]:
    cases = (
        Case((item.path,), f"99 % of it is darker than {value:.0%} of white")
        for value, item in subject.ranked(lambda look: look.quality.darkness) if value < DARK
    )
    yield from finding(
        "quality.dark", "warning", cases, "{dark picture}",
        "There is little to see in the shadows, and the model learns that the subject is dark.",
        'Brighten them, leave them out, or say so in their captions ("at night").')


@check
def bright(subject: Subject) -> Iterator[Finding]:
    ranked = reversed(subject.ranked(lambda look: look.quality.brightness))
    cases = (
        Case((item.path,), f"95 % of it is brighter than {value:.0%} of white")
        for value, item in ranked if value > BRIGHT
    )
    yield from finding(
        "quality.bright", "warning", cases, "{picture} nearly all white",
        "Overexposed skin and blank grounds are learnt as part of the subject.",
        'Darken them, crop them closer, or say so in their captions ("white background").')


@check
def odd(subject: Subject) -> Iterator[Finding]:
    shapes = sorted((min(item.width, item.height) / max(item.width, item.height), str(item.path), item)
                    for item in subject.items)
    cases = (
        Case((item.path,), f"{item.width:,} x {item.height:,}, one side {1 / shape:.1f} times the other")
        for shape, _, item in shapes if shape < NARROW
    )
    yield from finding(
        "quality.odd", "warning", cases, "{picture} far from square",
        "Base models have seen few pictures of this shape; each gets a bucket of its own, or loses its ends.",
        "Crop them to what matters, best between 1:2 and 2:1.")


@check
def letterboxed(subject: Subject) -> Iterator[Finding]:
    cases = (
        Case((item.path,), f"bars on {where}")
        for item in subject.items if (where := subject.looks[item.path].quality.bars)
    )
    yield from finding(
        "quality.letterboxed", "warning", cases, "{picture} with bars or a frame",
        "Bars are the easiest thing to learn: the model soon draws them around everything.",
        "Crop the bars off.")


@check
def plain(subject: Subject) -> Iterator[Finding]:
    cases = (
        Case((item.path,), f"{value:.1f} bits a colour value, of at most 9.6")
        for value, item in subject.ranked(lambda look: look.quality.entropy) if value < PLAIN
    )
    yield from finding(
        "quality.plain", "note", cases, "{picture} with little in them",
        "A picture of few colours and large even areas teaches little about the subject beside that evenness.",
        "Look at them: flat drawings may be meant so, blank frames and placeholders are better left out.")
