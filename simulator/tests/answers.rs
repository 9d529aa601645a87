//! In what the simulated cluster once answered or became something else than a real control plane, by the requests
//! that showed it; and that sequences are drawn as they should be. `tests/e2e/fakes` asks a real one.

#![allow(clippy::unwrap_used)]

use simulator::answers::{Request, Step, answer, draw};

const NODE: &str =
    r#"{"do":"create-node","node":"n0","machine":"e2-standard-4","cpu":3920,"memory":13256,"zone":"us-central1-a"}"#;

fn workload(kind: &str, replicas: i32, rolling: &str) -> String {
    format!(
        r#"{{"do":"create-workload","kind":"{kind}","app":"web","replicas":{replicas},"cpu":100,"memory":64,"affinity":null,"rolling":{rolling}}}"#
    )
}

/// What became of requests, after a node and those that make a world of it.
fn asked(requests: &[&str]) -> Vec<Step> {
    let read = |text: &&str| serde_json::from_str::<Request>(text).unwrap();
    let all: Vec<Request> = [NODE].iter().chain(requests).map(read).collect();
    let steps = answer(&all).unwrap();
    assert_eq!(steps.len(), all.len());
    steps
}

fn last(requests: &[&str]) -> Step {
    asked(requests).pop().unwrap()
}

/// The world's line about something.
fn line(step: &Step, about: &str) -> String {
    step.world.as_ref().unwrap().get(about).cloned().unwrap_or_default()
}

