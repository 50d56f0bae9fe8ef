"""The module map of docs/design.md: who may import what, and how large things may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import retouchd

PACKAGE = Path(retouchd.__file__).parent
SOURCES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}

# Third-party modules, and those of the standard library that reach outside, with their owners.
OWNERS = {
    "torch": {
        *("nets/", "weights.py", "archives.py", "checkpoints.py", "torchscript.py"),
        *("lama_names.py", "matting_weights.py", "tensorfile.py", "inpaint.py", "lama_painter.py"),
        *("matte_painter.py", "network_painter.py"),
        *("device.py", "runner.py", "staging.py", "cuda_runner.py", "cuda_graphs.py"),
    },
    "onnxruntime": {"onnx_session.py"},
    "safetensors": {"weights.py", "matting_weights.py"},
    "isal": {"images/deflating.py"},
    "zlib_ng": {"images/png_check.py"},
    "watchdog": {"watch.py"},
    "yaml": {"config/", "manifest.py", "own_manifest.py"},
    "pydantic": {"config/", "entry.py", "manifest.py"},
    "structlog": {"logs.py"},
    "logging": {"logs.py"},
    "typer": {"cli/"},
    "rich": {"cli/"},
    "PIL": {"images/", "doctor/machine.py", "profiles.py"},
    "tifffile": {"images/"},
    "skimage": {"demo/"},
    "scipy": {"laplacian.py", "multigrid.py", "closed_form.py"},
    # The ledger's errors are caught where the service can go on without it for a while.
    "sqlite3": {"ledger/", "intake.py", "pipeline.py", "service.py"},
    "socket": {"hand.py", "hands.py", "wire.py", "notify.py"},
    "subprocess": {"hands.py", "cli/", "doctor/", "installing.py"},
    "multiprocessing": set(),
    "pickle": set(),
    "asyncio": set(),
}

PURE = [
    "backdrop",
    "blend",
    "box",
    "canvas",
    "closed_form",
    "clusters",
    "components",
    "contact_sheet",
    "drift",
    "enlarging",
    "explaining",
    "finish",
    "foreground",
    "grain",
    "guided",
    "identity",
    "ignoring",
    "job",
    "laplacian",
    "fitting",
    "growing",
    "marks",
    "masks",
    "multigrid",
    "multilevel",
    "namesakes",
    "naming",
    "nearly",
    "onnx_contract",
    "onnx_ports",
    "onnx_tensors",
    "onnxfile",
    "pairing",
    "patchwork",
    "presence",
    "pyramid",
    "reconcile",
    "recut",
    "regions",
    "retention",
    "retry",
    "scale_check",
    "scaling",
    "settling",
    "space",
    "thumbnail",
    "tiles",
    "triage",
    "trimap",
    "underlying",
    "waiting",
    "ways",
]
OUTSIDE = {
    *[
        "asyncio",
        "ctypes",
        "fcntl",
        "glob",
        "io",
        "logging",
        "mmap",
        "multiprocessing",
        "random",
        "resource",
        "select",
        "shutil",
    ],
    *[
        "signal",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "http",
    ],
}

# Ours: what a module must never know, however far down. Left: who; right: whom.
FORBIDDEN = [
    ("errors/", "config job ledger files hands engine"),
    ("job.py", "ledger config intake pipeline files"),
    ("nets/", "config ledger engine worker files hands"),
    ("engine.py", "ledger files hands tasks roots config nets weights"),
    ("local_engine.py", "ledger files hands tasks roots"),
    ("images/", "ledger files hands config engine roots"),
    ("tasks/", "ledger engine local_engine weights nets intake pipeline hands service cli"),
    ("hand.py", "ledger engine local_engine weights nets intake pipeline hands service cli"),
    ("files.py", "ledger hands config engine tasks"),
    ("ledger/", "files hands config engine tasks intake pipeline lanes roots"),
    ("worker.py", "ledger intake pipeline lanes attempt filing"),
    ("solving.py", "ledger intake pipeline hands tasks files config"),
    ("hands.py", "ledger engine tasks files"),
    ("config/", "ledger engine files hands tasks lanes"),
    ("status.py", "hands engine local_engine weights pipeline intake service"),
]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(tree: ast.AST) -> set[str]:
    """Top modules of retouchd that a module imports."""
    return {name.split(".")[1] for name in imports(tree) if name.startswith("retouchd.")}


def belongs(module: str, places: set[str]) -> bool:
    return any(module == p or (p.endswith("/") and module.startswith(p)) for p in places)


@pytest.mark.parametrize("name", OWNERS)
def test_a_dependency_has_its_owners(name: str) -> None:
    users = {
        module
        for module, tree in SOURCES.items()
        if any(found.split(".")[0] == name for found in imports(tree))
    }
    assert {module for module in users if not belongs(module, OWNERS[name])} == set()


def test_every_dependency_is_owned_or_common() -> None:
    common = {"numpy", "cv2", "pydantic_core", "retouchd"}
    used = {found.split(".")[0] for tree in SOURCES.values() for found in imports(tree)}
    assert used - common - set(OWNERS) - sys.stdlib_module_names == set()


def test_every_dependency_is_declared() -> None:
    """Else it is there only as long as another package happens to bring it along."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["demo"], *extras["onnx"]]
    declared = {re.split(r"[^\w.-]", one)[0].lower() for one in wanted}
    used = {found.split(".")[0] for tree in SOURCES.values() for found in imports(tree)}
    installed = packages_distributions()
    lacking = {
        name
        for name in used - sys.stdlib_module_names - {"retouchd", "pydantic_core"}
        if not declared & {one.lower().replace("_", "-") for one in installed.get(name, [name])}
    }
    assert lacking == set()


