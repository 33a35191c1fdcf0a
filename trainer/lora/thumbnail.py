"""A small picture in a LoRA file's metadata: programs that show LoRAs as pictures have one at once."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from trainer.config import MetadataSettings

SIDE, QUALITY = 256, 80  # about 10 KB; the metadata is read whole by every program that lists LoRAs


def entry(said: MetadataSettings, samples: Path) -> dict[str, str]:
    """The newest sample of the first prompt (STEP_00.png), if it may be shown and there is one."""
    drawn = sorted(samples.glob("*_00.png")) if said.thumbnail and not said.private else []
    picture = data_uri(drawn[-1]) if drawn else None
    return {"modelspec.thumbnail": picture} if picture else {}


def data_uri(path: Path) -> str | None:
    """A JPEG of at most SIDE pixels a side; None for a file that is no picture any more."""
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError):
        return None
    small.thumbnail((SIDE, SIDE))
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