#[test]
fn an_eviction_of_a_pod_that_is_gone_is_done() {
    let step = last(&[r#"{"do":"evict","pick":{"pod":"ghost","uid":true}}"#]);
    assert_eq!(step.answer, "Done");
}

#[test]
fn a_template_of_another_uid_is_a_broken_precondition_and_one_that_is_absent_is_not_found() {
    let web = workload("Deployment", 1, r#"["25%","25%"]"#);
    let patch = |app: &str| {
        format!(
            r#"{{"do":"template","app":"{app}","uid":false,"from":null,"to":null,"max_unavailable":null,"requests":[]}}"#
        )
    };
    let read = |app: &str| format!(r#"{{"do":"read-affinity","app":"{app}","uid":false}}"#);
    for (request, expected) in [
        (patch("web"), "Refused Precondition"),
        (read("web"), "Refused Precondition"),
        (patch("nobody"), "Refused NotFound"),
        (read("nobody"), "Refused NotFound"),
    ] {
        assert_eq!(last(&[&web, &request]).answer, expected, "{request}");
    }
}

#[test]
fn only_a_deployments_template_is_changed() {
    let web = workload("StatefulSet", 1, "null");
    let patch = r#"{"do":"template","app":"web","uid":true,"from":null,"to":null,"max_unavailable":null,"requests":[["main",200,64]]}"#;
    assert_eq!(last(&[&web, patch]).answer, "Refused Invalid");
}

#[test]
fn an_affinity_that_no_api_server_takes_is_not_taken() {
    let web = workload("Deployment", 1, r#"["25%","25%"]"#);
    for affinity in [
        "{",
        r#"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[]}}}"#,
        r#"{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[]}]}]}}}"#,
        r#"{\"nodeAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution\":[{\"weight\":101,\"preference\":{\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}}]}}"#,
        r#"{\"podAntiAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"labelSelector\":{},\"topologyKey\":\"\"}]}}"#,
    ] {
        let patch = format!(
            r#"{{"do":"template","app":"web","uid":true,"from":null,"to":"{affinity}","max_unavailable":null,"requests":[]}}"#
        );
        assert_eq!(last(&[&web, &patch]).answer, "Refused Invalid", "{affinity}");
    }
}

#[test]
fn a_template_that_is_in_place_in_part_is_completed_and_an_unknown_container_is_a_broken_precondition() {
    let web = workload("Deployment", 1, r#"[1,"25%"]"#);
    let patch = |before: &str, container: &str| {
        format!(
            r#"{{"do":"template","app":"web","uid":true,"from":null,"to":null,"max_unavailable":["{before}","0"],"requests":[["{container}",200,64]]}}"#
        )
    };
    let step = last(&[&web, &patch(r#"\"25%\""#, "main")]);
    assert_eq!(step.answer, "Done");
    assert!(step.world.as_ref().unwrap().contains_key("pod web on n0 Running ready cost 0 cpu 200"), "{step:?}");
    // The limit is 0 already, the requests are new.
    let twice = last(&[&web, &patch(r#"\"25%\""#, "main"), &patch("3", "main")]);
    assert_eq!(twice.answer, "Done");
    assert_eq!(last(&[&web, &patch(r#"\"25%\""#, "other")]).answer, "Refused Precondition");
    assert_eq!(last(&[&web, &patch("3", "main")]).answer, "Refused Precondition");
}

#[test]
fn a_rollout_that_may_neither_have_more_pods_nor_fewer_is_not_taken() {
    let web = workload("Deployment", 1, r#"[0,1]"#);
    let patch =
        r#"{"do":"template","app":"web","uid":true,"from":null,"to":null,"max_unavailable":["1","0"],"requests":[]}"#;
    assert_eq!(last(&[&web, patch]).answer, "Refused Invalid");
}

#[test]
fn a_deployment_that_recreates_goes_on_when_its_last_old_pod_is_gone() {
    let web = workload("Deployment", 2, "null");
    let step = last(&[&web, r#"{"do":"user-template","app":"web","cpu":200,"affinity":null}"#]);
    assert_eq!(line(&step, "workload web"), "wanted 2 current 2 ready 2 updated 2 sets 1 seen");
}

#[test]
fn a_paused_deployment_is_scaled_all_the_same() {
    let web = workload("Deployment", 2, r#"["25%","25%"]"#);
    let step = last(&[
        &web,
        r#"{"do":"pause","app":"web","on":true}"#,
        r#"{"do":"user-template","app":"web","cpu":200,"affinity":null}"#,
        r#"{"do":"user-scale","app":"web","replicas":4}"#,
    ]);
    assert_eq!(line(&step, "workload web"), "wanted 4 current 4 ready 4 updated 0 sets 1 seen paused");
}

#[test]
fn a_deployment_that_is_scaled_in_the_middle_of_a_rollout_grows_in_all_its_templates() {
    let web = workload("Deployment", 4, "[2,0]");
    let step = last(&[
        &web,
        r#"{"do":"break","app":"web"}"#,
        r#"{"do":"user-template","app":"web","cpu":200,"affinity":null}"#,
        r#"{"do":"user-scale","app":"web","replicas":8}"#,
    ]);
    // 4 old and 2 new pods of at most 6 become 10: the larger part goes to the old template. Those that come now are
    // not ready, and so the old ones stay.
    assert_eq!(line(&step, "pod web on n0 Running ready cost 0 cpu 100"), "4", "{step:?}");
    assert_eq!(line(&step, "pod web on n0 Running unready cost 0 cpu 100"), "3", "{step:?}");
    assert_eq!(line(&step, "pod web on n0 Running unready cost 0 cpu 200"), "3", "{step:?}");
}

#[test]
fn a_stateful_set_counts_a_pod_until_it_is_gone() {
    let web = workload("StatefulSet", 1, "null");
    let step = last(&[&web, r#"{"do":"crash","node":"n0"}"#]);
    assert_eq!(line(&step, "workload web"), "wanted 1 current 1 ready 0 updated 0 seen", "{step:?}");
}

#[test]
fn replicas_stay_ours_when_somebody_asks_for_as_many() {
    let web = workload("Deployment", 2, r#"["25%","25%"]"#);
    let step = last(&[
        &web,
        r#"{"do":"scale","app":"web","uid":true,"from":2,"to":3}"#,
        r#"{"do":"user-scale","app":"web","replicas":3}"#,
        r#"{"do":"scale","app":"web","uid":true,"from":3,"to":2}"#,
    ]);
    assert_eq!(step.answer, "Done");
}

#[test]
fn replicas_are_not_ours_when_we_ask_for_as_many() {
    let web = workload("Deployment", 3, r#"["25%","25%"]"#);
    let step = last(&[
        &web,
        r#"{"do":"scale","app":"web","uid":true,"from":3,"to":3}"#,
        r#"{"do":"scale","app":"web","uid":true,"from":3,"to":2}"#,
    ]);
    assert_eq!(step.answer, "Refused Precondition");
}

#[test]
fn a_replica_set_of_nobody_does_not_look_at_nodes_when_it_shrinks() {
    let web = workload("ReplicaSet", 2, "null");
    let second = NODE.replace("n0", "n1");
    let step = last(&[
        &web,
        &second,
        r#"{"do":"user-scale","app":"web","replicas":3}"#,
        r#"{"do":"user-scale","app":"web","replicas":2}"#,
    ]);
    // The youngest goes, although the others share a node.
    assert_eq!(line(&step, "pod web on n0 Running ready cost 0 cpu 100"), "2", "{step:?}");
}

#[test]
fn a_taint_that_evicts_asks_no_budget() {
    let web = workload("Deployment", 1, r#"["25%","25%"]"#);
    let step = last(&[
        &web,
        r#"{"do":"create-budget","budget":"b0","app":"web","min":1,"max":null,"always":false}"#,
        r#"{"do":"taint","node":"n0","key":"own","effect":"NoExecute","on":true}"#,
    ]);
    assert_eq!(line(&step, "pod web on unschedulable Pending unready cost 0 cpu 100"), "1", "{step:?}");
    assert_eq!(line(&step, "budget b0"), "allowed 0 healthy 0 of 1 expected 1");
}

#[test]
fn a_cordoned_node_shows_it_as_a_taint() {
    let step = last(&[r#"{"do":"cordon","node":"n0","on":true}"#]);
    assert_eq!(
        line(&step, "node n0"),
        "ready cordoned taints [node.kubernetes.io/unschedulable=:NoSchedule] labels []"
    );
}

#[test]
fn a_sequence_is_the_same_every_time_and_goes_the_same_way_in_a_world_of_its_own() {
    for seed in 1..=6 {
        let sequence = draw(seed, 25).unwrap();
        assert_eq!(sequence, draw(seed, 25).unwrap());
        assert!(sequence.steps.len() >= 25, "seed {seed}: {}", sequence.steps.len());
        let requests: Vec<Request> = sequence.steps.iter().map(|step| step.request.clone()).collect();
        assert_eq!(answer(&requests).unwrap(), sequence.steps, "seed {seed}");
    }
}
