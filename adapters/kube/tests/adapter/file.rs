//! Reading clusters from files.

use adapter_kube::file::{ClusterFile, ItemAt, Position, ReadError, read_cluster};
use journal_schema::facts::Kind;
use journal_schema::units::{Bytes, MilliCpu};

const NODE: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"},"status":{"allocatable":{"cpu":"2","memory":"4Gi","pods":"110"}}}"#;

fn pod(cpu: &str) -> String {
    format!(
        r#"{{
      "apiVersion": "v1", "kind": "Pod",
      "metadata": {{"name": "p", "namespace": "shop"}},
      "spec": {{"containers": [{{"name": "c", "resources": {{"requests": {{"cpu": {cpu}}}}}}}]}}
    }}"#
    )
}

fn list(items: &[&str]) -> String {
    format!("{{\"apiVersion\": \"v1\",\n \"kind\": \"List\",\n \"items\": [\n{}\n]}}", items.join(",\n"))
}

#[test]
fn a_list_of_mixed_kinds() {
    let text = list(&[
        NODE,
        &pod("\"500m\""),
        r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"a":"Yg=="}}"#,
    ]);
    let file = read_cluster(text.as_bytes()).unwrap();
    assert_eq!(file.cluster.nodes.len(), 1);
    let node = file.cluster.nodes.values().next().unwrap();
    assert_eq!(
        (node.allocatable.cpu, node.allocatable.memory, node.allocatable.pods),
        (MilliCpu(2000), Bytes(4 << 30), 110)
    );
    let pod = file.cluster.pods.values().next().unwrap();
    assert_eq!(pod.key.to_string(), "shop/p");
    assert_eq!((pod.spec.requests.cpu, pod.spec.requests.pods), (MilliCpu(500), 1));
    assert_eq!(file.skipped.iter().collect::<Vec<_>>(), [(&"v1 Secret".to_owned(), &1)]);
    assert!(file.missing_kinds().contains(&Kind::PodDisruptionBudget));
    assert!(!file.missing_kinds().contains(&Kind::Pod));
}

#[test]
fn documents_one_after_another_and_lists_of_one_kind() {
    let pods = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a","namespace":"x"}},{"metadata":{"name":"b","namespace":"x"}}]}"#;
    let file = read_cluster(format!("{NODE}\n{pods}\n").as_bytes()).unwrap();
    assert_eq!(file.cluster.pods.keys().map(ToString::to_string).collect::<Vec<_>>(), ["x/a", "x/b"]);
}

#[test]
fn several_files_make_one_cluster() {
    let mut file = ClusterFile::default();
    file.add(pod("1").as_bytes()).unwrap();
    file.add(NODE.as_bytes()).unwrap();
    let file = file.finish().unwrap();
    assert_eq!((file.cluster.nodes.len(), file.cluster.pods.len()), (1, 1));
}

#[test]
fn yaml_and_json_of_the_same_objects_are_the_same_cluster() {
    let yaml = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata:\n    name: n1\n  status:\n    allocatable:\n      cpu: 2\n      memory: 4Gi\n      pods: \"110\"\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: shop\nspec:\n  containers:\n  - name: c\n    resources:\n      requests:\n        cpu: 0.5\n";
    let from_yaml = read_cluster(yaml.as_bytes()).unwrap();
    let from_json = read_cluster(list(&[NODE, &pod("\"0.5\"")]).as_bytes()).unwrap();
    assert_eq!(from_yaml, from_json);
}

#[test]
fn texts_of_other_shells() {
    let text = list(&[NODE]);
    let with_mark = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    assert_eq!(read_cluster(&with_mark).unwrap().cluster.nodes.len(), 1);
    let wide: Vec<u8> = [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_cluster(&wide).unwrap().cluster.nodes.len(), 1);
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let error = read_cluster(list(&[NODE, &pod("\"12 GB\"")]).as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 5, column 1: item 1, Pod shop/p: spec.containers[0].resources.requests.cpu: \"12 GB\" is not a quantity: \
         its suffix is not known; expected a number with an optional suffix (n u m k M G T P E, Ki Mi Gi Ti Pi Ei) or \
         exponent, for example 500m, 2Gi or 1e3"
    );
    let error = read_cluster(list(&[NODE, &pod("\"-1\"")]).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("\"-1\" is negative"), "{error}");
}

#[test]
fn a_field_of_the_wrong_type_is_named_with_line_and_column() {
    let error = read_cluster(list(&[NODE, &pod("[]")]).as_bytes()).unwrap_err();
    let ReadError::Item { at, field, .. } = &error else { panic!("{error}") };
    let expected = ItemAt {
        index: 1,
        kind: "Pod".to_owned(),
        object: "shop/p".to_owned(),
        position: Some(Position { line: 8, column: 84 }),
    };
    assert_eq!(
        (at.index, &at.kind, &at.object, field.as_str()),
        (1, &expected.kind, &expected.object, "spec.containers[0].resources.requests.cpu")
    );
    assert_eq!(at.position.unwrap().line, 8);
    let line = list(&[NODE, &pod("[]")]).lines().nth(7).unwrap().to_owned();
    let column = at.position.unwrap().column;
    assert!((line.find("[]").unwrap()..=line.find("[]").unwrap() + 2).contains(&column), "column {column} of {line}");

    let yaml = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p\n    namespace: shop\n  spec:\n    containers: 7\n";
    let error = read_cluster(yaml.as_bytes()).unwrap_err();
    assert!(
        error.to_string().starts_with("line 4, column 3: item 0, Pod shop/p: spec.containers: invalid type"),
        "{error}"
    );
}

#[test]
fn what_is_not_json_or_yaml_is_refused_with_its_place() {
    let error = read_cluster(b"{\"kind\": \"List\",\n \"items\": [,]}").unwrap_err();
    assert_eq!(
        error,
        ReadError::Json { position: Position { line: 2, column: 12 }, what: "expected value".to_owned() }
    );
    let cut = &list(&[NODE])[..60];
    assert!(matches!(read_cluster(cut.as_bytes()).unwrap_err(), ReadError::Json { .. }));
    let error = read_cluster(b"kind: List\nitems: [\n").unwrap_err();
    assert!(matches!(error, ReadError::Yaml { position: Some(_), .. }), "{error:?}");
    let error = read_cluster(b"error: the server doesn't have a resource type \"nodez\"").unwrap_err();
    assert!(error.to_string().contains("kind: it is missing"), "{error}");
    assert_eq!(read_cluster(b" \n").unwrap_err(), ReadError::Empty);
    assert_eq!(read_cluster(b"{\"a\": \"\xff\"}").unwrap_err(), ReadError::Encoding { offset: 7 });
    let bomb = "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n";
    assert!(matches!(read_cluster(bomb.as_bytes()).unwrap_err(), ReadError::Yaml { .. }));
}

#[test]
fn a_cluster_has_nodes() {
    let error = read_cluster(list(&[&pod("1")]).as_bytes()).unwrap_err();
    assert!(matches!(error, ReadError::NoNodes { .. }));
    let error = read_cluster(b"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}").unwrap_err();
    assert!(matches!(error, ReadError::NoNodes { .. }));
}
