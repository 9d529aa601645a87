//! The JSON of Compute Engine and of the container API.

use journal_schema::facts::{Labels, Taint, TaintEffect};
use journal_schema::units::Timestamp;
use serde_json::{Value, json};
use simulator::cloud::{Action, CodedError, Group, Lifetime, ManagedInstance, Operation};

use crate::scenario::{Autoscaler, Shown};

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}

/// The body of an error, in the form that Compute Engine really sends: without `status`.
pub(crate) fn error(code: u16, domain: &str, reason: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message, "errors": [ { "domain": domain, "reason": reason, "message": message } ] } })
}

pub(crate) struct Links<'a> {
    pub(crate) base: &'a str,
    pub(crate) project: &'a str,
}

impl Links<'_> {
    fn of(&self, rest: &str) -> String {
        format!("{}/compute/v1/projects/{}/{rest}", self.base, self.project)
    }

    pub(crate) fn group(&self, group: &Group, shown: &Shown) -> Value {
        let (zone, name) = (&shown.from.zone, &shown.from.name);
        let count = |action: Action| group.actions.get(&action).copied().unwrap_or(0);
        let mut status = json!({ "isStable": group.stable(), "stateful": { "hasStatefulConfig": false } });
        if shown.from.autoscaler == Some(Autoscaler::Compute) {
            status["autoscaler"] = json!(self.of(&format!("zones/{zone}/autoscalers/{name}")));
        }
        let (kind, method) =
            if shown.from.proactive { ("PROACTIVE", "SUBSTITUTE") } else { ("OPPORTUNISTIC", "SUBSTITUTE") };
        let template = self.of(&format!("global/instanceTemplates/{name}"));
        json!({
            "kind": "compute#instanceGroupManager",
            "name": name,
            "zone": self.of(&format!("zones/{zone}")),
            "baseInstanceName": group.pool.base_name.as_str(),
            "instanceTemplate": template,
            "versions": [ { "instanceTemplate": template, "targetSize": { "calculated": group.pool.size } } ],
            "instanceGroup": self.of(&format!("zones/{zone}/instanceGroups/{name}")),
            "targetSize": group.pool.size,
            "listManagedInstancesResults": "PAGINATED",
            "currentActions": {
                "none": count(Action::None), "creating": count(Action::Creating), "recreating": count(Action::Recreating),
                "deleting": count(Action::Deleting), "creatingWithoutRetries": 0, "abandoning": 0, "restarting": 0,
                "refreshing": 0, "verifying": 0
            },
            "status": status,
            "updatePolicy": { "type": kind, "replacementMethod": method, "minimalAction": "REPLACE" },
            "selfLink": self.of(&format!("zones/{zone}/instanceGroupManagers/{name}")),
        })
    }

    pub(crate) fn managed(&self, machine: &ManagedInstance, shown: &Shown) -> Value {
        let zone = &shown.from.zone;
        let mut value = json!({
            "name": machine.name.as_str(),
            "instance": self.of(&format!("zones/{zone}/instances/{}", machine.name)),
            "currentAction": machine.action.as_str(),
            "version": { "instanceTemplate": self.of(&format!("global/instanceTemplates/{}", shown.from.name)) },
        });
        if let Some(id) = machine.id {
            value["id"] = json!(id.to_string());
        }
        if let Some(status) = machine.status {
            value["instanceStatus"] = json!(status.as_str());
        }
        if let Some(error) = &machine.last_attempt {
            value["lastAttempt"] = json!({ "errors": { "errors": [ { "code": error.code.as_str(), "message": error.message.as_str() } ] } });
        }
        value
    }

    pub(crate) fn operation(&self, operation: &Operation) -> Value {
        let (zone, group) = operation.pool.as_str().split_once('/').unwrap_or(("", ""));
        let mut value = json!({
            "kind": "compute#operation",
            "id": operation.id.to_string(),
            "name": operation.name.as_str(),
            "zone": self.of(&format!("zones/{zone}")),
            "operationType": operation.kind.as_str(),
            "targetLink": self.of(&format!("zones/{zone}/instanceGroupManagers/{group}")),
            "status": operation.status.as_str(),
            "progress": if operation.ended.is_some() { 100 } else { 0 },
            "insertTime": time(operation.inserted),
            "selfLink": self.of(&format!("zones/{zone}/operations/{}", operation.name)),
        });
        if !operation.request_id.is_empty() {
            value["clientOperationId"] = json!(operation.request_id.as_str());
        }
        if let Some(started) = operation.started {
            value["startTime"] = json!(time(started));
        }
        if let Some(ended) = operation.ended {
            value["endTime"] = json!(time(ended));
            if let Some(CodedError { status, code, message }) = &operation.error {
                value["error"] = json!({ "errors": [ { "code": code.as_str(), "message": message.as_str() } ] });
                value["httpErrorStatusCode"] = json!(status);
                value["httpErrorMessage"] = json!(message.as_str());
            }
        }
        value
    }

    /// The operations that began and ended a machine.
    pub(crate) fn life(&self, life: &Lifetime) -> Vec<Value> {
        let zone = life.pool.as_str().split_once('/').map_or("", |(zone, _)| zone);
        let of = |kind: &str, at: Timestamp| {
            json!({
                "kind": "compute#operation",
                "name": format!("{kind}-{}", life.id),
                "zone": self.of(&format!("zones/{zone}")),
                "operationType": kind,
                "targetId": life.id.to_string(),
                "targetLink": self.of(&format!("zones/{zone}/instances/{}", life.name)),
                "status": "DONE",
                "progress": 100,
                "insertTime": time(at),
                "startTime": time(at),
                "endTime": time(at),
            })
        };
        [Some(of("insert", life.from)), life.to.map(|to| of("delete", to))].into_iter().flatten().collect()
    }

    pub(crate) fn template(&self, shown: &Shown, cluster: &str) -> Value {
        let labels = joined(&shown.template_labels);
        let taints: Vec<String> = shown.from.taints.iter().map(taint).collect();
        let environment = format!(
            "ALLOCATE_NODE_CIDRS: \"true\"\nAUTOSCALER_ENV_VARS: node_labels={labels};node_taints='{}';arch={}\nNODE_LABELS: {labels}\n",
            taints.join(","),
            shown.machine.arch.as_str()
        );
        let model = if shown.from.spot { "SPOT" } else { "STANDARD" };
        let accelerators: Vec<Value> = Vec::new();
        json!({
            "kind": "compute#instanceTemplate",
            "name": shown.from.name,
            "selfLink": self.of(&format!("global/instanceTemplates/{}", shown.from.name)),
            "properties": {
                "machineType": shown.from.machine_type,
                "scheduling": { "provisioningModel": model, "preemptible": shown.from.spot, "automaticRestart": !shown.from.spot },
                "disks": [ { "boot": true, "type": "PERSISTENT", "initializeParams": { "diskSizeGb": shown.from.disk_gib.to_string(), "diskType": "pd-balanced" } } ],
                "guestAccelerators": accelerators,
                "labels": { "goog-gke-node": "", "goog-k8s-cluster-name": cluster },
                "metadata": { "items": [
                    { "key": "cluster-name", "value": cluster },
                    { "key": "kube-labels", "value": labels },
                    { "key": "kube-env", "value": environment },
                ] },
            },
        })
    }

    pub(crate) fn machine_type(&self, name: &str, zone: &str, shown: &Shown) -> Value {
        let machine = &shown.machine;
        let accelerators = if machine.gpus > 0 {
            json!([ { "guestAcceleratorType": machine.gpu.as_str(), "guestAcceleratorCount": machine.gpus } ])
        } else {
            json!([])
        };
        json!({
            "kind": "compute#machineType",
            "name": name,
            "zone": zone,
            "guestCpus": machine.cpu.0 / 1000,
            "memoryMb": machine.memory.0 >> 20,
            "isSharedCpu": machine.shared_core,
            "architecture": if machine.arch.as_str() == "arm64" { "ARM64" } else { "X86_64" },
            "accelerators": accelerators,
            "selfLink": self.of(&format!("zones/{zone}/machineTypes/{name}")),
        })
    }

    /// The container API's list of clusters.
    pub(crate) fn clusters<'a>(&self, cluster: &str, shown: impl Iterator<Item = &'a Shown>) -> Value {
        let pools: Vec<Value> = shown
            .map(|shown| {
                json!({
                    "name": shown.from.name,
                    "instanceGroupUrls": [ self.of(&format!("zones/{}/instanceGroupManagers/{}", shown.from.zone, shown.from.name)) ],
                    "autoscaling": { "enabled": shown.from.autoscaler == Some(Autoscaler::Gke) },
                })
            })
            .collect();
        json!({ "clusters": [ { "name": cluster, "status": "RUNNING", "nodePools": pools } ] })
    }
}

fn joined(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn taint(taint: &Taint) -> String {
    format!("{}={}:{}", taint.key, taint.value, effect(taint.effect))
}

pub(crate) fn effect(effect: TaintEffect) -> &'static str {
    match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    }
}
