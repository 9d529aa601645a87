"""What kinema may do by `deploy/rbac`, and what it leaves behind of what it may read."""

import json
import subprocess
import urllib.request

from harness import ACCOUNT, ROOT, Failed, deployment, eventually, pools, stateful_set

RBAC = ROOT / "deploy/rbac"
# Kubernetes itself lets everyone who has logged in ask for the server's version, and what they may do.
EVERYONE = {("create", "authorization.k8s.io", "selfsubjectaccessreviews")}
READING = {"get", "list", "watch"}
# Stands in every object where a secret may stand. No policy reads these fields, and nobody shall find it again.
SECRET = "hunter2-0a1b2c3d"


# --- rights as they are given, and as they are used ------------------------------------------------------------------


def manifests(plane, *names, namespace=None):
    """The objects of files in deploy/rbac, as `kubectl` takes them, with `-n NAMESPACE` or without."""
    decoder, objects = json.JSONDecoder(), []
    within = ["-n", namespace] if namespace else []
    for name in names:
        text = plane.kubectl("create", *within, "--dry-run=client", "--validate=false", "-o", "json", "-f", str(RBAC / name))
        at = 0
        while at < len(text.rstrip()):
            item, end = decoder.raw_decode(text, at)
            objects.append(item)
            at = end + len(text[end:]) - len(text[end:].lstrip())
    return objects


