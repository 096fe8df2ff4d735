"""What `pip install .` installs, and what the project says that it needs."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions

import pytest

# Imported only where a configuration asks for it; its absence is a message. The last three come with the extra `a2a`.
OPTIONAL = {"keyring", "a2a", "asyncpg", "google", "starlette"}


def imported(paths):
    """Top-level names that files import, but for the standard library's."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


def unnamed(names, requirements):
    """Which of these names come from no distribution that a requirement names; one may only stand for another."""
    known, named = packages_distributions(), {normal(line) for line in requirements}
    return {name for name in names if not {normal(found) for found in [name, *known.get(name, [])]} & named}


def normal(requirement):
    """The normal form of the name that a requirement begins with (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def test_the_program_depends_on_exactly_what_it_imports(project, root):
    names = imported((root / "src").rglob("*.py")) - {"mcp_orchestrator"} - OPTIONAL
    requirements = project["project"]["dependencies"]
    assert unnamed(names, requirements) == set()
    known = packages_distributions()
    used = {normal(found) for name in names for found in known[name]}
    assert {normal(line) for line in requirements} - used == set()


def test_tests_benchmarks_and_scripts_import_only_what_is_named_for_developers(project, root):
    rooms = [root / name for name in ("tests", "benchmarks", "scripts")]
    files = [path for room in rooms for path in room.rglob("*.py") if "node_modules" not in path.parts]
    local = {path.stem for path in files} | {"mcp_orchestrator"}
    requirements = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    assert unnamed(imported(files) - local - OPTIONAL, requirements) == set()  # these come with a named extra


def test_every_bound_of_a_dependency_has_a_next_version_that_it_leaves_out(project):
    assert [line for line in project["project"]["dependencies"] if not re.search(r">=.+,<", line)] == []


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built with the pinned build back-end."""
    out = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(out)]
    subprocess.run([*argv, str(root)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = root / "src" / "mcp_orchestrator"
    wanted = {
        f"mcp_orchestrator/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= names
    assert all(name.startswith("mcp_orchestrator") for name in names)
    assert "mcp_orchestrator/py.typed" in names


def test_the_program_runs_from_the_wheel_alone(wheel, tmp_path):
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    program = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import mcp_orchestrator as m; "
        f"assert m.__file__.startswith({str(target)!r}), m.__file__; "
        "from mcp_orchestrator.cli.main import main; sys.argv = ['mcp-orchestrator', 'version']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
