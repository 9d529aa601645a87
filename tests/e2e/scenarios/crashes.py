"""kill -9, and two daemons at once."""

import random
import shutil
import signal
import subprocess
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
    """A leader frozen past its lease while it moves pods: only who has its journal goes on, and it does nothing more."""
    fragmented(scenario, nodes_each=3, deployments=9, more_pools=pools("e2-standard-8"))
    first = scenario.daemon("first", user="kinema-first").start()
    eventually("the first daemon leads", 60, lambda: first.status()["leader"])
    # One more, with a journal of its own: it waits, and does not go on with what is not in its journal.
    stranger = scenario.daemon("stranger", journal=scenario.work / "journal-stranger", user="kinema-stranger").start()
    first.wait_phase({"Rolling"}, 180)
    first.process.send_signal(signal.SIGSTOP)
    seen = first.journal / "LOCK"
    code, said = ended(scenario, scenario.daemon("same", user="kinema-same").start())
    scenario.check("a frozen leader's journal is not opened", code == 1 and f"process {seen.read_text().strip()}" in said, f"{code} {said}")
    code, said = ended(scenario, stranger)
    scenario.check("it waited while the first led", "Waiting for the lease: kinema-first" in said, said)
    scenario.check("another journal is not gone on with", code == 1 and "worked on another journal" in said, f"{code} {said}")
    # The copy that a volume's snapshot would be.
    copy = scenario.work / "journal-copy"
    shutil.copytree(first.journal, copy)
    second = scenario.daemon("second", journal=copy, user="kinema-second").start()
    eventually("the second daemon leads", 60, lambda: second.status()["leader"])
    lease = scenario.plane.objects("leases", "-n", "kube-system", "--field-selector", "metadata.name=kinema")[0]["spec"]
    # The journal's open effects are sent again before anything else.
    eventually("the second daemon acts", 60, lambda: scenario.plane.changes_by("kinema-second"))
    time.sleep(1)
    first.process.send_signal(signal.SIGCONT)
    last = second.wait_result({"Applied", "RolledBack"}, 300)
    code, said = ended(scenario, first)
    scenario.check("the frozen leader stepped down", code not in (0, None) and "the lease was taken over by kinema-second" in said, f"{code} {said}")
    scenario.check("the second daemon carried the iteration out", last["result"] == "Applied", f"{last}")
    of_first, of_second = scenario.plane.changes_by("kinema-first"), scenario.plane.changes_by("kinema-second")
    scenario.check("both had a part in it", of_first and of_second, f"{len(of_first)} and {len(of_second)} changes")
    # What was on its way when it was frozen may arrive yet. No client can call that back: the API server must refuse it,
    # by the old value that every change of ours names.
    late = [event for event in of_first if event["requestReceivedTimestamp"] >= lease["acquireTime"]]
    done = [event["requestURI"] for event in late if event["responseStatus"]["code"] < 300]
    scenario.check("the first changed nothing once the second led", not done, f"{done}")
    for user in ("kinema-stranger", "kinema-same"):
        changes = [event["requestURI"] for event in scenario.plane.changes_by(user)]
        scenario.check("who did not lead changed nothing", not changes, f"{user}: {changes}")
    gone = [event["requestURI"] for event in of_first + of_second if "/eviction" in event["requestURI"] and event["responseStatus"]["code"] < 300]
    scenario.check("no pod was evicted twice", len(gone) == len(set(gone)), f"{gone}")
    lives = [life["name"] for life in scenario.cloud.lifetimes()]
    scenario.check("no machine was made twice", len(lives) == len(set(lives)), f"{lives}")
    asked = [call["path"] + call["query"] for call in scenario.cloud.calls("deleteInstances") if call["status"] == 200]
    scenario.check("every deletion was asked for once", len(asked) == len(set(asked)), f"{asked}")
    print(f"      {len(of_first)} changes by the first, {len(of_second)} by the second, {len(late)} late and refused", flush=True)
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


def ended(scenario, daemon):
    """Waits until the daemon has ended by itself. Its exit code, and what it said."""
    try:
        code = daemon.process.wait(60)
    except subprocess.TimeoutExpired:
        raise Failed(f"the daemon {daemon.name} goes on") from None
    return code, (scenario.work / f"kinema-{daemon.name}.log").read_text(errors="replace")
