//! Kubernetes' placement rules as predicates over plain facts.
//!
//! Everything here answers one question about one object and keeps no state. The compiled model
//! calls these once per pair of equal objects; `verify` calls them again on the outcome.

use journal_schema::facts::{
    Labels, NodeOperator, NodeRequirement, NodeTerm, PodSpecFact, PodTerm, PvFact, Selector, Taint, TaintEffect,
    Toleration,
};
use journal_schema::plan::Cluster;
use journal_schema::text::Name;

/// The label whose value differs on every node.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";
/// The standard zone label.
pub(crate) const ZONE: &str = "topology.kubernetes.io/zone";
/// The standard region label.
pub(crate) const REGION: &str = "topology.kubernetes.io/region";
/// Stands for the name of a machine that does not exist yet; no Kubernetes name looks like it.
pub(crate) const NEW_NODE_NAME: &str = "<new>";

/// Whether one requirement holds for a value that may be absent.
fn requirement_holds(requirement: &NodeRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().any(|candidate| candidate == value);
    match requirement.operator {
        NodeOperator::In => value.is_some_and(listed),
        NodeOperator::NotIn => value.is_none_or(|value| !listed(value)),
        NodeOperator::Exists => value.is_some(),
        NodeOperator::DoesNotExist => value.is_none(),
        NodeOperator::Gt | NodeOperator::Lt => {
            let [bound] = &*requirement.values else { return false };
            let (Some(Ok(value)), Ok(bound)) = (value.map(str::parse::<i64>), bound.parse::<i64>()) else {
                return false;
            };
            if requirement.operator == NodeOperator::Gt { value > bound } else { value < bound }
        }
    }
}

/// Whether a node selector term matches a node. A term without requirements matches nothing.
pub(crate) fn term_matches(term: &NodeTerm, labels: &Labels, name: &str) -> bool {
    if term.labels.is_empty() && term.fields.is_empty() {
        return false;
    }
    let on_labels = |r: &NodeRequirement| requirement_holds(r, labels.get(r.key.as_str()).map(Name::as_str));
    let on_fields = |r: &NodeRequirement| r.key == "metadata.name" && requirement_holds(r, Some(name));
    term.labels.iter().all(on_labels) && term.fields.iter().all(on_fields)
}

/// Whether any of the ORed terms matches; `None` asks for nothing.
pub(crate) fn any_term_matches(terms: Option<&[NodeTerm]>, labels: &Labels, name: &str) -> bool {
    terms.is_none_or(|terms| terms.iter().any(|term| term_matches(term, labels, name)))
}

/// `nodeSelector` and required node affinity together.
pub(crate) fn node_affinity_matches(spec: &PodSpecFact, labels: &Labels, name: &str) -> bool {
    spec.node_selector.iter().all(|(key, value)| labels.get(key.as_str()) == Some(value))
        && any_term_matches(spec.node_affinity.as_deref(), labels, name)
}

/// Whether a toleration covers a taint, as kube-scheduler compares them.
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    toleration.effect.is_none_or(|effect| effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && (toleration.exists || toleration.value == taint.value)
}

