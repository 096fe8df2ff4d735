"""What streams keep: places in them, bounds, age, and clients that come back once or many times."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_orchestrator.core.wire.sse import Parser
from mcp_orchestrator.listeners import replay
from mcp_orchestrator.listeners.event_stream import EventStream
from mcp_orchestrator.listeners.replay import Shelf, Streams

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Wire:
    """A connection that takes everything, as `EventStream` does."""

    def __init__(self):
        self.frames = []
        self.ended = False

    def open(self):
        pass

    def push(self, frame):
        if not self.ended:
            self.frames.append(frame)
        return not self.ended

    def close(self, *frames):
        self.frames += frames
        self.ended = True

    end = close

    @property
    def events(self):
        return Parser().feed(b"".join(self.frames))

    @property
    def said(self):
        return [event.data for event in self.events if event.data]


def made(clock=None):
    return Streams(Shelf(clock or Clock()))


def test_a_stream_begins_with_a_place_to_resume_from_and_numbers_its_events():
    streams, wire = made(), Wire()
    track = streams.open()
    track.begin(wire, primed=True)
    assert track.send(b"1")
    track.finish(b"2")
    first, *events = wire.events
    assert (first.id, first.data, first.retry) == ("1-0", b"", replay.RETRY_MS)
    assert [(event.id, event.event, event.data) for event in events] == [
        ("1-1", "message", b"1"),
        ("1-2", "message", b"2"),
    ]
    assert wire.ended
    assert not track.send(b"3")


def test_clients_of_older_versions_get_ids_but_no_event_without_data():
    streams, wire = made(), Wire()
    track = streams.open()
    track.begin(wire, primed=False)
    track.let_go(1)
    assert not wire.ended
    track.finish(b"1")
    assert [(event.id, event.data) for event in wire.events] == [("1-1", b"1")]


def test_only_the_stream_that_was_lost_is_replayed_and_it_goes_on():
    streams = made()
    mine, other = streams.open(), streams.open()
    streams.main.send(b"outside")
    for number in range(4):
        mine.send(b"%d" % number)
        other.send(b"other")
    found = streams.find(b"1-2")
    assert found == (mine, 2)
    wire = Wire()
    mine.resume(wire, 2, primed=True)
    assert wire.said == [b"2", b"3"]
    assert wire.events[-1].id == "1-4"
    mine.send(b"4")
    other.finish(b"end of another")
    mine.finish(b"end")
    assert wire.said == [b"2", b"3", b"4", b"end"]
    again = Wire()
    mine.resume(again, 5, primed=True)
    assert again.said == [b"end"]
    assert again.ended


def test_a_client_that_comes_back_twice_has_one_connection():
    streams = made()
    track = streams.open()
    first, second = Wire(), Wire()
    track.begin(first, primed=True)
    track.resume(second, 0, primed=True)
    assert first.ended
    track.leave(first)
    track.send(b"x")
    assert (first.said, second.said) == ([], [b"x"])
    track.leave(second)
    assert track.send(b"y")
    assert second.said == [b"x"]


@pytest.mark.parametrize("event_id", [b"", b"1", b"2-0", b"1-9", b"x-1", b"1-x", b"1-1-1", b"9" * 99 + b"-1", b"-1-1"])
def test_an_id_that_names_nothing_finds_nothing(event_id):
    streams = made()
    streams.open().send(b"x")
    assert streams.find(event_id) is None


def test_letting_go_closes_the_connection_and_says_when_to_come_back():
    streams, wire = made(), Wire()
    track = streams.open()
    track.let_go(1)
    track.begin(wire, primed=True)
    track.let_go(0.25)
    assert wire.ended
    assert wire.frames[-1] == b"retry: 250\n\n"
    track.send(b"meanwhile")
    back = Wire()
    track.resume(back, 0, primed=True)
    assert back.said == [b"meanwhile"]
    for seconds, told in ((0.0, 1), (1e9, 60_000)):
        wire = Wire()
        track.resume(wire, 1, primed=True)
        track.let_go(seconds)
        assert wire.frames[-1] == b"retry: %d\n\n" % told


def test_the_oldest_events_go_first_and_a_stream_whose_end_went_is_forgotten(monkeypatch):
    monkeypatch.setattr(replay, "KEPT_EVENTS", 3)
    streams = made()
    done, long = streams.open(), streams.open()
    done.finish(b"end")
    long.send(b"0")
    long.send(b"1")
    assert streams.find(b"1-0") == (done, 0)
    long.send(b"2")
    assert streams.find(b"1-0") is None
    wire = Wire()
    long.resume(wire, 0, primed=True)
    assert wire.said == [b"0", b"1", b"2"]


def test_a_session_keeps_so_many_bytes_but_one_large_event_alone(monkeypatch):
    monkeypatch.setattr(replay, "KEPT_BYTES", 1000)
    streams = made()
    track = streams.open()
    track.send(b"x" * 400)
    track.send(b"y" * 5000)
    wire = Wire()
    track.resume(wire, 0, primed=True)
    assert wire.said == [b"y" * 5000]


def test_of_all_sessions_the_one_that_was_silent_for_longest_gives_way(monkeypatch):
    monkeypatch.setattr(replay, "SHELF_BYTES", 1000)
    shelf = Shelf(Clock())
    silent, busy = Streams(shelf), Streams(shelf)
    first, second = silent.open(), busy.open()
    first.finish(b"a" * 300)
    second.send(b"b" * 300)
    assert silent.find(b"1-0") is not None
    second.send(b"c" * 600)
    assert silent.find(b"1-0") is None
    assert len(busy.after(second, 0)) == 2
    second.send(b"d" * 600)
    assert len(busy.after(second, 0)) == 3  # alone on the shelf, only the bound of a session counts
    busy.close()
    assert shelf.size == 0


def test_what_was_said_too_long_ago_is_dropped():
    clock = Clock()
    streams = made(clock)
    done, long = streams.open(), streams.open()
    done.finish(b"end")
    clock.now = replay.KEPT_SECONDS - 1
    long.send(b"late")
    streams._shelf.expire()
    assert streams.find(b"1-0") is not None
    clock.now += 1
    streams._shelf.expire()
    assert streams.find(b"1-0") is None
    assert streams.after(long, 0) != []
    clock.now += replay.KEPT_SECONDS
    streams._shelf.expire()
    assert (streams._events, streams._shelf.size, streams._shelf._keeping) == (None, 0, {})
    assert streams.find(b"2-1") == (long, 1)


def test_a_session_that_is_over_keeps_nothing_and_ends_its_stream_outside_of_requests():
    streams, wire, main = made(), Wire(), Wire()
    track, lost = streams.open(), streams.open()
    track.begin(wire, primed=True)
    streams.main.begin(main, primed=True)
    track.send(b"1")
    streams.close()
    assert main.ended
    assert not wire.ended
    track.finish(b"cancelled")
    lost.finish(b"cancelled")
    assert wire.said == [b"1", b"cancelled"]
    assert streams._shelf.size == 0
    assert streams.find(b"1-0") is None
    assert not lost.send(b"x")
    assert not streams.main.send(b"x")


async def test_a_real_connection_carries_a_resumed_stream():
    sent = []

    async def send(message):
        sent.append(message)

    streams = made()
    track = streams.open()
    track.send(b"1")
    track.finish(b"2")
    wire = EventStream(send)
    track.resume(wire, 0, primed=True)
    with anyio.fail_after(5):
        await wire.written()
    assert [event.data for event in Parser().feed(b"".join(m.get("body", b"") for m in sent))] == [b"1", b"2"]
    assert sent[-1]["more_body"] is False


STEPS = st.lists(st.tuples(st.sampled_from(["say", "lose", "resume", "let go"]), st.integers(0, 2)), max_size=60)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_client_hears_everything_once_and_in_order_however_often_it_is_cut_off(steps):
    """The client's view: it keeps the last id, and what was pushed to a lost connection never arrived."""
    streams = made()
    tracks = [streams.open() for _ in range(3)]
    wires = [Wire() for _ in tracks]
    heard, expected, places = [[], [], []], [[], [], []], ["1-0", "2-0", "3-0"]
    for track, wire in zip(tracks, wires, strict=True):
        track.begin(wire, primed=True)

    def take(which):
        for event in wires[which].events:
            places[which] = event.id or places[which]
            if event.data:
                heard[which].append(event.data)
        wires[which].frames.clear()

    for number, (step, which) in enumerate(steps):
        match step:
            case "say":
                expected[which].append(b"%d" % number)
                tracks[which].send(b"%d" % number)
            case "lose":  # half of what is on its way arrives
                del wires[which].frames[len(wires[which].frames) // 2 :]
                take(which)
                tracks[which].leave(wires[which])
            case "let go":
                tracks[which].let_go(0.1)
                take(which)
            case "resume":
                take(which)
                wires[which] = Wire()
                track, place = streams.find(places[which].encode())
                track.resume(wires[which], place, primed=True)
    for which, track in enumerate(tracks):
        track.finish(b"end")
        take(which)
        again = streams.find(places[which].encode())
        wires[which] = Wire()
        again[0].resume(wires[which], again[1], primed=True)
        take(which)
        assert heard[which] == [*expected[which], b"end"]
