"""Public names are safe, short, unique and do not depend on order."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mcp_orchestrator.core.naming import LIMIT, assign, public_name

ALLOWED = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAMES = st.tuples(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=80))


def test_a_short_name_is_server_two_underscores_tool():
    assert public_name("files", "read_file") == "files__read_file"


def test_a_long_name_is_cut_and_ends_in_a_six_character_hash():
    name = public_name("server", "x" * 100)
    assert len(name) == LIMIT
    assert re.fullmatch(r"server__x+_[0-9a-f]{6}", name)
    assert name != public_name("server", "x" * 99 + "y")


def test_characters_that_clients_refuse_become_underscores():
    assert public_name("my server", "a/b.c") == "my_server__a_b_c"


def test_names_that_would_clash_after_cleaning_all_get_a_hash():
    names = assign([("s", "a.b"), ("s", "a_b"), ("s", "c")])
    assert names["s", "c"] == "s__c"
    assert len(set(names.values())) == 3
    assert all(re.fullmatch(r"s__a_b_[0-9a-f]{6}", names["s", name]) for name in ("a.b", "a_b"))


@given(st.lists(NAMES, unique=True, max_size=20), st.randoms())
def test_every_name_is_allowed_unique_and_independent_of_order(pairs, chance):
    names = assign(pairs)
    assert all(ALLOWED.fullmatch(name) for name in names.values())
    assert len(set(names.values())) == len(pairs)
    shuffled = list(pairs)
    chance.shuffle(shuffled)
    assert assign(shuffled) == names