/// The first taint that keeps a pod with these tolerations off a node.
pub(crate) fn repelling_taint<'a>(tolerations: &[Toleration], taints: &'a [Taint]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .find(|taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

/// Whether a label selector matches.
pub(crate) fn selector_matches(selector: &Selector, labels: &Labels) -> bool {
    pairs_and_expressions_match(&selector.labels, &selector.expressions, labels)
}

/// The same for a selector in two parts.
pub(crate) fn pairs_and_expressions_match(pairs: &Labels, expressions: &[NodeRequirement], labels: &Labels) -> bool {
    pairs.iter().all(|(key, value)| labels.get(key.as_str()) == Some(value))
        && expressions.iter().all(|r| requirement_holds(r, labels.get(r.key.as_str()).map(Name::as_str)))
}

/// Whether a volume may be used on a node.
pub(crate) fn volume_reaches(volume: &PvFact, labels: &Labels, name: &str) -> bool {
    let zone = labels.get(ZONE).or_else(|| labels.get("failure-domain.beta.kubernetes.io/zone"));
    any_term_matches(volume.node_affinity.as_deref(), labels, name)
        && (volume.zones.is_empty() || zone.is_some_and(|zone| volume.zones.contains(zone)))
}

/// The namespaces that a pod term looks at, resolved: `None` for all of them.
pub(crate) fn term_namespaces(cluster: &Cluster, own: &Name, term: &PodTerm) -> Option<Vec<Name>> {
    let mut namespaces: Vec<Name> = term.namespaces.to_vec();
    match &term.namespace_selector {
        None if namespaces.is_empty() => namespaces.push(own.clone()),
        None => {}
        Some(selector) if selector.labels.is_empty() && selector.expressions.is_empty() => return None,
        Some(selector) => {
            namespaces.extend(
                cluster.namespaces.values().filter(|n| selector_matches(selector, &n.labels)).map(|n| n.name.clone()),
            );
        }
    }
    namespaces.sort();
    namespaces.dedup();
    Some(namespaces)
}

/// Whether `text` matches a glob of `*` (any run) and `?` (one character).
pub(crate) fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                g += 1;
                t += 1;
            }
            Some(_) | None => match star {
                // Let the last star take one character more, and try the rest again.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    g = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal_schema::text::Few;

    fn name(text: &str) -> Name {
        Name::truncated(text)
    }

    fn requirement(key: &str, operator: NodeOperator, values: &[&str]) -> NodeRequirement {
        NodeRequirement {
            key: name(key),
            operator,
            values: Few::new(values.iter().map(|v| name(v)).collect()).unwrap(),
        }
    }

    #[test]
    fn node_requirements_hold_as_the_api_documents_them() {
        let labels: Labels = [(name("a"), name("7"))].into();
        let holds = |r: NodeRequirement| {
            term_matches(&NodeTerm { labels: Few::new(vec![r]).unwrap(), fields: Few::default() }, &labels, "n")
        };
        assert!(holds(requirement("a", NodeOperator::In, &["6", "7"])));
        assert!(!holds(requirement("b", NodeOperator::In, &["7"])));
        assert!(holds(requirement("b", NodeOperator::NotIn, &["7"])));
        assert!(!holds(requirement("a", NodeOperator::NotIn, &["7"])));
        assert!(holds(requirement("a", NodeOperator::Exists, &[])));
        assert!(holds(requirement("b", NodeOperator::DoesNotExist, &[])));
        assert!(holds(requirement("a", NodeOperator::Gt, &["6"])));
        assert!(!holds(requirement("a", NodeOperator::Gt, &["7"])));
        assert!(holds(requirement("a", NodeOperator::Lt, &["10"])));
        assert!(!holds(requirement("a", NodeOperator::Lt, &["x"])));
    }

    #[test]
    fn a_term_without_requirements_matches_nothing() {
        let empty = NodeTerm { labels: Few::default(), fields: Few::default() };
        assert!(!any_term_matches(Some(&[empty]), &Labels::new(), "n"));
        assert!(!any_term_matches(Some(&[]), &Labels::new(), "n"));
        assert!(any_term_matches(None, &Labels::new(), "n"));
    }

    #[test]
    fn the_node_name_is_matched_through_fields() {
        let term = NodeTerm {
            labels: Few::default(),
            fields: Few::new(vec![requirement("metadata.name", NodeOperator::In, &["n1"])]).unwrap(),
        };
        assert!(term_matches(&term, &Labels::new(), "n1"));
        assert!(!term_matches(&term, &Labels::new(), NEW_NODE_NAME));
    }

    #[test]
    fn a_preference_not_to_schedule_repels_nobody() {
        let soft = Taint { key: name("k"), value: name(""), effect: TaintEffect::PreferNoSchedule };
        let hard = Taint { effect: TaintEffect::NoSchedule, ..soft.clone() };
        assert_eq!(repelling_taint(&[], &[soft, hard.clone()]), Some(&hard));
        let all = Toleration { key: name(""), exists: true, value: name(""), effect: None };
        assert_eq!(repelling_taint(&[all], &[hard]), None);
    }

    #[test]
    fn globs_match_whole_names() {
        assert!(glob_matches("e2-*", "e2-standard-4"));
        assert!(!glob_matches("e2-*", "n2-standard-4"));
        assert!(glob_matches("*-standard-?", "e2-standard-4"));
        assert!(!glob_matches("*-standard-?", "e2-standard-16"));
        assert!(glob_matches("*", ""));
        assert!(!glob_matches("", "x"));
        assert!(glob_matches("a*b*c", "aXbYbZc"));
    }
}
