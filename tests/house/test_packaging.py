"""What `pip install .` installs."""

import subprocess
import sys
import zipfile

import pytest


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
