//! `kinema plan` from files.

use crate::support::{command, files, kinema, path};

const CLUSTER: &str = "tests/cli/cluster.json";

fn plan(more: &[&str]) -> crate::support::Ran {
    let mut arguments = vec!["plan", "--cluster", CLUSTER, "--machine-types", "e2-*"];
    arguments.extend(more);
    kinema(&arguments)
}

/// US dollars of the JSON.
fn money(value: &serde_json::Value) -> f64 {
    value.as_str().expect("a decimal string").parse().expect("a decimal")
}

#[test]
fn the_text_fits_80_columns_and_is_stable() {
    let ran = plan(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(plan(&[]).out, ran.out, "the same files give the same bytes");
    insta::assert_snapshot!("plan_text", ran.out);
}

#[test]
fn every_money_figure_of_the_json_is_consistent() {
    let ran = plan(&["-o", "json", "-q"]);
    assert_eq!(ran.err, "", "quiet is quiet");
    let json = ran.json();
    let removed: f64 =
        json["nodesToRemove"].as_array().expect("a list").iter().map(|node| money(&node["pricePerHour"])).sum();
    let added: f64 = json["nodesToAdd"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|node| money(&node["pricePerHour"]) * node["count"].as_f64().expect("a count"))
        .sum();
    let (now, after) = (money(&json["costPerHourNow"]), money(&json["costPerHourAfter"]));
    assert!((now - removed + added - after).abs() < 1e-9, "{now} - {removed} + {added} = {after}");
    assert!(money(&json["lowerBoundPerHour"]) <= after);
    assert!(json["gap"].as_f64().is_some_and(|gap| (0.0..1.0).contains(&gap)));
    let nodes = json["verdicts"]["nodes"].as_array().expect("a list");
    assert_eq!(nodes.len(), 12);
    let wasted: f64 =
        nodes.iter().chain(json["nodesToAdd"].as_array().expect("a list")).map(|of| money(&of["wastePerHour"])).sum();
    let wasted = wasted + money(&json["unusedPerHour"]);
    assert!((wasted - money(&json["wastePerHour"])).abs() < 1e-9, "{wasted}");
    assert!((after - money(&json["lowerBoundPerHour"]) - wasted).abs() < 1e-9, "{wasted}");
    let shares = json["binding"].as_array().expect("a list").iter().map(|binding| binding["share"].as_f64());
    assert!(shares.clone().count() > 0 && shares.flatten().all(|share| (0.0..=1.0).contains(&share)));
    let points = json["frontier"].as_array().expect("a list");
    let costs: Vec<f64> = points.iter().map(|point| money(&point["costPerHour"])).collect();
    assert!((costs[0] - now).abs() < 1e-9 && points[0]["moves"] == 0, "nothing moved costs what it costs now");
    assert!(points.len() > 2 && costs.is_sorted_by(|one, next| one > next), "{costs:?}");
    let chosen: Vec<f64> =
        points.iter().zip(&costs).filter(|(point, _)| point["chosen"] == true).map(|(_, cost)| *cost).collect();
    assert!(matches!(chosen[..], [cost] if (cost - after).abs() < 1e-9), "{chosen:?}");
    let rates: Vec<f64> = points.iter().filter_map(|point| point["movesPerDollar"].as_f64()).collect();
    assert!(rates.len() + 1 == points.len() && rates.is_sorted(), "each further dollar costs more moves: {rates:?}");
    let leaving = nodes.iter().filter(|node| node["action"] == "Remove").count();
    assert_eq!(leaving, json["nodesToRemove"].as_array().expect("a list").len());
    let pods = json["verdicts"]["pods"].as_array().expect("a list");
    assert_eq!(pods.len(), 36, "every pod has one verdict");
    let moving = pods.iter().filter(|pod| pod["action"] == "Move").count();
    assert_eq!(moving, json["moves"].as_array().expect("a list").len());
    for verdict in nodes.iter().chain(pods) {
        assert!(verdict["reason"].as_str().is_some_and(|code| !code.is_empty()), "{verdict}");
        assert!(verdict["message"].as_str().is_some_and(|text| !text.is_empty()), "{verdict}");
    }
}

/// Under another objective machines stay, and the text and the JSON say what it comes to by its own measure: the
/// cluster is mixed well, and some of its nodes ask for more than 30 %.
#[test]
fn another_objective_has_its_own_measure() {
    for (objective, word, view, measure, moves) in [
        ("{objective: Balance}", "Evens", "balance", "entropy", false),
        ("{objective: NodeUsage, nodeUsage: 30%}", "Cools", "heat", "excess", true),
    ] {
        let policy =
            format!("apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {{optimize: {objective}}}\n");
        let directory = files(&[("policy.yaml", &policy)]);
        let file = path(&directory, "policy.yaml");
        let json = plan(&["--config", &file, "-o", "json"]).json();
        let list = |name: &str| json[name].as_array().expect("a list").len();
        assert_eq!((list("nodesToAdd"), list("nodesToRemove"), list("moves") > 0), (0, 0, moves), "{objective}");
        let of = |when: &str| json[view][format!("{measure}{when}")].as_f64().expect("a number");
        let (before, after) = (of("Before"), of("After"));
        assert!(before > 0.0 && (after < before) == moves, "{objective}: {before} {after}");
        let text = plan(&["--config", &file]).out;
        let line = text.lines().find(|line| line.trim_start().starts_with(word)).expect("the measure");
        assert!(line.contains(&format!("{before:.2} -> {after:.2} nodes")) && line.len() <= 80, "{line}");
    }
}

fn with_policy(spec: &str) -> (serde_json::Value, String) {
    let policy = format!("apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {spec}\n");
    let directory = files(&[("policy.yaml", &policy)]);
    let file = path(&directory, "policy.yaml");
    (plan(&["--config", &file, "-o", "json"]).json(), plan(&["--config", &file]).out)
}

/// Money is on the basis that the policy says, and what is read says so.
#[test]
fn prices_say_on_which_basis_they_are() {
    let (list, text) = with_policy("{}");
    assert_eq!(
        (list["prices"]["basis"].as_str(), &list["prices"]["commitments"]),
        (Some("List"), &serde_json::json!([]))
    );
    assert!(!text.contains("boot disk") && !text.contains("Paid"), "{text}");
    let node = &list["verdicts"]["nodes"][0];
    let (with, text) = with_policy("{optimize: {pricing: {basis: SustainedUse, bootDisk: 0.0137}}}");
    assert_eq!(with["prices"]["basis"], "SustainedUse");
    assert_eq!(with["prices"]["bootDiskPerHour"], "0.0137");
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("less sustained-use discounts on demand, $0.0137/h more for each boot disk"), "{text}");
    let price = |of: &serde_json::Value| money(&of["pricePerHour"]);
    assert!(
        (price(&with["verdicts"]["nodes"][0]) - price(node) - 0.0137).abs() < 1e-9,
        "an e2 has no discount: {node}"
    );
}

