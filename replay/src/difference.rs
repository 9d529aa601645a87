//! What is not as it was recorded, and where.

use std::fmt;

use journal_schema::units::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Longest value shown.
const SHOWN: usize = 200;

/// One difference between what was recorded and what comes out now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The entry that records it.
    pub seq: u64,
    /// Its time.
    pub at: Timestamp,
    /// What differs.
    pub what: What,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum What {
    /// The engine refuses the entry, or wants other effects than those recorded. The replay ends here.
    Step {
        /// What the engine says.
        error: String,
    },
    /// A forecast comes out otherwise.
    Forecast(Place),
    /// A plan comes out otherwise.
    Plan(Place),
    /// An outcome is recorded of an effect that was never asked for.
    Unasked {
        /// The effect's id.
        id: String,
    },
    /// A state that was saved and restored here is not the state that was saved: a daemon that
    /// starts from a checkpoint would go another way.
    Restore {
        /// Digest of the state that was folded.
        folded: String,
        /// Digest of the state that was restored and folded on.
        restored: String,
    },
}

/// The first place where two values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// For example `Answered.Planned.plan.moves[3].to`.
    pub path: String,
    /// What was recorded there.
    pub recorded: String,
    /// What comes out now.
    pub computed: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: recorded {}, computed {}", self.path, self.recorded, self.computed)
    }
}

/// `entry 18231: plan differs at plan.moves[3].to: recorded …, computed …`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} ({}): ", self.seq, journal::rfc3339(self.at))?;
        match &self.what {
            What::Step { error } => write!(f, "{error}"),
            What::Forecast(place) => write!(f, "the forecast differs at {place}"),
            What::Plan(place) => write!(f, "the plan differs at {place}"),
            What::Unasked { id } => write!(f, "an outcome of {id} is recorded, which was never asked for"),
            What::Restore { folded, restored } => {
                write!(
                    f,
                    "the state is {}…, but {}… when it is restored from a checkpoint",
                    short(folded),
                    short(restored)
                )
            }
        }
    }
}

/// The first digits of a digest.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The first place where two values differ, as they are written in JSON. `None` when they do not.
pub(crate) fn first_difference<T: Serialize>(recorded: &T, computed: &T) -> Option<Place> {
    // Whatever the schema can hold, JSON can too; a value that cannot be shown differs as a whole.
    let value = |value: &T| serde_json::to_value(value).unwrap_or(Value::Null);
    let mut path = String::new();
    let (recorded, computed) = walk(&value(recorded), &value(computed), &mut path)?;
    Some(Place { path, recorded, computed })
}

fn walk(recorded: &Value, computed: &Value, path: &mut String) -> Option<(String, String)> {
    if recorded == computed {
        return None;
    }
    let length = path.len();
    match (recorded, computed) {
        (Value::Object(one), Value::Object(other)) => {
            for (name, value) in one {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(name);
                match other.get(name) {
                    None => return Some((show(value), "nothing".to_owned())),
                    Some(other) => {
                        if let Some(found) = walk(value, other, path) {
                            return Some(found);
                        }
                    }
                }
                path.truncate(length);
            }
            let (name, value) = other.iter().find(|(name, _)| !one.contains_key(*name))?;
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            Some(("nothing".to_owned(), show(value)))
        }
        (Value::Array(one), Value::Array(other)) => {
            let mut index = 0;
            loop {
                path.push_str(&format!("[{index}]"));
                match (one.get(index), other.get(index)) {
                    (Some(one), Some(other)) => {
                        if let Some(found) = walk(one, other, path) {
                            return Some(found);
                        }
                    }
                    (one, other) => {
                        let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), show);
                        return Some((text(one), text(other)));
                    }
                }
                path.truncate(length);
                index += 1;
            }
        }
        (one, other) => Some((show(one), show(other))),
    }
}

fn show(value: &Value) -> String {
    let mut text = value.to_string();
    if text.len() > SHOWN {
        let mut end = SHOWN;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(recorded: &Value, computed: &Value) -> Option<(String, String, String)> {
        first_difference(recorded, computed).map(|place| (place.path, place.recorded, place.computed))
    }

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let owned = |(path, one, other): (&str, &str, &str)| Some((path.to_owned(), one.to_owned(), other.to_owned()));
        let value = json!({"a": 1, "b": [{"c": 1}, {"c": 2}]});
        assert_eq!(place(&value, &value), None);
        assert_eq!(place(&value, &json!({"a": 1, "b": [{"c": 1}, {"c": 3}]})), owned(("b[1].c", "2", "3")));
        assert_eq!(place(&value, &json!({"a": 1, "b": [{"c": 1}]})), owned(("b[1]", "{\"c\":2}", "nothing")));
        assert_eq!(place(&value, &json!({"a": 1})), owned(("b", "[{\"c\":1},{\"c\":2}]", "nothing")));
        assert_eq!(place(&json!({"a": 1}), &json!({"a": 1, "z": 0})), owned(("z", "nothing", "0")));
        assert_eq!(place(&json!([]), &json!({})), owned(("", "[]", "{}")));
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let (one, other) = (json!("é".repeat(500)), json!("x"));
        let found = first_difference(&one, &other).unwrap();
        assert!(found.recorded.ends_with('…') && found.recorded.len() < 210);
    }
}
