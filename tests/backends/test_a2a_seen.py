from mcp_orchestrator.backends.a2a_reading import read_update
from mcp_orchestrator.backends.a2a_seen import MOST_ARTIFACTS, MOST_CHARS, Seen
from mcp_orchestrator.model.agent import Text, ToolUse, Warned
from mcp_orchestrator.testing.agent_talk import FakeAgentTalk


def seeing(*values):
    talk = FakeAgentTalk()
    seen = Seen(talk)
    for value in values:
        seen.take(read_update(value), b"{}")
    return seen, talk


def artifact(ident, text, append=False):
    made = {"artifactId": ident, "parts": [{"text": text}]}
    return {"artifactUpdate": {"taskId": "t", "artifact": made, "append": append}}


def whole(state, *artifacts, message=None, history=()):
    made = [{"artifactId": ident, "parts": [{"text": text}]} for ident, text in artifacts]
    status = {"state": state} | ({"message": message} if message else {})
    return {"task": {"id": "t", "contextId": "c", "status": status, "artifacts": made, "history": list(history)}}


def words(talk):
    return [one.text for one in talk.of(Text)]


def test_a_whole_task_tells_only_what_its_updates_left_out():
    seen, talk = seeing(
        artifact("a", "one "), artifact("a", "two", append=True), whole("completed", ("a", "one two three"))
    )
    assert words(talk) == ["one ", "two", " three"]
    assert len({one.message for one in talk.of(Text)}) == 1
    assert (seen.text, seen.over) == ("one two three", True)


def test_an_artifact_that_is_replaced_is_told_as_another_message():
    seen, talk = seeing(artifact("a", "draft"), artifact("a", "final"))
    assert words(talk) == ["draft", "final"]
    assert len({one.message for one in talk.of(Text)}) == 2
    assert seen.text == "final"


def test_messages_are_told_once_whether_in_a_status_or_in_the_history():
    said = {"messageId": "m", "role": "agent", "parts": [{"text": "hm"}]}
    mine = {"messageId": "u", "role": "user", "parts": [{"text": "do it"}]}
    update = {"statusUpdate": {"taskId": "t", "status": {"state": "working", "message": said}}}
    _seen, talk = seeing(update, update, whole("working", history=[mine, said]))
    assert words(talk) == ["hm"]


def test_the_open_question_is_not_told_as_words():
    asked = {"messageId": "q", "role": "agent", "parts": [{"text": "Which?"}]}
    seen, talk = seeing(whole("input-required", message=asked, history=[asked]))
    assert words(talk) == []
    assert not seen.over


def test_the_last_words_are_the_text_where_there_is_no_artifact():
    said = {"messageId": "m", "role": "agent", "parts": [{"text": "all done"}]}
    seen, _ = seeing(
        {"statusUpdate": {"taskId": "t", "status": {"state": "working", "message": said}}}, whole("completed")
    )
    assert seen.text == "all done"
    assert not seen.empty


def test_frames_of_another_task_are_passed_over():
    seen, talk = seeing(whole("working"), {"statusUpdate": {"taskId": "other", "status": {"state": "completed"}}})
    assert not seen.over
    assert len(talk.of(Warned)) == 1


def test_warnings_are_bounded():
    seen, talk = seeing()
    for _ in range(100):
        seen.warn("again")
    assert len(talk.of(Warned)) == 20


def test_floods_of_artifacts_and_characters_are_bounded():
    seen, talk = seeing(*(artifact(f"a{number}", "x") for number in range(MOST_ARTIFACTS + 5)))
    assert len(words(talk)) == MOST_ARTIFACTS
    seen, talk = seeing(artifact("a", "x" * MOST_CHARS), artifact("a", "y", append=True))
    assert len(seen.text) == MOST_CHARS
    assert talk.of(Warned)


def test_several_data_parts_are_a_list_and_files_are_told_once():
    made = {"artifactId": "a", "parts": [{"data": 1}, {"data": 2}, {"url": "https://x/y", "filename": "y"}]}
    update = {"artifactUpdate": {"taskId": "t", "artifact": made}}
    seen, talk = seeing(update, update)
    assert seen.structured == [1, 2]
    assert [one.title for one in talk.of(ToolUse)] == ["y"]
    assert seen.text == "[y: https://x/y]"
