"""What the daemon costs while it watches: 1,000 nodes and 10,000 pods in a real control plane.

    tests/e2e/run --figures

Not a test: it prints figures beside their targets. The release build is measured, unless `KINEMA_PROGRAM` names others, with spaces between them.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import time

import harness

NODES = 1000
PODS = 10_000
PODS_OF_A_SET = 40
SAMPLE_SECONDS = 60


def replica_set(namespace, name):
    item = harness.deployment(namespace, name, PODS_OF_A_SET, "250m", "512Mi")
    item["kind"] = "ReplicaSet"
    spec = item["spec"]["template"]["spec"]
    container = spec["containers"][0]
    container["env"] = [{"name": f"SETTING_{index}", "value": f"value-{index}"} for index in range(12)]
    container["ports"] = [{"containerPort": 8080, "name": "http"}]
    container["resources"]["limits"] = {"memory": "768Mi"}
    container["livenessProbe"] = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10}
    container["volumeMounts"] = [{"name": "config", "mountPath": "/etc/app"}, {"name": "cache", "mountPath": "/var/cache/app"}]
    sidecar = {"name": "proxy", "image": "example/proxy", "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}}}
    spec["containers"] = [container, sidecar]
    spec["volumes"] = [{"name": "config", "configMap": {"name": name, "optional": True}}, {"name": "cache", "emptyDir": {}}]
    spec["tolerations"] = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for what in ("not-ready", "unreachable")
    ]
    return item


def pods_of(owner, nodes, first):
    """The pods of a ReplicaSet, bound to nodes already: a scheduler would take minutes for them."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    template = owner["spec"]["template"]
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": owner["metadata"]["uid"], "controller": True}
    for index in range(PODS_OF_A_SET):
        metadata = {**template["metadata"], "namespace": namespace, "name": f"{name}-{index:05x}", "ownerReferences": [reference]}
        spec = {**template["spec"], "nodeName": nodes[(first + index) % len(nodes)]}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def fill(scenario):
    """Nodes by the stand-in cloud, as GKE makes them; pods by ourselves."""
    began = time.monotonic()
    each = NODES // len(harness.ZONES)
    sizes = [each + (index < NODES - each * len(harness.ZONES)) for index in range(len(harness.ZONES))]
    pools = [harness.pool("e2-s4", "e2-standard-4", zone, size) for zone, size in zip(harness.ZONES, sizes, strict=True)]
    scenario.start_cloud(pools, wait=600)
    plane, namespace = scenario.plane, scenario.namespace("e2e-figures")
    nodes = sorted(node["metadata"]["name"] for node in plane.objects("nodes"))
    # It would make the pods itself, at its own pace.
    plane.ctl("stop", "kube-controller-manager")
    # To look at every node each five seconds, as the tests have it do, keeps a core busy here and in KWOK.
    plane.ctl("stop", "prometheus")
    file = plane.work / "prometheus.yaml"
    file.write_text(file.read_text().replace("scrape_interval: 5s", "scrape_interval: 60s"))
    sets = [replica_set(namespace, f"app-{index:03}") for index in range(PODS // PODS_OF_A_SET)]

    def create(items):
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        plane.kubectl("create", "-o", "name", "-f", "-", stdin=listed)

    create(sets)
    owners = plane.objects("replicasets", "-n", namespace)

    def create_pods(numbered):
        number, owner = numbered
        create(list(pods_of(owner, nodes, number * PODS_OF_A_SET)))

    with concurrent.futures.ThreadPoolExecutor(6) as workers:
        list(workers.map(create_pods, enumerate(owners)))

    def running():
        return len(plane.kubectl("get", "pods", "-n", namespace, "--field-selector=status.phase=Running", "-o", "name").split()) == PODS

    harness.eventually("every pod runs", 1200, running, every=5)
    for component in ("kube-controller-manager", "prometheus"):
        plane.ctl("start", component)
    print(f"{NODES} nodes and {PODS} pods after {time.monotonic() - began:.0f} s", flush=True)


def memory(pid):
    """Peak, present and anonymous memory in MiB: the rest of the present is the file cache's."""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return tuple(int(lines[key].split()[0]) / 1024 for key in ("VmHWM", "VmRSS", "RssAnon"))


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def journal_bytes(daemon):
    return sum(file.stat().st_size for file in (daemon.journal / "segments").rglob("*") if file.is_file())


def sample(daemon, what):
    pid = daemon.process.pid
    used, written, entries, began = processor_seconds(pid), journal_bytes(daemon), daemon.status()["journal"]["seq"], time.monotonic()
    time.sleep(SAMPLE_SECONDS)
    span = time.monotonic() - began
    share = 100 * (processor_seconds(pid) - used) / span
    per_minute = (journal_bytes(daemon) - written) * 60 / span
    entries = daemon.status()["journal"]["seq"] - entries
    peak, now, anonymous = memory(pid)
    print(
        f"{what}: {now:.0f} MiB (peak {peak:.0f}, anonymous {anonymous:.0f}; target 150), {share:.1f} % of a core (target 5), "
        f"journal {per_minute / 1024:.0f} KiB/min in {entries} entries",
        flush=True,
    )


def measure_one(scenario, program, name):
    changes = {"mode": "Recommend", "observe": {"coolDown": "1h", "cloudRefresh": "1m"}, "lease": {"duration": "30s"}}
    daemon = scenario.daemon(name, journal=scenario.work / f"journal-{name}", changes=changes)
    daemon.program = pathlib.Path(program)
    began = time.monotonic()
    daemon.start()
    harness.eventually("the daemon leads", 60, lambda: daemon.status()["leader"], every=0.05)
    daemon.command("pause", "--reason", "figures")
    harness.eventually("everything is listed", 300, lambda: (s := daemon.status())["pods"] >= PODS and s["nodes"] == NODES and s["inFlight"] == 0, every=0.1)
    print(f"synced after {time.monotonic() - began:.1f} s, journal {journal_bytes(daemon) / 2**20:.1f} MiB", flush=True)
    time.sleep(20)
    sample(daemon, "at rest")
    began = time.monotonic()
    daemon.command("resume")
    harness.eventually("a plan is made", 600, lambda: daemon.status()["last"], every=0.2)
    print(f"planned after {time.monotonic() - began:.1f} s, journal {journal_bytes(daemon) / 2**20:.1f} MiB", flush=True)
    time.sleep(10)
    sample(daemon, "at rest after a plan")
    daemon.stop()


def measure(work, programs, plane):
    several = os.environ.get("KINEMA_PROGRAM", "").split()
    if not several:
        subprocess.run(["cargo", "build", "--quiet", "--release", "-p", "kinema"], cwd=harness.ROOT, check=True)
        several = [programs.parent / "release/kinema"]
    scenario = harness.Scenario("figures", work, programs, plane)
    try:
        fill(scenario)
        for index, program in enumerate(several):
            print(program, flush=True)
            measure_one(scenario, program, f"f{index}")
            # The next one begins a journal of its own, which the lease of another would refuse.
            plane.kubectl("delete", "lease", "-n", "kube-system", "kinema")
    finally:
        # The control plane goes away with everything in it.
        for daemon in scenario.daemons:
            if daemon.process and daemon.process.poll() is None:
                daemon.kill()
        if scenario.cloud:
            scenario.cloud.down()
