"""The API server goes away, and etcd forgets."""

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
