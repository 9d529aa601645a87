"""In what the simulated cluster is known to differ from a real control plane, and why that is left so.

The comparison reads this list: a difference that an entry explains is counted and ends its sequence, every other one
fails. An entry that is not met any more is told.
"""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Entry:
    name: str
    reason: str
    # Of a Difference (see player.py): is it this one?
    explains: typing.Callable


def budgets(requests):
    """The app of each budget that there is after these requests."""
    found = {}
    for request in requests:
        if request["do"] == "create-budget":
            found[request["budget"]] = request["app"]
        elif request["do"] == "delete-budget":
            found.pop(request["budget"], None)
    return found


def stale_budget(difference):
    apps = list(budgets([*difference.before, difference.request]).values())
    return len(apps) != len(set(apps)) and all(line.startswith("budget ") for line in difference.what)


def shared_replicas(difference):
    request = difference.request
    as_many = [each for each in difference.before if each["do"] == "scale" and each["from"] == each["to"]]
    return request["do"] == "scale" and any(each["app"] == request["app"] for each in as_many)


LISTED = [
    Entry(
        "several budgets over one pod",
        "The disruption controller recounts one budget of a pod that changes, any of them; the others' status is old until "
        "something else happens to them. The simulated one recounts all. Evictions of such a pod fail in both, and kinema "
        "moves no such pod.",
        stale_budget,
    ),
    Entry(
        "a scale to the number that is there",
        "Who scales a workload to the number that it has, and then to another, is held by a real API server to share the "
        "field with whoever set it before: the daemon does not take back what is not its own alone. In the simulated one the "
        "field is the last one's. The daemon never asks for the number that is there.",
        shared_replicas,
    ),
]
