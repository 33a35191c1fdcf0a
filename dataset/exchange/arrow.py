"""Parquet files through pyarrow, which is not among the packages that are installed: it is large, and few need it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from settings.errors import SettingsError

INSTALL = f"{Path(sys.executable).as_posix()} -m pip install pyarrow"


def missing() -> str:
    """What to do for Parquet; "" where nothing is to be done."""
    return "" if importlib.util.find_spec("pyarrow") else f"Parquet needs the package pyarrow. Install it: {INSTALL}"


def arrow() -> tuple[ModuleType, ModuleType]:
    """(pyarrow, pyarrow.parquet). Raises SettingsError where they are not installed."""
    if said := missing():
        raise SettingsError({"format": said})
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def opened(file: Path) -> Any:
    """The Parquet file. Raises SettingsError for what is none."""
    pyarrow, parquet = arrow()
    try:
        return parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise SettingsError({"source": f"{file.name} is no Parquet file: {error}"}) from None


def parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    for batch in opened(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def parquet_table(rows: list[dict[str, Any]], file: BinaryIO) -> None:
    pyarrow, parquet = arrow()
    parquet.write_table(pyarrow.Table.from_pylist(rows or [{"file_name": "", "text": ""}][:0]), file)


def features(columns: dict[str, str]) -> dict[bytes, bytes]:
    """What Hugging Face's datasets reads in a file's head, to know which column has pictures."""
    known = {name: {"_type": "Image"} if kind == "image" else {"dtype": kind, "_type": "Value"}
             for name, kind in columns.items()}
    return {b"huggingface": json.dumps({"info": {"features": known}}).encode()}
