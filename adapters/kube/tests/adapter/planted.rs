//! Objects with every field that k8s-openapi's schema of their kind has, and a text of its own in each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// Deeper than any object that is watched.
const DEEPEST: usize = 60;

/// An object, and where each of its texts was planted. `[]` stands for a list's item, `<key>` and
/// `<value>` for those of a map.
pub(crate) struct Planted {
    pub(crate) object: Value,
    paths: BTreeMap<String, String>,
    /// The properties of each object, by its path.
    pub(crate) properties: BTreeMap<String, Vec<String>>,
}

/// How an object is made.
#[derive(Clone, Copy, Default)]
pub(crate) struct How<'a> {
    /// Texts that stand at the ends of paths instead of planted ones.
    pub(crate) words: &'a [(&'a str, &'a str)],
    /// Amounts are amounts. Otherwise they are planted texts, too, which is what no API server holds.
    pub(crate) amounts: bool,
    /// The object at this path has this property alone, beside those that it must have.
    pub(crate) only: Option<(&'a str, &'a str)>,
}

struct Generator<'a> {
    root: Value,
    how: How<'a>,
    planted: Planted,
}

/// Plants an object of a kind.
pub(crate) fn plant<T: JsonSchema>(how: How<'_>) -> Planted {
    let root = schemars::generate::SchemaSettings::draft2020_12().into_generator().root_schema_for::<T>().to_value();
    let planted = Planted { object: Value::Null, paths: BTreeMap::new(), properties: BTreeMap::new() };
    let mut generator = Generator { root: root.clone(), how, planted };
    let mut object = generator.value(&root, "", 0).unwrap();
    object.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
    generator.planted.object = object;
    generator.planted
}

impl Planted {
    /// A new text for a path.
    pub(crate) fn text(&mut self, path: &str) -> String {
        // Of one length, so that none is a part of another.
        let text = format!("canary{:05}x", self.paths.len());
        self.paths.insert(text.clone(), path.to_owned());
        text
    }

    /// How many texts there are.
    pub(crate) fn len(&self) -> usize {
        self.paths.len()
    }

    /// The paths whose texts are somewhere in these bytes.
    pub(crate) fn found(&self, bytes: &[u8]) -> impl Iterator<Item = &str> {
        let mut found: Vec<&str> = Vec::new();
        let mark = b"canary";
        for at in 0..bytes.len().saturating_sub(mark.len() - 1) {
            if bytes[at..].starts_with(mark) {
                let text = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 12)]).into_owned();
                // A text that was cut is a text that was kept.
                found.push(self.paths.get(&text).map_or("a part of a text", String::as_str));
            }
        }
        found.into_iter()
    }
}

impl Generator<'_> {
    fn word(&self, path: &str) -> Option<Value> {
        let fits = |end: &&(&str, &str)| path == end.0 || path.ends_with(&format!(".{}", end.0));
        self.how.words.iter().find(fits).map(|(_, word)| json!(word))
    }

    fn value(&mut self, schema: &Value, path: &str, depth: usize) -> Option<Value> {
        assert!(depth < DEEPEST, "{path}: a schema without an end");
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let amount = [("Quantity", "1"), ("IntOrString", "25%")];
            if let Some((_, text)) = amount.iter().find(|(name, _)| reference.ends_with(name)) {
                return Some(if self.how.amounts { json!(text) } else { json!(self.planted.text(path)) });
            }
            let target = self.root.pointer(reference.trim_start_matches('#')).cloned().expect(reference);
            return self.value(&target, path, depth + 1);
        }
        for list in ["allOf", "anyOf", "oneOf"] {
            let Some(choices) = schema.get(list).and_then(Value::as_array) else { continue };
            let real: Vec<Value> = choices.iter().filter(|one| one["type"] != "null").cloned().collect();
            assert_eq!(real.len(), 1, "{path}: a choice that is not made here");
            return self.value(&real[0], path, depth + 1);
        }
        let kinds = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.clone()],
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").map(str::to_owned).collect()
            }
            _ => panic!("{path}: a schema without a type: {schema}"),
        };
        assert_eq!(kinds.len(), 1, "{path}: {kinds:?}");
        Some(match (kinds[0].as_str(), schema.get("format").and_then(Value::as_str)) {
            ("string", Some("date-time")) => json!("2026-01-02T03:04:05Z"),
            ("string", None) => self.word(path).unwrap_or_else(|| json!(self.planted.text(path))),
            ("integer" | "number", _) => json!(1),
            ("boolean", _) => json!(true),
            ("array", _) => {
                let items = schema.get("items").cloned().expect("items");
                json!([self.value(&items, &format!("{path}[]"), depth + 1)?])
            }
            ("object", _) => self.object(schema, path, depth),
            other => panic!("{path}: {other:?}"),
        })
    }

    fn object(&mut self, schema: &Value, path: &str, depth: usize) -> Value {
        let mut object = Map::new();
        if let Some(more) = schema.get("additionalProperties").filter(|more| more.is_object()).cloned() {
            let key = self.planted.text(&format!("{path}.<key>"));
            if let Some(value) = self.value(&more, &format!("{path}.<value>"), depth + 1) {
                object.insert(key, value);
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        self.planted.properties.insert(path.to_owned(), properties.keys().cloned().collect());
        for (name, schema) in &properties {
            let left_out = self
                .how
                .only
                .is_some_and(|(at, only)| at == path && only != name && !required.contains(&name.as_str()));
            let within = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if !left_out && let Some(value) = self.value(schema, &within, depth + 1) {
                object.insert(name.clone(), value);
            }
        }
        Value::Object(object)
    }
}
