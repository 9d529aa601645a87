//! `kinema config`.

use crate::support::{files, kinema, path};

#[test]
fn the_defaults_are_printed_and_marked() {
    insta::assert_snapshot!("config_print", kinema(&["config", "print"]).out);
}

#[test]
fn what_is_printed_is_valid() {
    let directory = files(&[("policy.yaml", &kinema(&["config", "print"]).out)]);
    let ran = kinema(&["config", "validate", &path(&directory, "policy.yaml")]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn the_schema_names_every_key_that_is_printed() {
    let schema = kinema(&["config", "schema"]).json();
    let printed = kinema(&["config", "print", "-o", "json"]).json();
    let definitions = schema["$defs"].as_object().expect("definitions");
    let spec = definitions["Spec"]["properties"].as_object().expect("properties");
    for key in printed["spec"].as_object().expect("a map").keys() {
        assert!(spec.contains_key(key), "{key}");
    }
    assert_eq!(definitions["Spec"]["additionalProperties"], false);
}

#[test]
fn an_error_shows_the_line_and_the_nearest_name() {
    let text =
        "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  disruption:\n    maxParalelMoves: 5\n";
    let directory = files(&[("policy.yaml", text)]);
    let ran = kinema(&["config", "validate", &path(&directory, "policy.yaml")]);
    assert_eq!(ran.code, 78);
    assert_eq!(ran.out, "");
    let shown = ran.err.replace(&format!("{}/", directory.path().display()), "");
    insta::assert_snapshot!("config_error", shown);
}

#[test]
fn the_environment_stands_over_the_file_and_a_bad_name_is_an_error() {
    let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {mode: Auto, decide: {minSavings: 5%, maxChange: 20%}}\n";
    let directory = files(&[("policy.yaml", text)]);
    let file = path(&directory, "policy.yaml");
    let run = |name: &str, value: &str| {
        let mut command = crate::support::command(&["config", "print", "--config", &file, "-o", "json"]);
        let output = command.env(name, value).output().expect("the program starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, out, err) = run("KINEMA_DECIDE__MIN_SAVINGS", "15%");
    assert_eq!(code, Some(0), "{err}");
    let spec = serde_json::from_str::<serde_json::Value>(&out).expect("JSON")["spec"].clone();
    assert_eq!(
        (spec["mode"].as_str(), spec["decide"]["minSavings"].as_str(), spec["decide"]["maxChange"].as_str()),
        (Some("Auto"), Some("15%"), Some("20%"))
    );
    let (code, out, err) = run("KINEMA_DECIDE__MIN_SAVING", "15%");
    assert_eq!((code, out.as_str()), (Some(78), ""));
    assert!(err.contains("KINEMA_DECIDE__MIN_SAVING=15%") && err.contains("did you mean `minSavings`?"), "{err}");
}
