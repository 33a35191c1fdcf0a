"""Looking at every picture of a folder, as work of its own: what the tag editor's `dup:` needs before it can answer.

Nothing is judged here. The looks are kept where the doctor keeps them (`known`), so whoever is first spares the other
the decoding.
"""

from __future__ import annotations

from typing import Any

from dataset.doctor.job import Settings as Examining
from dataset.doctor.job import looks as place
from dataset.doctor.known import Known
from dataset.doctor.look import looks
from dataset.pictures import PictureError
from dataset.problem import Problem
from dataset.scan import folders, scan
from settings.section import Section


class Settings(Section):
    """Looks at the pictures of a folder, to find copies."""

    folder: str = ""
    """The pictures."""


def work(settings: Settings, teller: Any) -> dict[str, Any]:
    """Pictures that are known already aren't decoded again; those that can't be are told. SettingsError where there is
    no folder."""
    root = Examining(folder=settings.folder).root
    paths = [item.path for item in scan(folders(root)).items]
    unread = 0
    with Known(place()) as known:
        for done, (path, look) in enumerate(looks(paths, True, known), start=1):
            if isinstance(look, PictureError):
                teller.problem(Problem(path, look.reason, look.fix))
                unread += 1
            teller.progress("Looking for copies", done, len(paths))
    return {"pictures": len(paths), "unread": unread}
