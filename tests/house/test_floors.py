"""Imports point down the floors; what a room is called says what is in it."""

import subprocess
import sys

BANNED = {"utils", "util", "helpers", "common", "misc", "base", "manager", "handler", "service", "types", "constants"}


def test_imports_point_down_and_adapters_do_not_know_each_other(root):
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_module_has_a_name_that_says_nothing(modules):
    offenders = [
        module.name
        for module in modules
        for part in module.name.split(".")
        if part in BANNED or any(part.endswith(f"_{word}") for word in BANNED)
    ]
    assert offenders == []


def test_every_package_directory_is_a_package(modules):
    directories = {module.path.parent for module in modules}
    assert [str(directory) for directory in directories if not (directory / "__init__.py").exists()] == []


def test_the_engine_and_the_rules_know_no_transport(modules):
    transports = {"uvicorn", "httptools", "httpx2", "starlette", "sqlite3", "socket", "click", "mcp"}
    offenders = []
    for module in modules:
        if module.room not in {"model", "core", "config", "plugin_api", "runtime"}:
            continue
        for line in module.text.splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]) and words[1].split(".")[0] in transports:
                offenders.append(f"{module.name}: {line}")
    assert offenders == []


def test_the_sdk_is_a_peer_in_tests_and_never_a_dependency(modules):
    offenders = [
        f"{module.name}: {line.strip()}"
        for module in modules
        for line in module.text.splitlines()
        if line.strip().startswith(("import mcp ", "import mcp.", "from mcp ", "from mcp.", "from mcp_types"))
    ]
    assert offenders == []
