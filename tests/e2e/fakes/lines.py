"""A real cluster as the lines of simulator/src/answers/projection.rs."""

VISIBLE = ("kinema.dev/", "tier")
COST = "controller.kubernetes.io/pod-deletion-cost"


def milli(quantity):
    text = str(quantity)
    return int(text[:-1]) if text.endswith("m") else round(float(text) * 1000)


def holds(item, kind, status="True", reason=None):
    return any(
        each["type"] == kind and each["status"] == status and (reason is None or each.get("reason") == reason)
        for each in item.get("status", {}).get("conditions") or []
    )


def controller(item):
    owners = [owner for owner in item["metadata"].get("ownerReferences", []) if owner.get("controller")]
    return owners[0] if owners else None


def pod_line(pod, slot):
    """`slot`: what the sequence calls a node."""
    meta, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if "nodeName" in spec:
        node = slot(spec["nodeName"])
    else:
        node = "unschedulable" if holds(pod, "PodScheduled", "False", "Unschedulable") else "unbound"
    owner = controller(pod)
    name = meta["name"] if owner is None or owner["kind"] == "StatefulSet" else meta.get("labels", {}).get("app", "")
    ready = "ready" if holds(pod, "Ready") else "unready"
    cost = int(meta.get("annotations", {}).get(COST, 0))
    cpu = sum(milli(each["resources"]["requests"]["cpu"]) for each in spec["containers"])
    going = " going" if "deletionTimestamp" in meta else ""
    return f"{name} on {node} {status.get('phase', 'Pending')} {ready} cost {cost} cpu {cpu}{going}"


def fact_line(fact, slot):
    """The same of a pod as the daemon sees it."""
    node = slot(fact["node"]) if fact["node"] else "unschedulable" if fact["unschedulable"] else "unbound"
    owner = fact["owner"]
    name = fact["key"]["name"] if owner is None or owner["kind"] == "StatefulSet" else fact["labels"].get("app", "")
    ready = "ready" if fact["ready"] else "unready"
    going = " going" if fact["deletion_at"] else ""
    cpu = fact["spec"]["requests"]["cpu"]
    return f"{name} on {node} {fact['phase']} {ready} cost {fact['deletion_cost']} cpu {cpu}{going}"


def node_line(node):
    spec = node["spec"]
    taints = sorted(f"{each['key']}={each.get('value', '')}:{each['effect']}" for each in spec.get("taints", []))
    labels = [f"{key}={value}" for key, value in sorted(node["metadata"].get("labels", {}).items()) if key.startswith(VISIBLE)]
    ready = "ready" if holds(node, "Ready") else "unready"
    opened = "cordoned" if spec.get("unschedulable") else "open"
    return f"{ready} {opened} taints [{' '.join(taints)}] labels [{' '.join(labels)}]"


def workload_line(kind, item, sets):
    spec, status, meta = item["spec"], item.get("status", {}), item["metadata"]
    seen = "seen" if status.get("observedGeneration", 0) >= meta["generation"] else "unseen"
    counts = f"wanted {spec['replicas']} current {status.get('replicas', 0)} ready {status.get('readyReplicas', 0)}"
    if kind == "deployments":
        owned = [each for each in sets.values() if (owner := controller(each)) and owner["uid"] == meta["uid"]]
        count = sum(each["spec"]["replicas"] > 0 for each in owned)
        paused = " paused" if spec.get("paused") else ""
        return f"{counts} updated {status.get('updatedReplicas', 0)} sets {count} {seen}{paused}"
    if kind == "statefulsets":
        return f"{counts} updated {status.get('updatedReplicas', 0)} {seen}"
    return f"{counts} {seen}"


def budget_line(item):
    status = item.get("status", {})
    seen = "" if status.get("observedGeneration", 0) >= item["metadata"]["generation"] else " unseen"
    return (
        f"allowed {status.get('disruptionsAllowed', 0)} healthy {status.get('currentHealthy', 0)}"
        f" of {status.get('desiredHealthy', 0)} expected {status.get('expectedPods', 0)}{seen}"
    )


def lines(objects, namespace, slot):
    """The world of a namespace; `objects` as a Cluster has them."""
    told = {}
    for name, node in objects["nodes"][None].items():
        if slot(name) != "lost":
            told[f"node {slot(name)}"] = node_line(node)
    for kind in ("deployments", "statefulsets", "replicasets"):
        for name, item in objects[kind][namespace].items():
            if controller(item) is None:
                told[f"workload {name}"] = workload_line(kind, item, objects["replicasets"][namespace])
    for name, item in objects["poddisruptionbudgets"][namespace].items():
        told[f"budget {name}"] = budget_line(item)
    counts = {}
    for pod in objects["pods"][namespace].values():
        line = f"pod {pod_line(pod, slot)}"
        counts[line] = counts.get(line, 0) + 1
    told.update({line: str(count) for line, count in counts.items()})
    return told
