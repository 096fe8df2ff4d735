"""Whole files: what is accepted, what is refused, and that secrets stay out of everything shown."""

import json

import pytest

from mcp_orchestrator.config.codes import Code
from mcp_orchestrator.config.diagnose import Severity, render
from mcp_orchestrator.config.load import load

DESIGN = """\
mcpServers:            # verbatim what Claude Desktop, Cursor and Claude Code use
  files: {command: npx, args: [-y, "@modelcontextprotocol/server-filesystem", "."]}
  docs:  {type: http, url: "https://docs.example/mcp", headers: {Authorization: "Bearer ${secret:env/DOCS_TOKEN}"}}
agents:
  claude: {kind: claude-code, model: sonnet}
  codex:  {kind: codex}
  gemini: {kind: acp, command: [gemini, --acp]}
  planner: {kind: a2a, url: "https://planner.example"}
apis:
  petstore: {openapi: ./petstore.json, baseUrl: "http://127.0.0.1:9000"}
tools:                 # logical tools: one name, several providers with different schemas
  web_search:
    description: Search the web.
    inputSchema: {type: object, properties: {query: {type: string}, limit: {type: integer}}, required: [query]}
    strategy: failover           # failover | weighted | cheapest | fastest | sticky
    providers:
      - {tool: tavily.search, arguments: {q: "args.query", max_results: "args.limit"}}
      - {tool: brave.web_search, when: "size(args.query) < 400", arguments: {query: "args.query"}, weight: 10}
overrides:             # rename, hide, describe, fix or default arguments of a backend's tool
  files.write_file: {name: save_file, arguments: {encoding: {const: utf-8}}, labels: [write]}
routes:                # which agent takes a delegation
  - {id: reviews, match: {labels: [review]}, to: [codex, claude]}
  - {id: default, to: [claude, codex], when: "budget.left_usd > 1.0"}
policies:              # all matching rules count: deny > ask > limit > allow
  - {id: no-main, match: {tool: "github.push*"}, when: 'args.branch in ["main"]', effect: deny}
  - {id: writes-need-a-person, match: {annotations: {destructiveHint: true}}, effect: ask, approvers: [operator]}
budgets:
  - {id: team-month, per: [team], limit: {usd: 200}, window: month}
profiles:              # what a kind of caller sees: /mcp/PROFILE and serve --profile
  reviewer: {include: ["files.read_*", "delegate"], exclude: []}
identity: {required: false}
questions: {expire: 10m}      # how long a question waits before it counts as declined
listeners: {http: {host: 127.0.0.1, port: 8808, path: /mcp}}
storage: {url: "sqlite:///~/.local/share/mcp-orchestrator/state.db"}
observe: {}
"""
LATER = {"apis"}


def test_of_the_whole_format_exactly_the_later_sections_are_refused(loaded):
    result = loaded(DESIGN, DOCS_TOKEN="t0p")
    assert result.snapshot is None
    # The servers that its logical tool names are not there, and nothing is remembered of the one that is overridden.
    problems = [problem for problem in result.problems if str(problem.code) not in {"C051", "C086"}]
    assert {str(problem.code) for problem in problems} == {"C020"}
    assert {problem.message.split()[0] for problem in problems} == LATER
    assert all("not carried out by this version yet: remove it" in problem.message for problem in problems)
    assert all(problem.severity is Severity.ERROR for problem in problems)
    assert all(DESIGN.splitlines()[problem.line - 1].startswith(problem.message.split()[0]) for problem in problems)


def test_the_later_sections_may_stand_empty(snapshot):
    empty = "".join(
        f"{name}: {'[]' if name in {'routes', 'policies', 'budgets'} else '{}'}\n" for name in sorted(LATER)
    )
    assert snapshot("mcpServers: {s: {command: x}}\n" + empty + "identity:\n").backends


def test_the_rest_of_the_format_makes_a_snapshot(snapshot):
    kept = "\n".join(line for line in DESIGN.splitlines() if line.split(":")[0] in {
        "mcpServers", "  files", "  docs", "profiles", "  reviewer", "identity", "questions", "listeners", "storage", "observe",
    })  # fmt: skip
    made = snapshot(kept, DOCS_TOKEN="t0p")
    assert list(made.backends) == ["files", "docs"]
    assert dict(made.backends["docs"].headers)["Authorization"].reveal() == "Bearer t0p"
    assert made.question_expiry == 600
    assert str(made.storage.path) == "/home/ada/.local/share/mcp-orchestrator/state.db"
    assert made.profiles["reviewer"].include == ("files.read_*", "delegate")
    assert len(made.digest) == 64


def test_json_and_yaml_mean_the_same(loaded):
    tree = {"mcpServers": {"s": {"command": "x", "args": ["-y"], "env": {"A": "1"}}}, "limits": {"pageSize": 7}}
    as_json = loaded(json.dumps(tree), name="orchestrator.json").snapshot
    as_yaml = loaded(json.dumps(tree)).snapshot
    assert as_json.backends == as_yaml.backends
    assert as_json.page_size == as_yaml.page_size == 7


