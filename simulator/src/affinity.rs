//! Affinity in its Kubernetes JSON form, read into what a scheduler looks at.
//!
//! The simulated API server keeps a template's affinity as the JSON it was given, so that a restore
//! can be held against it character for character, and reads it here.

use journal_schema::facts::{Labels, NodeOperator, NodeRequirement, NodeTerm, PodSpecFact, PodTerm, Selector};
use serde_json::Value;

use crate::text::{list, name};

/// The JSON is not an affinity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    /// Not JSON.
    #[error("affinity is not JSON")]
    NotJson,
    /// A field is missing or of another type.
    #[error("affinity has no proper {0}")]
    Field(&'static str),
    /// An operator that nobody knows.
    #[error("affinity has the unknown operator {0:?}")]
    Operator(String),
}

/// Sets the affinity fields of `spec` to what `json` says; `None` clears them.
pub fn apply(spec: &mut PodSpecFact, json: Option<&str>) -> Result<(), AffinityError> {
    spec.node_affinity = None;
    spec.node_preferences = list([]);
    spec.pod_affinity = list([]);
    spec.pod_anti_affinity = list([]);
    spec.pod_preferences = list([]);
    let Some(json) = json else { return Ok(()) };
    let value: Value = serde_json::from_str(json).map_err(|_| AffinityError::NotJson)?;
    if let Some(node) = value.get("nodeAffinity") {
        if let Some(required) = node.get(REQUIRED) {
            let terms = array(required, "nodeSelectorTerms")?;
            if terms.is_empty() {
                return Err(AffinityError::Field("nodeSelectorTerms"));
            }
            spec.node_affinity = Some(list(terms.iter().map(node_term).collect::<Result<Vec<_>, _>>()?));
        }
        spec.node_preferences = list(preferred(node, "preference", node_term)?);
    }
    let mut weighted = Vec::new();
    if let Some(pod) = value.get("podAffinity") {
        spec.pod_affinity = list(required_pods(pod)?);
        weighted.extend(preferred(pod, "podAffinityTerm", pod_term)?);
    }
    if let Some(pod) = value.get("podAntiAffinity") {
        spec.pod_anti_affinity = list(required_pods(pod)?);
        weighted.extend(preferred(pod, "podAffinityTerm", pod_term)?.into_iter().map(|(weight, term)| (-weight, term)));
    }
    spec.pod_preferences = list(weighted);
    Ok(())
}

/// Whether a text is JSON at all.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok()
}

/// Whether two affinities are the same value, whatever their spacing and order of keys.
pub fn same(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one == other
                || matches!(
                    (serde_json::from_str::<Value>(one), serde_json::from_str::<Value>(other)),
                    (Ok(one), Ok(other)) if one == other
                )
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

fn array<'a>(value: &'a Value, field: &'static str) -> Result<&'a Vec<Value>, AffinityError> {
    value.get(field).and_then(Value::as_array).ok_or(AffinityError::Field(field))
}

fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, AffinityError> {
    value.get(field).and_then(Value::as_str).ok_or(AffinityError::Field(field))
}

fn preferred<T>(
    value: &Value,
    field: &'static str,
    read: impl Fn(&Value) -> Result<T, AffinityError>,
) -> Result<Vec<(i32, T)>, AffinityError> {
    let Some(items) = value.get(PREFERRED) else { return Ok(Vec::new()) };
    let items = items.as_array().ok_or(AffinityError::Field(PREFERRED))?;
    items
        .iter()
        .map(|item| {
            let weight = item.get("weight").and_then(Value::as_i64).and_then(|weight| i32::try_from(weight).ok());
            let term = item.get(field).ok_or(AffinityError::Field(field))?;
            let weight = weight.filter(|weight| (1..=100).contains(weight)).ok_or(AffinityError::Field("weight"))?;
            Ok((weight, read(term)?))
        })
        .collect()
}

fn required_pods(value: &Value) -> Result<Vec<PodTerm>, AffinityError> {
    let Some(items) = value.get(REQUIRED) else { return Ok(Vec::new()) };
    items.as_array().ok_or(AffinityError::Field(REQUIRED))?.iter().map(pod_term).collect()
}

fn node_term(value: &Value) -> Result<NodeTerm, AffinityError> {
    let read = |field: &'static str| match value.get(field) {
        None => Ok(Vec::new()),
        Some(items) => items.as_array().ok_or(AffinityError::Field(field))?.iter().map(requirement).collect(),
    };
    Ok(NodeTerm { labels: list(read("matchExpressions")?), fields: list(read("matchFields")?) })
}

