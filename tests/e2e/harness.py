"""What the scenarios stand on: a real control plane, the stand-in cloud, the daemon, and assertions.

Only the standard library. Every process that is started here is ended here, by its id.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Failed(Exception):
    """A scenario's assertion does not hold."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return json.load(answer)


def eventually(what, seconds, predicate, every=0.3):
    """Repeats the predicate until it gives something true, which is returned."""
    until = time.monotonic() + seconds
    last = None
    while time.monotonic() < until:
        try:
            last = predicate()
            if last:
                return last
        except (OSError, KeyError, subprocess.CalledProcessError) as error:
            last = error
        time.sleep(every)
    raise Failed(f"{what}: not within {seconds} s (last: {last!r})")


def spawn(arguments, log, env=None):
    return subprocess.Popen(
        arguments, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, start_new_session=True
    )


# The account that deploy/rbac gives its rights to. The API server writes down every request of it, and every change that
# anybody else asks for.
ACCOUNT = "system:serviceaccount:kinema:kinema"
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "users": [ACCOUNT]},
        {
            "level": "None",
            "resources": [
                {"group": "coordination.k8s.io"},
                {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io"},
            ],
        },
        {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "None"},
    ],
}


class ControlPlane:
    """etcd, kube-apiserver, controller-manager, scheduler, kwok and Prometheus."""

    def __init__(self, work, quiet=False, options=()):
        self.work = work
        self.audit = work / "log/audit.json"
        work.mkdir(parents=True, exist_ok=True)
        policy = work / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT))
        flags = [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}"]
        more = [part for flag in flags for part in ("--apiserver-flag", flag)]
        subprocess.run([HERE / "control-plane/up", *more, *options, work], check=True, stdout=subprocess.DEVNULL if quiet else None)
        shell = f"set -a; source {work}/env; env -0"
        raw = subprocess.run(["bash", "-c", shell], check=True, capture_output=True).stdout.decode()
        self.env = dict(item.split("=", 1) for item in raw.split("\0") if "=" in item)
        self.kubeconfig = self.env["KUBECONFIG"]
        self.prometheus = self.env.get("PROMETHEUS_URL")

    def ctl(self, *arguments):
        command = [HERE / "control-plane/ctl", self.work, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def user(self, name):
        """The kubeconfig of a user who may do everything, and whom the audit log tells from others."""
        return self.ctl("kubeconfig", name, "system:masters")

    def changes_by(self, user):
        """What the user asked to be changed, leases and events left out, oldest first: audit events."""
        events = self.audited(user)
        return [event for event in events if not event["requestURI"].startswith("/apis/authorization.k8s.io/")]

    def audited(self, user):
        """The audit log's events of a user, oldest first."""
        events = []
        with open(self.audit) as log:
            for line in log:
                # The last line may be on its way.
                if line.endswith("\n") and (event := json.loads(line))["user"]["username"] == user:
                    events.append(event)
        return events

    def kubectl(self, *arguments, stdin=None, check=True):
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, env=self.env, check=False, capture_output=True, text=True, timeout=120
        )
        if check and done.returncode:
            raise Failed(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def objects(self, kind, *arguments):
        return json.loads(self.kubectl("get", kind, "-o", "json", *arguments))["items"]

    def account(self):
        """A kubeconfig with a token of the account of deploy/rbac/observe.yaml, which must be applied."""
        token = self.kubectl("create", "token", "kinema", "-n", "kinema", "--duration=2h").strip()
        cluster = {"server": self.env["APISERVER_URL"], "certificate-authority": str(self.work / "pki/ca.crt")}
        context = {"cluster": "e2e", "user": "kinema", "namespace": "kinema"}
        file = self.work / "kubeconfig/account"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "clusters": [{"name": "e2e", "cluster": cluster}],
            "users": [{"name": "kinema", "user": {"token": token}}],
            "contexts": [{"name": "e2e", "context": context}],
        }
        file.write_text(json.dumps(config))
        return file

    def requests(self, after=0):
        """What was asked of the API server in the account's name, from one on: audit events."""
        return self.audited(ACCOUNT)[after:]

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def down(self):
        subprocess.run([HERE / "control-plane/down", self.work], check=False)


