"""Rules that span sections, and what comes out."""

from pathlib import Path

import pytest

from mcp_orchestrator.model.snapshot import Durability, HttpSpec, NameStyle, ObserveSpec

BASE = "mcpServers: {files: {command: x}, docs: {command: y}}\n"


def test_an_ordinary_file_takes_every_default(snapshot):
    made = snapshot("mcpServers: {s: {command: x}}")
    assert made.http == HttpSpec()
    assert made.observe == ObserveSpec()
    assert made.storage.path == Path("/home/ada/.local/share/mcp-orchestrator/state.db")
    assert (made.page_size, made.list_wait, made.question_expiry) == (1000, 3.0, 600.0)
    assert made.mouths == ("client",)
    assert made.warnings == ()


def test_every_setting_arrives(snapshot):
    made = snapshot(
        BASE + "listeners: {http: {host: localhost, port: 0, path: /a/b, allowedHosts: [x.example, 'y:1', '[::1]:2'],\n"
        "  allowedOrigins: ['https://x.example:8'], maxBodyBytes: 2KiB, drain: 0, sessionIdle: 1h, maxSessions: 5}}\n"
        "observe: {logLevel: debug, logFormat: json, journal: false, trace: false, validate: false}\n"
        "storage: {durability: full}\nlimits: {pageSize: 9, listWait: 500ms}\n"
        "questions: {expire: 1h, mouths: [client, cli]}\n"
        "profiles: {p: {include: ['files.*'], exclude: ['files.rm'], names: original}}\n"
    )
    hosts = ("x.example", "y:1", "[::1]:2")
    assert made.http == HttpSpec("localhost", 0, "/a/b", hosts, ("https://x.example:8",), 2048, 0, 3600, 5)
    assert made.observe == ObserveSpec("debug", "json", journal=False, trace=False, validate=False)
    assert made.storage.durability is Durability.FULL
    assert (made.page_size, made.list_wait, made.question_expiry) == (9, 0.5, 3600)
    assert made.mouths == ("client", "cli")
    profile = made.profiles["p"]
    assert (profile.include, profile.exclude, profile.names) == (("files.*",), ("files.rm",), NameStyle.ORIGINAL)
    assert profile.where.endswith("orchestrator.yaml:8")


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "'[::]'", "'*'", "192.0.2.1", "mcp.example.com", "'2001:db8::1'"])
def test_an_open_address_needs_allowed_hosts_and_sign_in(loaded, host):
    text = BASE + f"listeners: {{http: {{host: {host}}}}}"
    unsigned, unnamed = loaded(text).problems
    assert [str(problem.code) for problem in (unsigned, unnamed)] == ["C055", "C053"]
    assert (unsigned.line, unsigned.column) == (unnamed.line, unnamed.column) == (BASE.count("\n") + 1, 20)
    assert "identity: {required: true}" in unsigned.fix
    text = BASE + f"identity: {{required: true}}\nlisteners: {{http: {{host: {host}}}}}"
    assert [str(problem.code) for problem in loaded(text).problems] == ["C053"]
    assert loaded(text[:-2] + ", allowedHosts: [mcp.example.com]}}").problems == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "'::1'", "'[::1]'", "127.8.9.1"])
def test_a_loopback_address_needs_none(codes, host):
    assert codes(BASE + f"listeners: {{http: {{host: {host}}}}}") == []


def test_the_address_is_one_that_a_socket_understands(snapshot):
    text = BASE + "identity: {required: true}\nlisteners: {http: {host: 'HOST', allowedHosts: [x.example]}}"
    hosts = [snapshot(text.replace("HOST", host)).http.host for host in ("*", "[::1]", "::")]
    assert hosts == ["0.0.0.0", "::1", "::"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:///~/state.db", "/home/ada/state.db"),
        ("sqlite:///${env:HOME}/state.db", "/home/ada/state.db"),
    ],
)
def test_the_storage_address_names_a_file(snapshot, url, path):
    assert snapshot(BASE + f'storage: {{url: "{url}"}}').storage.path == Path(path)


def test_a_relative_storage_path_counts_from_the_file(snapshot, tmp_path):
    assert snapshot(BASE + 'storage: {url: "sqlite:///var/state.db"}').storage.path == tmp_path / "var" / "state.db"


@pytest.mark.parametrize(
    "url", ["state.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://h/d", "sqlite:///a/"]
)
def test_other_storage_addresses_are_refused(codes, url):
    assert codes(BASE + f'storage: {{url: "{url}"}}') == ["C054"]


