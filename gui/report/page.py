"""The page of a run, put together. It forbids itself scripts and the network, so nothing in it can do harm anywhere."""

from __future__ import annotations

import re
import time
from itertools import chain

from gui.chosen import chosen
from gui.figures import family, figures
from gui.report import parts
from gui.report.chart import svg
from gui.report.parts import safe, section
from gui.run import Run
from gui.thumbnails import Thumbnails
from jobs import notes
from jobs.folder import Job

MARK = "<!doctype html><!-- Loratory: report on a run -->"
POINTS = 400  # of a curve
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --line: #0f766e; --soft: #8883; --ink: #567; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --line: #5eead4; --ink: #9ab; --bad: #fca5a5; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { margin: 0 0 .3rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
p { margin: .3rem 0; } .note, small, figcaption { color: var(--ink); } .notes { white-space: pre-wrap; }
.bad { border-left: 4px solid var(--bad); padding-left: 1rem; } .bad h2 { color: var(--bad); }
.tag { border: 1px solid var(--soft); border-radius: 99px; padding: .1rem .6rem; margin-right: .3rem; }
table { border-collapse: collapse; font-size: .9rem; } .scroll { overflow-x: auto; }
td, th { border-bottom: 1px solid var(--soft); padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; min-width: 5rem; }
tbody th, tr > th:first-child { font-weight: 600; min-width: 8rem; max-width: 16rem; }
thead th { color: var(--ink); font-weight: 400; } code, pre { font-size: .8rem; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; } td img { display: block; max-width: 8.5rem; border-radius: 6px; }
figure { margin: .6rem 0; } svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--ink); }
.grid { stroke: var(--soft); } .line { fill: none; stroke: var(--line); stroke-width: 2; }
.band { fill: var(--line); stroke: var(--line); opacity: .25; } .lost { stroke: var(--bad); stroke-width: 2; }
"""


def page(run: Run, state: str, thumbnails: Thumbnails) -> str:
    """The whole page. `run` is as new as it was refreshed."""
    known = chosen(run.job)
    loss = svg(run.loss.thinned(POINTS), "Loss: lowest to highest, and smoothed", run.total, band=True)
    held = (
        svg(curve.thinned(POINTS), name.replace("held out", "Loss on pictures that were held out"), run.total)
        for name, curve in run.validation.items()
    )
    rates = (
        svg(rate.thinned(POINTS), f"Learning rate: {group.replace('_', ' ')}", run.total)
        for group, rate in run.rates.items()
    )
    return "\n".join(
        chain(
            (MARK, f'<html lang="en"><head><meta charset="utf-8"><title>{safe(run.job.name)}</title>',
             f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
             f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'),
            head(run, state),
            parts.ending(run),
            section("Figures", parts.facts(figures(run))),
            section("Good to know", parts.warnings(run)),
            section("Samples", parts.samples(run, thumbnails)),
            section("Curves", [chart for chart in (loss, *held, *rates) if chart]),
            section("File", parts.files(run)),
            section("Plan", parts.plan(run)),
            section("Data set", parts.data(run, known)),
            section("Settings that differ from the defaults", parts.settings(known)),
            section("Versions", parts.facts(run.started.get("versions") or {})),
            ("</body></html>\n",),
        )
    )


def head(run: Run, state: str) -> list[str]:
    written = notes.read(run.job.folder)
    when = time.strftime("%Y-%m-%d %H:%M %z", time.localtime(run.job.created))
    said = [state, f"begun {when}", family(str(run.started.get("family", "")))]
    sentence = (run.started.get("plan") or {}).get("sentence")
    return [
        f"<h1>{'★ ' * written.best}{safe(run.job.name)}</h1>",
        f'<p class="note">{safe(", ".join(filter(None, said)))}</p>',
        f"<p>{safe(sentence)}</p>" if sentence else "",
        f"<p>{''.join(f'<span class=tag>{safe(tag)}</span>' for tag in written.tags)}</p>" if written.tags else "",
        f'<p class="notes">{safe(written.text)}</p>' if written.text else "",
    ]


def file_name(job: Job) -> str:
    """Plain letters only: it becomes part of a header."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', job.name).strip('._')[:80] or 'run'}-report.html"
