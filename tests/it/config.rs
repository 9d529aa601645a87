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
