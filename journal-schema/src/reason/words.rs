//! Every reason as a code, one sentence and what to do about it.
//!
//! One closed match without a wildcard: a new reason does not compile until it has its words. The
//! code is the variant's name and is the same in the command line, the API, notices and metrics.

use super::Reason;
use crate::cloud::{CloudFault, PoolRefusal};
use crate::units::Millis;

/// A reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonText {
    /// The variant's name.
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub sentence: String,
    /// What a person may do about it; `None` when nothing needs doing.
    pub fix: Option<&'static str>,
}

impl Reason {
    /// The reason in words.
    pub fn text(&self) -> ReasonText {
        let (code, sentence, fix) = words(self);
        ReasonText { code, sentence, fix: (!fix.is_empty()).then_some(fix) }
    }

    /// Its code alone: the variant's name.
    pub fn code(&self) -> &'static str {
        words(self).0
    }
}

fn span(span: Millis) -> String {
    span.to_string()
}

fn fault(fault: CloudFault) -> &'static str {
    match fault {
        CloudFault::Stockout => "no such machine is free in the zone",
        CloudFault::Quota => "the project's quota is used up",
        CloudFault::Addresses => "the subnet has no address left",
        CloudFault::Config => "the pool's configuration is not acceptable",
        CloudFault::Permission => "not permitted",
        CloudFault::Other => "the cloud failed",
    }
}

fn refusal(refusal: Option<PoolRefusal>) -> &'static str {
    match refusal {
        None => "its pool is not one of ours",
        Some(PoolRefusal::Autoscaled) => "another autoscaler resizes its pool",
        Some(PoolRefusal::ProactiveUpdates) => "its pool replaces machines by itself",
        Some(PoolRefusal::NotSelected) => "the policy leaves its pool out",
        Some(PoolRefusal::TemplateUnknown) => "its pool's template could not be read",
    }
}

/// Code, sentence, fix (empty when nothing needs doing).
type Words = (&'static str, String, &'static str);

