//! Every node and every pod has exactly one verdict, and it agrees with the plan.

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{Key, PodFact};
use journal_schema::plan::{NodeAction, Planned, PlanningInput, PodAction, Target};
use journal_schema::text::Name;

use super::{Check, Findings};

pub(super) fn check(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    nodes(input, planned, findings);
    pods(input, planned, findings);
}

fn nodes(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let removed: BTreeSet<&Name> = planned.plan.remove.iter().map(|node| &node.node).collect();
    let mut seen: BTreeSet<&Name> = BTreeSet::new();
    for verdict in &planned.report.nodes {
        let node = &verdict.node;
        if !seen.insert(node) {
            findings.error(Check::NodeVerdict, format_args!("node {} has two verdicts", node.as_str()));
        }
        if !input.cluster.nodes.contains_key(node) {
            findings.error(Check::NodeVerdict, format_args!("node {} has a verdict and does not exist", node.as_str()));
        }
        let agrees = match verdict.action {
            NodeAction::Keep => !removed.contains(node),
            NodeAction::Remove => removed.contains(node),
        };
        if !agrees {
            findings.error(
                Check::NodeVerdict,
                format_args!("node {}: the verdict is {:?}, the plan says otherwise", node.as_str(), verdict.action),
            );
        }
    }
    for node in input.cluster.nodes.keys().filter(|node| !seen.contains(node)) {
        findings.error(Check::NodeVerdict, format_args!("node {} has no verdict", node.as_str()));
    }
    if !planned.report.nodes.is_sorted_by(|left, right| left.node <= right.node) {
        findings.error(Check::NodeVerdict, format_args!("the nodes' verdicts are out of order"));
    }
}

fn pods(input: &PlanningInput, planned: &Planned, findings: &mut Findings) {
    let moves: BTreeMap<&Key, &Target> = planned.plan.moves.iter().map(|step| (&step.pod, &step.to)).collect();
    let mut seen: BTreeSet<&Key> = BTreeSet::new();
    for verdict in &planned.report.pods {
        if !seen.insert(&verdict.pod) {
            findings.error(Check::PodVerdict, format_args!("pod {} has two verdicts", verdict.pod));
        }
        let Some(pod) = input.cluster.pods.get(&verdict.pod) else {
            findings.error(Check::PodVerdict, format_args!("pod {} has a verdict and does not exist", verdict.pod));
            continue;
        };
        let moved = moves.get(&verdict.pod).copied();
        let agrees = match &verdict.action {
            PodAction::Stay => moved.is_none(),
            PodAction::Move(target) => moved == Some(target),
            PodAction::Place(_) | PodAction::Unplaced => moved.is_none() && pending(pod),
        };
        if !agrees {
            findings.error(
                Check::PodVerdict,
                format_args!("pod {}: the verdict is {:?}, the plan says otherwise", verdict.pod, verdict.action),
            );
        }
    }
    for pod in input.cluster.pods.keys().filter(|pod| !seen.contains(pod)) {
        findings.error(Check::PodVerdict, format_args!("pod {pod} has no verdict"));
    }
    if !planned.report.pods.is_sorted_by(|left, right| left.pod <= right.pod) {
        findings.error(Check::PodVerdict, format_args!("the pods' verdicts are out of order"));
    }
}

/// A pod that waits for a node.
pub(super) fn pending(pod: &PodFact) -> bool {
    pod.node.is_none() && !pod.finished()
}