@pytest.mark.parametrize("name", PURE)
def test_what_decides_reaches_nothing_outside(name: str) -> None:
    """No clock, no disk, no thread, no log: everything comes in as an argument."""
    found = {imported.split(".")[0] for imported in imports(SOURCES[f"{name}.py"])}
    assert found & OUTSIDE == set()
    calls = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(SOURCES[f"{name}.py"])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    harmless = {"os.path", "os.fsencode", "os.fsdecode"}
    assert {call for call in calls if call.startswith("os.")} <= harmless
    assert not calls & {"datetime.now", "datetime.today", "datetime.utcnow", "date.today"}


@pytest.mark.parametrize(("who", "whom"), FORBIDDEN)
def test_arrows_go_one_way(who: str, whom: str) -> None:
    modules = {m: tree for m, tree in SOURCES.items() if belongs(m, {who})}
    assert modules, f"{who} is gone"
    known = set(whom.split())
    for module, tree in modules.items():
        inside = {who.rstrip("/")}
        assert ours(tree) & known - inside == set(), module
    if not whom:
        assert not any(ours(tree) for tree in modules.values())


def test_only_the_command_line_knows_the_command_line() -> None:
    users = {m for m, tree in SOURCES.items() if "cli" in ours(tree)}
    assert {m for m in users if not m.startswith("cli/")} <= {"__main__.py"}


def test_nothing_imports_in_a_circle_when_loaded() -> None:
    """By the imports at the top of modules; those inside functions come later."""
    graph = {}
    for module, tree in SOURCES.items():
        top = ast.Module(
            [n for n in ast.iter_child_nodes(tree) if isinstance(n, (ast.Import, ast.ImportFrom))],
            [],
        )
        name = module.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        graph[name] = {i.removeprefix("retouchd.") for i in imports(top) if "retouchd." in i}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            for other in graph[name] & set(graph):
                visit(other, (*path, name))
            done.add(name)

    for name in list(graph):
        # A package's front door imports its rooms, and they pass it; that is no circle.
        if f"{name.replace('.', '/')}/__init__.py" in SOURCES:
            del graph[name]
    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_fits_on_a_few_screens(module: str) -> None:
    lines = len((PACKAGE / module).read_text(encoding="utf-8").splitlines())
    assert lines < 300


@pytest.mark.parametrize("module", SOURCES)
def test_a_function_fits_on_a_screen(module: str) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(SOURCES[module])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno
        if node.end_lineno - node.lineno + 1 > 60
    }
    assert long == {}


@pytest.mark.parametrize("module", SOURCES)
def test_importing_does_nothing(module: str) -> None:
    """At the top of a module stand only definitions, and no loop, file or process."""
    allowed = (
        *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign),
        *(ast.Expr, ast.If),
    )
    for node in SOURCES[module].body:
        assert isinstance(node, allowed), f"line {node.lineno}"
        if isinstance(node, ast.If):
            # Only the guard of a script, or of what type checkers see.
            assert ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING")
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            text = ast.unparse(node.value)
            assert text.startswith(("app.", "cli.")), f"line {node.lineno}: {text}"


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after ``code``."""
    script = f"import sys\n{code}\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=9, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["retouchd.cli", "retouchd.status", "retouchd.hand", "retouchd.pruning"]
)
def test_what_answers_at_once_or_touches_shares_starts_without_torch(module: str) -> None:
    """`status`, `retry` and `prune` must not wait seconds, and a hand is small and many."""
    assert "torch" not in loaded_by(f"import {module}")
