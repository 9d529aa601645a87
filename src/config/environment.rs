//! Settings from the environment: `KINEMA_DECIDE__MIN_SAVINGS=15%` is `spec.decide.minSavings: 15%`.
//!
//! Sections are separated by two underscores. Only the mode stands in no section; every other name
//! without two underscores is left alone, because Kubernetes itself sets such names for a Service
//! called kinema.

use serde_json::{Map, Value};

use super::{File, diagnose};
use crate::exit::{Exit, Problem};

const PREFIX: &str = "KINEMA_";
const BETWEEN: &str = "__";
const MODE: &str = "KINEMA_MODE";

/// The file with what the environment says instead.
pub(super) fn over(file: File, environment: impl IntoIterator<Item = (String, String)>) -> Result<File, Problem> {
    let mut settings: Vec<(String, String)> = environment
        .into_iter()
        .filter(|(name, _)| name == MODE || (name.starts_with(PREFIX) && name.contains(BETWEEN)))
        .collect();
    settings.sort();
    let mut file = file;
    for (name, text) in settings {
        file = with(&file, &name, &text)?;
    }
    Ok(file)
}

fn with(file: &File, name: &str, text: &str) -> Result<File, Problem> {
    let wrong = |what: &str| Problem::new(Exit::Config, format!("{name}={text} in the environment: {what}"));
    let path: Vec<String> = name[PREFIX.len()..].split(BETWEEN).map(camel).collect();
    if path.iter().any(String::is_empty) {
        return Err(wrong("no key has an empty name"));
    }
    // A value is read as a configuration file's would be.
    let value: Value = serde_saphyr::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let mut whole = serde_json::to_value(file).map_err(|error| wrong(&error.to_string()))?;
    let mut place = &mut whole["spec"];
    for section in &path[..path.len() - 1] {
        let Some(fields) = place.as_object_mut() else { return Err(wrong("it is a key inside of a value")) };
        place = fields.entry(section.clone()).or_insert_with(|| Value::Object(Map::new()));
    }
    let Some(fields) = place.as_object_mut() else { return Err(wrong("it is a key inside of a value")) };
    // Whoever names one glob or zone need not write a list.
    let listed = matches!(fields.get(&path[path.len() - 1]), Some(Value::Array(_)));
    let value = match value {
        Value::String(text) if listed => {
            Value::Array(text.split(',').map(|item| Value::String(item.trim().to_owned())).collect())
        }
        value => value,
    };
    fields.insert(path[path.len() - 1].clone(), value);
    let written = serde_saphyr::to_string(&whole).map_err(|error| wrong(&error.to_string()))?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<File>(&written, options).map_err(|error| {
        let (what, help) = diagnose::explain(&error);
        let problem = wrong(&what);
        match help {
            Some(help) => problem.fix(help),
            None => problem.fix(format!("it stands for spec.{}", path.join("."))),
        }
    })
}

/// `MIN_SAVINGS` as `minSavings`.
fn camel(name: &str) -> String {
    let mut words = name.split('_').map(str::to_ascii_lowercase);
    let mut text = words.next().unwrap_or_default();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_all(pairs: &[(&str, &str)]) -> Result<File, Problem> {
        over(File::default(), pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn every_kind_of_value_is_read_as_in_the_file() {
        let file = with_all(&[
            ("KINEMA_MODE", "Approve"),
            ("KINEMA_DECIDE__MIN_SAVINGS", "15%"),
            ("KINEMA_PREDICT__ADJUST_FACTOR", "0.2"),
            ("KINEMA_PREDICT__MIN_REQUESTS__CPU", "20m"),
            ("KINEMA_OPTIMIZE__MACHINE_TYPES__INCLUDE", "e2-*, n2-*"),
            ("KINEMA_OPTIMIZE__MAX_NODES", "40"),
            ("KINEMA_CLOUD__PROJECT", "demo"),
            ("KINEMA_DISRUPTION__EVICT_JOBS", "true"),
        ])
        .expect("valid");
        let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  mode: Approve\n  decide: {minSavings: 15%}\n  predict: {adjustFactor: 0.2, minRequests: {cpu: 20m}}\n  optimize: {machineTypes: {include: ['e2-*', 'n2-*']}, maxNodes: 40}\n  cloud: {project: demo}\n  disruption: {evictJobs: true}\n";
        assert_eq!(file, super::super::parse("policy.yaml", text).expect("valid"));
    }

    #[test]
    fn what_kubernetes_sets_for_a_service_is_left_alone() {
        let set =
            [("KINEMA_SERVICE_HOST", "10.0.0.1"), ("KINEMA_PORT_8080_TCP", "tcp://10.0.0.1:8080"), ("OTHER__X", "1")];
        assert_eq!(with_all(&set).expect("valid"), File::default());
    }

    #[test]
    fn a_bad_name_or_value_names_the_variable_and_the_nearest_key() {
        let said = |name: &str, text: &str| {
            let problem = with_all(&[(name, text)]).expect_err("refused");
            assert_eq!(problem.exit, Exit::Config);
            format!("{} | {}", problem.message, problem.fix.unwrap_or_default())
        };
        assert_eq!(
            said("KINEMA_DECIDE__MIN_SAVING", "15%"),
            "KINEMA_DECIDE__MIN_SAVING=15% in the environment: unknown key `minSaving` | did you mean `minSavings`?"
        );
        assert_eq!(
            said("KINEMA_DECIDE__MIN_SAVINGS", "15"),
            "KINEMA_DECIDE__MIN_SAVINGS=15 in the environment: `15` is not a share such as 10% (with the sign) | it stands for spec.decide.minSavings"
        );
        assert_eq!(
            said("KINEMA_MODE", "auto"),
            "KINEMA_MODE=auto in the environment: unknown value `auto` | did you mean `Auto`?"
        );
        assert!(said("KINEMA_MODE__X", "1").contains("a key inside of a value"));
        assert!(said("KINEMA___X", "1").contains("empty name"));
    }
}
