//! The texts and trees that objects are read from.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_saphyr::Spanned;

use super::error::{ItemAt, Position, ReadError};

/// The text of a file: UTF-8, or UTF-16 with its mark, as shells of Windows write redirected output.
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, ReadError> {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks(2).map(|pair| read([pair[0], pair.get(1).copied().unwrap_or(0)])).collect();
        String::from_utf16(&units).map(Cow::Owned).map_err(|_| ReadError::Encoding { offset: 2 })
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, ReadError> {
    std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| ReadError::Encoding { offset: error.valid_up_to() })
}

/// A document of JSON, as far as it tells what it is.
#[derive(Deserialize)]
pub(super) struct JsonDocument<'a> {
    #[serde(default, rename = "apiVersion")]
    pub(super) api_version: String,
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default, borrow)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

/// What tells an object's kind.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of Kubernetes")]
pub(super) struct Head {
    #[serde(rename = "apiVersion")]
    pub(super) api_version: String,
    pub(super) kind: String,
    metadata: HeadMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeadMeta {
    name: Option<String>,
    namespace: Option<String>,
}

impl Head {
    fn object(&self) -> String {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.metadata.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
    }
}

/// A document of YAML: its fields, and the items of a list with their places.
pub(super) struct YamlDocument {
    pub(super) fields: serde_json::Map<String, Value>,
    pub(super) items: Option<Vec<Spanned<Value>>>,
}

impl<'de> Deserialize<'de> for YamlDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = YamlDocument;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of Kubernetes, or a List of them")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<YamlDocument, A::Error> {
                let mut document = YamlDocument { fields: serde_json::Map::new(), items: None };
                while let Some(key) = map.next_key::<String>()? {
                    if key == "items" {
                        document.items = map.next_value()?;
                    } else {
                        document.fields.insert(key, map.next_value()?);
                    }
                }
                Ok(document)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The documents of a YAML text.
pub(super) fn yaml_documents(text: &str) -> Result<Vec<YamlDocument>, ReadError> {
    // A cluster's dump is larger than the parser's defaults, which guard small configuration files.
    // What a dump never has stays forbidden: aliases, which can make a small text grow.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: None,
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_documents: usize::MAX,
            max_aliases: 0,
            max_anchors: 0,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| ReadError::Yaml {
        position: error.location().map(yaml_position),
        what: error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned(),
    })
}

/// A place as the YAML parser tells it.
pub(super) fn yaml_position(place: serde_saphyr::Location) -> Position {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Position { line: number(place.line()), column: number(place.column()) }
}

/// One object of the file, not yet read.
pub(super) struct Item<'a> {
    /// Its number among the file's objects.
    pub(super) index: usize,
    /// Its text or tree.
    pub(super) source: Source<'a>,
}

/// One object's text, with the text that it is a part of, or its tree.
pub(super) enum Source<'a> {
    Json { raw: &'a RawValue, text: &'a str },
    Yaml { value: Value, position: Option<Position> },
}

impl Item<'_> {
    /// Reads the object, or says which of its fields cannot be read. `head` is what is known of it.
    pub(super) fn read<T: DeserializeOwned>(&self, head: &Head) -> Result<T, ReadError> {
        let read = match &self.source {
            Source::Json { raw, .. } => serde_json::from_str(raw.get()),
            Source::Yaml { value, .. } => T::deserialize(value),
        };
        read.map_err(|error| self.explained::<T>(head, &error))
    }

    /// The error of a field of this object.
    pub(super) fn fails(&self, head: &Head, field: impl Into<String>, what: impl Into<String>) -> ReadError {
        let position = match &self.source {
            Source::Json { raw, text } => Some(position_of(text, raw.get())),
            Source::Yaml { position, .. } => *position,
        };
        let at = ItemAt { index: self.index, kind: head.kind.clone(), object: head.object(), position };
        ReadError::Item { at: Box::new(at), field: field.into(), what: what.into() }
    }

    /// Reads once more, slowly, to learn which field it was. The text goes by its tree, so that the
    /// slow way exists once.
    fn explained<T: DeserializeOwned>(&self, head: &Head, error: &serde_json::Error) -> ReadError {
        let parsed;
        let value = match &self.source {
            Source::Json { raw, .. } => {
                parsed = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
                &parsed
            }
            Source::Yaml { value, .. } => value,
        };
        let found = serde_path_to_error::deserialize::<_, T>(value).err();
        let field = found.as_ref().map_or_else(|| ".".to_owned(), |found| found.path().to_string());
        let mut failure = self.fails(head, field, without_position(error));
        if let (Source::Json { .. }, ReadError::Item { at, .. }) = (&self.source, &mut failure) {
            at.position = at.position.map(|start| within(start, error));
        }
        failure
    }
}

/// The place of an error inside a part of the text that begins at `start`.
fn within(start: Position, error: &serde_json::Error) -> Position {
    let column = if error.line() <= 1 { (start.column + error.column()).saturating_sub(1) } else { error.column() };
    Position { line: start.line + error.line().max(1) - 1, column: column.max(1) }
}

/// Where `part`, a slice of `text`, begins. Linear in the text; for errors only.
fn position_of(text: &str, part: &str) -> Position {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    Position { line, column: before[line_start..].chars().count() + 1 }
}

/// The message without the place that it ends in.
pub(super) fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}
