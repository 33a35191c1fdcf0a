"""Files that a job still writes, sent as they are at this moment.

What grows while it is sent would be more than its reply has announced, and the browser would throw all of it away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastapi.responses import StreamingResponse

PIECE = 1 << 18  # bytes


def snapshot(path: Path) -> StreamingResponse:
    """To be kept as a file of the same name, which has plain letters only. Raises OSError."""
    size = path.stat().st_size
    headers = {"content-disposition": f'attachment; filename="{path.name}"', "content-length": str(size)}
    return StreamingResponse(beginning(path, size), media_type="application/octet-stream", headers=headers)


def beginning(path: Path, size: int) -> Iterator[bytes]:
    """The first `size` bytes."""
    with path.open("rb") as file:
        while size and (piece := file.read(min(size, PIECE))):
            size -= len(piece)
            yield piece