class Cloud:
    """The stand-in for Google's API, which owns the KWOK nodes."""

    def __init__(self, work, programs, plane, scenario):
        self.path = work / "cloud.json"
        self.path.write_text(json.dumps(scenario))
        self.log = open(work / "cloud.log", "ab")
        self.process = subprocess.Popen(
            [programs / "google-cloud-standin", "--scenario", self.path, "--kubeconfig", plane.kubeconfig],
            stdout=subprocess.PIPE,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        line = self.process.stdout.readline().decode()
        match = re.search(r"http://\S+", line)
        if not match:
            raise Failed(f"the stand-in said {line!r}; see {work}/cloud.log")
        self.url = match.group(0)

    def state(self):
        return get(f"{self.url}/_sim/state")

    def cost(self, start, end):
        return get(f"{self.url}/_sim/cost?from={start}&to={end}")["microUsd"]

    def lifetimes(self):
        """Every machine that ever was."""
        return get(f"{self.url}/_sim/cost")["lifetimes"]

    def machines(self):
        return {machine["name"] for pool in self.state()["pools"] for machine in pool["machines"]}

    def calls(self, path_part):
        return [call for call in get(f"{self.url}/_sim/log") if path_part in json.dumps(call)]

    def set_faults(self, rules):
        body = json.dumps(rules).encode()
        request = urllib.request.Request(f"{self.url}/_sim/faults?relative=true", data=body, method="PUT")
        urllib.request.urlopen(request, timeout=5).close()

    def down(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


POLICY = {
    "mode": "Auto",
    "observe": {
        "stableFor": "3s",
        "maxUnsettled": "50%",
        "coolDown": "10m",
        "minNodeAge": "0s",
        "cloudRefresh": "10s",
    },
    "predict": {"window": "2m", "step": "15s", "horizon": "5m", "withoutMetrics": True},
    "deadlines": {
        "boot": "3m",
        "label": "1m",
        "oneMove": "2m",
        "drain": "3m",
        "effect": "20s",
        "poll": "1s",
        "settle": "2s",
        "retry": "1s",
    },
    "lease": {"namespace": "kube-system", "duration": "6s"},
}


def merged(base, changes):
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


class Daemon:
    """`kinema run` over one journal."""

    def __init__(self, work, programs, plane, cloud, name="a", journal=None, changes=None, user=None):
        self.work, self.programs, self.plane, self.name = work, programs, plane, name
        self.kubeconfig = plane.user(user) if user else plane.kubeconfig
        self.journal = journal or work / "journal"
        self.port = free_port()
        policy = merged(POLICY, changes or {})
        policy["cloud"] = {
            "project": "e2e-project",
            "cluster": "e2e",
            "zones": ["us-central1-a", "us-central1-b", "us-central1-c"],
            "endpoint": cloud.url,
            "containerEndpoint": cloud.url,
            "billingEndpoint": cloud.url,
            **(changes or {}).get("cloud", {}),
        }
        policy["prometheus"] = {"url": plane.prometheus}
        policy["server"] = {"listen": f"127.0.0.1:{self.port}"}
        self.lease_namespace = policy["lease"]["namespace"]
        self.config = work / f"policy-{name}.yaml"
        document = {"apiVersion": "kinema.dev/v1alpha1", "kind": "ReschedulePolicy", "spec": policy}
        # JSON is YAML.
        self.config.write_text(json.dumps(document))
        self.process = None
        self.program = programs / "kinema"

    def start(self):
        log = open(self.work / f"kinema-{self.name}.log", "ab")
        self.process = spawn(
            [
                self.program,
                "run",
                "--config",
                self.config,
                "--journal",
                self.journal,
                "--kubeconfig",
                self.kubeconfig,
                "--identity",
                f"kinema-{self.name}",
            ],
            log,
            env={**os.environ, "GOOGLE_CLOUD_ANONYMOUS": "1", "RUST_LOG": os.environ.get("RUST_LOG", "info")},
        )
        log.close()
        return self

    def status(self):
        return get(f"http://127.0.0.1:{self.port}/api/v1/status")

    def command(self, *arguments):
        return subprocess.run(
            [self.programs / "kinema", *arguments, "--server", f"http://127.0.0.1:{self.port}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def wait_phase(self, phases, seconds=120):
        """Waits until the phase is one of these, looking often: some last for moments only."""
        return eventually(f"phase {phases}", seconds, lambda: self.status()["phase"] in phases and self.status(), every=0.02)

    def wait_result(self, results, seconds=240, after=0, restart=False):
        """Waits for an iteration's end. With `restart` a daemon that ended is started again, as a kubelet would."""

        def ended():
            if restart and self.process.poll() is not None:
                self.start()
            last = self.status().get("last")
            return last if last and last["result"] in results and last["iteration"] > after else None

        return eventually(f"result {results}", seconds, ended)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failed("the daemon did not end within 30 s of SIGTERM") from None

    def replay(self):
        return subprocess.run(
            [self.programs / "kinema", "replay", self.journal, "--check"], capture_output=True, text=True, check=False
        )


class Scenario:
    """One scenario's world: its namespace, cloud and daemons; cleaned up however it ends."""

    def __init__(self, name, work, programs, plane):
        self.name, self.programs, self.plane = name, programs, plane
        self.work = work / name
        self.work.mkdir(parents=True)
        self.cloud = None
        self.daemons = []
        self.asserted = []
        self.namespaces = []
        self.before = {}

    def check(self, what, holds, detail=""):
        if not holds:
            raise Failed(f"{what} {detail}".strip())
        self.asserted.append(what)

    def start_cloud(self, pools, faults=(), wait=120, rates=()):
        scenario = {
            "project": "e2e-project",
            "cluster": "e2e",
            "seed": 7,
            "pools": pools,
            "timings": {
                "accept": {"least": 50, "most": 200},
                "finish": {"least": 100, "most": 300},
                "provision": {"least": 200, "most": 500},
                "stage": {"least": 200, "most": 500},
                "boot": {"least": 500, "most": 1500},
                "join": {"least": 300, "most": 800},
                "shutdown": {"least": 300, "most": 900},
                "node_removal": {"least": 100, "most": 300},
            },
            "faults": list(faults),
            "rates": list(rates),
        }
        self.cloud = Cloud(self.work, self.programs, self.plane, scenario)
        wanted = sum(pool.get("instances", 0) for pool in pools)
        eventually("the first nodes are Ready", wait, lambda: self.ready_nodes() == wanted)
        return self.cloud

    def ready_nodes(self):
        def ready(node):
            return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))

        return sum(ready(node) for node in self.plane.objects("nodes"))

    def namespace(self, name):
        self.plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self.namespaces.append(name)
        return name

    def wait_workloads(self, seconds=180):
        def settled():
            for kind in ("deployments", "statefulsets"):
                for item in self.plane.objects(kind, "-A"):
                    if item["status"].get("readyReplicas", 0) != item["spec"].get("replicas", 1):
                        return False
            return True

        eventually("every workload is Ready", seconds, settled, every=1)

    def remember(self):
        """What must be as it was when kinema is through."""
        self.before = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): (
                item["spec"].get("replicas"),
                item["spec"]["template"]["spec"].get("affinity"),
                item["spec"].get("strategy"),
            )
            for item in self.plane.objects("deployments", "-A")
        }

    def daemon(self, name="a", journal=None, changes=None, user=None):
        daemon = Daemon(self.work, self.programs, self.plane, self.cloud, name, journal, changes, user)
        self.daemons.append(daemon)
        return daemon

    def finish(self, daemon):
        """Stops the daemon and asserts what must hold after every scenario."""
        daemon.stop()
        ours = "kinema.dev/"
        for node in self.plane.objects("nodes"):
            name = node["metadata"]["name"]
            labels = [key for key in node["metadata"].get("labels", {}) if key.startswith(ours)]
            taints = [taint["key"] for taint in node["spec"].get("taints", []) if taint["key"].startswith(ours)]
            self.check("no label or taint of ours is left", not labels and not taints, f"{name}: {labels} {taints}")
        for pod in self.plane.objects("pods", "-A"):
            cost = pod["metadata"].get("annotations", {}).get("controller.kubernetes.io/pod-deletion-cost")
            terminating = "deletionTimestamp" in pod["metadata"]
            self.check("no deletion cost of ours is left", cost is None or terminating, pod["metadata"]["name"])
        for item in self.plane.objects("deployments", "-A"):
            key = (item["metadata"]["namespace"], item["metadata"]["name"])
            now = (item["spec"].get("replicas"), item["spec"]["template"]["spec"].get("affinity"), item["spec"].get("strategy"))
            self.check("replicas, affinity and strategy are as before", self.before.get(key, now) == now, f"{key}: {self.before.get(key)} {now}")
        nodes = {node["metadata"]["name"] for node in self.plane.objects("nodes")}
        machines = self.cloud.machines()
        self.check("every machine is a node and every node a machine", nodes == machines, f"{sorted(nodes ^ machines)}")
        leases = self.plane.objects("leases", "-n", daemon.lease_namespace, "--field-selector", "metadata.name=kinema")
        held = [lease["spec"].get("holderIdentity") for lease in leases if lease["spec"].get("holderIdentity")]
        self.check("the lease is released", not held, f"{held}")
        replay = daemon.replay()
        self.check("the journal replays identically", replay.returncode == 0, replay.stdout[-2000:] + replay.stderr[-2000:])

    def clean(self):
        for daemon in self.daemons:
            if daemon.process and daemon.process.poll() is None:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.kill()
        if self.cloud:
            self.cloud.down()
        for namespace in self.namespaces:
            self.plane.kubectl("delete", "namespace", namespace, "--wait=false", check=False)
        self.plane.kubectl("delete", "nodes", "--all", "--wait=false", check=False)
        self.plane.kubectl("delete", "lease", "kinema", "-n", "kube-system", check=False)
        for namespace in self.namespaces:
            self.plane.kubectl("delete", "pods", "--all", "-n", namespace, "--force", "--grace-period=0", check=False)
            self.plane.kubectl("wait", "--for=delete", f"namespace/{namespace}", "--timeout=120s", check=False)


