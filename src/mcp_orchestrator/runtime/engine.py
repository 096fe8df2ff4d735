"""What every run shares: the loop, clocks, the journal, the log, and the task group in which runs live."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcp_orchestrator.core.answers import gist
from mcp_orchestrator.core.bonds import Kept, bond, owner_bond, packed, unpacked
from mcp_orchestrator.core.trace import trace_id
from mcp_orchestrator.model.call import Call, Principal
from mcp_orchestrator.model.errors import INTERNAL_ERROR
from mcp_orchestrator.model.event import Event, EventKind
from mcp_orchestrator.model.outcome import Completed, Failed, FailureKind, Outcome
from mcp_orchestrator.model.plan import Plan, Target
from mcp_orchestrator.plugin_api import JournalSink, Port, Sealer
from mcp_orchestrator.runtime.approvals import Approvals
from mcp_orchestrator.runtime.desk import Desk, OpenQuestion
from mcp_orchestrator.runtime.health import Health
from mcp_orchestrator.runtime.outside import Addressees
from mcp_orchestrator.runtime.parking import Lot
from mcp_orchestrator.runtime.policing import Policing
from mcp_orchestrator.runtime.run import Run
from mcp_orchestrator.runtime.supervisor import Supervisor
from mcp_orchestrator.runtime.tasks import SLOW_AFTER, Tasks

if TYPE_CHECKING:
    from mcp_orchestrator.runtime.budgets import Purse
    from mcp_orchestrator.runtime.results import Results

_sorted: Final = msgspec.json.Encoder(order="sorted")


class Engine:
    """Carries runs out. Made inside a running event loop; `stop` ends what is left.

    `clock` is monotonic seconds, `wall` seconds since the epoch, `randomness` gives n random bytes. With `keep` False
    no events of runs are made (`observe.journal: false`). `mouths` are those who are asked, in this order: the first
    that can be (`client`, `cli`). A tool call that runs for `slow_after` seconds may become a task.
    """

    def __init__(
        self,
        journal: JournalSink,
        log: Any,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        randomness: Callable[[int], bytes],
        trace: bool,
        keep: bool = True,
        sealer: Sealer | None = None,
        question_expiry: float = 600.0,
        mouths: tuple[str, ...] = ("client",),
        slow_after: float = SLOW_AFTER,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.journal = journal
        self.log = log
        self.clock = clock
        self.now = wall
        self._randomness = randomness
        self._trace = trace
        self.keep = keep
        self.trouble = False
        self.question_expiry = question_expiry
        self.lot = Lot(question_expiry)
        self.asks_client = "client" in mouths
        self.desk = Desk(question_expiry, wall, self._question_waits) if "cli" in mouths else None
        self.tasks = Tasks(self, slow_after)
        self.addressees = Addressees()
        self.health = Health(clock, lambda: int.from_bytes(randomness(6), "big") / (1 << 48))
        self.capture: Callable[[Any, Callable[[str], str]], Any] | None = None
        self.supervisor_of: Callable[[str], Supervisor | None] = lambda _backend: None
        self.purse: Purse | None = None
        self.results: Results | None = None
        desk = Desk(question_expiry, wall, self._question_waits)
        self.approvals = Approvals(desk, journal, self.record, question_expiry)
        self.policing: Policing | None = None
        self._sealer = sealer
        self.stamps = sealer
        self.for_the_way: Callable[[Call, Target, Outcome], Outcome] = _as_it_is
        self.prefix = randomness(5).hex()
        self._count = 0
        self.runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: Call, plan: Plan, port: Port, supervisor: Supervisor | None) -> Run:
        """Make a run of a planned call and set it going in its own task."""
        run = self._make(call, plan, port)
        self._set_going(run, self._work(run, plan, supervisor))
        return run

    def start_late(
        self, call: Call, port: Port, decide: Callable[[Call], Awaitable[tuple[Plan, Supervisor | None]]]
    ) -> Run:
        """Make a run whose plan must wait for backends that are still being looked at."""
        run = self._make(call, Plan(None, None, ()), port)

        async def decide_then_work() -> None:
            run.plan, supervisor = await decide(call)
            await self._work(run, run.plan, supervisor)

        self._set_going(run, decide_then_work())
        return run

    def _make(self, call: Call, plan: Plan, port: Port) -> Run:
        run = Run(self.new_run_id(), call, plan, port, self)
        if self._trace:
            # A given context passes on untouched: we export no spans of our own yet, so a child would dangle.
            own = call.principal.trace  # of an agent that works for a run: its calls hang under it, whatever it says
            run.trace = own or trace_id(call.meta.get("traceparent")) or self.new_trace()
        return run

    def new_run_id(self) -> str:
        """An id for a run: those of one gateway count up behind its prefix."""
        self._count += 1
        return f"{self.prefix}{self._count:06x}"

    def new_trace(self) -> str:
        """A trace id (W3C trace context), or "" where traces are switched off."""
        return self._randomness(16).hex() if self._trace else ""

    def _work(self, run: Run, plan: Plan, supervisor: Supervisor | None) -> Coroutine[Any, Any, None]:
        if plan.target is not None and supervisor is not None:
            return run.carry_out(supervisor, plan.target)
        if not isinstance(plan.refusal, Completed):
            self.record(EventKind.CALL_REFUSED, run.id, _refused(run.call, plan))
        text = "nothing was decided"
        return run.finish(plan.refusal or Failed(FailureKind.INTERNAL, INTERNAL_ERROR, text))

    def _set_going(self, run: Run, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        run.begin(task)
        self.runs[run.id] = run
        self._tasks.add(task)
        self.tasks.may_become(run)
        task.add_done_callback(lambda done: self._over(run, done))

    def _over(self, run: Run, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.runs.pop(run.id, None)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("a run ended with an exception", run=run.id, error=repr(task.exception()))
        run.abandon()
        self.lot.over(run)

    def _question_waits(self, waiting: OpenQuestion) -> None:
        answer = f"mcp-orchestrator runs answer {waiting.run} {waiting.key} accept|decline|cancel"
        self.log.warning(
            "a question waits for an answer", run=waiting.run, message=gist(waiting.question), answer=answer
        )

    def parks(self, run: Run) -> bool:
        """Keep a run that waits for a client to come back; False when there are too many or nothing can be sealed."""
        return self._sealer is not None and self.lot.enter(run)

    def sealed(self, call: Call, kept: Kept) -> str:
        """State for the client to carry, bound to this call; a backend's own as it is where nothing can be sealed."""
        return self._sealer.seal(packed(kept), bond(call)) if self._sealer is not None else kept.state or ""

    def opened(self, call: Call, state: str) -> Kept:
        """What is inside a state that came back with this call.

        Raises:
            ValueError: it is not ours, too old, or belongs to another call; the text is for the client.
        """
        if self._sealer is None:
            raise ValueError("this gateway seals no states")
        kept = unpacked(self._sealer.unseal(state, bond(call)))
        if self.now() - kept.at > self.question_expiry:
            raise ValueError("it has expired")
        return kept

    def stamped_for(self, owner: Principal, inside: bytes) -> str | None:
        """A token that opens for this principal alone, always the same; None where nothing can be sealed."""
        return self._sealer.stamp(inside, owner_bond(owner)) if self._sealer is not None else None

    def opened_for(self, owner: Principal, token: str) -> bytes | None:
        """What is inside a token of this principal; None for anything else."""
        if self._sealer is None:
            return None
        try:
            return self._sealer.unstamp(token, owner_bond(owner))
        except ValueError:
            return None

    def record(self, kind: EventKind, run: str | None, data: Mapping[str, Any]) -> None:
        """Queue an event."""
        self.journal.record(Event(kind, self.now(), run, data))

    def digest(self, arguments: Any) -> str:
        """SHA-256 (hex) of arguments as canonical JSON: what was asked can be proved without being kept."""
        return hashlib.sha256(_sorted.encode(arguments if arguments is not None else {})).hexdigest()

    async def stop(self, drain: float) -> None:
        """Let runs finish for up to `drain` seconds, then cancel what is left."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain)
        for run in list(self.runs.values()):
            run.cancel("the gateway is stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)


def _as_it_is(_call: Call, _target: Target, outcome: Outcome) -> Outcome:
    """What becomes of an outcome on its way to the client, until somebody says otherwise."""
    return outcome


def _refused(call: Call, plan: Plan) -> dict[str, Any]:
    return {
        "method": call.method,
        "name": call.name,
        "principal": call.principal.id,
        "client": (call.client.info or {}).get("name", ""),
        "text": plan.reasons[-1].text,
        "reasons": plan.reasons,
    }