def grants(objects):
    """Every single right: (namespace or None for all, group, resource, verb, name or None for all)."""
    roles = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]): item["rules"]
        for item in objects
        if item["kind"] in ("Role", "ClusterRole")
    }
    given = set()
    for item in objects:
        if item["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        subjects = [(one["kind"], one["namespace"], one["name"]) for one in item["subjects"]]
        if subjects != [("ServiceAccount", "kinema", "kinema")]:
            raise Failed(f"{item['metadata']['name']} is bound to {subjects}")
        # A binding in a namespace binds there, whatever kind of role.
        place = item["metadata"].get("namespace")
        reference = item["roleRef"]
        rules = roles[reference["kind"], place if reference["kind"] == "Role" else None, reference["name"]]
        for rule in rules:
            given |= {
                (place, group, resource, verb, name)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                for name in rule.get("resourceNames", [None])
            }
    return given


def compare(given, events):
    """Rights that were not used, and requests that no right covers, or that were refused."""
    used, uncovered = set(), set()
    for event in events:
        about = event.get("objectRef")
        if about is None:
            if event["requestURI"].split("?")[0] != "/version":
                uncovered.add(f"{event['verb']} {event['requestURI']}")
            continue
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        group, verb = about.get("apiGroup", ""), event["verb"]
        fits = {
            right
            for right in given
            if right[1:4] == (group, resource, verb)
            and right[0] in (None, about.get("namespace"))
            and right[4] in (None, about.get("name"))
        }
        used |= fits
        code = event.get("responseStatus", {}).get("code", 0)
        if code in (401, 403) or not fits and (verb, group, resource) not in EVERYONE:
            uncovered.add(f"{verb} {resource}.{group} in {about.get('namespace')}: {code}")
    return given - used, uncovered


def writes(events):
    """What was changed, but for the account's questions about itself."""
    changed = set()
    for event in events:
        about = event.get("objectRef") or {}
        what = (event["verb"], about.get("apiGroup", ""), about.get("resource"))
        if event["verb"] not in READING and what not in EVERYONE:
            changed.add((*what[1:], about.get("namespace")))
    return changed


def check_rights(scenario, profile, given, events):
    unused, uncovered = compare(given, events)
    scenario.check(f"{profile}: nothing is asked for that is not granted", events and not uncovered, f"{sorted(uncovered)}")
    lines = sorted(" ".join(str(part) for part in right) for right in unused)
    scenario.check(f"{profile}: nothing is granted that is not used", not unused, f"{lines}")


# --- the world ---------------------------------------------------------------------------------------------------------


def secretive(item):
    """The object with a secret in each field in which people put one."""
    item["metadata"]["annotations"] = {"example.com/token": SECRET}
    template = item["spec"]["template"]
    template["metadata"]["annotations"]["example.com/token"] = SECRET
    spec = template["spec"]
    container = spec["containers"][0]
    container["env"] = [
        {"name": "PASSWORD", "value": SECRET},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": SECRET, "key": SECRET, "optional": True}}},
    ]
    container["envFrom"] = [{"secretRef": {"name": SECRET, "optional": True}}]
    container["command"] = ["app", f"--password={SECRET}"]
    container["args"] = [SECRET]
    container["image"] = f"example/{SECRET}"
    container["workingDir"] = f"/{SECRET}"
    container["lifecycle"] = {"preStop": {"exec": {"command": [SECRET]}}}
    container["livenessProbe"] = {"httpGet": {"path": f"/{SECRET}", "port": 80, "httpHeaders": [{"name": "X-Key", "value": SECRET}]}}
    container["volumeMounts"] = [{"name": "keys", "mountPath": f"/keys/{SECRET}"}]
    spec["volumes"] = [
        {"name": "keys", "secret": {"secretName": SECRET, "optional": True}},
        {"name": "settings", "configMap": {"name": SECRET, "optional": True}},
    ]
    spec["imagePullSecrets"] = [{"name": SECRET}]
    spec["hostAliases"] = [{"ip": "127.0.0.1", "hostnames": [SECRET]}]
    return item


def replica_set(namespace, name, replicas, cpu, memory):
    item = deployment(namespace, name, replicas, cpu, memory)
    return {**item, "kind": "ReplicaSet"}


def fill(scenario):
    """Three nodes. Of the first two the pods are opted out for now; the third has a pod of each kind that is moved in its own way."""
    plane = scenario.plane
    scenario.start_cloud(pools("e2-standard-4", 1))
    first, later = scenario.namespace("e2e-rights"), scenario.namespace("e2e-rights-later")
    plane.kubectl("annotate", "namespace", first, f"example.com/token={SECRET}")
    plane.kubectl("label", "namespace", later, "kinema.dev/exclude=true")
    nodes = sorted(node["metadata"]["name"] for node in plane.objects("nodes"))
    message = [{"op": "add", "path": "/status/conditions/-", "value": {"type": "Secret", "status": "True", "message": SECRET, "reason": "A"}}]
    for node in nodes:
        plane.kubectl("annotate", "node", node, f"example.com/token={SECRET}")
        plane.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps(message))
    plane.kubectl("cordon", nodes[2])
    plane.apply(secretive(deployment(later, "roll", 2, "400m", "512Mi")))
    scenario.wait_workloads()
    plane.kubectl("uncordon", nodes[2])
    plane.kubectl("cordon", *nodes[:2])
    plane.apply(
        secretive(deployment(first, "surge", 1, "400m", "512Mi")),
        secretive(replica_set(first, "bare", 1, "200m", "256Mi")),
        secretive(stateful_set(first, "evicted", 2, "200m", "256Mi")),
    )
    scenario.wait_workloads()
    eventually("the bare pod runs", 60, lambda: plane.objects("replicasets", "-n", first)[0]["status"].get("readyReplicas") == 1)
    pod = plane.objects("pods", "-n", first)[0]["metadata"]["name"]
    plane.kubectl("patch", "pod", pod, "-n", first, "--subresource=status", "--type=json", "-p", json.dumps(message))
    plane.kubectl("uncordon", *nodes[:2])
    return first, later


