//! Our terms in a template's affinity, as JSON: added to whatever is there, and nothing else changed.

use journal_schema::effect::{EXPIRING_KEY, OPTIMAL_KEY};
use journal_schema::text::JsonText;
use journal_schema::units::Ppm;
use serde_json::{Map, Value, json};

/// The template's affinity cannot be extended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AffinityError {
    /// It is not JSON of the expected form.
    #[error("the template's affinity is not of the expected form")]
    Form,
    /// It would become too long.
    #[error("the template's affinity is too long")]
    Long,
}

/// `affinity` with a preference for optimal nodes and the requirement of not being on an expiring one.
///
/// The preference, not a requirement, is for optimal nodes: an autoscaler's new pods must still fit
/// on nodes that carry no label of ours (the original's rule).
pub(crate) fn extended(affinity: Option<&JsonText>, iteration: u64) -> Result<JsonText, AffinityError> {
    let mut root = match affinity {
        Some(text) => serde_json::from_str::<Value>(text.as_str()).map_err(|_| AffinityError::Form)?,
        None => Value::Object(Map::new()),
    };
    let node = entry(&mut root, "nodeAffinity", || Value::Object(Map::new()))?;
    let preference = json!({
        "weight": 100,
        "preference": {"matchExpressions": [{"key": OPTIMAL_KEY, "operator": "In", "values": [iteration.to_string()]}]},
    });
    entry(node, "preferredDuringSchedulingIgnoredDuringExecution", || Value::Array(Vec::new()))?
        .as_array_mut()
        .ok_or(AffinityError::Form)?
        .push(preference);
    let theirs = node.get("requiredDuringSchedulingIgnoredDuringExecution").is_some();
    let required =
        entry(node, "requiredDuringSchedulingIgnoredDuringExecution", || json!({"nodeSelectorTerms": [{}]}))?;
    let terms = required.get_mut("nodeSelectorTerms").and_then(Value::as_array_mut).ok_or(AffinityError::Form)?;
    // Terms are ORed: each of them must refuse expiring nodes. One without requirements matches nothing, and would
    // match every other node with ours.
    for term in terms.iter_mut().filter(|term| !theirs || term.as_object().is_none_or(|term| !term.is_empty())) {
        entry(term, "matchExpressions", || Value::Array(Vec::new()))?
            .as_array_mut()
            .ok_or(AffinityError::Form)?
            .push(json!({"key": EXPIRING_KEY, "operator": "DoesNotExist"}));
    }
    JsonText::new(root.to_string()).map_err(|_| AffinityError::Long)
}

fn entry<'a>(value: &'a mut Value, key: &str, default: impl FnOnce() -> Value) -> Result<&'a mut Value, AffinityError> {
    let object = value.as_object_mut().ok_or(AffinityError::Form)?;
    let value = object.entry(key).or_insert_with(default);
    if value.is_null() { Err(AffinityError::Form) } else { Ok(value) }
}

/// `affinity` without our terms, and without what was only there to hold them. `None` when it holds
/// none of ours.
pub(crate) fn without_ours(affinity: Option<&JsonText>) -> Option<Option<JsonText>> {
    let mut root: Value = serde_json::from_str(affinity?.as_str()).ok()?;
    let node = root.get_mut("nodeAffinity")?.as_object_mut()?;
    let mut found = false;
    if let Some(preferred) =
        node.get_mut("preferredDuringSchedulingIgnoredDuringExecution").and_then(Value::as_array_mut)
    {
        let before = preferred.len();
        preferred.retain(|term| !names(&term["preference"]["matchExpressions"], OPTIMAL_KEY));
        found |= preferred.len() < before;
        if preferred.is_empty() {
            node.remove("preferredDuringSchedulingIgnoredDuringExecution");
        }
    }
    if let Some(required) = node.get_mut("requiredDuringSchedulingIgnoredDuringExecution") {
        let terms = required.get_mut("nodeSelectorTerms").and_then(Value::as_array_mut)?;
        for term in terms.iter_mut() {
            let Some(expressions) = term.get_mut("matchExpressions").and_then(Value::as_array_mut) else { continue };
            let before = expressions.len();
            expressions.retain(|expression| expression["key"] != EXPIRING_KEY);
            found |= expressions.len() < before;
            let ours = expressions.len() < before;
            if expressions.is_empty() {
                term.as_object_mut()?.remove("matchExpressions");
            }
            // A term without requirements matches nothing; where ours was alone in it, it was made for ours.
            if ours && term.as_object().is_some_and(Map::is_empty) {
                *term = Value::Null;
            }
        }
        terms.retain(|term| !term.is_null());
        if terms.is_empty() {
            node.remove("requiredDuringSchedulingIgnoredDuringExecution");
        }
    }
    if !found {
        return None;
    }
    if node.is_empty() {
        root.as_object_mut()?.remove("nodeAffinity");
    }
    let empty = root.as_object().is_some_and(Map::is_empty);
    if empty { Some(None) } else { Some(Some(JsonText::new(root.to_string()).ok()?)) }
}

