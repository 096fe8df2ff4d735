from mcp_orchestrator.model.agent import AgentUsage, Ended, EndStatus, TroubleKind
from mcp_orchestrator.runtime.bench import FIRST, FURTHEST, LONGEST, Bench


class Wall:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def failed(trouble, resets_at=None, cost=None):
    return Ended(EndStatus.FAILED, trouble=trouble, message="no", resets_at=resets_at, usage=AgentUsage(cost=cost))


DONE = Ended(EndStatus.COMPLETED)


def test_an_agent_without_quota_is_left_out_until_it_says_it_is_able_again():
    wall = Wall()
    bench = Bench(wall)
    benched = bench.heard("a", failed(TroubleKind.QUOTA, resets_at=5000.0))
    assert (benched.benched_until, benched.why) == (5000.0, "quota: no")
    wall.now = 5000.0
    assert bench.standing("a").benched_until == 0.0
    assert bench.standing("b").benched_until == 0.0


def test_without_a_reset_it_is_left_out_twice_as_long_each_time_up_to_a_limit():
    wall = Wall()
    bench = Bench(wall)
    waits = [bench.heard("a", failed(TroubleKind.RATE)).benched_until - wall.now for _ in range(30)]
    assert waits[:3] == [FIRST[TroubleKind.RATE] * factor for factor in (1, 2, 4)]
    assert max(waits) == waits[-1] == LONGEST[TroubleKind.RATE]


def test_a_reset_that_is_over_or_too_far_away_is_not_believed():
    bench = Bench(Wall())
    for resets in (999.0, 1000.0 + FURTHEST + 1):
        bench.lift("a")
        assert bench.heard("a", failed(TroubleKind.QUOTA, resets)).benched_until == 1000.0 + FIRST[TroubleKind.QUOTA]


def test_other_failures_do_not_bench_and_a_completed_run_ends_it():
    bench = Bench(Wall())
    assert bench.heard("a", failed(TroubleKind.CRASH)) is None
    for trouble in (TroubleKind.MISSING, TroubleKind.AUTH):
        assert bench.heard("a", failed(trouble)).benched_until > 1000.0
    assert bench.heard("a", DONE) is None
    assert bench.standing("a").benched_until == 0.0
    assert bench.heard("a", failed(TroubleKind.RATE)).benched_until == 1000.0 + FIRST[TroubleKind.RATE], (
        "from the start"
    )


def test_the_mean_cost_counts_what_was_measured_alone():
    bench = Bench(Wall())
    assert bench.standing("a").cost is None
    bench.heard("a", DONE)
    assert bench.standing("a").cost is None
    bench.heard("a", failed(TroubleKind.CRASH, cost=100))
    assert bench.standing("a").cost == 100
    bench.heard("a", failed(TroubleKind.CRASH, cost=200))
    assert bench.standing("a", working=2).cost == 130
    assert bench.standing("a", working=2).working == 2