#[test]
fn what_is_committed_is_in_no_sum() {
    let (json, text) = with_policy(
        "{optimize: {pricing: {commitments: [{machineType: e2-standard-4, region: europe-west3, count: 2}]}}}",
    );
    let used = &json["prices"]["commitments"][0];
    assert_eq!(
        (used["committed"].as_i64(), used["after"].as_i64().is_some_and(|after| after >= 2)),
        (Some(2), true),
        "{used}"
    );
    let line = text.lines().find(|line| line.trim_start().starts_with("Paid")).expect("the commitment");
    assert!(line.contains("2 x e2-standard-4") && line.ends_with("-> 2") && line.len() <= 80, "{line}");
    assert!(text.contains("paid for already and in no sum"), "{text}");
}

#[test]
fn limits_of_availability_and_weights_are_told() {
    let (json, text) = with_policy(
        "{optimize: {availability: {maxPerNode: 50%}, weights: {nodeUsage: 0.5, availability: 0.01}, nodeUsage: 60%}}",
    );
    let told = &json["dispersion"];
    assert!(told["workloads"].as_i64().is_some_and(|count| count > 0) && told["maxPerNode"] == 0.5, "{told}");
    let line = text.lines().find(|line| line.trim_start().starts_with("Spreads")).expect("the limits");
    assert!(line.contains("workloads above 50.0 % on a node") && line.len() <= 80, "{line}");
    let sum = |when: &str| {
        let sum = &json["weighted"][when];
        let parts = ["cost", "balance", "nodeUsage", "availability"].map(|part| money(&sum[part]));
        assert!((parts.iter().sum::<f64>() - money(&sum["total"])).abs() < 1e-9, "{sum}");
        money(&sum["total"])
    };
    assert!(sum("after") <= sum("before"));
    assert!(text.contains("Weighs  $"), "{text}");
    let (plain, text) = with_policy("{}");
    assert!(plain["weighted"].is_null() && plain["dispersion"].is_null() && !text.contains("Weighs"), "{text}");
}

