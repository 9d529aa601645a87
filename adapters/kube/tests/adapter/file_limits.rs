//! Files of other times and other systems: what cannot be read as usual protects what it can, and is told.

use adapter_kube::file::read_cluster;

const NODE: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"110"}}}"#;

fn pod(cpu: &str) -> String {
    r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"shop"},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"CPU"}}}]}}"#
        .replace("CPU", cpu)
}

fn list(items: &[&str]) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, items.join(","))
}

#[test]
fn budgets_and_autoscalers_of_older_versions_protect_as_the_new_ones_do() {
    let budget = |version: &str, selector: &str| {
        format!(
            r#"{{"apiVersion":"{version}","kind":"PodDisruptionBudget","metadata":{{"name":"cart","namespace":"shop"}},"spec":{{"minAvailable":"50%","selector":{selector}}},"status":{{"disruptionsAllowed":1,"currentHealthy":3,"desiredHealthy":2,"expectedPods":3}}}}"#
        )
    };
    let read = |item: &str| read_cluster(list(&[NODE, item]).as_bytes()).expect("a cluster");
    let labels = r#"{"matchLabels":{"app":"cart"}}"#;
    assert_eq!(read(&budget("policy/v1beta1", labels)), read(&budget("policy/v1", labels)));
    let everything = read(&budget("policy/v1", "{}"));
    let nothing = read(&budget("policy/v1beta1", "{}"));
    assert!(everything.cluster.pdbs.values().all(|pdb| pdb.selector.is_some()));
    assert!(
        nothing.cluster.pdbs.values().all(|pdb| pdb.selector.is_none()),
        "an empty selector selected nothing there"
    );

    let target = r#""scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"cart"},"minReplicas":2,"maxReplicas":9"#;
    let hpa = |version: &str, spec: &str, status: &str| {
        let item = format!(
            r#"{{"apiVersion":"autoscaling/{version}","kind":"HorizontalPodAutoscaler","metadata":{{"name":"cart","namespace":"shop"}},"spec":{{{target}{spec}}},"status":{{"currentReplicas":3,"desiredReplicas":4{status}}}}}"#
        );
        read(&item).cluster.hpas.into_values().next().expect("an HPA")
    };
    let v2 = hpa(
        "v2",
        r#","metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]"#,
        r#","currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":93}}}]"#,
    );
    let v1 = hpa("v1", r#","targetCPUUtilizationPercentage":80"#, r#","currentCPUUtilizationPercentage":93"#);
    assert_eq!(v1, v2);
    let beta = hpa(
        "v2beta1",
        r#","metrics":[{"type":"Resource","resource":{"name":"cpu","targetAverageUtilization":80}}]"#,
        "",
    );
    assert_eq!((beta.target, beta.max_replicas, beta.other_metrics), (v2.target, 9, true));
}

#[test]
fn a_node_without_room_or_of_another_system_is_left_alone() {
    let with = |labels: &str, allocatable: &str| {
        let item = format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"a","labels":{{{labels}}}}},"status":{{"allocatable":{{{allocatable}}}}}}}"#
        );
        let unknown = read_cluster(list(&[&item]).as_bytes()).expect("a cluster").cluster.nodes["a"].unknown.clone();
        unknown.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let room = r#""cpu":"2","memory":"4Gi","pods":"110""#;
    assert!(with("", room).is_empty());
    assert!(with(r#""kubernetes.io/os":"linux""#, room).is_empty());
    assert_eq!(with(r#""kubernetes.io/os":"windows""#, room), ["an operating system other than Linux"]);
    assert_eq!(with("", r#""cpu":"2","memory":"4Gi""#), ["status.allocatable: no cpu, memory or pods"]);
    assert_eq!(with("", ""), ["status.allocatable: no cpu, memory or pods"]);
}

#[test]
fn of_an_object_that_comes_twice_the_later_one_counts_and_is_named() {
    let (one, other) = (pod("100m"), pod("200m"));
    let file = read_cluster(list(&[NODE, &one, &one]).as_bytes()).expect("a cluster");
    assert!(file.contradicted.is_empty());
    let file = read_cluster(list(&[NODE, &one, &other]).as_bytes()).expect("a cluster");
    assert_eq!(file.contradicted.iter().map(String::as_str).collect::<Vec<_>>(), ["Pod shop/p"]);
}
