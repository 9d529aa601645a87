"""The API server goes away, and etcd forgets."""

import subprocess

from harness import deployment, pools

from .movements import fragmented


def restart_and_expire(scenario):
    """The API server restarts and every watch gets 410 Gone in the middle of an iteration."""
    fragmented(scenario, nodes_each=3, deployments=9)
    daemon = scenario.daemon().start()
    daemon.wait_phase({"Labelling", "Rolling", "Draining"}, 180)
    scenario.plane.ctl("restart-apiserver")
    scenario.plane.ctl("expire-watches")
    # Without the API server the lease cannot be renewed: a daemon ends then, rather than act as a second leader.
    last = daemon.wait_result({"Applied", "RolledBack"}, 300, restart=True)
    scenario.check("the iteration was applied", last["result"] == "Applied", f"{last}")
    scenario.wait_workloads()
    scenario.finish(daemon)


def effects(scenario):
    """Every effect on the cluster, twice; and whose replicas are whose, by the API server's own account."""
    scenario.start_cloud(pools("e2-standard-4", 1))
    namespace = scenario.namespace("e2e-effects")
    scenario.plane.apply(deployment(namespace, "web", 2, "100m", "64Mi"))
    scenario.wait_workloads()
    run = [scenario.programs / "examples/effects", namespace, "web"]
    done = subprocess.run(run, env=scenario.plane.env, capture_output=True, text=True, check=False, timeout=120)
    scenario.check("others' replicas are told from ours", done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:])
    for what in ("mark Expiring", "scale up again", "patch again", "evict again"):
        scenario.check(f"{what}: done", f"{what}: Done" in done.stdout, done.stdout[-2000:])
