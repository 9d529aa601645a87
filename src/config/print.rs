//! The effective configuration as YAML, with everything that is a default marked so.

use serde_json::Value;

use super::file::File;
use crate::exit::Problem;

/// Writes the file in the order of its type; a comment marks what is at its default.
pub(super) fn marked(file: &File) -> Result<String, Problem> {
    let cannot = |error: &dyn std::error::Error| Problem::failed("the configuration cannot be written").because(error);
    let text = serde_saphyr::to_string(file).map_err(|error| cannot(&error))?;
    let effective = serde_json::to_value(file).map_err(|error| cannot(&error))?;
    let defaults = serde_json::to_value(File::default()).map_err(|error| cannot(&error))?;
    let mut path: Vec<&str> = Vec::new();
    let mut out = String::new();
    for line in text.lines() {
        let key = line.trim_start();
        let depth = (line.len() - key.len()) / 2;
        out.push_str(line);
        if let Some((key, _)) = key.split_once(':')
            && !key.starts_with('-')
        {
            path.truncate(depth);
            path.push(key);
            let pointer = format!("/{}", path.join("/"));
            let value = effective.pointer(&pointer);
            let section = value.is_some_and(Value::is_object) && !line.ends_with("{}");
            // What identifies the file is written in every file: a mark would only be noise.
            if depth > 0 && !section && value.is_some() && value == defaults.pointer(&pointer) {
                out.push_str("  # default");
            }
        }
        out.push('\n');
    }
    Ok(out)
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
        assert!(printed.contains("    adjustFactor: \"0.2\"\n"), "{printed}");
        let (mode, lease) = (printed.find("  mode:"), printed.find("  lease:"));
        assert!(mode < lease, "in the order of the type: {printed}");
    }
}