/// The window of the moment that is planned for counts.
#[test]
fn the_schedule_decides_what_a_plan_is_for() {
    let policy = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  schedule:\n  - name: day\n    days: [Mon, Tue, Wed, Thu, Fri]\n    from: 08:00\n    to: 18:00\n    timeZone: Europe/Berlin\n    optimize: {objective: NodeUsage, nodeUsage: 70%}\n";
    let directory = files(&[("policy.yaml", policy)]);
    let file = path(&directory, "policy.yaml");
    let objective = |now: &str| plan(&["--config", &file, "--now", now, "-o", "json"]).json()["objective"].clone();
    assert_eq!(objective("2030-01-07T12:00:00Z"), "NodeUsage");
    assert_eq!(objective("2030-01-07T18:00:00Z"), "Cost");
    assert_eq!(objective("2030-01-05T12:00:00Z"), "Cost");
}

#[test]
fn yaml_says_what_json_says() {
    let yaml: serde_json::Value = serde_saphyr::from_str(&plan(&["-o", "yaml"]).out).expect("YAML");
    assert_eq!(yaml["digest"], plan(&["-o", "json"]).json()["digest"]);
}

#[test]
fn there_is_something_to_do_and_the_exit_code_says_so() {
    assert_eq!(plan(&["--detailed-exitcode"]).code, 2);
    assert_eq!(plan(&[]).code, 0);
}

#[test]
fn several_files_are_one_cluster_and_yaml_is_read_as_json_is() {
    let whole: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(crate::support::root().join(CLUSTER)).expect("the fixture"))
            .expect("JSON");
    let (nodes, rest): (Vec<_>, Vec<_>) =
        whole["items"].as_array().expect("items").iter().cloned().partition(|item| item["kind"] == "Node");
    let list = |items: Vec<serde_json::Value>| serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    let nodes = serde_saphyr::to_string(&list(nodes)).expect("YAML");
    let rest = list(rest).to_string();
    let directory = files(&[("nodes.yaml", &nodes), ("rest.json", &rest)]);
    let (nodes, rest) = (path(&directory, "nodes.yaml"), path(&directory, "rest.json"));
    let parts =
        kinema(&["plan", "--cluster", &nodes, "--cluster", &rest, "--machine-types", "e2-*", "-o", "json"]).json();
    assert_eq!(parts["digest"], plan(&["-o", "json"]).json()["digest"]);
}

#[test]
fn a_plan_is_saved_under_its_digest() {
    let directory = files(&[]);
    let out = path(&directory, "plan.json");
    let ran = plan(&["--out", &out, "-o", "json"]);
    let saved: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&out).expect("saved")).expect("JSON");
    assert_eq!(saved["digest"], ran.json()["digest"]);
    assert_eq!(saved["kind"], "ReschedulePlan");
}

#[test]
fn spot_machines_are_taken_only_when_asked_for() {
    let types = |ran: crate::support::Ran| -> Vec<String> {
        let json = ran.json();
        let list = json["nodesToAdd"].as_array().expect("a list").clone();
        list.iter().map(|node| node["capacityType"].as_str().expect("a type").to_owned()).collect()
    };
    assert!(types(plan(&["-o", "json"])).iter().all(|capacity| capacity == "on-demand"));
    assert!(types(plan(&["-o", "json", "--capacity-type", "spot"])).iter().all(|capacity| capacity == "spot"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::io::Read;
    let mut child = command(&["plan", "--cluster", CLUSTER, "--machine-types", "e2-*", "--all", "-o", "json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    let status = child.wait().expect("an end");
    assert!(!err.contains("Error") && !err.contains("panicked"), "{err}");
    assert_eq!(status.code(), Some(0));
}