def test_the_state_directory_honours_xdg(snapshot):
    assert snapshot(BASE, XDG_DATA_HOME="/data").storage.path == Path("/data/mcp-orchestrator/state.db")


@pytest.mark.parametrize("pattern", ["files.read_*", "*", "fi*", "*.read", "d?cs.*", "delegate", "*_file", "[fd]*.x"])
def test_a_pattern_that_may_match_is_quiet(codes, pattern):
    assert codes(BASE + f"profiles: {{p: {{exclude: ['{pattern}']}}}}") == []


@pytest.mark.parametrize("pattern", ["file.read_*", "read_file", "x*.y", "x*"])
def test_a_pattern_that_can_match_nothing_is_a_warning(codes, pattern):
    assert codes(BASE + f"profiles: {{p: {{exclude: ['{pattern}']}}}}") == ["C052"]


def test_settings_for_a_missing_server_name_the_likely_one(loaded):
    (problem,) = loaded(BASE + "backends: {file: {timeout: 1s}}").problems
    assert (str(problem.code), problem.fix) == ("C051", 'did you mean "files"?')
    assert (problem.line, problem.column) == (2, 12)


@pytest.mark.parametrize(
    ("written", "seconds"), [("30d", 30 * 86400), ("0", 0), ("forever", 0), ("20000d", 20000 * 86400)]
)
def test_the_journal_is_kept_as_long_as_is_written(snapshot, written, seconds):
    assert snapshot(BASE).storage.retain == 90 * 86400
    assert snapshot(f"{BASE}storage: {{retain: {written}}}").storage.retain == seconds


def test_forever_is_no_duration_elsewhere(loaded):
    (problem,) = loaded(f"{BASE}questions: {{expire: forever}}").problems
    assert problem.code == "C014"
    (problem,) = loaded(f"{BASE}storage: {{retain: always}}").problems
    assert "or forever" in problem.message


def test_without_a_word_delegation_has_defaults_and_there_is_no_a2a_listener(snapshot, tmp_path):
    made = snapshot("mcpServers: {s: {command: x}}")
    assert (made.delegation.depth, made.delegation.max_runs, made.delegation.wait) == (3, 16, 45.0)
    assert made.delegation.workspaces == Path("/home/ada/.local/share/mcp-orchestrator/workspaces")
    assert made.delegation.retain == 7 * 86400
    assert made.delegation.roots == (tmp_path, Path.cwd())
    assert made.a2a is None
    assert made.agents == {}


def test_the_root_of_the_file_system_is_no_workspace_unless_it_is_named(snapshot, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert snapshot("mcpServers: {s: {command: x}}").delegation.roots == (tmp_path,)
    assert snapshot("mcpServers: {s: {command: x}}\ndelegation: {roots: [/]}").delegation.roots == (Path("/"),)


def test_paths_of_delegation_count_from_the_file(snapshot, loaded, tmp_path):
    (tmp_path / "src").mkdir()
    text = "mcpServers: {s: {command: x}}\ndelegation: {roots: [src, ./src/../src], workspaces: ~/w, retain: forever, wait: 0}"
    made = snapshot(text).delegation
    assert (made.roots, made.workspaces, made.retain, made.wait) == ((tmp_path / "src",), Path("/home/ada/w"), 0, 0)
    assert snapshot("mcpServers: {s: {command: x}}\ndelegation: {roots: []}").delegation.roots == ()
    (found,) = loaded("mcpServers: {s: {command: x}}\ndelegation: {roots: [nope]}").problems
    assert str(found.code) == "C064"


def test_the_a2a_listener_is_there_when_it_is_named(snapshot, codes):
    base = "mcpServers: {s: {command: x}}\n"
    made = snapshot(base + "listeners: {a2a: }").a2a
    assert (made.host, made.port, made.public_url) == ("127.0.0.1", 8809, None)
    assert codes(base + "listeners: {a2a: {host: 0.0.0.0, allowedHosts: [x.example]}}") == ["C055"]
    base += "identity: {required: true}\n"
    open_one = snapshot(base + "listeners: {a2a: {host: '*', publicUrl: 'https://agents.example.com'}}").a2a
    assert (open_one.host, open_one.public_url) == ("0.0.0.0", "https://agents.example.com")
    assert codes(base + "listeners: {a2a: {host: 0.0.0.0}}") == ["C053"]