def least_privilege(scenario):
    """With the rights of deploy/rbac alone: all of them are used and no others, only our own fields can be changed, and no secret is kept."""
    plane = scenario.plane
    first, later = fill(scenario)
    plane.kubectl("apply", "-f", str(RBAC / "observe.yaml"), "-f", str(RBAC / "admission.yaml"))
    scenario.namespaces.append("kinema")
    account = plane.account()
    own = {"lease": {"namespace": "kinema"}, "observe": {"coolDown": "1s"}}
    try:
        begun = len(plane.requests())
        observer = scenario.daemon("observer", changes={"mode": "Recommend", **own})
        observer.kubeconfig = account
        observer.start()
        eventually("a plan is proposed", 90, lambda: observer.status()["last"])
        observer.stop()
        events = plane.requests(begun)
        check_rights(scenario, "observe", grants(manifests(plane, "observe.yaml")), events)
        allowed = {("coordination.k8s.io", "leases", "kinema"), ("events.k8s.io", "events", "kinema")}
        scenario.check("observe: nothing is written but the lease and notices of its own", writes(events) == allowed, f"{writes(events)}")

        plane.kubectl("apply", "-f", str(RBAC / "act.yaml"))
        for namespace in (first, later):
            plane.kubectl("apply", "-n", namespace, "-f", str(RBAC / "enrol.yaml"))
        scenario.remember()
        one = run(scenario, account, "one", own)
        # What was opted out is moved now, by its own rollout.
        plane.kubectl("label", "namespace", later, "kinema.dev/exclude-")
        two = run(scenario, account, "two", {**own, "disruption": {"actuation": "RollingUpdate"}}, after=one["iteration"])
        daemon = scenario.daemons[-1]
        scenario.check("both iterations moved pods", one["podsMoved"] >= 4 and two["podsMoved"] >= 1, f"{one} {two}")
        enrolments = [manifests(plane, "enrol.yaml", namespace=namespace) for namespace in (first, later)]
        given = grants([*manifests(plane, "observe.yaml", "act.yaml"), *enrolments[0], *enrolments[1]])
        # The lease was made by the observer already.
        check_rights(scenario, "act", *as_one(given, plane.requests(begun), first, later))
        scenario.wait_workloads()
        scenario.finish(daemon)
        secrets_stay_out(scenario, daemon)
        admission(scenario, account, first)
    finally:
        for name in ("act.yaml", "admission.yaml", "observe.yaml"):
            plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(RBAC / name), check=False)


def not_enrolled(scenario):
    """Of two namespaces one is enrolled: the pods of the other are left where they are, and nothing of them is even tried."""
    plane = scenario.plane
    scenario.start_cloud(pools("e2-standard-4", 1))
    ours, theirs = scenario.namespace("e2e-enrolled"), scenario.namespace("e2e-not-enrolled")
    nodes = sorted(node["metadata"]["name"] for node in plane.objects("nodes"))
    for namespace, closed in ((theirs, nodes[2:]), (ours, nodes[:2])):
        plane.kubectl("cordon", *closed)
        plane.apply(*(deployment(namespace, f"web-{index}", 2, "300m", "256Mi") for index in range(2)))
        scenario.wait_workloads()
        plane.kubectl("uncordon", *closed)
    for name in ("observe.yaml", "admission.yaml", "act.yaml"):
        plane.kubectl("apply", "-f", str(RBAC / name))
    plane.kubectl("apply", "-n", ours, "-f", str(RBAC / "enrol.yaml"))
    scenario.namespaces.append("kinema")
    try:
        scenario.remember()
        before = {pod["metadata"]["uid"] for pod in plane.objects("pods", "-n", theirs)}
        begun = len(plane.requests())
        daemon = scenario.daemon(changes={"lease": {"namespace": "kinema"}})
        daemon.kubeconfig = plane.account()
        daemon.start()
        last = daemon.wait_result({"Applied", "RolledBack"}, 180)
        scenario.check("the iteration was applied", last["result"] == "Applied" and last["podsMoved"] > 0, f"{last}")
        scenario.wait_workloads()
        scenario.finish(daemon)
        now = {pod["metadata"]["uid"] for pod in plane.objects("pods", "-n", theirs)}
        scenario.check("no pod of the other namespace was moved", now == before)
        events = plane.requests(begun)
        scenario.check("nothing was tried there", theirs not in {where for *_, where in writes(events)}, f"{writes(events)}")
        refused = [event for event in events if event["responseStatus"]["code"] == 403]
        scenario.check("nothing was refused", not refused, f"{refused[:3]}")
        said = (scenario.work / "kinema-a.log").read_text()
        scenario.check("the log says so at the start", "no right to move the pods of" in said and theirs in said, said)
    finally:
        for name in ("act.yaml", "admission.yaml", "observe.yaml"):
            plane.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(RBAC / name), check=False)


