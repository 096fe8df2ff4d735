"""The source as data: every module of the package, parsed once."""

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "mcp_orchestrator"


@dataclass(frozen=True)
class Module:
    """One file of the package. `name` is dotted, below `mcp_orchestrator`; `room` its first part."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self):
        return self.name.split(".")[0]

    def functions(self):
        """Every function with its dotted name inside the module: `(qualified, node)`."""
        pending = [("", node) for node in self.tree.body]
        while pending:
            prefix, node = pending.pop()
            name = prefix
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}{node.name}", node
                name = f"{prefix}{node.name}."
            elif isinstance(node, ast.ClassDef):
                name = f"{prefix}{node.name}."
            pending.extend((name, child) for child in ast.iter_child_nodes(node))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def modules():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        text = path.read_text()
        found.append(Module(path, name, text, ast.parse(text, str(path))))
    assert len(found) > 20
    return found


@pytest.fixture(scope="session")
def project_files():
    """Every text file that is or may be committed: what git tracks and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    files = {}
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        try:
            files[name] = path.read_text()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    assert "pyproject.toml" in files
    return files
