"""What tests of captioning share: a folder of plain pictures, and captioners that need no model."""

from pathlib import Path

import pytest

from captioners import captioners, run
from tests.captioners.fake import Fake, FakeTagger, Runs, paint


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Six plain pictures, and the fakes as captioners."""
    for kind in (Fake, FakeTagger):
        monkeypatch.setitem(captioners(), kind.name, kind)
    for name in ("batches", "loads", "closed", "seen"):
        monkeypatch.setattr(Fake, name, [])
    made = Runs(paint(tmp_path / "pictures"))
    monkeypatch.setattr(run, "CaptionConfig", made.tree)
    return made
