//! Selectors, terms, taints: whether one thing's rule matches another thing's labels.

use journal_schema::facts::{
    Labels, NodeFact, NodeOperator, NodeRequirement, NodeTerm, PodSpecFact, PodTerm, Selector, Taint, TaintEffect,
    Toleration,
};
use journal_schema::text::Name;

/// Whether a requirement holds for a set of labels. An expression that the API would refuse
/// (`In` without values, `Gt` with two, a number that is none) holds for nothing.
pub(crate) fn requirement_holds(requirement: &NodeRequirement, labels: &Labels) -> bool {
    let found = labels.get(&requirement.key);
    let values = &requirement.values;
    match requirement.operator {
        NodeOperator::In => found.is_some_and(|value| values.contains(value)),
        NodeOperator::NotIn => !values.is_empty() && found.is_none_or(|value| !values.contains(value)),
        NodeOperator::Exists => found.is_some(),
        NodeOperator::DoesNotExist => found.is_none(),
        NodeOperator::Gt => compared(found, values).is_some_and(|(label, bound)| label > bound),
        NodeOperator::Lt => compared(found, values).is_some_and(|(label, bound)| label < bound),
    }
}

/// The label and the only value listed, both as integers. A bound with a sign is not a label value,
/// and the real selector refuses it.
fn compared(found: Option<&Name>, values: &[Name]) -> Option<(i64, i64)> {
    let [bound] = values else { return None };
    if bound.starts_with(['-', '+']) {
        return None;
    }
    Some((found?.parse().ok()?, bound.parse().ok()?))
}

/// A label selector; an empty one matches everything.
pub(crate) fn selector_matches(selector: &Selector, labels: &Labels) -> bool {
    selector.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.expressions.iter().all(|expression| match expression.operator {
            NodeOperator::In | NodeOperator::NotIn | NodeOperator::Exists | NodeOperator::DoesNotExist => {
                requirement_holds(expression, labels)
            }
            // Label selectors have no comparison; one that claims to is not a selector.
            NodeOperator::Gt | NodeOperator::Lt => false,
        })
}

/// Whether a selector has no condition at all.
pub(crate) fn selector_is_empty(selector: &Selector) -> bool {
    selector.labels.is_empty() && selector.expressions.is_empty()
}

/// One node selector term: all of its requirements hold; a term without any matches nothing.
pub(crate) fn node_term_matches(term: &NodeTerm, node: &NodeFact) -> bool {
    if term.labels.is_empty() && term.fields.is_empty() {
        return false;
    }
    term.labels.iter().all(|requirement| requirement_holds(requirement, &node.labels))
        && term.fields.iter().all(|requirement| field_holds(requirement, node))
}

/// A requirement on a node's field. `metadata.name` is the only field that there is; it takes
/// `In` and `NotIn` with exactly one value, and anything else makes the term match nothing.
fn field_holds(requirement: &NodeRequirement, node: &NodeFact) -> bool {
    let [wanted] = &requirement.values[..] else { return false };
    let value = if requirement.key.as_str() == "metadata.name" { node.name.as_str() } else { "" };
    match requirement.operator {
        NodeOperator::In => value == wanted.as_str(),
        NodeOperator::NotIn => value != wanted.as_str(),
        NodeOperator::Exists | NodeOperator::DoesNotExist | NodeOperator::Gt | NodeOperator::Lt => false,
    }
}

/// Plugin NodeAffinity: every pair of `nodeSelector`, and any of the required terms. No required
/// affinity at all matches every node; an empty list of terms matches none.
pub(crate) fn node_affinity_matches(spec: &PodSpecFact, node: &NodeFact) -> bool {
    spec.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && spec.node_affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| node_term_matches(term, node)))
}

/// Whether one toleration covers a taint: an absent effect covers every effect, an empty key every
/// key.
fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    toleration.effect.is_none_or(|effect| effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && (toleration.exists || toleration.value == taint.value)
}

/// Whether any toleration covers a taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| covers(toleration, taint))
}

/// The first taint that keeps new pods away and is not tolerated.
pub(crate) fn untolerated<'a>(tolerations: &[Toleration], taints: &'a [Taint]) -> Option<&'a Taint> {
    taints.iter().find(|taint| match taint.effect {
        TaintEffect::NoSchedule | TaintEffect::NoExecute => !tolerates(tolerations, taint),
        TaintEffect::PreferNoSchedule => false,
    })
}

/// Whether a term of pod (anti-)affinity, owned by a pod of `owner_namespace`, selects a pod of
/// `namespace` with `labels`. The namespace's own labels are `namespace_labels`: `None` when it is
/// not known, and then only an empty namespace selector takes it in.
pub(crate) fn pod_term_matches(
    term: &PodTerm,
    owner_namespace: &Name,
    namespace: &Name,
    labels: &Labels,
    namespace_labels: Option<&Labels>,
) -> bool {
    let Some(selector) = &term.selector else { return false };
    let own = term.namespaces.is_empty() && term.namespace_selector.is_none() && namespace == owner_namespace;
    let named = term.namespaces.contains(namespace);
    let selected = || {
        term.namespace_selector.as_ref().is_some_and(|wanted| {
            selector_is_empty(wanted) || namespace_labels.is_some_and(|labels| selector_matches(wanted, labels))
        })
    };
    (own || named || selected()) && selector_matches(selector, labels)
}
