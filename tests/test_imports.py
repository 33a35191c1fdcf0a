"""Who may import whom: read from the source for our own packages, asked of `sys.modules` for other people's.

The source shows imports inside functions too, so it tells the direction; a fresh interpreter shows what really gets
loaded along the way, so it tells the weight.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "onnxruntime", "open_clip"}
WINDOW = {"gradio", "fastapi", "uvicorn"}

# package -> the packages of ours that it may import, anywhere in its source
ALLOWED = {
    "settings": set(),
    "jobs": set(),
    "setup": {"jobs"},
    "dataset": {"settings", "jobs"},
    "trainer": {"dataset", "settings", "jobs"},
    "captioners": {"dataset", "settings", "jobs"},
    "toy": {"dataset", "settings", "jobs", "trainer", "captioners"},
    "gui": {"trainer", "captioners", "dataset", "jobs", "settings", "setup"},
}
# package -> the only packages of others that importing all of it may load, beside what those load themselves
LIGHT = {
    "settings": {"pydantic", "annotated_types", "toml"},
    "jobs": {"psutil"},
    "setup": set(),
    "dataset": {"pydantic", "annotated_types", "toml", "PIL", "numpy", "psutil"},
}


def modules_of(package: str) -> list[str]:
    """Every module of a package, by dotted name; `__main__` left out, because importing it runs it."""
    paths = sorted((ROOT / package).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if not name.endswith("__main__")]


def loaded_by(modules: list[str]) -> set[str]:
    """Top-level names of everything that a fresh interpreter has loaded after importing these modules."""
    script = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-c", script, json.dumps(modules)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def imports_in(path: Path) -> set[str]:
    """Top-level names imported anywhere in a file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0] if not node.level else path.relative_to(ROOT).parts[0])
    return found


def ours(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_every_package_is_named_here():
    packages = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests", "benchmarks", "docs"}
    assert packages <= set(ALLOWED)


@pytest.mark.parametrize("package", [name for name in ALLOWED if (ROOT / name).is_dir()])
def test_our_packages_import_only_downwards(package):
    allowed = ALLOWED[package] | {package}
    wrong = {
        str(path.relative_to(ROOT)): sorted(imports_in(path) & set(ALLOWED) - allowed)
        for path in ours(package)
        if imports_in(path) & set(ALLOWED) - allowed
    }
    assert not wrong


def test_launch_imports_only_the_standard_library_and_setup():
    assert imports_in(ROOT / "launch.py") <= set(sys.stdlib_module_names) | {"setup"}


@pytest.mark.parametrize("package", LIGHT)
def test_light_packages_load_only_what_they_are_allowed(package):
    basis = loaded_by(sorted(LIGHT[package]))  # what pydantic or Pillow bring along themselves
    extra = loaded_by(modules_of(package)) - basis - set(sys.stdlib_module_names) - set(ALLOWED)
    assert not {name for name in extra if not name.startswith("_")}


def test_launch_starts_light():
    assert not loaded_by(["launch", "setup.environment"]) & (HEAVY | WINDOW | {"pydantic", "PIL", "numpy", "asyncio"})


def cheap_modules() -> list[str]:
    """What the window imports to build forms and plans, and the command line to check a setting."""
    families = [name for name in modules_of("trainer") if name.startswith("trainer.families")]
    # What captioners share in folders of their own may be heavy, as long as they import it late.
    captioners = [name for name in modules_of("captioners") if name.count(".") < 2]
    return ["trainer.config", "trainer.plan", "trainer.command", "dataset.command", *families, *captioners]


def test_configuration_plans_families_and_captioners_are_cheap():
    assert not loaded_by(cheap_modules()) & (HEAVY | WINDOW)


def test_the_window_never_loads_models():
    assert not loaded_by(modules_of("gui")) & HEAVY


def test_the_work_never_loads_the_window():
    packages = [name for name in ("trainer", "captioners", "toy") if (ROOT / name).is_dir()]
    modules = [module for package in packages for module in modules_of(package)]
    assert not loaded_by(modules) & (WINDOW | {"gui"})
