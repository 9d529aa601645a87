//! Who set a field, by the API server's own account (`metadata.managedFields`): whoever changes a
//! field takes it over, and whoever applies the value that it has already shares it.

use serde_json::Value;

use crate::rest::{FIELD_MANAGER, text};

/// The entries of those who own a field, given as a JSON pointer into `fieldsV1`.
fn owners<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter(move |entry| entry.get("fieldsV1").is_some_and(|fields| fields.pointer(field).is_some()))
}

/// Whether the field is as we set it, and nobody else has asked for that value.
pub(super) fn only_ours(object: &Value, field: &str) -> bool {
    let mut owners = owners(object, field).peekable();
    owners.peek().is_some() && owners.all(|entry| text(entry, "/manager") == FIELD_MANAGER)
}

/// Who changed the field last, beside us.
pub(super) fn last_other<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    owners(object, field)
        .filter(|entry| text(entry, "/manager") != FIELD_MANAGER)
        .max_by_key(|entry| text(entry, "/time"))
        .map(|entry| text(entry, "/manager"))
}
