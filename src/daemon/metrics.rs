//! Metrics in Prometheus' text format, as a projection of the status.

use std::fmt::Write;

use super::status::Status;

/// Every phase, so that each has a series from the beginning.
const PHASES: [&str; 9] =
    ["Observing", "Predicting", "Optimizing", "Deciding", "Booting", "Labelling", "Rolling", "Draining", "Unwinding"];

/// The metrics.
pub(super) fn text(status: &Status) -> String {
    let mut text = String::new();
    family(
        &mut text,
        "kinema_build_info",
        "gauge",
        "Version of the program.",
        &[(&[("version", &status.build)], "1".to_owned())],
    );
    let phases: Vec<_> = PHASES.iter().map(|phase| ([("phase", *phase)], flag(status.phase == *phase))).collect();
    let phases: Vec<(&[(&str, &str)], String)> =
        phases.iter().map(|(labels, value)| (labels.as_slice(), value.clone())).collect();
    family(&mut text, "kinema_phase", "gauge", "1 for the phase that the daemon is in.", &phases);
    let holds: Vec<_> = status.waiting_for.iter().map(|reason| [("reason", reason.code.as_str())]).collect();
    let mut seen = std::collections::BTreeSet::new();
    let holds: Vec<(&[(&str, &str)], String)> = holds
        .iter()
        .filter(|labels| seen.insert(labels[0].1))
        .map(|labels| (labels.as_slice(), "1".to_owned()))
        .collect();
    family(&mut text, "kinema_hold", "gauge", "1 for each reason that is waited for.", &holds);
    let single: [(&str, &str, &str, String); 11] = [
        ("kinema_leader", "gauge", "1 while this process holds the lease.", flag(status.leader)),
        ("kinema_iteration", "gauge", "Number of the last iteration that began.", status.iteration.to_string()),
        (
            "kinema_journal_sequence",
            "gauge",
            "Sequence number of the journal's last entry.",
            status.journal.seq.to_string(),
        ),
        (
            "kinema_plans_pending_approval",
            "gauge",
            "Plans that wait for approval.",
            flag(status.plan.as_ref().is_some_and(|plan| plan.waiting_for_approval)),
        ),
        ("kinema_cluster_cost_dollars_per_hour", "gauge", "What the cluster costs now.", number(&status.cost_per_hour)),
        (
            "kinema_planned_cost_dollars_per_hour",
            "gauge",
            "What it would cost after the last plan.",
            status.plan.as_ref().map_or_else(|| "NaN".to_owned(), |plan| number(&plan.cost_per_hour_after)),
        ),
        ("kinema_cost_dollars_total", "counter", "What it has cost since the journal began.", number(&status.spent)),
        ("kinema_pods_moved_total", "counter", "Pods moved since the journal began.", status.pods_moved.to_string()),
        ("kinema_debts", "gauge", "Changes that are still to be undone or finished.", status.debts.len().to_string()),
        ("kinema_effects_in_flight", "gauge", "Effects under way.", status.in_flight.to_string()),
        ("kinema_nodes", "gauge", "Nodes of the cluster.", status.nodes.to_string()),
    ];
    for (name, kind, help, value) in single {
        family(&mut text, name, kind, help, &[(&[], value)]);
    }
    text
}

fn flag(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

fn number(decimal: &str) -> String {
    if decimal.is_empty() { "0".to_owned() } else { decimal.to_owned() }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(&[(&str, &str)], String)]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::status::ReasonView;
    use super::*;

    #[test]
    fn one_phase_is_set_and_labels_are_escaped() {
        let hold = ReasonView { code: "Odd\"code".to_owned(), message: String::new(), fix: None };
        let status = Status { phase: "Rolling".to_owned(), waiting_for: vec![hold.clone(), hold], ..Status::default() };
        let text = text(&status);
        assert_eq!(text.matches("kinema_phase{").filter(|_| true).count(), 9);
        assert!(text.contains("kinema_phase{phase=\"Rolling\"} 1\n"), "{text}");
        assert!(text.contains("kinema_phase{phase=\"Draining\"} 0\n"), "{text}");
        assert_eq!(text.matches("kinema_hold{reason=\"Odd\\\"code\"} 1\n").count(), 1, "{text}");
        assert!(text.contains("\nkinema_cost_dollars_total 0\n"), "{text}");
    }
}