fn names(expressions: &Value, key: &str) -> bool {
    expressions.as_array().is_some_and(|expressions| expressions.iter().any(|expression| expression["key"] == key))
}

/// `maxUnavailable` bounded by the policy's share, when the present one is a larger share; `None` when
/// the present one stays.
pub(crate) fn bounded_unavailable(present: Option<&JsonText>, most: Ppm) -> Option<(JsonText, JsonText)> {
    let present = present?;
    let percent: i64 = present.as_str().trim_matches('"').strip_suffix('%')?.parse().ok()?;
    let bound = most.0 / 10_000;
    if percent <= bound {
        return None;
    }
    Some((present.clone(), JsonText::truncated(format!("\"{bound}%\""))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_added_and_the_rest_stays() {
        let before = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}]},{"matchFields":[]}]}},"podAntiAffinity":{"x":1}}"#;
        let after = extended(Some(&JsonText::truncated(before)), 7).unwrap();
        let value: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(value["podAntiAffinity"]["x"], 1);
        let terms = value["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
            .as_array()
            .unwrap();
        assert_eq!(terms.len(), 2);
        assert_eq!(terms[0]["matchExpressions"].as_array().unwrap().len(), 2);
        assert_eq!(terms[1]["matchExpressions"][0]["key"], EXPIRING_KEY);
    }

    #[test]
    fn a_term_that_matches_nothing_goes_on_matching_nothing() {
        let before = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{},{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}"#;
        let after = extended(Some(&JsonText::truncated(before)), 7).unwrap();
        let terms = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            value["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"].clone()
        };
        assert_eq!(terms(&after)[0], json!({}));
        assert_eq!(terms(&after)[1]["matchExpressions"].as_array().unwrap().len(), 2);
        let back = without_ours(Some(&after)).unwrap().unwrap();
        assert_eq!(terms(&back), terms(before));
    }

    #[test]
    fn an_absent_affinity_gets_both_terms() {
        let after = extended(None, 7).unwrap();
        insta::assert_snapshot!(after.as_str(), @r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"preference":{"matchExpressions":[{"key":"kinema.dev/optimal","operator":"In","values":["7"]}]},"weight":100}],"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kinema.dev/expiring","operator":"DoesNotExist"}]}]}}}"#);
    }

    #[test]
    fn our_terms_are_taken_out_of_what_somebody_else_changed() {
        let theirs = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"Exists"}]}]}}}"#;
        for text in [None, Some(theirs)] {
            let before = text.map(JsonText::truncated);
            let ours = extended(before.as_ref(), 7).unwrap();
            assert_eq!(without_ours(Some(&ours)), Some(before));
        }
        assert_eq!(without_ours(Some(&JsonText::truncated(theirs))), None);
        assert_eq!(without_ours(None), None);
    }

    #[test]
    fn a_form_that_is_not_understood_is_refused() {
        for text in [
            "[]",
            "3",
            r#"{"nodeAffinity":null}"#,
            r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":{}}}"#,
            "{",
        ] {
            assert!(extended(Some(&JsonText::truncated(text)), 1).is_err(), "{text}");
        }
    }

    #[test]
    fn a_larger_share_is_bounded_and_numbers_stay() {
        let text = |text: &str| JsonText::truncated(text);
        assert_eq!(
            bounded_unavailable(Some(&text("\"50%\"")), Ppm::percent(25)),
            Some((text("\"50%\""), text("\"25%\"")))
        );
        assert_eq!(bounded_unavailable(Some(&text("\"25%\"")), Ppm::percent(25)), None);
        assert_eq!(bounded_unavailable(Some(&text("1")), Ppm::percent(25)), None);
        assert_eq!(bounded_unavailable(None, Ppm::percent(25)), None);
    }
}
