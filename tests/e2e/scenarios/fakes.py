"""The simulated cluster, on which the proofs stand, against a real one."""

import harness
from fakes import compare

# Another 30 in `tests/e2e/fakes/run FROM..TO`.
SEEDS = range(1, 31)
REQUESTS = 25


def same_answers(scenario):
    """Random requests to the simulated API server, scheduler and controllers, and to real ones: same answers."""
    programs = harness.build_fakes()
    # One of its own, whose nodes are played here and not by kwok.
    plane = compare.control_plane(scenario.work / "control-plane")
    told = []
    try:
        tally = compare.compare(programs, plane, SEEDS, REQUESTS, told.append)
    finally:
        plane.down()
    print("  " + "\n  ".join(told), flush=True)
    scenario.check("requests were put to both", tally.requests >= len(SEEDS) * REQUESTS * 9 // 10, tally.text())
    scenario.check("the same answers and consequences, but for listed differences", not tally.differences, tally.text())
