//! Label selectors as `kubectl -l` takes them: `pool in (a,b),tier=web,!old`.

use std::borrow::Cow;
use std::fmt;

use journal_schema::facts::{NodeOperator, NodeRequirement, Selector};
use journal_schema::text::{Few, Name};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A selector could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a label selector such as `pool in (a,b),tier=web,!old`")]
pub struct BadSelector {
    text: String,
}

/// A label selector in its text form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(pub Selector);

impl std::str::FromStr for LabelSelector {
    type Err = BadSelector;
    fn from_str(text: &str) -> Result<Self, BadSelector> {
        parse(text).map(Self).ok_or_else(|| BadSelector { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Selector> {
    let mut selector = Selector::default();
    let mut expressions = Vec::new();
    if text.trim().is_empty() {
        return Some(selector);
    }
    for part in split(text) {
        let part = part.trim();
        if let Some(key) = part.strip_prefix('!') {
            expressions.push(requirement(key, NodeOperator::DoesNotExist, &[])?);
        } else if let Some((key, value)) = part.split_once("!=") {
            expressions.push(requirement(key, NodeOperator::NotIn, &[value])?);
        } else if let Some((key, value)) = part.split_once('=') {
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            selector.labels.insert(name(key)?, Name::new(value).ok()?);
        } else if let Some((key, values)) = part.split_once(" notin ") {
            expressions.push(requirement(key, NodeOperator::NotIn, &list(values)?)?);
        } else if let Some((key, values)) = part.split_once(" in ") {
            expressions.push(requirement(key, NodeOperator::In, &list(values)?)?);
        } else {
            expressions.push(requirement(part, NodeOperator::Exists, &[])?);
        }
    }
    selector.expressions = Few::new(expressions).ok()?;
    Some(selector)
}

/// Splits at the commas outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn list(values: &str) -> Option<Vec<&str>> {
    let inner = values.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(inner.split(',').map(str::trim).collect())
}

fn name(text: &str) -> Option<Name> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if text.is_empty() || !text.chars().all(fits) {
        return None;
    }
    Name::new(text).ok()
}

fn requirement(key: &str, operator: NodeOperator, values: &[&str]) -> Option<NodeRequirement> {
    let values = values.iter().map(|value| Name::new(value.trim()).ok()).collect::<Option<Vec<_>>>()?;
    Some(NodeRequirement { key: name(key)?, operator, values: Few::new(values).ok()? })
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.0.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for requirement in &self.0.expressions {
            let key = &requirement.key;
            let values = requirement.values.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
            parts.push(match requirement.operator {
                NodeOperator::In => format!("{key} in ({values})"),
                NodeOperator::NotIn => format!("{key} notin ({values})"),
                NodeOperator::Exists => key.to_string(),
                NodeOperator::DoesNotExist => format!("!{key}"),
                NodeOperator::Gt => format!("{key} > {values}"),
                NodeOperator::Lt => format!("{key} < {values}"),
            });
        }
        f.pad(&parts.join(","))
    }
}

impl Serialize for LabelSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for LabelSelector {
    fn schema_name() -> Cow<'static, str> {
        "LabelSelector".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A label selector as kubectl -l takes it: \"pool in (a,b),tier=web,!old\"." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        let text = "tier=web,cloud.google.com/gke-nodepool in (a,b),zone notin (x),gpu,!old";
        let selector: LabelSelector = text.parse().expect("a selector");
        assert_eq!(selector.to_string(), text);
        assert_eq!(selector.0.expressions.len(), 4);
        assert_eq!("a==b,c!=d".parse::<LabelSelector>().expect("both").to_string(), "a=b,c notin (d)");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a in b", "in (a)x", "a b", ",", "a=1,,b=2", "=x"] {
            assert!(text.parse::<LabelSelector>().is_err(), "{text}");
        }
    }
}