def test_all_problems_are_told_at_once(codes):
    text = "mcpServers: {a: {}}\nobserve: {logLevel: loud}\nlimits: {pageSize: many}\nnonsense: 1\n"
    assert codes(text) == ["C042", "C012", "C011", "C010"]


def test_warnings_do_not_refuse_and_go_into_the_snapshot(loaded):
    result = loaded("mcpServers: {a: {command: x, colour: red}}")
    assert [str(problem.code) for problem in result.warnings] == ["C010"]
    assert result.errors == ()
    assert "colour" in result.snapshot.warnings[0]


SECRETS = ("hunter2", "p4ssw0rd", "q9w8e7r6t5y4u3i2o1p0", "ghp_abcdefghijklmnopqrstuvwxyz012345", "s3cr3t-from-env")
LEAKY = """\
mcpServers:
  a: {command: x, bad1: 1, env: {PLAIN: hunter2, TOKEN: ghp_abcdefghijklmnopqrstuvwxyz012345, N: , "X=p4ssw0rd": 1}, bad2: 2}
  b: {url: "https://u:p4ssw0rd@host.example/mcp?key=hunter2", bad3: 1}
  c: {url: "ftp://host/?k=hunter2", headers: {X: hunter2, "A: hunter2": x, Authorization: "Bearer ${NOPE} hunter2"}}
  d: {command: x, args: [--token, hunter2, --password=p4ssw0rd, "${env:LATE}", "Authorization: hunter2", [-e, API_KEY=hunter2], "pg://u:hunter2@h"], env: [TOKEN=hunter2]}
  e: {command: "${secret:env/LATE}", env: {LATE: "${none:hunter2}", M: "${secret:none/x}"}, colour: 1}
  f: {url: "https://${env:LATE}", headers: {Y: "a\\nb ${env:LATE}"}}
  g: {command: x, env: {MULTI: "hunter2
        p4ssw0rd"}, bad4: 1}
  h:
    command: x
    env:
      KEY: |
        hunter2
        p4ssw0rd
      N:
backends: {a: {token: hunter2, timeout: "${env:LATE}", apiKey: q9w8e7r6t5y4u3i2o1p0}} # p4 ghp_abcdefghijklmnopqrstuvwxyz012345
storage: {url: "postgres://u:p4ssw0rd@h/db"}
listeners: {http: {host: "${env:LATE}!", port: "${env:LATE}"}}
ghp_abcdefghijklmnopqrstuvwxyz012345: 1
"""


def test_no_secret_is_ever_shown(loaded):
    result = loaded(LEAKY, LATE="s3cr3t-from-env")
    shown = render(result.problems) + json.dumps([problem.as_json() for problem in result.problems]) + repr(result)
    assert len(result.problems) > 20
    for secret in SECRETS:
        assert secret not in shown, next(line for line in shown.splitlines() if secret in line)


@pytest.mark.parametrize("cut", range(40, len(LEAKY), 23))
def test_no_secret_is_shown_of_a_file_that_cannot_be_parsed(loaded, cut):
    result = loaded(LEAKY[:cut] + "\n\t}{", LATE="s3cr3t-from-env")
    shown = render(result.problems)
    assert any(problem.code is Code.SYNTAX for problem in result.problems)
    assert not any(secret in shown for secret in SECRETS)


