"""The list of requirements and the tests that it names stay in step."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from requirements import NEW, OLD, PAGES, REQUIREMENTS

TESTS = Path(__file__).resolve().parents[1]


@cache
def names_in(file):
    """The names of the test functions of a file, without importing it."""
    tree = ast.parse((TESTS / file).read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.id)
def test_each_requirement_has_tests_that_exist_or_says_why_it_has_none(requirement):
    assert requirement.tests or requirement.why
    assert requirement.text.endswith(".")
    for test in requirement.tests:
        file, _, name = test.partition("::")
        assert (TESTS / file).is_file(), test
        assert name in names_in(file), test
    assert len(set(requirement.tests)) == len(requirement.tests)


def test_no_id_and_no_text_comes_twice():
    for of in (lambda one: one.id, lambda one: (one.text, one.sources)):
        counted = Counter(map(of, REQUIREMENTS))
        assert [value for value, times in counted.items() if times > 1] == []


def test_every_source_is_a_section_of_a_page_and_every_page_is_the_source_of_something():
    known = {(revision, page) for revision, pages in PAGES.items() for page in pages}
    used = set()
    for requirement in REQUIREMENTS:
        assert requirement.sources, requirement.id
        assert len(set(requirement.sources)) == len(requirement.sources), requirement.id
        for source in requirement.sources:
            revision, _, section = source.partition(" ")
            assert revision in {OLD, NEW}
            used.add((revision, section.partition("#")[0]))
    assert used == known


def test_both_revisions_are_covered_and_most_requirements_are_tested():
    for revision in PAGES:
        of_revision = [one for one in REQUIREMENTS if any(source.startswith(revision) for source in one.sources)]
        assert len(of_revision) > 80
        assert sum(bool(one.tests) for one in of_revision) / len(of_revision) > 0.9
