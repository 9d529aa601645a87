"""A real control plane under test: what is in it, watched; and its machines, played here.

kwok plays every pod in one way. Here pods must be able to run and not be ready, probes to fail and nodes to fall
silent, one by one: so the kubelets are played by this program, and kwok stands still.
"""

import collections
import queue
import threading
import time

from api import Api

RESOURCES = {
    "nodes": "/api/v1/nodes",
    "pods": "/api/v1/pods",
    "deployments": "/apis/apps/v1/deployments",
    "replicasets": "/apis/apps/v1/replicasets",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
}
MERGE = "application/strategic-merge-patch+json"
# Threads that play kubelets.
KUBELETS = 6
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
# Seconds from one heartbeat to the next, as kubelets have it.
BEAT = 10
# Seconds from bound to running, and from asked to end to gone.
WHILE = 0.5


def condition(kind, status):
    # Moments are kept in whole seconds: the time is the API server's business, not of what is compared.
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"type": kind, "status": status, "reason": "Played", "message": "", "lastTransitionTime": now, "lastHeartbeatTime": now}


def pod_condition(kind, status):
    return {key: value for key, value in condition(kind, status).items() if key not in ("lastHeartbeatTime", "reason", "message")}


class Cluster:
    """Caches of what is watched, by resource, namespace and name."""

    def __init__(self, plane):
        self.plane = plane
        self.changed = threading.Condition()
        # resource -> namespace (None for nodes) -> name -> object
        self.objects = {resource: collections.defaultdict(dict) for resource in RESOURCES}
        self.local = threading.local()
        self.ended = False
        # What the kubelets know beside the API: (namespace, app) whose pods do not become ready, uids of such pods,
        # and nodes that are silent.
        self.broken, self.sick, self.silent = set(), set(), set()
        self.beating = set()
        self.work, self.starting = queue.Queue(), queue.Queue()
        self.troubles = []
        ready = [threading.Event() for _ in RESOURCES]
        for (resource, path), event in zip(RESOURCES.items(), ready):
            self.thread(self.follow, resource, path, event)
        for _ in range(KUBELETS):
            self.thread(self.play)
        self.thread(self.heart)
        self.thread(self.start)
        for event in ready:
            if not event.wait(60):
                raise RuntimeError("nothing is listed")

    def thread(self, target, *arguments):
        threading.Thread(target=target, args=arguments, daemon=True).start()

    @property
    def api(self):
        """A connection of the thread's own."""
        if not hasattr(self.local, "api"):
            self.local.api = Api(self.plane)
        return self.local.api

    def end(self):
        self.ended = True
        self.starting.put(None)
        for _ in range(KUBELETS):
            self.work.put(None)

    # --- watching

    def follow(self, resource, path, ready):
        while not self.ended:
            try:
                listed = self.api.call("GET", path)
                with self.changed:
                    self.objects[resource].clear()
                    for item in listed["items"]:
                        self.take(resource, item)
                    self.changed.notify_all()
                ready.set()
                for event in self.api.watch(path, listed["metadata"]["resourceVersion"]):
                    if event["type"] == "ERROR":
                        break
                    with self.changed:
                        self.take(resource, event["object"], event["type"] == "DELETED")
                        self.changed.notify_all()
            except Exception as error:  # whatever ends a watch, it is begun again, and what is missed is listed
                if self.ended:
                    return
                self.troubles.append(f"{resource}: {error}")
                time.sleep(1)

    def take(self, resource, item, deleted=False):
        meta = item["metadata"]
        meta.pop("managedFields", None)
        known = self.objects[resource][meta.get("namespace")]
        if deleted:
            known.pop(meta["name"], None)
            return
        new = known.get(meta["name"], {}).get("metadata", {}).get("uid") != meta["uid"]
        known[meta["name"]] = item
        if resource == "pods":
            app = meta.get("labels", {}).get("app")
            if new and (meta["namespace"], app) in self.broken and meta.get("ownerReferences"):
                self.sick.add(meta["uid"])
            self.look(item)

    # --- kubelets

    def look(self, pod):
        """Whether there is something to do for the pod's kubelet."""
        if "nodeName" not in pod["spec"]:
            return
        what = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        if "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase", "Pending") == "Pending":
            self.starting.put((time.monotonic() + WHILE, what))

    def start(self):
        """Lets pods take a while to start and to end: longer than from one request at once to the next, and than it
        takes to place the successor of one that ends."""
        while (pod := self.starting.get()) is not None:
            due, what = pod
            time.sleep(max(0, due - time.monotonic()))
            self.work.put(what)

    def play(self):
        while (what := self.work.get()) is not None:
            try:
                self.kubelet(*what)
            except Exception as error:  # told at the end; a pod that is not played shows in the comparison
                self.troubles.append(f"kubelet of {what}: {error}")

    def kubelet(self, namespace, name):
        with self.changed:
            pod = self.objects["pods"][namespace].get(name)
            node = pod and pod["spec"].get("nodeName")
            if pod is None or node in self.silent or node not in self.objects["nodes"][None]:
                return
            uid = pod["metadata"]["uid"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if "deletionTimestamp" in pod["metadata"]:
            body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
            status, text = self.api.ask("DELETE", path, body)
            if status not in (200, 202, 404, 409):
                raise RuntimeError(f"{status} {text[:200]}")
            return
        self.report(pod, uid not in self.sick)

    def report(self, pod, ready):
        """The kubelet's word on a pod: it runs, and is ready or not."""
        meta = pod["metadata"]
        word = "True" if ready else "False"
        conditions = [pod_condition("Ready", word), pod_condition("ContainersReady", word), pod_condition("Initialized", "True")]
        body = {"metadata": {"uid": meta["uid"]}, "status": {"phase": "Running", "conditions": conditions}}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
        status, text = self.api.ask("PATCH", path, body, MERGE)
        if status not in (200, 404, 409, 422):
            raise RuntimeError(f"{status} {text[:200]}")

    def heart(self):
        """Every node's heartbeat, as long as it is not silent."""
        while not self.ended:
            for node in self.beating - self.silent:
                try:
                    self.renew(node)
                except Exception as error:  # the next beat comes soon
                    self.troubles.append(f"heartbeat of {node}: {error}")
            time.sleep(BEAT)

    def renew(self, node):
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
        path = f"{LEASES}/{node}"
        status, text = self.api.ask("PATCH", path, {"spec": {"renewTime": now}}, MERGE)
        if status == 404:
            spec = {"holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": now}
            status, text = self.api.ask("POST", LEASES, {"metadata": {"name": node}, "spec": spec})
        if status not in (200, 201, 409):
            raise RuntimeError(f"{status} {text[:200]}")

    def beat(self, node):
        self.renew(node)
        self.beating.add(node)

    def crash(self, node):
        """The kubelet falls silent; the node controller finds out."""
        self.silent.add(node)

    def revive(self, node):
        self.renew(node)
        self.silent.discard(node)
        body = {"status": {"conditions": [condition("Ready", "True")]}}
        self.api.call("PATCH", f"/api/v1/nodes/{node}/status", body, MERGE)
        with self.changed:
            everywhere = [pod for pods in self.objects["pods"].values() for pod in pods.values()]
        for pod in everywhere:
            if pod["spec"].get("nodeName") != node:
                continue
            if "deletionTimestamp" in pod["metadata"]:
                self.work.put((pod["metadata"]["namespace"], pod["metadata"]["name"]))
            else:
                self.report(pod, pod["metadata"]["uid"] not in self.sick)
