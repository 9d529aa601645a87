//! Names and numbers of a scenario file, checked where they stand, so that an error has its place.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use simulator::machines::{MACHINE_TYPES, REGION};

/// Most machines of a pool, and most replicas of a workload: more is another tool's work.
const MOST: u32 = 10_000;
/// How alike two names must be for one to be suggested for the other.
const ALIKE: f64 = 0.7;

/// The name that is most like `given`, as a question, or nothing.
pub(super) fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // A namespace that was left out is the usual mistake.
    let alike = |name: &str| {
        let short = name.rsplit('/').next().unwrap_or(name);
        strsim::jaro_winkler(given, name).max(strsim::jaro_winkler(given, short))
    };
    known
        .into_iter()
        .filter(|name| alike(name) >= ALIKE)
        .max_by(|a, b| alike(a).total_cmp(&alike(b)).then(b.cmp(a)))
        .map_or_else(String::new, |name| format!(": did you mean {name}?"))
}

/// A name that Kubernetes would take: lower-case letters, digits and `-`, at most 63.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct KubeName(pub(super) String);

impl KubeName {
    pub(super) fn of(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl<'de> Deserialize<'de> for KubeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good =
            (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-');
        if good {
            return Ok(Self(text));
        }
        let shown: String = text.chars().take(80).collect();
        Err(de::Error::custom(format!(
            "`{shown}` is not a name: 1 to 63 lower-case letters, digits and -, without - at its ends"
        )))
    }
}

/// A machine type of the simulated cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct MachineName(pub(super) String);

impl<'de> Deserialize<'de> for MachineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = || MACHINE_TYPES.iter().map(|machine| machine.name);
        if known().any(|name| name == text) {
            return Ok(Self(text));
        }
        let nearest = suggestion(&text, known());
        let all = if nearest.is_empty() {
            format!("; there are: {}", known().collect::<Vec<_>>().join(", "))
        } else {
            nearest
        };
        Err(de::Error::custom(format!("`{text}` is not a machine type of the simulated cloud{all}")))
    }
}

/// A zone of the simulated cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct ZoneName(pub(super) String);

impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let letter = text.strip_prefix(REGION).and_then(|rest| rest.strip_prefix('-'));
        if letter.is_some_and(|letter| letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase())) {
            return Ok(Self(text));
        }
        Err(de::Error::custom(format!(
            "`{text}` is not a zone of the simulated cloud: expected {REGION}-a, {REGION}-b, ..."
        )))
    }
}

/// A number of machines or pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct Count(pub(super) u32);

impl Count {
    pub(super) fn signed(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 0 to {MOST}")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
                u32::try_from(number).ok().filter(|number| *number <= MOST).map(Count).ok_or_else(|| {
                    E::custom(format!("{number} is too large: expected a whole number from 0 to {MOST}"))
                })
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
                u64::try_from(number).map_or_else(
                    |_| Err(E::custom(format!("{number} is negative: expected a whole number from 0 to {MOST}"))),
                    |number| self.visit_u64(number),
                )
            }
        }
        deserializer.deserialize_any(Number)
    }
}

macro_rules! schema {
    ($($name:ident => $schema:expr),+) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })+
    };
}
schema! {
    KubeName => json_schema!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" }),
    MachineName => {
        let known: Vec<&str> = MACHINE_TYPES.iter().map(|machine| machine.name).collect();
        json_schema!({ "type": "string", "enum": known })
    },
    ZoneName => json_schema!({ "type": "string", "pattern": "^us-central1-[a-z]$" }),
    Count => json_schema!({ "type": "integer", "minimum": 0, "maximum": 10000 })
}