TRIGGERS = {
    "C003": "a: [",
    "C004": "mcpServers: {s: {command: x}}\nmcpServers: {}",
    "C005": "a: &a [*a]",
    "C006": "- mcpServers",
    "C010": "mcpServers: {s: {command: x}}\nobserv: {}",
    "C011": "mcpServers: {s: {command: x}}\nobserve: {journal: yes}",
    "C012": "mcpServers: {s: {command: x}}\nobserve: {logLevel: loud}",
    "C013": "mcpServers: {s: {command: x}}\nlisteners: {http: {port: 70000}}",
    "C014": "mcpServers: {s: {command: x}}\nquestions: {expire: soon}",
    "C015": "mcpServers: {s: {command: x}}\nlisteners: {http: {path: mcp}}",
    "C020": "mcpServers: {s: {command: x}}\napis: {a: {}}",
    "C030": "mcpServers: {s: {command: x, env: {TOKEN: ghp_abcdefghijklmnopqrstuvwxyz012345}}}",
    "C031": 'mcpServers: {s: {command: "${env:NOPE}"}}',
    "C032": 'mcpServers: {s: {command: x, env: {A: "${secret:none/x}"}}}',
    "C033": 'mcpServers: {s: {command: "${env:A:-${env:B}}"}}',
    "C034": 'mcpServers: {s: {command: "${secret:env/A}"}}',
    "C040": "mcpServers: {a.b: {command: x}}",
    "C041": "mcpServers: {a b: {command: x}, a+b: {command: x}}",
    "C042": "mcpServers: {s: {}}",
    "C043": "mcpServers: {s: {command: x, type: http}}",
    "C044": "mcpServers: {s: {command: x, envFile: .env}}",
    "C045": "mcpServers: {s: {command: x, timeout: 2000}}",
    "C046": "mcpServers: {s: {url: 'file:///x'}}",
    "C047": "mcpServers: {s: {url: 'http://h/', headers: {Content-Length: 1}}}",
    "C048": "mcpServers: {s: {command: npx -y foo}}",
    "C050": "mcpServers: {}",
    "C051": "mcpServers: {s: {command: x}}\nbackends: {t: {}}",
    "C052": "mcpServers: {s: {command: x}}\nprofiles: {p: {include: [t.x]}}",
    "C053": "mcpServers: {s: {command: x}}\nidentity: {required: true}\nlisteners: {http: {host: 0.0.0.0}}",
    "C054": "mcpServers: {s: {command: x}}\nstorage: {url: state.db}",
    "C055": "mcpServers: {s: {command: x}}\nlisteners: {http: {host: 0.0.0.0, allowedHosts: [x.example]}}",
    "C056": "mcpServers: {s: {command: x}}\nidentity: {teams: {t: ['group:g']}}",
    "C060": "agents: {a: {model: x}}",
    "C061": "agents: {a: {kind: codex, url: 'https://h'}}",
    "C062": "agents: {a: {kind: acp}}",
    "C063": "agents: {a: {registry: {id: x}}}",
    "C064": "agents: {a: {kind: scripted, script: nowhere.yaml}}",
    "C065": "mcpServers: {s: {command: x}}\nagents: {s: {kind: codex}}",
    "C066": "mcpServers: {s: {command: x}}\nbudgets: [{id: b, limit: {calls: 1}}, {id: b, limit: {calls: 1}}]",
    "C070": "mcpServers: {s: {command: x}}\npolicies: [{id: a, effect: deny, when: tool.name}]",
    "C071": "mcpServers: {s: {command: x}}\npolicies: [{id: a, effect: redact, redact: {patterns: [nothing-like-it]}}]",
    "C072": "mcpServers: {s: {command: x}}\npolicies: [{id: a, effect: redact, redact: {expressions: ['(a']}}]",
    "C090": "agents: {a: {kind: acp, command: x}}\nroutes: [{id: r, to: [b]}]",
    "C091": "agents: {a: {kind: acp, command: x}}\nroutes: [{id: r, to: [a]}, {id: s, to: [a]}]",
    "C073": "mcpServers: {s: {command: x}}\npolicies: [{id: a, effect: deny, limit: {count: 1}}]",
}
WARNINGS = {"C030", "C044", "C045", "C048", "C050", "C052", "C056", "C091"}


PROVED = {f"C08{number}" for number in range(8)}
"""Codes of logical tools and overrides, most of which need to know what servers offer: `test_proving.py`."""


@pytest.mark.parametrize(("code", "text"), TRIGGERS.items())
def test_every_code_has_its_cause_with_a_place(loaded, code, text):
    (problem,) = loaded(text).problems
    assert problem.code == code
    assert problem.line is not None
    assert problem.excerpt
    assert (problem.severity is Severity.WARNING) == (code in WARNINGS)
    assert problem.fix


def test_no_code_is_left_without_a_test():
    assert {str(code) for code in Code} == {*TRIGGERS, "C001", "C002", "C021", *PROVED}


def test_a_missing_or_unreadable_file_is_a_problem_not_an_exception(loaded, tmp_path):
    for path, code in ((tmp_path / "none.yaml", "C001"), (tmp_path, "C002")):
        result = load(path, environ={}, secrets={})
        assert [str(problem.code) for problem in result.problems] == [code]
        assert result.snapshot is None


@pytest.mark.parametrize("data", [b"a: \xff\n", b"#" * (1024 * 1024 + 1)])
def test_what_is_no_text_or_too_large_is_refused(tmp_path, data):
    path = tmp_path / "o.yaml"
    path.write_bytes(data)
    assert [str(problem.code) for problem in load(path, environ={}, secrets={}).problems] == ["C002"]


def test_a_byte_order_mark_is_forgiven(snapshot):
    assert snapshot("\ufeffmcpServers: {s: {command: x}}").backends


def test_yaml_anchors_may_live_under_a_key_of_their_own(snapshot):
    text = "x-base: &base {command: npx, env: {A: b}}\nmcpServers:\n  s: {<<: *base, args: [-y]}\n  t: *base\n"
    made = snapshot(text)
    assert made.backends["s"].command == made.backends["t"].command == "npx"
    assert made.backends["s"].args == ("-y",)
