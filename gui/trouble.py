"""What a person needs when a run has failed: settings that would mend it, and a report that can be shown to others.

A report holds what helps whoever is asked for help, and nothing that is nobody else's business: no token or key, and
not the name of the person's home folder.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from captioners.config import CaptionConfig
from gui.run import CaptionRun, Run
from jobs import secrets
from jobs.redaction import redaction
from jobs.verdict import last_lines
from settings import toml
from settings.errors import SettingsError
from trainer.config import TrainSettings
from trainer.needs import shortage

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft", "safetensors", "gradio")


def fixes(run: Run) -> list[dict[str, Any]]:
    """[{"says", "settings"}], as the run itself has told them. One that the system has ended, because the machine ran
    out of memory, could tell nothing more: where it computed on the processor they follow from its settings."""
    told = run.end.get("fixes")
    if told is not None or run.end.get("reason") != "memory" or run.started.get("device", "cpu") != "cpu":
        return list(told or ())
    config = settings(run)
    if not isinstance(config, TrainSettings):
        return []
    on_cpu = config.model_copy(update={"accelerate": config.accelerate.model_copy(update={"cpu": True})})
    *_, found = shortage.explained(on_cpu)
    return [vars(fix) for fix in shortage.fixes(found)]


def settings(run: Run) -> TrainSettings | CaptionConfig | None:
    """None where they can't be read, which may be what is wrong."""
    try:
        return toml.read(CaptionConfig if isinstance(run, CaptionRun) else TrainSettings, run.job.config_path)
    except (SettingsError, OSError):
        return None


def report(run: Run, state: str, home: Path) -> str:
    """Plain text, to be pasted into an issue. `home`: the workspace, whose saved tokens it must not hold."""
    job, end, config = run.job, run.end, settings(run)
    device = run.started.get("device") or "a device that it has not named"
    cause = "\n".join(filter(None, (end.get("cause"), end.get("fix"))))
    parts = {
        f"{job.name}: {job.kind}, {state}": f"step {run.step} of {run.total} on {device}",
        "Cause": cause or "none was told",
        "Versions": "\n".join(versions()),
        "Settings that differ from the defaults": toml.dumps(config, changed_only=True) if config else "unreadable",
        "Last lines of the log": "\n".join(last_lines(job.log_path, 0)),
        "Traceback": end.get("traceback", ""),
    }
    text = "\n\n".join(f"## {title}\n{part.strip()}" for title, part in parts.items() if part.strip())
    return without_secrets(text, home) + "\n"


def versions() -> list[str]:
    found = [f"{name} {version(name)}" for name in PACKAGES]
    return [f"Python {platform.python_version()} on {platform.platform()}", *found]


def without_secrets(text: str, home: Path) -> str:
    for folder in dict.fromkeys((str(Path.home()), os.path.realpath(Path.home()))):
        if folder != os.sep:
            text = text.replace(folder, "~")
    return redaction({**os.environ, **secrets.saved(home)})(text)