def as_one(given, events, first, later):
    """Both namespaces as one: each is enrolled for every way of moving, and shows only some."""
    for event in events:
        about = event.get("objectRef")
        if about and about.get("namespace") == later:
            about["namespace"] = first
    return {(first, *right[1:]) if right[0] == later else right for right in given}, events


def run(scenario, account, name, changes, after=0):
    daemon = scenario.daemon(name, changes=changes)
    daemon.kubeconfig = account
    daemon.start()
    last = daemon.wait_result({"Applied", "RolledBack"}, 180, after=after)
    scenario.check(f"iteration {name} was applied", last["result"] == "Applied", f"{last}")
    for path in ("metrics", "api/v1/status"):
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.port}/{path}", timeout=5) as answer:
            (scenario.work / f"{name}-{path.replace('/', '-')}.served").write_bytes(answer.read())
    daemon.stop()
    return last


# --- secrets -----------------------------------------------------------------------------------------------------------


def secrets_stay_out(scenario, daemon):
    """The secret of every object is looked for in all that kinema wrote or served; a name that it does keep shows that the look is a look."""
    capture, lines = scenario.work / "capture.kjl", scenario.work / "capture.ndjson"
    for arguments in (["--out", capture], ["--format", "ndjson", "--out", lines]):
        done = subprocess.run([daemon.programs / "kinema", "journal", "export", daemon.journal, *arguments], capture_output=True, text=True, check=False)
        scenario.check("the journal is exported", done.returncode == 0, done.stderr)
    groups = {
        "journal": [file for file in (daemon.journal / "segments").rglob("*") if file.is_file()],
        "index": [file for file in daemon.journal.rglob("*") if file.is_file() and "segments" not in file.parts],
        "capture": [capture],
        "capture's lines": [lines],
        "logs": sorted(scenario.work.glob("kinema-*.log")),
        "metrics and status": sorted(scenario.work.glob("*.served")),
    }
    kept = {"journal": b"e2e-rights-later", "index": b"e2e-rights-later", "capture's lines": b"e2e-rights-later", "metrics and status": b"kinema_"}
    for group, files in groups.items():
        contents = [file.read_bytes() for file in files]
        found = [file.name for file, content in zip(files, contents, strict=True) if SECRET.encode() in content]
        scenario.check(f"no secret in the {group}", contents and not found, f"{found} of {len(contents)} files")
        if group in kept:
            scenario.check(f"what is kept is found in the {group}", any(kept[group] in content for content in contents))


# --- fields ------------------------------------------------------------------------------------------------------------