fn requirement(value: &Value) -> Result<NodeRequirement, AffinityError> {
    let operator = match text(value, "operator")? {
        "In" => NodeOperator::In,
        "NotIn" => NodeOperator::NotIn,
        "Exists" => NodeOperator::Exists,
        "DoesNotExist" => NodeOperator::DoesNotExist,
        "Gt" => NodeOperator::Gt,
        "Lt" => NodeOperator::Lt,
        other => return Err(AffinityError::Operator(other.to_owned())),
    };
    let values = match value.get("values") {
        None => Vec::new(),
        Some(values) => values
            .as_array()
            .ok_or(AffinityError::Field("values"))?
            .iter()
            .map(|value| value.as_str().map(name).ok_or(AffinityError::Field("values")))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let fits = match operator {
        NodeOperator::In | NodeOperator::NotIn => !values.is_empty(),
        NodeOperator::Exists | NodeOperator::DoesNotExist => values.is_empty(),
        NodeOperator::Gt | NodeOperator::Lt => matches!(&values[..], [one] if one.parse::<i64>().is_ok()),
    };
    if !fits {
        return Err(AffinityError::Field("values"));
    }
    Ok(NodeRequirement { key: name(text(value, "key")?), operator, values: list(values) })
}

fn selector(value: &Value) -> Result<Selector, AffinityError> {
    let mut labels = Labels::new();
    if let Some(pairs) = value.get("matchLabels") {
        for (key, value) in pairs.as_object().ok_or(AffinityError::Field("matchLabels"))? {
            labels.insert(name(key), name(value.as_str().ok_or(AffinityError::Field("matchLabels"))?));
        }
    }
    let expressions = match value.get("matchExpressions") {
        None => Vec::new(),
        Some(items) => {
            let items = items.as_array().ok_or(AffinityError::Field("matchExpressions"))?;
            items.iter().map(requirement).collect::<Result<_, _>>()?
        }
    };
    Ok(Selector { labels, expressions: list(expressions) })
}

fn pod_term(value: &Value) -> Result<PodTerm, AffinityError> {
    let namespaces = match value.get("namespaces") {
        None => Vec::new(),
        Some(items) => items
            .as_array()
            .ok_or(AffinityError::Field("namespaces"))?
            .iter()
            .map(|item| item.as_str().map(name).ok_or(AffinityError::Field("namespaces")))
            .collect::<Result<_, _>>()?,
    };
    Ok(PodTerm {
        selector: value.get("labelSelector").map(selector).transpose()?,
        namespaces: list(namespaces),
        namespace_selector: value.get("namespaceSelector").map(selector).transpose()?,
        topology_key: Some(text(value, "topologyKey")?)
            .filter(|key| !key.is_empty())
            .map(name)
            .ok_or(AffinityError::Field("topologyKey"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_affinity_is_read() {
        let json = r#"{"nodeAffinity":{
            "requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[
                {"matchExpressions":[{"key":"kinema.dev/expiring","operator":"DoesNotExist"}]}]},
            "preferredDuringSchedulingIgnoredDuringExecution":[
                {"weight":100,"preference":{"matchExpressions":[{"key":"kinema.dev/optimal","operator":"In","values":["7"]}]}}]},
          "podAntiAffinity":{
            "requiredDuringSchedulingIgnoredDuringExecution":[
                {"labelSelector":{"matchLabels":{"app":"db"}},"topologyKey":"kubernetes.io/hostname"}],
            "preferredDuringSchedulingIgnoredDuringExecution":[
                {"weight":5,"podAffinityTerm":{"labelSelector":{},"topologyKey":"topology.kubernetes.io/zone"}}]}}"#;
        let mut spec = PodSpecFact::default();
        apply(&mut spec, Some(json)).unwrap();
        let required = spec.node_affinity.as_ref().unwrap();
        assert_eq!(required[0].labels[0].operator, NodeOperator::DoesNotExist);
        assert_eq!(spec.node_preferences[0].0, 100);
        assert_eq!(spec.node_preferences[0].1.labels[0].values[0], "7");
        assert_eq!(spec.pod_anti_affinity[0].topology_key, "kubernetes.io/hostname");
        assert_eq!(spec.pod_preferences[0].0, -5);
        apply(&mut spec, None).unwrap();
        assert_eq!(spec, PodSpecFact::default());
    }

    #[test]
    fn nonsense_is_refused() {
        let mut spec = PodSpecFact::default();
        assert_eq!(apply(&mut spec, Some("{")), Err(AffinityError::NotJson));
        let json = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{}}}"#;
        assert_eq!(apply(&mut spec, Some(json)), Err(AffinityError::Field("nodeSelectorTerms")));
    }

    #[test]
    fn spacing_and_order_do_not_make_a_difference() {
        assert!(same(Some(r#"{"a":1,"b":2}"#), Some(r#"{ "b": 2, "a": 1 }"#)));
        assert!(!same(Some(r#"{"a":1}"#), None));
    }
}
