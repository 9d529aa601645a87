"""One sequence of requests, put to a real control plane."""

import json
import subprocess
import time

from harness import Failed

from . import lines as told

OTHER = "00000000-0000-4000-8000-000000000000"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "ReplicaSet": "replicasets"}
WORLD = "answers/world"
# How long the world may take until it is as the simulated one is, in seconds. Beside what controllers wait for by
# themselves, the scheduler may take ten seconds to try a pod again.
PATIENCE = 30
# Pods of a deleted node are collected after two rounds; a silent node's are waited for.
LONG = {"delete-node": 130, "crash": 120}
# So long it must stay as it is.
STEADY = 0.25
# As the world of a sequence is watched by several threads, news may be late.
POLL = 0.5


class Difference(Exception):
    """The real control plane answers or becomes something else."""

    def __init__(self, step, request, what):
        super().__init__(what)
        self.step, self.request, self.what = step, request, what
        # The requests before it.
        self.before = []


class Adapter:
    """The daemon's adapter: effects in, outcomes out."""

    def __init__(self, program, plane):
        self.process = subprocess.Popen(
            [program], env=plane.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def ask(self, effect):
        self.process.stdin.write(json.dumps(effect) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the adapter ended with {self.process.wait()}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


class Player:
    def __init__(self, cluster, adapter, namespace):
        self.cluster, self.adapter, self.namespace = cluster, adapter, namespace
        self.nodes = {}
        self.api = cluster.api
        self.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        # Without it no pod is admitted, and its controller may take a moment.
        self.api.ask("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})

    # --- names

    def node(self, slot):
        return f"{self.namespace}-{slot}"

    def slot(self, node):
        return node.rsplit("-", 1)[1] if self.nodes.get(node) else "lost"

    def space(self, group, resource, *names):
        return "/".join(["", *group.split("/"), "namespaces", self.namespace, resource, *names])

    def objects(self, resource, namespace=""):
        return self.cluster.objects[resource][self.namespace if namespace == "" else namespace]

    def pod(self, pick):
        """The name and the UID of one of the pods that look so."""
        # Not of what is watched: that may be behind the last request.
        for pod in self.api.call("GET", self.space("api/v1", "pods"))["items"]:
            if told.pod_line(pod, self.slot) == pick["pod"]:
                return pod["metadata"]["name"], pod["metadata"]["uid"] if pick["uid"] else OTHER
        return "ghost", OTHER

    def workload(self, app):
        """Kind, resource and UID of a workload."""
        with self.cluster.changed:
            for kind, resource in KINDS.items():
                if app in self.objects(resource):
                    return kind, resource, self.objects(resource)[app]["metadata"]["uid"]
        return "Deployment", "deployments", OTHER

    # --- requests

    def change(self, path, body, kind=MERGE):
        """What a user does, under a user's name."""
        status, text = self.api.ask("PATCH", f"{path}?fieldManager=user", body, kind)
        if status == 422:
            return 422
        if status >= 300:
            raise Failed(f"{path}: {status} {text[:300]}")
        return "ok"

    def create(self, path, body):
        status, text = self.api.ask("POST", f"{path}?fieldManager=user", body)
        if status == 422:
            return 422
        if status >= 300:
            raise Failed(f"{path}: {status} {text[:300]}")
        return "ok"

    def effect(self, request):
        """The effect of a request, and nothing for what others do."""
        key = lambda name: {"namespace": self.namespace, "name": name}

        def workload(of):
            kind, _, uid = self.workload(of)
            return {"kind": kind, "key": key(of)}, uid if request["uid"] else OTHER

        match request["do"]:
            case "mark":
                node = self.node(request["node"])
                with self.cluster.changed:
                    known = self.objects("nodes", None).get(node)
                uid = known["metadata"]["uid"] if known and request["uid"] else OTHER
                return {"MarkNode": {"node": node, "uid": uid, "role": request["role"], "iteration": request["iteration"]}}
            case "cost":
                name, uid = self.pod(request["pick"])
                return {"SetDeletionCost": {"pod": key(name), "uid": uid, "cost": request["cost"]}}
            case "evict":
                name, uid = self.pod(request["pick"])
                return {"Evict": {"pod": key(name), "uid": uid}}
            case "scale":
                identity, uid = workload(request["app"])
                return {"Scale": {"workload": identity, "uid": uid, "from": request["from"], "to": request["to"]}}
            case "template":
                identity, uid = workload(request["app"])
                requests = [[container, cpu, mib << 20] for container, cpu, mib in request["requests"]]
                fields = {each: request[each] for each in ("from", "to", "max_unavailable")}
                return {"PatchTemplate": {"workload": identity, "uid": uid, "requests": requests, **fields}}
            case "read-affinity":
                identity, uid = workload(request["app"])
                return {"ReadAffinity": {"workload": identity, "uid": uid}}
            case "read-node-pods":
                return {"ReadNodePods": {"node": self.node(request["node"])}}
        return None

    def ask(self, request):
        """The answer, as simulator/src/answers/bench.rs tells it."""
        effect = self.effect(request)
        if effect is None:
            return getattr(self, request["do"].replace("-", "_"))(request)
        outcome = self.adapter.ask(effect)
        if failure := outcome.get("Failed"):
            return f"{failure['class']} {failure['code']}"
        answer = outcome["Answered"]
        if answer == "Done":
            return "Done"
        if "Affinity" in answer:
            affinity, limit = (json.loads(text) if text is not None else None for text in answer["Affinity"])
            return {"affinity": affinity, "maxUnavailable": limit}
        pods = [fact for fact in answer["NodePods"] if fact["key"]["namespace"] == self.namespace]
        return sorted(told.fact_line(fact, self.slot) for fact in pods)

    def drain(self, request):
        name, _ = self.pod(request["pick"])
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": self.namespace}}
        return self.api.ask("POST", self.space("api/v1", "pods", name, "eviction"), body)[0]

    def create_node(self, request):
        name = self.node(request["node"])
        amounts = {"cpu": f"{request['cpu']}m", "memory": f"{request['memory']}Mi", "pods": "110", "ephemeral-storage": "47063248896"}
        # Zones are the sequence's own: how a zone fares is no business of others.
        zone = f"{self.namespace}-{request['zone']}"
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": request["machine"],
            "topology.kubernetes.io/zone": zone,
            "topology.kubernetes.io/region": self.namespace,
            WORLD: self.namespace,
        }
        self.nodes[name] = request["node"]
        self.cluster.beat(name)
        ready = {"type": "Ready", "status": "True", "reason": "Played", "message": ""}
        status = {"capacity": amounts, "allocatable": amounts, "conditions": [ready]}
        return self.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status})

    def delete_node(self, request):
        name = self.node(request["node"])
        self.api.call("DELETE", f"/api/v1/nodes/{name}")
        self.nodes[name] = None
        self.cluster.beating.discard(name)
        return "ok"

    def crash(self, request):
        self.cluster.crash(self.node(request["node"]))
        return "ok"

    def revive(self, request):
        self.cluster.revive(self.node(request["node"]))
        return "ok"

    def cordon(self, request):
        return self.change(f"/api/v1/nodes/{self.node(request['node'])}", {"spec": {"unschedulable": request["on"]}})

    def taint(self, request):
        path = f"/api/v1/nodes/{self.node(request['node'])}"
        same = lambda taint: (taint["key"], taint["effect"]) == (request["key"], request["effect"])
        taints = [taint for taint in self.api.call("GET", path)["spec"].get("taints", []) if not same(taint)]
        if request["on"]:
            taints.append({"key": request["key"], "effect": request["effect"]})
        return self.change(path, {"spec": {"taints": taints}})

    def label(self, request):
        path = f"/api/v1/nodes/{self.node(request['node'])}"
        return self.change(path, {"metadata": {"labels": {request["key"]: request["value"]}}})

    def pod_template(self, app, cpu, memory, affinity):
        quantities = {"cpu": f"{cpu}m", **({"memory": f"{memory}Mi"} if memory else {})}
        spec = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "nodeSelector": {WORLD: self.namespace},
            "containers": [{"name": "main", "image": "none", "resources": {"requests": quantities}}],
        }
        if affinity is not None:
            spec["affinity"] = json.loads(affinity)
        return {"metadata": {"labels": {"app": app}}, "spec": spec}

    def create_workload(self, request):
        app = request["app"]
        spec = {
            "replicas": request["replicas"],
            "selector": {"matchLabels": {"app": app}},
            "template": self.pod_template(app, request["cpu"], request["memory"], request["affinity"]),
        }
        if request["kind"] == "Deployment":
            spec["strategy"] = strategy(request["rolling"])
        if request["kind"] == "StatefulSet":
            spec["serviceName"] = app
        return self.create(self.space("apis/apps/v1", KINDS[request["kind"]]), {"metadata": {"name": app}, "spec": spec})

    def create_pod(self, request):
        pod = self.pod_template(request["app"], request["cpu"], None, None)
        pod["metadata"]["name"] = request["pod"]
        return self.create(self.space("api/v1", "pods"), pod)

    def create_budget(self, request):
        spec = {"selector": {"matchLabels": {"app": request["app"]}}, **numbers(request)}
        body = {"metadata": {"name": request["budget"]}, "spec": {key: value for key, value in spec.items() if value is not None}}
        return self.create(self.space("apis/policy/v1", "poddisruptionbudgets"), body)

    def change_budget(self, request):
        return self.change(self.space("apis/policy/v1", "poddisruptionbudgets", request["budget"]), {"spec": numbers(request)})

    def delete_budget(self, request):
        self.api.call("DELETE", self.space("apis/policy/v1", "poddisruptionbudgets", request["budget"]))
        return "ok"

    def of_workload(self, app):
        return self.space("apis/apps/v1", self.workload(app)[1], app)

    def user_scale(self, request):
        return self.change(self.of_workload(request["app"]), {"spec": {"replicas": request["replicas"]}})

    def user_template(self, request):
        path = self.of_workload(request["app"])
        at = "/spec/template/spec"
        operations = [{"op": "replace", "path": f"{at}/containers/0/resources/requests/cpu", "value": f"{request['cpu']}m"}]
        if request["affinity"] is not None:
            operations.append({"op": "add", "path": f"{at}/affinity", "value": json.loads(request["affinity"])})
        elif "affinity" in self.api.call("GET", path)["spec"]["template"]["spec"]:
            operations.append({"op": "remove", "path": f"{at}/affinity"})
        return self.change(path, operations, PATCH)

    def pause(self, request):
        return self.change(self.of_workload(request["app"]), {"spec": {"paused": request["on"]}})

    def strategy(self, request):
        return self.change(self.of_workload(request["app"]), {"spec": {"strategy": strategy(request["rolling"])}})

    def delete_pod(self, request):
        name, _ = self.pod(request["pick"])
        self.api.ask("DELETE", self.space("api/v1", "pods", name))
        return "ok"

    def break_(self, request):
        self.cluster.broken.add((self.namespace, request["app"]))
        return "ok"

    def heal(self, request):
        self.cluster.broken.discard((self.namespace, request["app"]))
        with self.cluster.changed:
            pods = [pod for pod in self.objects("pods").values() if pod["metadata"].get("ownerReferences")]
        for pod in pods:
            if pod["metadata"]["labels"].get("app") == request["app"]:
                self.cluster.sick.discard(pod["metadata"]["uid"])
                self.say(pod, True)
        return "ok"

    def probe(self, request):
        name, _ = self.pod(request["pick"])
        with self.cluster.changed:
            pod = self.objects("pods").get(name)
        if pod is not None:
            self.say(pod, request["ready"])
        return "ok"

    def say(self, pod, ready):
        """A kubelet's word, if there is one and the pod is not on its way."""
        runs = pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        if runs and pod["spec"]["nodeName"] not in self.cluster.silent:
            self.cluster.report(pod, ready)

    # --- the sequence

    def lines(self):
        return told.lines(self.cluster.objects, self.namespace, self.slot)

    def becomes(self, expected, seconds):
        """Waits until the world is as expected and stays so. What it is otherwise, and nothing when it is."""
        until = time.monotonic() + seconds
        since = None
        with self.cluster.changed:
            while True:
                now, lines = time.monotonic(), self.lines()
                if lines != expected:
                    since = None
                    if now >= until:
                        return lines
                elif since is None:
                    since = now
                elif now - since >= STEADY:
                    return None
                self.cluster.changed.wait(STEADY if since is not None else POLL)

    def play(self, steps):
        """Puts the requests, one after the other. Raises the first difference."""
        try:
            self.put(steps)
        except Difference as difference:
            difference.before = [step["request"] for step in steps[: difference.step]]
            raise

    def put(self, steps):
        for number, step in enumerate(steps):
            request = step["request"]
            answer = self.ask(request)
            if answer != step["answer"]:
                raise Difference(number, request, [f"answer: simulated {json.dumps(step['answer'])}, real {json.dumps(answer)}"])
            if step["world"] is None:
                continue
            real = self.becomes(step["world"], LONG.get(request["do"], PATIENCE))
            if real is not None:
                raise Difference(number, request, differing(step["world"], real))

    def clean(self):
        self.api.ask("DELETE", f"/api/v1/namespaces/{self.namespace}")
        for name, slot in self.nodes.items():
            self.cluster.beating.discard(name)
            if slot:
                self.api.ask("DELETE", f"/api/v1/nodes/{name}")


setattr(Player, "break", Player.break_)


def numbers(request):
    policy = "AlwaysAllow" if request["always"] else "IfHealthyBudget"
    return {"minAvailable": request["min"], "maxUnavailable": request["max"], "unhealthyPodEvictionPolicy": policy}


def strategy(rolling):
    if rolling is None:
        return {"type": "Recreate", "rollingUpdate": None}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": rolling[0], "maxUnavailable": rolling[1]}}


def differing(simulated, real):
    return [
        f"{key}: simulated {simulated.get(key, '-')}, real {real.get(key, '-')}"
        for key in sorted(simulated.keys() | real.keys())
        if simulated.get(key) != real.get(key)
    ]
