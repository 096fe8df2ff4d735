"""What no file of the project may hold, and what some must."""

import re

# Written in pieces, so that this file does not hold what it forbids.
HOSTS = ["py" + "pi.org", "pythonhosted" + ".org", "npm" + "js.org", "npm" + "js.com", "registry." + "yarnpkg"]
MACHINE_PATHS = ["/" + "work/", "/" + "tmp/w/", "/" + "root/"]


def test_no_file_names_the_host_of_a_package_registry(project_files):
    assert [(name, host) for name, text in project_files.items() for host in HOSTS if host in text] == []


def test_no_lock_names_a_download_address(project_files):
    address = re.compile(r'"resolved"|https?://\S+\.(whl|tgz|zip|tar\.gz)')
    assert [
        name for name, text in project_files.items() if name.endswith((".lock", "lock.json")) and address.search(text)
    ] == []


def test_every_pin_carries_hashes(project_files):
    locks = {name: text for name, text in project_files.items() if name.endswith(".lock")}
    assert len(locks) == 6
    for name, text in locks.items():
        pins = [block for block in re.split(r"(?m)^(?=[a-z0-9])", text) if "==" in block]
        assert pins, name
        assert [pin.split("\n")[0] for pin in pins if "--hash=sha256:" not in pin] == [], name


def test_the_developer_lock_holds_the_same_pins_as_the_lock_of_users(project_files):
    def pins(name):
        return set(re.findall(r"(?m)^([a-z0-9-]+==\S+)", project_files[name]))

    assert pins("requirements.lock") - pins("requirements-dev.lock") == set()


def test_no_file_holds_a_path_of_a_developers_machine(project_files):
    found = [(name, path) for name, text in project_files.items() for path in MACHINE_PATHS if path in text]
    assert found == []


def test_scripts_are_executable_and_start_with_what_they_are_for(root):
    for path in [*(root / "scripts").iterdir(), root / ".ci" / "run"]:
        if path.suffix or not path.is_file():
            continue
        assert path.stat().st_mode & 0o111, path
        lines = path.read_text().splitlines()
        assert lines[0] == "#!/usr/bin/env bash", path
        assert lines[1].startswith("# "), path
        assert "set -euo pipefail" in lines, path
