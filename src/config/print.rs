//! The effective configuration as YAML, with everything that is a default marked so.

use serde_json::Value;

use super::file::File;
use crate::exit::Problem;

/// Writes the file; a comment marks what is at its default.
pub(super) fn marked(file: &File) -> Result<String, Problem> {
    let value = |file: &File| {
        serde_json::to_value(file)
            .map_err(|error| Problem::failed("the configuration cannot be written").because(&error))
    };
    let (effective, defaults) = (value(file)?, value(&File::default())?);
    let mut text = String::new();
    write(&mut text, &effective, Some(&defaults), 0);
    Ok(text)
}

fn write(text: &mut String, value: &Value, default: Option<&Value>, depth: usize) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        let default = default.and_then(|default| default.get(key));
        text.push_str(&"  ".repeat(depth));
        text.push_str(key);
        text.push(':');
        if matches!(value, Value::Object(inner) if !inner.is_empty()) {
            text.push('\n');
            write(text, value, default, depth + 1);
            continue;
        }
        text.push(' ');
        text.push_str(&flow(value));
        // What identifies the file is written in every file: a mark would only be noise.
        if depth > 0 && default == Some(value) {
            text.push_str("  # default");
        }
        text.push('\n');
    }
}

/// A scalar or a list in one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => "{}".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Plain where YAML reads it back as the same string, else in quotes.
fn quoted(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '%' | ':'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && !matches!(text.to_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off")
        && !text.ends_with(':')
        && text.parse::<f64>().is_err();
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_printed_is_read_back_the_same() {
        let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nmetadata: {name: mine}\nspec:\n  mode: Auto\n  nodes: {include: 'pool in (a,b)'}\n  optimize:\n    maxCostPerHour: 5.00\n    machineTypes: {include: ['e2-*'], capacityTypes: [spot]}\n  predict: {adjustFactor: 0.2}\n";
        let file = parse("mine.yaml", text).expect("valid");
        let printed = marked(&file).expect("printed");
        assert_eq!(parse("printed.yaml", &printed).expect("valid"), file, "{printed}");
        assert!(printed.contains("  mode: Auto\n"), "{printed}");
        assert!(printed.contains("    minSavings: 10%  # default\n"), "{printed}");
        assert!(printed.contains("include: [\"e2-*\"]\n"), "{printed}");
    }
}
