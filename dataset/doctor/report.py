"""The examination as one HTML file that needs no other: findings with small pictures, buckets, and a manifest.

Names and captions come from anywhere, so all of them are escaped, and the page forbids itself scripts and the network.
"""

from __future__ import annotations

import base64
import os
import secrets
from datetime import datetime
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

from dataset.doctor.check import Case, Finding
from dataset.doctor.examine import Examination
from dataset.problem import counted
from settings.errors import SettingsError

MARK = "<!doctype html><!-- Loratory: report on a data set -->"
SHOWN = 40  # cases of a finding that get a picture; all are listed
TOGETHER = 12  # pictures of one case

STYLE = """
:root { color-scheme: light dark; --line: #8885; --serious: #c22; --warning: #a60; --note: #567; }
@media (prefers-color-scheme: dark) { :root { --serious: #f77; --warning: #eb5; --note: #9ab; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
section { border-left: 4px solid var(--note); margin: 1.2rem 0; padding: .1rem 0 .1rem 1rem; }
section.serious { border-color: var(--serious); } section.warning { border-color: var(--warning); }
h2 { font-size: 1.1rem; margin: .3rem 0; } h2 small { font-weight: 400; color: var(--note); }
h2 .serious { color: var(--serious); } h2 .warning { color: var(--warning); } p { margin: .3rem 0; }
ul { list-style: none; padding: 0; margin: .5rem 0; } li { padding: .3rem 0; border-top: 1px solid var(--line); }
li.tile { display: inline-block; border: 0; font-size: .78rem; vertical-align: top; width: 8.6rem; }
figure { display: inline-block; margin: 0 .6rem .2rem 0; vertical-align: top; width: 8rem; }
figure img { max-width: 7rem; max-height: 7rem; display: block; } figcaption { font-size: .78rem; }
figcaption, li, td { overflow-wrap: anywhere; } .keep { font-weight: 600; }
table { border-collapse: collapse; font-size: .82rem; width: 100%; }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .5rem; text-align: left; vertical-align: top; }
code { font-size: .75rem; } .scroll { overflow-x: auto; }
"""


def check_place(path: Path) -> None:
    """Raises SettingsError where the report can't go: a report is replaced, any other file is not."""
    if path.is_dir() or not path.parent.is_dir():
        raise SettingsError({"--report": f"name a file in a folder that exists: {path}"})
    if path.exists() and not _is_report(path):
        raise SettingsError({"--report": f"{path} is there already and is no report; choose another name"})


def write(found: Examination, path: Path) -> None:
    """Write the page, whole or not at all; OSError where the disk refuses."""
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        aside.write_text(page(found), encoding="utf-8")
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def page(found: Examination) -> str:
    """The page; thumbnails are in it where the examination took any."""
    told = found.as_dict()
    parts = chain(
        (MARK, f'<html lang="en"><head><meta charset="utf-8"><title>{_safe(found.subject.root.name)}</title>',
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
         "style-src 'unsafe-inline'\"><meta name=\"viewport\" content=\"width=device-width\">",
         f"<style>{STYLE}</style></head><body>"),
        _head(found),
        chain.from_iterable(_finding(found, finding) for finding in found.findings), _fine(found),
        _buckets(told), _manifest(told), ("</body></html>\n",),
    )
    return "\n".join(parts)


def _head(found: Examination) -> list[str]:
    serious = sum(finding.severity == "serious" for finding in found.findings)
    facts = [counted(len(found.subject.items), "picture"), counted(len(found.findings), "finding"),
             f"{serious} serious", f"for {found.subject.settings.resolution} px",
             f"captions read by {found.subject.aim.reader.label}"]
    if found.subject.trigger:
        facts.append(f"trigger word {_safe(found.subject.trigger)}")
    when = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}"
    return [f"<h1>{_safe(found.subject.root.name)}</h1>",
            f"<p>{_safe(str(found.subject.root))}, {when}</p><p>{', '.join(facts)}.</p>"]


def _finding(found: Examination, finding: Finding) -> list[str]:
    cases = [_case(found, case, index < SHOWN) for index, case in enumerate(finding.cases)]
    return [
        f'<section class="{finding.severity}"><h2><span class="{finding.severity}">{_safe(finding.title)}</span> '
        f"<small>{finding.severity}</small></h2>",
        f"<p>{_safe(finding.effect)}</p><p><strong>{_safe(finding.fix)}</strong></p>",
        *(["<ul>", *cases, "</ul>"] if cases else []), "</section>",
    ]


def _fine(found: Examination) -> list[str]:
    if not found.fine:
        return []
    return ["<h2>Looked at and found to be fine</h2><ul>",
            *(f"<li>{_safe(finding.title)}</li>" for finding in found.fine), "</ul>"]


def _case(found: Examination, case: Case, with_pictures: bool) -> str:
    names = [_named(found, path, case, with_pictures and index < TOGETHER) for index, path in enumerate(case.paths)]
    tile = ' class="tile"' if len(names) == 1 and names[0].startswith("<figure") else ""
    return f"<li{tile}>{''.join(names)}{_safe(case.detail)}</li>"


def _named(found: Examination, path: Path, case: Case, with_picture: bool) -> str:
    look = found.subject.looks.get(path)
    name = _safe(found.name(path)) + " (keep)" * (path == case.keep)
    name = f'<span class="keep">{name}</span>' if path == case.keep else name
    if not with_picture or look is None or not look.thumbnail:
        return f"{name} &nbsp; "
    data = base64.b64encode(look.thumbnail).decode()
    return f'<figure><img src="data:image/jpeg;base64,{data}" alt=""><figcaption>{name}</figcaption></figure>'


def _buckets(told: dict[str, Any]) -> list[str]:
    rows = (f"<tr><td>{bucket['size'][0]} x {bucket['size'][1]}<td>{bucket['pictures']:,}<td>{bucket['repeated']:,}"
            f"<td>{bucket['crop_loss']:.1%}<td>{_small(bucket)}" for bucket in told["buckets"])
    return [f"<h2>Buckets <small>cut off on average: {told['mean_crop_loss']:.1%}</small></h2>",
            "<table><tr><th>size<th>pictures<th>with repeats<th>cut off<th>too small", *rows, "</table>"]


def _small(bucket: dict[str, Any]) -> str:
    return f"{bucket['small']:,}, sides up to {bucket['enlarge']:.2f} times as long" if bucket["small"] else "none"


def _manifest(told: dict[str, Any]) -> list[str]:
    rows = (f"<tr><td>{_safe(picture['path'])}<td>{picture['width']} x {picture['height']}<td>{picture['tokens']}"
            f"<td>{picture['sharpness']:.0f}<td><code>{picture['sha256']}</code>" for picture in told["pictures"])
    return ["<h2>Manifest <small>the set is the same where these sums are</small></h2>",
            '<div class="scroll"><table><tr><th>picture<th>size<th>tokens<th>sharpness<th>SHA-256', *rows,
            "</table></div>"]


def _safe(text: str) -> str:
    return escape(text.encode(errors="replace").decode())


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False
