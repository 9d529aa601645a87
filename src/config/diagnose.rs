//! What is wrong with a configuration file: line, column, the line itself, and the nearest name.

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde_saphyr::Error;

use crate::exit::{Exit, Problem};

/// How alike two names must be for one to be suggested for the other.
const ALIKE: f64 = 0.7;

/// The problem that a YAML error is.
pub(crate) fn problem(name: &str, text: &str, error: &Error) -> Problem {
    let (message, help) = explain(error);
    let place = error.location();
    let title = match place {
        Some(place) => format!("{name}:{}:{}: {message}", place.line(), place.column()),
        None => format!("{name}: {message}"),
    };
    let mut diagnostic = MietteDiagnostic::new(title.clone());
    if let Some(place) = place {
        let span = place.span();
        let start = span.byte_offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0).min(text.len());
        let length =
            span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(1).max(1).min(text.len() - start);
        diagnostic = diagnostic.with_label(LabeledSpan::at(start..start + length, "here"));
    }
    if let Some(help) = &help {
        diagnostic = diagnostic.with_help(help.clone());
    }
    let report =
        Report::new(diagnostic).with_source_code(NamedSource::new(name, text.to_owned()).with_language("YAML"));
    let mut problem = Problem::new(Exit::Config, title);
    problem.fix = help;
    problem.report = Some(report);
    problem
}

/// A sentence, and a hint.
pub(super) fn explain(error: &Error) -> (String, Option<String>) {
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), Some(suggest(field, expected)))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(suggest(variant, expected)))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        other => {
            let text = other.to_string();
            // The place is told apart; the library ends its text with it.
            let text = text.split(" at line ").next().unwrap_or(&text).to_owned();
            (text, None)
        }
    }
}

/// The nearest of the known names, or all of them.
fn suggest(given: &str, known: &[&'static str]) -> String {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    let nearest = known
        .iter()
        .map(|name| (strsim::jaro_winkler(&plain(given), &plain(name)), *name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)));
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::exit::Exit;

    fn refused(text: &str) -> String {
        let problem = super::super::parse("policy.yaml", text).expect_err("refused");
        assert_eq!(problem.exit, Exit::Config);
        format!("{} | {}", problem.message, problem.fix.unwrap_or_default())
    }

    const HEAD: &str = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\n";

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_name() {
        let text = format!("{HEAD}spec:\n  decide:\n    minSaving: 10%\n");
        assert_eq!(refused(&text), "policy.yaml:5:5: unknown key `minSaving` | did you mean `minSavings`?");
    }

    #[test]
    fn an_unknown_key_like_no_other_lists_them_all() {
        let text = format!("{HEAD}spec:\n  decide:\n    quux: 1\n");
        assert_eq!(
            refused(&text),
            "policy.yaml:5:5: unknown key `quux` | one of: minSavings, maxChange, planLife, planTtl"
        );
    }

    #[test]
    fn an_unknown_value_is_named_with_the_nearest() {
        let text = format!("{HEAD}spec:\n  mode: auto\n");
        assert_eq!(refused(&text), "policy.yaml:4:9: unknown value `auto` | did you mean `Auto`?");
    }

    #[test]
    fn a_bad_scalar_says_what_it_should_be() {
        let text = format!("{HEAD}spec:\n  observe: {{stableFor: 5 minutes}}\n");
        assert_eq!(refused(&text), "policy.yaml:4:24: `5 minutes` is not a span of time such as 15m, 1h30m or 2d | ");
        let text = format!("{HEAD}spec:\n  decide:\n    minSavings: 0.1\n");
        assert_eq!(refused(&text), "policy.yaml:5:17: `0.1` is not a share such as 10% (with the sign) | ");
    }

    #[test]
    fn broken_yaml_has_a_place() {
        assert!(refused(&format!("{HEAD}spec: [\n")).starts_with("policy.yaml:"));
        assert!(refused("").starts_with("policy.yaml"));
        assert!(refused("kind: Deployment\n").contains("policy.yaml:1:7: unknown value `Deployment`"));
    }
}
