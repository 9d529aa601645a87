"""What cannot be carried out ends in Unwinding or a fallback, with nothing left behind."""

from harness import budget, deployment, eventually, pools, stateful_set

from .movements import fragmented


def budget_blocks(scenario):
    """A budget that appears in the middle of the iteration holds a StatefulSet: unwound, nothing evicted by force."""
    scenario.start_cloud(pools("e2-standard-4", 1))
    namespace = scenario.namespace("e2e-budget")
    scenario.plane.apply(stateful_set(namespace, "db", 3, "300m", "512Mi"))
    scenario.wait_workloads()
    scenario.remember()
    uids = {pod["metadata"]["uid"] for pod in scenario.plane.objects("pods", "-n", namespace)}
    # Without a single eviction allowed from the start the planner would leave the nodes alone: it must come later.
    daemon = scenario.daemon(changes={"mode": "Approve", "deadlines": {"oneMove": "15s"}}).start()
    plan = eventually("a plan waits", 120, lambda: (s := daemon.status())["phase"] == "Deciding" and s["plan"])
    scenario.plane.apply(budget(namespace, "db", "db", minAvailable=3))
    eventually("the budget is counted", 30, lambda: scenario.plane.objects("pdb", "-n", namespace)[0]["status"].get("expectedPods") == 3)
    daemon.command("approve", plan["digest"][:12])
    last = daemon.wait_result({"Applied", "RolledBack"}, 180)
    scenario.check("the iteration was unwound", last["result"] == "RolledBack", f"{last}")
    now = {pod["metadata"]["uid"] for pod in scenario.plane.objects("pods", "-n", namespace)}
    scenario.check("no pod was evicted", uids == now)
    scenario.finish(daemon)


def never_ready(scenario):
    """A quota lets no new pod come: the surge is taken back and every replica is as before."""
    scenario.start_cloud(pools("e2-standard-4", 1))
    namespace = scenario.namespace("e2e-never-ready")
    scenario.plane.apply(*(deployment(namespace, f"web-{index}", 1, "400m", "512Mi") for index in range(3)))
    scenario.wait_workloads()
    scenario.plane.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"namespace": namespace, "name": "full"},
            "spec": {"hard": {"pods": "3"}},
        }
    )
    scenario.remember()
    uids = {pod["metadata"]["uid"] for pod in scenario.plane.objects("pods", "-n", namespace)}
    daemon = scenario.daemon(changes={"deadlines": {"oneMove": "15s"}}).start()
    last = daemon.wait_result({"Applied", "RolledBack"}, 240)
    scenario.check("the iteration was unwound", last["result"] == "RolledBack", f"{last}")
    now = {pod["metadata"]["uid"] for pod in scenario.plane.objects("pods", "-n", namespace)}
    scenario.check("every pod is the same as before", uids == now)
    scenario.finish(daemon)


def forced_boot(scenario, faults):
    """Many small nodes whose pods need a bigger one, so that the plan boots."""
    scenario.start_cloud(pools("n2-standard-4", 2) + pools("e2-standard-8"), faults)
    namespace = scenario.namespace(f"e2e-{scenario.name}")
    scenario.plane.apply(*(deployment(namespace, f"web-{index}", 3, "1200m", "3Gi") for index in range(4)))
    scenario.wait_workloads()
    scenario.remember()


def boot_fails(scenario, faults, changes):
    forced_boot(scenario, faults)
    daemon = scenario.daemon(changes=changes).start()
    last = daemon.wait_result({"Applied", "RolledBack"}, 300)
    scenario.check("the iteration was unwound", last["result"] == "RolledBack", f"{last}")
    scenario.check("for the boot", last["reason"]["code"] in ("BootFailed", "NodeNeverReady"), f"{last}")
    machines = [name for name in scenario.cloud.machines() if "-k" in name]
    scenario.check("no machine of ours is left", not machines, f"{machines}")
    scenario.finish(daemon)


def stock_out(scenario):
    """The zone has no such machine: what was asked for is taken back by name."""
    boot_fails(scenario, [{"kind": {"Stockout": {"free": 0}}, "machine_type": "e2-standard-8"}], {})


def never_joins(scenario):
    """The machine runs and never becomes a node: it is deleted when the deadline has passed."""
    boot_fails(scenario, [{"kind": "NeverJoins", "machine_type": "e2-standard-8"}], {"deadlines": {"boot": "20s"}})
