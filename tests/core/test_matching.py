"""Of several patterns one must fit; none at all fit everything."""

from mcp_orchestrator.core.matching import Patterns


def test_words_fit_as_they_are_and_globs_as_globs():
    patterns = Patterns(["files.read", "git.*", "x[ab]"])
    assert [patterns.fit(word) for word in ("files.read", "git.log", "xa")] == [True, True, True]
    assert [patterns.fit(word) for word in ("files.reads", "git", "xc", "")] == [False, False, False, False]


def test_no_patterns_fit_everything_even_nothing():
    assert Patterns([]).fit("anything")
    assert Patterns([]).fit_one_of(())
    assert not Patterns(["a"]).fit_one_of(())


def test_one_of_several_words_is_enough():
    assert Patterns(["a*"]).fit_one_of(("b", "ab"))
    assert not Patterns(["a*"]).fit_one_of(("b", "c"))


def test_what_is_special_elsewhere_is_a_letter_here():
    assert Patterns(["a.b"]).fit("a.b")
    assert not Patterns(["a.b*"]).fit("axb")
