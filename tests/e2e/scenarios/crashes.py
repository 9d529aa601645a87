"""kill -9, and two daemons at once."""

import random
import shutil
import signal
import time

from harness import Failed, eventually, pools

from .movements import fragmented


# How long after a phase was first seen the daemon dies, at most: where it waits for a machine, for pods or for
# the cloud less than that takes here, and at once where the phase is over before one has looked twice.
LATEST_SECONDS = {"Observing": 0.5, "Booting": 0.6, "Rolling": 1.0, "Draining": 0.2}
MOMENTARY = ["Predicting", "Optimizing", "Deciding", "Labelling"]


def killed_in_every_phase(scenario):
    """kill -9 at a random moment of each phase, start again: the same end as without."""
    fragmented(scenario, nodes_each=3, deployments=9, more_pools=pools("e2-standard-8"))
    daemon = scenario.daemon()
    seen, killed = [], []
    daemon.start()
    while True:
        try:
            status = daemon.status()
            if status["phase"] in [*LATEST_SECONDS, *MOMENTARY] and status["phase"] not in seen:
                seen.append(status["phase"])
                if seen[-1] in LATEST_SECONDS:
                    time.sleep(random.uniform(0, LATEST_SECONDS[seen[-1]]))
                    # It dies in what it is in by now.
                    status = daemon.status()
                daemon.kill()
                killed.append(status["phase"])
                daemon.start()
        except OSError:
            continue
        last = status.get("last")
        if last and last["result"] in ("Applied", "RolledBack"):
            break
    scenario.check("the iteration was applied", last["result"] == "Applied", f"{last}")
    scenario.check("it was killed in each phase that lasts", set(LATEST_SECONDS) <= set(killed), f"{killed}")
    print(f"      killed in {', '.join(killed)}", flush=True)
    reached, planned = float(last["reachedCostPerHour"]), float(last["plannedCostPerHour"])
    scenario.check("it costs what was planned", reached == planned, f"{last}")
    lives = [life["name"] for life in scenario.cloud.lifetimes()]
    scenario.check("no machine was made twice", len(lives) == len(set(lives)), f"{lives}")
    deleted = [call["path"] + call["query"] for call in scenario.cloud.calls("deleteInstances") if call["status"] == 200]
    scenario.check("every deletion was asked for once", len(deleted) == len(set(deleted)), f"{deleted}")
    scenario.wait_workloads()
    scenario.finish(daemon)


def leader_paused(scenario):
    """A leader that is frozen past its lease wakes up to find that another leads, and changes nothing."""
    fragmented(scenario, nodes_each=3, deployments=9)
    first = scenario.daemon("first").start()
    first.wait_phase({"Labelling", "Rolling", "Draining"}, 180)
    first.process.send_signal(signal.SIGSTOP)
    # The second has the journal's copy that a shared volume would give it.
    copy = scenario.work / "journal-copy"
    shutil.copytree(first.journal, copy)
    second = scenario.daemon("second", journal=copy).start()
    eventually("the second daemon leads", 60, lambda: second.status()["leader"])
    first.process.send_signal(signal.SIGCONT)
    last = second.wait_result({"Applied", "RolledBack"}, 300)
    eventually("the first daemon gave way", 60, lambda: gave_way(first))
    scenario.check("the second daemon carried the iteration out", last["result"] == "Applied", f"{last}")
    scenario.check("the frozen leader stepped down", gave_way(first))
    if first.process.poll() is None:
        first.stop()
    asked = [call["path"] + call["query"] for call in scenario.cloud.calls("deleteInstances") if call["status"] == 200]
    scenario.check("every deletion was asked for once", len(asked) == len(set(asked)), f"{asked}")
    scenario.wait_workloads()
    scenario.finish(second)


def restored_backup(scenario):
    """A journal restored from before the last leader's end is not continued; the right one is."""
    fragmented(scenario, nodes_each=1, deployments=3)
    daemon = scenario.daemon().start()
    daemon.wait_phase({"Labelling", "Rolling", "Draining"}, 180)
    daemon.kill()
    backup = scenario.work / "backup"
    shutil.copytree(daemon.journal, backup)
    daemon.start()
    last = daemon.wait_result({"Applied", "RolledBack"}, 240)
    scenario.check("the iteration was applied", last["result"] == "Applied", f"{last}")
    daemon.stop()
    restored = scenario.daemon("restored", journal=backup).start()
    code = restored.process.wait(60)
    said = (scenario.work / "kinema-restored.log").read_text()
    scenario.check("the restored journal is refused", code == 1 and "an older copy, or the wrong disk" in said, f"{code} {said}")
    daemon.start()
    eventually("the right journal leads at once", 30, lambda: daemon.status()["leader"])
    scenario.wait_workloads()
    scenario.finish(daemon)


def gave_way(daemon):
    if daemon.process.poll() is not None:
        return True
    try:
        return not daemon.status()["leader"]
    except OSError as error:
        raise Failed(f"the first daemon does not answer: {error}") from None