def admission(scenario, account, namespace):
    """With the account's token: our own fields can be changed, and no others."""
    plane = scenario.plane

    def ask(verb, *arguments, body=None):
        done = subprocess.run(
            ["kubectl", "--kubeconfig", account, "-n", namespace, verb, *arguments],
            input=None if body is None else json.dumps(body),
            env=plane.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stderr.strip()

    def patch(what, *operations):
        operations = [dict(zip(("op", "path", "value"), operation, strict=False)) for operation in operations]
        # A trial goes through admission and is then thrown away.
        return ask("patch", *what.split(" "), "--dry-run=server", "--type=json", "-p", json.dumps(operations))

    def scale(name, replicas):
        body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": replicas}}
        return ask("replace", f"--raw=/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale?dryRun=All", "-f", "-", body=body)

    def evict(name, **options):
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}, "deleteOptions": options}
        return ask("create", f"--raw=/api/v1/namespaces/{namespace}/pods/{name}/eviction?dryRun=All", "-f", "-", body=body)

    owned = {"preferredDuringSchedulingIgnoredDuringExecution": [weighted("kubernetes.io/arch", "amd64")]}
    owned["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": [{"matchExpressions": [one("kubernetes.io/os", "linux")]}]}
    plane.apply(deployment(namespace, "owned", 2, "100m", "64Mi", affinity={"nodeAffinity": owned}))
    scenario.wait_workloads()
    node = f"node {plane.objects('nodes')[0]['metadata']['name']}"
    pod = plane.objects("pods", "-n", namespace, "-l", "app=owned")[0]["metadata"]
    pod, uid = f"pod {pod['name']}", pod["uid"]
    web = "deployment owned"
    template, labels, notes = "/spec/template/spec", "/metadata/labels", "/metadata/annotations"
    cost = f"{notes}/controller.kubernetes.io~1pod-deletion-cost"
    container, terms = f"{template}/containers/0", f"{template}/affinity/nodeAffinity"
    preferred = f"{terms}/preferredDuringSchedulingIgnoredDuringExecution"
    required = f"{terms}/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"
    not_expiring = {"key": "kinema.dev/expiring", "operator": "DoesNotExist"}

    def taint(key, effect):
        return patch(node, ("add", "/spec/taints", [{"key": key, "value": "7", "effect": effect}]))

    # What kinema does, as the iterations showed; here each once more, so that a refusal below is no other mistake.
    permitted = {
        "a label of ours": patch(node, ("add", f"{labels}/kinema.dev~1optimal", "7")),
        "a taint of ours": taint("kinema.dev/expiring", "NoSchedule"),
        "a taint of ours that only dissuades": taint("kinema.dev/later", "PreferNoSchedule"),
        "a deletion cost": patch(pod, ("add", cost, "-1000")),
        "our terms beside the owner's": patch(web, ("add", f"{preferred}/-", weighted("kinema.dev/optimal", "7")), ("add", f"{required}/0/matchExpressions/-", not_expiring)),
        "a note on the rollout": patch(web, ("add", f"{notes}/kubernetes.io~1change-cause", "kinema: pods move to other nodes")),
        "maxUnavailable": patch(web, ("replace", "/spec/strategy/rollingUpdate/maxUnavailable", "10%")),
        "requests": patch(web, ("replace", f"{container}/resources/requests", {"cpu": "50m", "memory": "32Mi"})),
        "twice the replicas": scale("owned", 4),
        "an eviction of a certain pod": evict(pod[4:], preconditions={"uid": uid}),
    }
    # The policies may be a moment behind the objects that they are made of.
    eventually("the policies are in force", 30, lambda: taint("example.com/other", "NoSchedule")[0] != 0)
    for what, (code, said) in permitted.items():
        scenario.check(f"permitted: {what}", code == 0, said)
    refused = {
        "a foreign label of a node": ("nodes", patch(node, ("add", f"{labels}/example.com~1team", "7"))),
        "a node's own label taken away": ("nodes", patch(node, ("remove", f"{labels}/kubernetes.io~1os"))),
        "text in a label of ours": ("nodes", patch(node, ("add", f"{labels}/kinema.dev~1optimal", "x"))),
        "a foreign taint": ("nodes", taint("example.com/other", "NoSchedule")),
        "a taint of ours that evicts": ("nodes", taint("kinema.dev/expiring", "NoExecute")),
        "a cordon": ("nodes", patch(node, ("add", "/spec/unschedulable", True))),
        "a node's annotation": ("nodes", patch(node, ("add", f"{notes}/example.com~1a", "x"))),
        "a node's finalizer": ("nodes", patch(node, ("add", "/metadata/finalizers", ["example.com/a"]))),
        "a pod's image": ("pods", patch(pod, ("replace", "/spec/containers/0/image", "evil"))),
        "a pod's deadline": ("pods", patch(pod, ("add", "/spec/activeDeadlineSeconds", 1))),
        "a pod's toleration": ("pods", patch(pod, ("add", "/spec/tolerations/-", {"operator": "Exists"}))),
        "a pod's label": ("pods", patch(pod, ("replace", f"{labels}/app", "x"))),
        "a pod's owner": ("pods", patch(pod, ("remove", "/metadata/ownerReferences"))),
        "another annotation of a pod": ("pods", patch(pod, ("add", f"{notes}/example.com~1a", "x"))),
        "a Deployment's image": ("deployments", patch(web, ("replace", f"{container}/image", "evil"))),
        "a Deployment's command": ("deployments", patch(web, ("add", f"{container}/command", ["evil"]))),
        "a Deployment's environment": ("deployments", patch(web, ("add", f"{container}/env", [{"name": "A", "value": "x"}]))),
        "a Deployment's limits": ("deployments", patch(web, ("add", f"{container}/resources/limits", {"cpu": "1"}))),
        "another request": ("deployments", patch(web, ("add", f"{container}/resources/requests/ephemeral-storage", "1Gi"))),
        "a request taken away": ("deployments", patch(web, ("remove", f"{container}/resources/requests/cpu"))),
        "one more container": ("deployments", patch(web, ("add", f"{template}/containers/-", {"name": "b", "image": "evil"}))),
        "a service account": ("deployments", patch(web, ("add", f"{template}/serviceAccountName", "admin"))),
        "the host's network": ("deployments", patch(web, ("add", f"{template}/hostNetwork", True))),
        "a volume": ("deployments", patch(web, ("add", f"{template}/volumes", [{"name": "v", "hostPath": {"path": "/"}}]))),
        "a template's annotation": ("deployments", patch(web, ("add", "/spec/template/metadata/annotations/a", "x"))),
        "a Deployment's label": ("deployments", patch(web, ("add", labels, {"a": "x"}))),
        "another note on the rollout": ("deployments", patch(web, ("add", f"{notes}/kubernetes.io~1change-cause", "x"))),
        "replicas by the Deployment": ("deployments", patch(web, ("replace", "/spec/replicas", 3))),
        "a pause": ("deployments", patch(web, ("add", "/spec/paused", True))),
        "another strategy": ("deployments", patch(web, ("replace", "/spec/strategy", {"type": "Recreate"}))),
        "maxSurge": ("deployments", patch(web, ("replace", "/spec/strategy/rollingUpdate/maxSurge", "100%"))),
        "a foreign preference": ("deployments", patch(web, ("add", f"{preferred}/-", weighted("example.com/a", "x")))),
        "the owner's preference": ("deployments", patch(web, ("replace", f"{preferred}/0/weight", 1))),
        "the owner's requirement": ("deployments", patch(web, ("replace", f"{required}/0/matchExpressions/0/values", ["windows"]))),
        "a foreign requirement": ("deployments", patch(web, ("add", f"{required}/0/matchExpressions/-", one("example.com/a", "x")))),
        "a way round the owner's requirement": ("deployments", patch(web, ("add", f"{required}/-", {"matchExpressions": [not_expiring]}))),
        "a pod affinity": ("deployments", patch(web, ("add", f"{template}/affinity/podAffinity", near()))),
        "a scale to none": ("scale", scale("owned", 0)),
        "a scale to many": ("scale", scale("owned", 5)),
        "an eviction of whatever has the name": ("evictions", evict(pod[4:])),
        "an eviction without grace": ("evictions", evict(pod[4:], preconditions={"uid": uid}, gracePeriodSeconds=0)),
    }
    for what, (policy, (code, said)) in refused.items():
        named = f"ValidatingAdmissionPolicy 'kinema-{policy}'" in said
        scenario.check(f"refused: {what}", code != 0 and named, f"{code} {said}")
    code, said = ask("patch", "deployment", "elsewhere", "-n", "default", "--type=json", "-p", "[]")
    scenario.check("refused: anything in a namespace that is not enrolled", code != 0 and f'"{ACCOUNT}" cannot' in said, said)


def one(key, *values):
    return {"key": key, "operator": "In", "values": list(values)}


def weighted(key, value):
    return {"weight": 100, "preference": {"matchExpressions": [one(key, value)]}}


def near():
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "owned"}}}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