#[allow(clippy::too_many_lines, reason = "one closed match over the closed list of reasons: a row each")]
fn words(reason: &Reason) -> Words {
    match reason {
        Reason::NotSynced { kind } => (
            "NotSynced",
            format!("the watch of {} is not complete", kind.as_str()),
            "check that the daemon may list and watch this kind",
        ),
        Reason::NotStable { unsettled, of } => (
            "NotStable",
            format!("{unsettled} of {of} workloads are not settled"),
            "wait, or look at the rollouts that do not finish",
        ),
        Reason::RolloutInProgress { workload } => ("RolloutInProgress", format!("{workload} is being rolled out"), ""),
        Reason::NotReady { workload, ready, desired } => (
            "NotReady",
            format!("{workload} has {ready} of {desired} pods ready"),
            "look at its pods: it is left alone until they are ready",
        ),
        Reason::SettlingDown { workload, left } => {
            ("SettlingDown", format!("{workload} settled too recently, {} left", span(*left)), "")
        }
        Reason::HpaAboveThreshold { hpa, percent } => {
            ("HpaAboveThreshold", format!("HPA {hpa} is at {percent} % of its target and is about to scale up"), "")
        }
        Reason::Paused { by, reason, until } => {
            let until = until.map_or_else(|| "until resumed".to_owned(), |until| format!("until {until}"));
            ("Paused", format!("paused by {by} {until}: {reason}"), "run kinema resume")
        }
        Reason::CloudBusy { instances } => {
            ("CloudBusy", format!("the cloud is booting or deleting {instances} instances"), "")
        }
        Reason::CloudUnknown => (
            "CloudUnknown",
            "pools or prices are not known yet".to_owned(),
            "check spec.cloud and the permissions of the service account",
        ),
        Reason::NothingManaged => (
            "NothingManaged",
            "there is no usable pool and no removable node".to_owned(),
            "check spec.nodes.include and spec.cloud.zones",
        ),
        Reason::MassNotReady { nodes, of } => (
            "MassNotReady",
            format!("{nodes} of {of} nodes are NotReady: frozen"),
            "find out why; kinema goes on by itself when they are back",
        ),
        Reason::TooManyAborts { aborts } => (
            "TooManyAborts",
            format!("{aborts} iterations were unwound within an hour: only recommendations"),
            "find out why, then run kinema resume",
        ),
        Reason::MassEmpty { nodes, of } => (
            "MassEmpty",
            format!("{nodes} of {of} managed nodes turned empty together: frozen"),
            "if that was meant, run kinema resume",
        ),
        Reason::ApiFailing { failed, of } => (
            "ApiFailing",
            format!("{failed} of the last {of} requests failed at the API server or the cloud: nothing is begun"),
            "kinema goes on by itself when they answer again",
        ),
        Reason::ClockStepped { by } => {
            let (by, way) = if by.0 < 0 { (Millis(-by.0), "back") } else { (*by, "forward") };
            (
                "ClockStepped",
                format!("the clock was set {way} by {}: the cluster is observed anew", span(by)),
                "check the time service of the machine that kinema runs on",
            )
        }
        Reason::MetricsMissing { message } => (
            "MetricsMissing",
            format!("usage could not be read: {message}"),
            "check spec.prometheus.url, or set spec.predict.withoutMetrics",
        ),
        Reason::CoolingDown { left } => ("CoolingDown", format!("{} until the next iteration", span(*left)), ""),
        Reason::ApprovalPending => {
            ("ApprovalPending", "the plan waits for approval".to_owned(), "run kinema approve with its digest")
        }
        Reason::BelowSavingsThreshold { got, need } => (
            "BelowSavingsThreshold",
            format!("it saves {got}, at least {need} is asked for"),
            "lower spec.decide.minSavings if that is worth it",
        ),
        Reason::BelowGainThreshold { got, need } => (
            "BelowGainThreshold",
            format!("by the measure of its objective it gains {got}, at least {need} is asked for"),
            "lower spec.decide.minSavings if that is worth it",
        ),
        Reason::NotWorthTransition { transition, saving } => {
            ("NotWorthTransition", format!("carrying it out costs ${transition}, it saves ${saving} over its life"), "")
        }
        Reason::ClusterChangedTooMuch { share, limit } => (
            "ClusterChangedTooMuch",
            format!("{share} of the cluster changed since it was made, the limit is {limit}"),
            "",
        ),
        Reason::PlanExpired => ("PlanExpired", "it was not approved in time".to_owned(), "raise spec.decide.planTtl"),
        Reason::PlanRejected { by } => ("PlanRejected", format!("{by} rejected it"), ""),
        Reason::RecommendOnly => (
            "RecommendOnly",
            "the mode is Recommend: plans are shown, never carried out".to_owned(),
            "set spec.mode to Approve or Auto",
        ),
        Reason::NoImprovement { bound } => {
            ("NoImprovement", format!("no cheaper placement was found; at least ${bound}/h is needed"), "")
        }
        Reason::PlannerFailed { message } => {
            ("PlannerFailed", format!("the planner failed: {message}"), "report it with kinema journal export")
        }
        Reason::OverBudget { limit } => {
            ("OverBudget", format!("it exceeds {limit}"), "raise the limit in spec.optimize")
        }
        Reason::TooManyReplaced { nodes, limit } => (
            "TooManyReplaced",
            format!("it would bring the nodes replaced within a day to {nodes}, the limit is {limit}"),
            "find out what makes plans change so often, or raise spec.breakers.replacedPerDay",
        ),
        Reason::GoesBack { pool, ago } => (
            "GoesBack",
            format!("it goes back to pool {pool}, which was left {} ago for the same pods and prices", span(*ago)),
            "",
        ),
        Reason::Aborted { by } => ("Aborted", format!("{by} aborted it"), ""),
        Reason::BootFailed { pool, fault } => (
            "BootFailed",
            format!("pool {pool} did not deliver a machine: {}", self::fault(*fault)),
            "another offer is tried next",
        ),
        Reason::NodeNeverReady { node } => (
            "NodeNeverReady",
            format!("{node} did not become a ready node in time"),
            "look at the instance's serial console",
        ),
        Reason::LabelFailed { node } => ("LabelFailed", format!("{node} could not be labelled in time"), ""),
        Reason::MoveStuck { pod, message } => {
            ("MoveStuck", format!("pod {pod} could not be moved in time: {message}"), "")
        }
        Reason::WorkloadUnhealthyAfterMove { workload } => (
            "WorkloadUnhealthyAfterMove",
            format!("{workload} lost ready pods while it was moved"),
            "look at its new pods",
        ),
        Reason::RevertedByOtherManager { workload } => (
            "RevertedByOtherManager",
            format!("another manager took our change of {workload} back"),
            "let it ignore fields of field manager kinema",
        ),
        Reason::DrainStuck { node, message } => {
            ("DrainStuck", format!("{node} could not be removed in time: {message}"), "")
        }
        Reason::NodeChanged { node } => ("NodeChanged", format!("{node} is gone or is another machine now"), ""),
        Reason::BehaviourChanged { from, to } => {
            ("BehaviourChanged", format!("it was begun by behaviour {from}, this program has behaviour {to}"), "")
        }
        Reason::PolicyForbids => ("PolicyForbids", "the policy was changed so that it may not go on".to_owned(), ""),
        Reason::NotManaged { refusal } => ("NotManaged", self::refusal(*refusal).to_owned(), ""),
        Reason::DoNotDisrupt => {
            ("DoNotDisrupt", "annotated karpenter.sh/do-not-disrupt".to_owned(), "take the annotation away")
        }
        Reason::ScaleDownDisabled => (
            "ScaleDownDisabled",
            "annotated cluster-autoscaler.kubernetes.io/scale-down-disabled".to_owned(),
            "take the annotation away",
        ),
        Reason::Excluded => {
            ("Excluded", "marked kinema.dev/exclude or kinema.dev/pause".to_owned(), "take the mark away")
        }
        Reason::TooYoung { age, .. } if age.0 < 0 => {
            ("TooYoung", "it was created after the time that is planned for".to_owned(), "")
        }
        Reason::TooYoung { age, least } => {
            ("TooYoung", format!("it is {} old, nodes stay for at least {}", span(*age), span(*least)), "")
        }
        Reason::NodeNotReady => ("NodeNotReady", "it is not ready or is cordoned by somebody else".to_owned(), ""),
        Reason::BeingDeleted => ("BeingDeleted", "it is being deleted".to_owned(), ""),
        Reason::ControlPlane => ("ControlPlane", "it runs the control plane".to_owned(), ""),
        Reason::PriceUnknown { machine_type } => (
            "PriceUnknown",
            format!(
                "the price of {} is not known",
                if machine_type.is_empty() { "a node without an instance-type label" } else { machine_type.as_str() }
            ),
            "give a price file with --prices or spec.cloud.prices",
        ),
        Reason::PodBlocks { pod, code } => ("PodBlocks", format!("pod {pod} may not move: {code}"), ""),
        Reason::NoCheaperPlacement => ("NoCheaperPlacement", "its pods fit nowhere cheaper".to_owned(), ""),
        Reason::Needed => ("Needed", "it is part of the cheapest placement found".to_owned(), ""),
        Reason::Added => ("Added", "it is new under the plan".to_owned(), ""),
        Reason::Superfluous => ("Superfluous", "it is not needed under the plan".to_owned(), ""),
        Reason::SavingsNotWorthDisruption { saving, pods } => (
            "SavingsNotWorthDisruption",
            format!("removing it saves ${saving}/h, too little for moving {pods} pods"),
            "lower spec.optimize.movePenalty",
        ),
        Reason::HostsKinema => ("HostsKinema", "kinema itself runs on it".to_owned(), ""),
        Reason::NodeStays => ("NodeStays", "its node stays".to_owned(), ""),
        Reason::NodeLeaves => ("NodeLeaves", "its node is not needed".to_owned(), ""),
        Reason::EvensOut => ("EvensOut", "it evens CPU and memory out between nodes".to_owned(), ""),
        Reason::SpreadsOut => ("SpreadsOut", "too much of its workload is in one place".to_owned(), ""),
        Reason::RelievesNode { limit } => ("RelievesNode", format!("its node is used above {limit}"), ""),
        Reason::MakesRoom { pod } => ("MakesRoom", format!("it makes room for pod {pod}"), ""),
        Reason::PodDisruptionBudget { pdb, allowed } => (
            "PodDisruptionBudget",
            format!("PodDisruptionBudget {pdb} allows {allowed} evictions"),
            "run one more replica, or allow one to be unavailable",
        ),
        Reason::SeveralBudgets { budgets } => (
            "SeveralBudgets",
            format!("{budgets} PodDisruptionBudgets cover it: the eviction API refuses"),
            "let one budget cover it",
        ),
        Reason::NotBackedByController => (
            "NotBackedByController",
            "no controller would create it again".to_owned(),
            "run it under a Deployment or a Job",
        ),
        Reason::LocalStorage { volume } => (
            "LocalStorage",
            format!("volume {volume} has its data on the node"),
            "annotate cluster-autoscaler.kubernetes.io/safe-to-evict=true",
        ),
        Reason::NotSafeToEvict => (
            "NotSafeToEvict",
            "annotated cluster-autoscaler.kubernetes.io/safe-to-evict=false".to_owned(),
            "take the annotation away",
        ),
        Reason::PreferNoEviction => (
            "PreferNoEviction",
            "annotated descheduler.alpha.kubernetes.io/prefer-no-eviction".to_owned(),
            "take the annotation away",
        ),
        Reason::KubeSystemWithoutPdb => (
            "KubeSystemWithoutPdb",
            "a system pod without a PodDisruptionBudget".to_owned(),
            "give it a PodDisruptionBudget",
        ),
        Reason::SingleReplica => (
            "SingleReplica",
            "it is the only replica".to_owned(),
            "allow a surge-first move: spec.disruption.singleReplica",
        ),
        Reason::DaemonSet => ("DaemonSet", "it belongs to a DaemonSet".to_owned(), ""),
        Reason::StaticPod => ("StaticPod", "it is a static pod".to_owned(), ""),
        Reason::JobWouldRestart => {
            ("JobWouldRestart", "its Job would start over".to_owned(), "set spec.disruption.evictJobs if it may")
        }
        Reason::RecreateStrategy => (
            "RecreateStrategy",
            "its workload stops all pods before it starts new ones".to_owned(),
            "use the strategy RollingUpdate",
        ),
        Reason::WorkloadUnsettled => ("WorkloadUnsettled", "its workload is not settled".to_owned(), ""),
        Reason::NotRunning => ("NotRunning", "it is not running, or is terminating".to_owned(), ""),
        Reason::UnknownConstraint { rule } => {
            ("UnknownConstraint", format!("it has a rule that the planner does not know: {rule}"), "")
        }
        Reason::VolumeUnknown { claim } => (
            "VolumeUnknown",
            format!("claim {claim} could not be resolved"),
            "include persistentvolumeclaims and persistentvolumes in what is read",
        ),
        Reason::OtherScheduler { scheduler } => ("OtherScheduler", format!("scheduler {scheduler} places it"), ""),
        Reason::InsufficientResource { resource } => ("InsufficientResource", format!("{resource} is short"), ""),
        Reason::Taint { key } => ("Taint", format!("taint {key} is not tolerated"), ""),
        Reason::NodeAffinity => ("NodeAffinity", "node selector or required node affinity".to_owned(), ""),
        Reason::PodAffinity => ("PodAffinity", "required pod affinity".to_owned(), ""),
        Reason::PodAntiAffinity => ("PodAntiAffinity", "required pod anti-affinity".to_owned(), ""),
        Reason::TopologySpread { key } => ("TopologySpread", format!("topology spread over {key}"), ""),
        Reason::VolumeZone { claim } => ("VolumeZone", format!("claim {claim} is bound to another zone or node"), ""),
        Reason::AttachLimit { driver } => ("AttachLimit", format!("the attach limit of {driver} is reached"), ""),
        Reason::HostPort { port } => ("HostPort", format!("host port {port} is taken"), ""),
        Reason::Unschedulable => ("Unschedulable", "the node is cordoned".to_owned(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Key;
    use crate::text::{Message, Name};
    use crate::units::Timestamp;

    #[test]
    fn the_code_is_the_variant_of_the_journal() {
        let reasons = [
            Reason::CloudUnknown,
            Reason::TooYoung { age: Millis::from_minutes(3), least: Millis::from_minutes(10) },
            Reason::PodDisruptionBudget { pdb: Key::new(Name::truncated("shop"), Name::truncated("cart")), allowed: 0 },
        ];
        for reason in reasons {
            let words = reason.text();
            let debug = format!("{reason:?}");
            let variant = debug.split([' ', '{']).next().unwrap_or_default();
            assert_eq!(words.code, variant);
            assert!(!words.sentence.is_empty());
        }
    }

    #[test]
    fn parameters_are_in_the_sentence() {
        let reason = Reason::Paused {
            by: Name::truncated("alice"),
            reason: Message::truncated("INC-1234"),
            until: Some(Timestamp(0)),
        };
        assert_eq!(reason.text().sentence, "paused by alice until 1970-01-01T00:00:00Z: INC-1234");
        assert_eq!(reason.text().fix, Some("run kinema resume"));
        let young = Reason::TooYoung { age: Millis::from_minutes(3), least: Millis::from_minutes(10) };
        assert_eq!(young.text().sentence, "it is 3m old, nodes stay for at least 10m");
    }
}