def pool(name, machine_type, zone, instances=0, **more):
    return {"name": f"gke-e2e-{name}-{zone[-1]}-grp", "machineType": machine_type, "zone": zone, "instances": instances, **more}


ZONES = ("us-central1-a", "us-central1-b", "us-central1-c")


def pools(machine_type, each=0, name=None, **more):
    short = name or machine_type.replace("standard-", "s")
    return [pool(short, machine_type, zone, each, **more) for zone in ZONES]


def deployment(namespace, name, replicas, cpu, memory, **spec):
    labels = {"app": name}
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/usage-cpu": "50m", "kwok.x-k8s.io/usage-memory": "64Mi"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": "example/app", "resources": {"requests": {"cpu": cpu, "memory": memory}}}],
            **spec,
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def stateful_set(namespace, name, replicas, cpu, memory):
    item = deployment(namespace, name, replicas, cpu, memory)
    item["kind"] = "StatefulSet"
    item["spec"]["serviceName"] = name
    item["spec"]["podManagementPolicy"] = "Parallel"
    return item


def budget(namespace, name, app, **spec):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": {"app": app}}, **spec},
    }


def build():
    """Builds the programs and returns their directory."""
    made = cargo(["kinema", "google-cloud-standin"], ["effects"])
    for name in ("kinema", "google-cloud-standin"):
        if not shutil.which(str(made / name)):
            raise SystemExit(f"{made / name} was not built")
    return made


def build_fakes():
    """Builds what the comparison of the simulated cluster with a real one needs, and returns the directory."""
    return cargo(["simulator"], ["answers"])


def cargo(packages, examples):
    """Builds programs, and examples of the adapter."""
    command = ["cargo", "build", "--quiet"]
    subprocess.run([*command, *(part for name in packages for part in ("-p", name))], cwd=ROOT, check=True)
    named = [part for name in examples for part in ("--example", name)]
    subprocess.run([*command, "-p", "adapter-kube", *named], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    return pathlib.Path(target).resolve() / "debug"
