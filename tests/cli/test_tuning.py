import json
import platform
import resource
import subprocess
import sys

import pytest

from mcp_orchestrator.cli.tuning import GC_THRESHOLDS

COLLECTOR = """
import gc, json, sys
from mcp_orchestrator.cli import tuning
before = gc.get_threshold()
tuning.tune()
tuning.tune()  # a second time is as good as once
print(json.dumps([before, gc.get_threshold(), gc.get_freeze_count()]))
"""

# Four results of 1 MB at a time: by default their memory is given back after each round and faulted in anew in the next.
FAULTS = """
import resource, sys
from mcp_orchestrator.cli import tuning
if sys.argv[1] == "tuned":
    tuning.tune()

def serve():
    return [bytearray(b"x") * 1_000_000 for _ in range(4)]

serve()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    serve()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def printed(program, *arguments):
    argv = [sys.executable, "-c", program, *arguments]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def test_the_collector_runs_less_often_and_looks_past_what_is_there_for_good():
    before, after, frozen = printed(COLLECTOR)
    assert before != list(GC_THRESHOLDS)
    assert after == list(GC_THRESHOLDS)
    assert frozen > 1000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
def test_large_blocks_stay_with_the_process_and_cost_no_page_faults():
    pages = 4 * 1_000_000 // resource.getpagesize()
    assert printed(FAULTS, "plain") > 10 * pages
    assert printed(FAULTS, "tuned") < 2 * pages
