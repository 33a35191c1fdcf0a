"""All that a LoRA file says and shows of itself, as a table that a page or a program can read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from trainer.lora.coverage import coverage
from trainer.lora.reading import load
from trainer.tools.recognise import recognised

EXAMPLES = 5


def inspect(path: Path, family: str = "") -> dict[str, Any]:
    """The report; LoraError when the file can't be read or is of no known family."""
    found = recognised(load(path), family)
    file = found.file
    formats = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in file.tensors.values() if tensor.ndim > 1)
    return {
        "path": str(path),
        "bytes": sum(one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*.safetensors"))),
        "family": {"name": found.family.name, "label": found.family.label},
        "dialect": file.dialect,
        "precision": [name for name, _ in formats.most_common()],
        "tensors": len(file.tensors),
        "unmatched": {"count": len(found.unmatched), "examples": found.unmatched[:EXAMPLES]},
        "coverage": coverage(found.adapters),
        "metadata": dict(sorted(file.metadata.items())),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The same for a person to read."""
    unmatched, size = report["unmatched"], report["bytes"] / 1e6
    told = [f"{Path(report['path']).name}: {report['family']['label']}, {report['dialect']} names, "
            f"{' and '.join(report['precision'])}, {report['tensors']:,} tensors, {size:,.1f} MB"]
    if unmatched["count"]:
        told.append(f"{unmatched['count']:,} keys fit no layer, such as {', '.join(unmatched['examples'])}")
    for part in report["coverage"]["parts"]:
        told += ["", f"{part['part']}: {part['layers']:,} layers of {_values(part['adapters'])}, rank "
                     f"{_values(part['ranks'])}, alpha {_values(part['alphas'])}, norm {_size(part['norm'])}, "
                     f"{len(part['zero']):,} still zero"]
        told += [f"  {one['name']:<44} {one['layers']:>4} layers  norm {_size(one['norm']):<10} "
                 + ", ".join(one["kinds"]) + (f"  ({one['zero']} zero)" if one["zero"] else "")
                 for one in part["blocks"]]
    told += [""] * bool(report["metadata"])
    return told + [f"{key} = {_short(value)}" for key, value in report["metadata"].items()]


def _values(counted: dict[str, int]) -> str:
    return next(iter(counted)) if len(counted) == 1 else ", ".join(f"{value} ({n})" for value, n in counted.items())


def _size(norm: float | None) -> str:
    return "not known without the base model" if norm is None else f"{norm:.4g}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}… ({len(text):,} characters)"
