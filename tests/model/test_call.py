import pytest

from mcp_orchestrator.model.call import ClientFace, Era


def test_each_era_is_the_other_one_of_the_other():
    assert {era: era.other for era in Era} == {Era.MODERN: Era.LEGACY, Era.LEGACY: Era.MODERN}


@pytest.mark.parametrize("ability", ["elicitation", "sampling", "roots"])
def test_a_client_may_be_asked_when_it_declared_an_ability_to_answer_empty_or_not(ability):
    assert ClientFace(Era.LEGACY, "2025-11-25", {ability: {}}).may_be_asked
    assert ClientFace(Era.LEGACY, "2025-11-25", {"experimental": {}, ability: {"x": 1}}).may_be_asked


@pytest.mark.parametrize("capabilities", [{}, {"experimental": {"elicitation": {}}}, {"tasks": {}}])
def test_other_abilities_are_none_to_answer(capabilities):
    assert not ClientFace(Era.LEGACY, "2025-11-25", capabilities).may_be_asked
