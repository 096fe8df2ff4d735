import json

import pytest

from mcp_orchestrator.core.tokens import digest, is_token
from mcp_orchestrator.storage.reading import JournalReader


@pytest.fixture
def run(program, configured):
    path = configured()

    def words(*given, code=0):
        done = program("tokens", *given, "--config", str(path))
        assert done.returncode == code, done.stderr
        return done

    return words


def listed(run, *words):
    return json.loads(run("list", "--format", "json", *words).stdout)["tokens"]


def test_a_token_is_printed_once_and_alone(run):
    done = run("create", "ci", "--scope", "tools:clock.*", "--scope", "runs", "--group", "oncall", "--expires", "12h")
    secret = done.stdout.strip()
    assert is_token(secret)
    assert "token:ci" in done.stderr
    assert "tools:clock.*, runs" in done.stderr
    assert secret not in done.stderr
    (token,) = listed(run)
    assert (token["name"], token["state"], token["scopes"]) == ("ci", "good", ["tools:clock.*", "runs"])
    assert token["groups"] == ["oncall"]
    assert round(token["expires"] - token["created"]) == 12 * 3600
    assert secret not in json.dumps(token)


def test_without_options_it_is_good_for_everything_for_thirty_days(run):
    made = json.loads(run("create", "ci", "--format", "json").stdout)
    assert is_token(made["token"])
    assert (made["scopes"], made["profile"], made["principal"]) == (None, None, "token:ci")
    assert round(made["expires"] - made["created"]) == 30 * 86400
    assert json.loads(run("create", "old", "--expires", "never", "--format", "json").stdout)["expires"] is None


def test_the_state_holds_the_hash_and_the_journal_who_did_what(run, tmp_path):
    secret = run("create", "ci", "--profile", "times").stdout.strip()
    run("revoke", "ci")
    with JournalReader(tmp_path / "state" / "state.db") as journal:
        revoked, created = journal.events(("token.created", "token.revoked"))
    assert (created.data["name"], created.data["profile"]) == ("ci", "times")
    assert created.data["by"] == revoked.data["by"]
    assert created.data["by"].startswith("local:")
    assert created.data["id"] == revoked.data["id"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert digest(secret) in kept
    assert secret[4:].encode() not in kept


def test_a_token_is_revoked_by_name_or_id_and_its_name_is_free_again(run):
    run("create", "ci")
    run("create", "ci", code=2)
    run("revoke", "ci")
    run("create", "ci")
    (token,) = listed(run)
    run("revoke", token["id"])
    assert listed(run) == []
    assert [one["state"] for one in listed(run, "--all")] == ["revoked", "revoked"]
    assert "no token" in run("revoke", "ci", code=2).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a b",), "the name 'a b'"),
        (("x", "--scope", "admin"), "choose from tools, resources"),
        (("x", "--scope", "delegate:y"), "takes no pattern"),
        (("x", "--expires", "soon"), "no duration"),
        (("x", "--expires", "0s"), "no duration"),
        (("x", "--profile", "time"), "the configuration has: times"),
        (("x", "--group", "a,b"), "the group 'a,b'"),
    ],
)
def test_what_cannot_be_made_a_token_of_says_why(run, words, said):
    done = run("create", *words, code=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_an_empty_list_says_how_one_is_made(run):
    assert "tokens create" in run("list").stderr
