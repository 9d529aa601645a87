//! Node affinity, pod affinity and topology spread.

use journal_schema::facts::{NodeOperator, NodeRequirement, NodeTerm, PodSpecFact, PodTerm, SpreadConstraint};
use k8s_openapi::api::core::v1::{
    Affinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};
use std::collections::BTreeMap;

use super::{Notes, selector};

/// Labels of the pod, or of the template, that `matchLabelKeys` refers to.
pub(crate) type OwnLabels<'a> = Option<&'a BTreeMap<String, String>>;

fn requirement(notes: &mut Notes, field: &str, from: &NodeSelectorRequirement) -> Option<NodeRequirement> {
    let operator = match from.operator.as_str() {
        "In" => NodeOperator::In,
        "NotIn" => NodeOperator::NotIn,
        "Exists" => NodeOperator::Exists,
        "DoesNotExist" => NodeOperator::DoesNotExist,
        "Gt" => NodeOperator::Gt,
        "Lt" => NodeOperator::Lt,
        _ => {
            notes.unknown(format!("{field}: operator"));
            return None;
        }
    };
    Some(NodeRequirement {
        key: notes.name(field, &from.key),
        operator,
        values: notes.names(field, from.values.as_deref().unwrap_or_default()),
    })
}

/// A node selector term. A field other than `metadata.name` is named in the notes.
pub(crate) fn node_term(notes: &mut Notes, field: &str, term: &NodeSelectorTerm) -> NodeTerm {
    let mut labels = Vec::new();
    for expression in term.match_expressions.as_deref().unwrap_or_default() {
        labels.extend(requirement(notes, field, expression));
    }
    let mut fields = Vec::new();
    for expression in term.match_fields.as_deref().unwrap_or_default() {
        if expression.key != "metadata.name" {
            notes.unknown(format!("{field}: matchFields"));
        }
        fields.extend(requirement(notes, field, expression));
    }
    NodeTerm { labels: notes.few(field, labels), fields: notes.few(field, fields) }
}

fn merge_keys(
    notes: &mut Notes,
    field: &str,
    own: OwnLabels<'_>,
    keys: &[String],
    into: &mut Option<journal_schema::facts::Selector>,
    operator: NodeOperator,
) {
    let (Some(own), Some(into)) = (own, into.as_mut()) else { return };
    for key in keys {
        // A key that the pod does not carry is ignored, as the API server ignores it.
        if let Some(value) = own.get(key) {
            selector::add_match_key(notes, field, into, key, value, operator);
        }
    }
}

fn pod_term(notes: &mut Notes, field: &str, own: OwnLabels<'_>, term: &PodAffinityTerm) -> PodTerm {
    let mut pods = term.label_selector.as_ref().map(|from| selector::selector(notes, field, from));
    merge_keys(notes, field, own, term.match_label_keys.as_deref().unwrap_or_default(), &mut pods, NodeOperator::In);
    merge_keys(
        notes,
        field,
        own,
        term.mismatch_label_keys.as_deref().unwrap_or_default(),
        &mut pods,
        NodeOperator::NotIn,
    );
    PodTerm {
        selector: pods,
        namespaces: notes.names(field, term.namespaces.as_deref().unwrap_or_default()),
        namespace_selector: term.namespace_selector.as_ref().map(|from| selector::selector(notes, field, from)),
        topology_key: notes.name(field, &term.topology_key),
    }
}

fn weighted(
    notes: &mut Notes,
    field: &str,
    own: OwnLabels<'_>,
    terms: Option<&Vec<WeightedPodAffinityTerm>>,
    sign: i32,
    into: &mut Vec<(i32, PodTerm)>,
) {
    for term in terms.map(Vec::as_slice).unwrap_or_default() {
        into.push((sign.saturating_mul(term.weight), pod_term(notes, field, own, &term.pod_affinity_term)));
    }
}

/// Fills the affinities of `fact`.
pub(crate) fn affinity(notes: &mut Notes, own: OwnLabels<'_>, from: &Affinity, fact: &mut PodSpecFact) {
    if let Some(node) = &from.node_affinity {
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            let field = "required node affinity";
            let terms = required.node_selector_terms.iter().map(|term| node_term(notes, field, term)).collect();
            fact.node_affinity = Some(notes.few(field, terms));
        }
        let field = "preferred node affinity";
        let mut preferences = Vec::new();
        for preferred in node.preferred_during_scheduling_ignored_during_execution.as_deref().unwrap_or_default() {
            let term = node_term(notes, field, &preferred.preference);
            // An empty preference is a no-op by the API's definition.
            if !(term.labels.is_empty() && term.fields.is_empty()) {
                preferences.push((preferred.weight, term));
            }
        }
        fact.node_preferences = notes.few(field, preferences);
    }
    let mut preferences = Vec::new();
    if let Some(near) = &from.pod_affinity {
        let field = "pod affinity";
        let terms = near.required_during_scheduling_ignored_during_execution.as_deref().unwrap_or_default();
        let terms = terms.iter().map(|term| pod_term(notes, field, own, term)).collect();
        fact.pod_affinity = notes.few(field, terms);
        weighted(
            notes,
            field,
            own,
            near.preferred_during_scheduling_ignored_during_execution.as_ref(),
            1,
            &mut preferences,
        );
    }
    if let Some(far) = &from.pod_anti_affinity {
        let field = "pod anti-affinity";
        let terms = far.required_during_scheduling_ignored_during_execution.as_deref().unwrap_or_default();
        let terms = terms.iter().map(|term| pod_term(notes, field, own, term)).collect();
        fact.pod_anti_affinity = notes.few(field, terms);
        weighted(
            notes,
            field,
            own,
            far.preferred_during_scheduling_ignored_during_execution.as_ref(),
            -1,
            &mut preferences,
        );
    }
    fact.pod_preferences = notes.few("pod preferences", preferences);
}

/// A topology spread constraint.
pub(crate) fn spread(notes: &mut Notes, own: OwnLabels<'_>, from: &TopologySpreadConstraint) -> SpreadConstraint {
    let field = "topology spread";
    let mut pods = from.label_selector.as_ref().map(|from| selector::selector(notes, field, from));
    merge_keys(notes, field, own, from.match_label_keys.as_deref().unwrap_or_default(), &mut pods, NodeOperator::In);
    let mut honor = |policy: Option<&str>, default: bool| match policy {
        None | Some("") => default,
        Some("Honor") => true,
        Some("Ignore") => false,
        Some(_) => {
            notes.unknown("topology spread: node inclusion policy");
            default
        }
    };
    let honor_affinity = honor(from.node_affinity_policy.as_deref(), true);
    let honor_taints = honor(from.node_taints_policy.as_deref(), false);
    let hard = match from.when_unsatisfiable.as_str() {
        "ScheduleAnyway" => false,
        "DoNotSchedule" => true,
        _ => {
            notes.unknown("topology spread: whenUnsatisfiable");
            true
        }
    };
    SpreadConstraint {
        max_skew: from.max_skew,
        topology_key: notes.name(field, &from.topology_key),
        hard,
        selector: pods,
        min_domains: from.min_domains,
        honor_affinity,
        honor_taints,
    }
}
