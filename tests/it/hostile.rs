//! Input that nobody should write and somebody will: never a panic, never a plan that would hurt, and
//! what was left out is said.

use serde_json::{Value, json};

use crate::support::{Ran, kinema, path, root};

const CLUSTER: &str = "tests/cli/cluster.json";

/// The cluster of the fixture with a change.
fn changed(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let text = std::fs::read_to_string(root().join(CLUSTER)).expect("the fixture");
    let mut list: Value = serde_json::from_str(&text).expect("JSON");
    change(list["items"].as_array_mut().expect("items"));
    list.to_string()
}

fn plan_of(bytes: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let directory = crate::support::files(&[]);
    let file = path(&directory, "cluster.json");
    std::fs::write(&file, bytes).expect("a file");
    let mut arguments = vec!["plan", "--cluster", &file, "--machine-types", "e2-*", "-q"];
    arguments.extend(more);
    let ran = kinema(&arguments);
    assert!(!ran.err.contains("panicked"), "{}", ran.transcript());
    ran
}

/// The plan as JSON, its notes in one text, and the nodes that it removes.
fn planned(change: impl FnOnce(&mut Vec<Value>)) -> (Value, String, Vec<String>) {
    let ran = plan_of(changed(change), &["-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let json = ran.json();
    let texts = |list: &Value, key: Option<&str>| -> Vec<String> {
        let items = list.as_array().expect("a list").iter();
        items.map(|item| key.map_or(item, |key| &item[key]).as_str().expect("text").to_owned()).collect()
    };
    let (notes, removed) = (texts(&json["warnings"], None).join("\n"), texts(&json["nodesToRemove"], Some("name")));
    (json, notes, removed)
}

fn nodes(items: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    items.iter_mut().filter(|item| item["kind"] == "Node")
}

fn pods(items: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    items.iter_mut().filter(|item| item["kind"] == "Pod")
}

fn label(node: &mut Value, key: &str, value: &str) {
    node["metadata"]["labels"][key] = json!(value);
}

#[test]
fn files_that_are_no_cluster_are_refused_with_the_place() {
    let whole = changed(|_| {});
    let mut cut = whole.clone();
    cut.truncate(20_000);
    let anchors = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n";
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let deep_item = format!(
        r#"{{"apiVersion":"v1","kind":"List","items":[{{"kind":"Node","apiVersion":"v1","metadata":{}"#,
        r#"{"a":"#.repeat(50_000)
    );
    for (what, bytes, expected) in [
        ("empty", Vec::new(), "the file is empty"),
        ("spaces", b"  \n\n".to_vec(), "the file is empty"),
        ("binary", binary, "not text in UTF-8"),
        ("zeros", vec![0; 1000], "line 1, column 1"),
        ("deep list", vec![b'['; 100_000], "recursion limit"),
        ("deep object", r#"{"a":"#.repeat(100_000).into_bytes(), "not valid JSON"),
        ("deep item", deep_item.into_bytes(), "not valid JSON"),
        ("deep YAML", format!("a: {}", "[".repeat(50_000)).into_bytes(), "recursion limit"),
        ("growing YAML", anchors.into(), "line 1, column 7"),
        ("cut", cut.into_bytes(), "line 1, column 20000"),
        ("a table", b"NAME STATUS ROLES\nnode-a Ready <none>\n".to_vec(), "line 1, column 1"),
        ("a page", b"<html><body>403</body></html>".to_vec(), "line 1, column 1"),
        ("an error", b"Error from server (Forbidden): nodes is forbidden\n".to_vec(), "kind: it is missing"),
        ("no items", br#"{"apiVersion":"v1","kind":"List","items":null}"#.to_vec(), "no Node in the file"),
        ("null", changed(|items| items.push(Value::Null)).into_bytes(), "expected an object of Kubernetes"),
        ("a number", changed(|items| items.push(json!(7))).into_bytes(), "expected an object of Kubernetes"),
        (
            "no name",
            changed(|items| drop(items[0]["metadata"].as_object_mut().map(|meta| meta.remove("name")))).into_bytes(),
            "metadata.name: it is missing",
        ),
        (
            "a long name",
            changed(|items| items[0]["metadata"]["name"] = json!("x".repeat(5000))).into_bytes(),
            "metadata.name",
        ),
        (
            "a bad time",
            changed(|items| items[0]["metadata"]["creationTimestamp"] = json!("yesterday")).into_bytes(),
            "metadata.creationTimestamp",
        ),
        ("no pods", changed(|items| items.retain(|item| item["kind"] != "Pod")).into_bytes(), "no Pod was read"),
    ] {
        let ran = plan_of(&bytes, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{what}: {}", ran.transcript());
        assert!(ran.err.contains("cluster.json: ") && ran.err.contains(expected), "{what}: {}", ran.err);
        assert!(ran.err.contains("\n  fix: "), "{what}: {}", ran.err);
    }
}

#[test]
fn the_same_cluster_in_other_spellings_is_the_same_plan() {
    let plain = changed(|_| {});
    let digest = plan_of(&plain, &["-o", "json"]).json()["digest"].clone();
    let pretty: Value = serde_json::from_str(&plain).expect("JSON");
    let pretty = serde_json::to_string_pretty(&pretty).expect("JSON").replace('\n', "\r\n");
    let wide: Vec<u8> = [0xfeff].into_iter().chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xef\xbb\xbf".as_slice(), plain.as_bytes()].concat();
    for bytes in [pretty.into_bytes(), wide, marked] {
        assert_eq!(plan_of(bytes, &["-o", "json"]).json()["digest"], digest);
    }
}

#[test]
fn quantities_of_every_form_are_read_and_nonsense_is_refused() {
    let requests = |cpu: &str, memory: &str| {
        let (cpu, memory) = (json!(cpu), json!(memory));
        changed(|items| {
            let pod = pods(items).next().expect("a pod");
            pod["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": cpu, "memory": memory});
        })
    };
    let sizes = |file: &str| {
        let now = plan_of(file, &["-o", "json"]).json()["now"].clone();
        (now["cpuRequestsMilli"].as_i64().expect("a number"), now["memoryRequestsBytes"].as_i64().expect("a number"))
    };
    let (cpu, memory) = sizes(&requests("0", "0"));
    for (text, milli) in [("2", 2000), ("0.5", 500), ("500m", 500), ("1e0", 1000), ("100u", 1), (".25", 250)] {
        assert_eq!(sizes(&requests(text, "0")).0 - cpu, milli, "{text}");
    }
    for (text, bytes) in [
        ("2Gi", 2 << 30),
        ("1e3", 1000),
        ("128974848000m", 128_974_848),
        ("129M", 129_000_000),
        ("123Mi", 123 << 20),
        ("0.5Gi", 1 << 29),
        ("1E6", 1_000_000),
    ] {
        assert_eq!(sizes(&requests("0", text)).1 - memory, bytes, "{text}");
    }
    for text in ["two", "1GiB", "-1", "", "1e", "0x10", "1,5", "1 Gi", "NaN"] {
        for file in [requests(text, "0"), requests("0", text)] {
            let ran = plan_of(file, &[]);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{text}: {}", ran.transcript());
            assert!(ran.err.contains("spec.containers[0].resources.requests."), "{text}: {}", ran.err);
            assert!(
                ran.err.contains("Pod shop/cart-5d7f8-b00") && ran.err.contains("fix: correct"),
                "{text}: {}",
                ran.err
            );
        }
    }
}

#[test]
fn what_is_absurd_holds_its_node() {
    let first = |items: &mut Vec<Value>| nodes(items).next().expect("a node")["metadata"]["name"].clone();
    let mut name = Value::Null;
    let (_, _, removed) = planned(|items| {
        name = first(items);
        let pod = pods(items).next().expect("a pod");
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("9999999999999999999999");
    });
    assert!(!removed.contains(&name.as_str().expect("a name").to_owned()), "{removed:?}");
    let (_, _, removed) = planned(|items| {
        for node in nodes(items) {
            node["status"]["allocatable"] = json!({"cpu": "9e18", "memory": "9e18", "pods": "110"});
        }
    });
    assert_eq!(removed, Vec::<String>::new());
}

#[test]
fn a_node_that_is_not_understood_stays_and_is_named() {
    let all = |change: fn(&mut Value)| {
        move |items: &mut Vec<Value>| {
            for node in nodes(items) {
                change(node);
            }
        }
    };
    type Case = (&'static str, fn(&mut Value));
    let cases: [Case; 5] = [
        ("no allocatable resources, so kept: 12 nodes", |node| node["status"]["allocatable"] = json!({})),
        ("another system than Linux, so kept and given no pods: 12 nodes", |node| {
            label(node, "kubernetes.io/os", "windows");
        }),
        ("no known price, so kept and not counted in the cost: 12 nodes", |node| {
            label(node, "node.kubernetes.io/instance-type", "x9-mystery-4");
        }),
        ("no known price, so kept and not counted in the cost: 12 nodes", |node| {
            label(node, "node.kubernetes.io/instance-type", "");
        }),
        ("", |node| node["spec"]["unschedulable"] = json!(true)),
    ];
    for (note, change) in cases {
        let (json, notes, removed) = planned(all(change));
        assert!(notes.contains(note), "{note}: {notes}");
        assert_eq!((removed, json["moves"].as_array().map(Vec::len)), (Vec::new(), Some(0)), "{note}");
    }
}

#[test]
fn no_pod_is_moved_to_a_node_of_another_system() {
    let windows = ["gke-demo-a", "gke-demo-b", "gke-demo-c"];
    let (json, notes, removed) = planned(|items| {
        for node in nodes(items).take(3) {
            label(node, "kubernetes.io/os", "windows");
        }
    });
    assert!(notes.contains("another system than Linux, so kept and given no pods: 3 nodes"), "{notes}");
    assert!(removed.iter().all(|name| !windows.contains(&name.as_str())), "{removed:?}");
    for step in json["moves"].as_array().expect("moves") {
        let to = step["to"].as_str().expect("a node");
        assert!(!windows.contains(&to), "{step}");
    }
    // With the taint that such nodes carry, the others' pods are moved as ever.
    let (json, _, removed) = planned(|items| {
        for node in nodes(items).take(3) {
            label(node, "kubernetes.io/os", "windows");
            node["spec"]["taints"] =
                json!([{"key": "node.kubernetes.io/os", "value": "windows", "effect": "NoSchedule"}]);
        }
    });
    assert!(!removed.is_empty() && removed.iter().all(|name| !windows.contains(&name.as_str())), "{removed:?}");
    for step in json["moves"].as_array().expect("moves") {
        assert!(!windows.contains(&step["to"].as_str().expect("a node")), "{step}");
    }
}

#[test]
fn nodes_of_another_cloud_do_not_stop_the_plan_and_are_named() {
    let abroad = |node: &mut Value| {
        node["spec"]["providerID"] = json!("aws:///eu-west-1a/i-0abc");
        label(node, "topology.kubernetes.io/region", "eu-west-1");
        label(node, "topology.kubernetes.io/zone", "eu-west-1a");
        label(node, "node.kubernetes.io/instance-type", "m5.xlarge");
    };
    let (_, notes, removed) = planned(|items| abroad(nodes(items).next().expect("a node")));
    assert!(notes.contains("has no prices of eu-west-1") && notes.contains("not machines of Google Cloud"), "{notes}");
    assert!(!removed.is_empty() && !removed.contains(&"gke-demo-a".to_owned()), "{removed:?}");
    let ran = plan_of(changed(|items| nodes(items).for_each(abroad)), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.transcript());
    assert!(ran.err.contains("no prices of eu-west-1") && ran.err.contains("--prices FILE"), "{}", ran.err);
}

#[test]
fn what_was_not_read_is_said() {
    let (_, notes, _) = planned(|items| {
        pods(items).next().expect("a pod")["spec"]["nodeName"] = json!("ghost");
        let mut twice = pods(items).nth(3).expect("a pod").clone();
        twice["spec"]["priority"] = json!(7);
        items.push(twice);
        items.push(json!({"apiVersion": "policy/v9", "kind": "PodDisruptionBudget", "metadata": {"name": "x"}}));
        items.push(json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "x"}}));
    });
    for note in [
        "on nodes that were not read, so left out: 1 pod (ghost)",
        "two versions of the same object, of which the later one counts: Pod ",
        "1 object of policy/v9 PodDisruptionBudget left out: a version that is not known here",
        "1 object of kinds that no decision reads left out: v1 Event",
    ] {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    let (_, notes, _) = planned(|items| {
        items.retain(|item| item["kind"] == "Node" || item["metadata"]["namespace"] == "kube-system");
    });
    for note in
        ["no PodDisruptionBudgets were read", "every pod is of namespace kube-system", "this plan leaves no node"]
    {
        assert!(notes.contains(note), "{note}: {notes}");
    }
}

#[test]
fn an_autoscaler_of_an_older_version_protects_its_workload() {
    let (json, _, _) = planned(|items| {
        items.push(json!({
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "ci"},
            "spec": {"maxReplicas": 10, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "targetCPUUtilizationPercentage": 50},
            "status": {"currentReplicas": 3, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 99}
        }));
    });
    let pods = json["verdicts"]["pods"].as_array().expect("pods");
    let held: Vec<&Value> =
        pods.iter().filter(|pod| pod["pod"].as_str().is_some_and(|name| name.starts_with("web-"))).collect();
    assert!(!held.is_empty());
    for pod in held {
        assert_eq!(
            (pod["action"].as_str(), pod["reason"].as_str()),
            (Some("Stay"), Some("HpaAboveThreshold")),
            "{pod}"
        );
    }
    let budget = |version: &str| {
        planned(|items| {
            items.push(json!({
                "apiVersion": version, "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "ci"},
                "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}},
                "status": {"disruptionsAllowed": 0, "currentHealthy": 3, "desiredHealthy": 3, "expectedPods": 3}
            }));
        })
        .0["digest"]
            .clone()
    };
    assert_eq!(budget("policy/v1beta1"), budget("policy/v1"));
    assert_ne!(budget("policy/v1beta1"), planned(|_| {}).0["digest"]);
}

#[test]
fn names_with_control_characters_do_not_reach_a_terminal() {
    let file = changed(|items| pods(items).next().expect("a pod")["metadata"]["name"] = json!("a\u{1b}[31mred\u{7}"));
    let ran = plan_of(file, &["--all"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.contains(|c: char| c.is_control() && c != '\n'), "{}", ran.out);
    assert!(ran.out.contains("a\\u{1b}[31mred"), "{}", ran.out);
}

#[test]
fn a_cluster_of_one_node_is_left_alone() {
    let alone = |items: &mut Vec<Value>| {
        items.retain(|item| {
            let on = item["spec"]["nodeName"].as_str().or(item["metadata"]["name"].as_str());
            !["Node", "Pod"].contains(&item["kind"].as_str().unwrap_or_default()) || on == Some("gke-demo-a")
        });
    };
    let (json, _, removed) = planned(alone);
    assert_eq!((removed, json["now"]["nodes"].as_u64()), (Vec::new(), Some(1)));
    let text = plan_of(changed(alone), &[]).out;
    assert!(text.contains("No changes.") && !text.contains("\n\n\n"), "{text}");
}

#[test]
fn of_two_nodes_of_one_name_the_later_one_counts_and_is_named() {
    let (json, notes, _) = planned(|items| {
        let mut twin = nodes(items).next().expect("a node").clone();
        twin["metadata"]["labels"]["node.kubernetes.io/instance-type"] = json!("e2-standard-8");
        items.push(twin);
    });
    let verdicts = json["verdicts"]["nodes"].as_array().expect("a list");
    let twins: Vec<&Value> = verdicts.iter().filter(|verdict| verdict["name"] == "gke-demo-a").collect();
    assert_eq!(twins.len(), 1, "one verdict");
    assert_eq!(twins[0]["machineType"], "e2-standard-8");
    assert!(notes.contains("two versions of the same object") && notes.contains("gke-demo-a"), "{notes}");
}

#[test]
fn choices_that_cannot_be_meant_are_refused() {
    let cluster = changed(|_| {});
    for (more, code, expected) in [
        (&["--region", "us-central1"][..], 1, "no node is in region us-central1: they are in europe-west3"),
        (&["--region", ""], 64, "--region is empty"),
        (&["--zones", "nowhere-a"], 1, "no zone of europe-west3: nowhere-a"),
        (&["--machine-types", ""], 64, "--machine-types has an empty name"),
        (&["--machine-types", "zz-*"], 1, "matches zz-*"),
    ] {
        let mut arguments: Vec<&str> = more.to_vec();
        arguments.retain(|argument| *argument != "e2-*");
        let directory = crate::support::files(&[("cluster.json", &cluster)]);
        let file = path(&directory, "cluster.json");
        let ran = kinema(&[&["plan", "--cluster", &file, "-q"], more].concat());
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{more:?}: {}", ran.transcript());
        assert!(ran.err.contains(expected) && ran.err.contains("fix:"), "{more:?}: {}", ran.err);
    }
    let ran = plan_of(&cluster, &["--machine-types", "nosuch-*", "--zones", "europe-west3-a,mars-b", "-o", "json"]);
    let notes = ran.json()["warnings"].to_string();
    assert!(notes.contains("matches nosuch-*") && notes.contains("no zone of europe-west3: mars-b"), "{notes}");
    let early = plan_of(&cluster, &["--now", "1970-01-01T00:00:00Z", "--all"]);
    let words = early.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("it was created after the time that is planned for"), "{}", early.out);
    assert!(words.contains("created after the time that is planned for (--now), so kept: 12 nodes"), "{}", early.out);
}

#[test]
fn price_files_of_every_kind() {
    let head = "region,machine_type,vcpu,memory_gib,on_demand_usd_hour,spot_usd_hour\n";
    let row = "europe-west3,e2-standard-4,4,16,0.17,0.05\n";
    let plain = format!("{head}{row}");
    let cluster = changed(|_| {});
    let run = |prices: &[u8]| {
        let directory = crate::support::files(&[("cluster.json", &cluster)]);
        let file = path(&directory, "prices.csv");
        std::fs::write(&file, prices).expect("a file");
        let ran =
            kinema(&["plan", "--cluster", &path(&directory, "cluster.json"), "--prices", &file, "-q", "-o", "json"]);
        assert!(!ran.err.contains("panicked"), "{}", ran.transcript());
        ran
    };
    let digest = run(plain.as_bytes()).json()["digest"].clone();
    let quoted = format!("{head}\"europe-west3\",\"e2-standard-4\",\"4\",\"16\",\"0.17\",\"0.05\"\n");
    for same in [format!("\u{feff}{plain}"), plain.replace('\n', "\r\n"), quoted] {
        assert_eq!(run(same.as_bytes()).json()["digest"], digest, "{same}");
    }
    for (prices, expected) in [
        (String::new(), "column region is missing"),
        (head.to_owned(), "the file has no prices"),
        (format!("{plain}{row}"), "line 3: e2-standard-4 in europe-west3 stands in line 2 already"),
        ("region,machine_type,vcpu\na,b,1\n".to_owned(), "column memory_gib is missing"),
        (plain.replace("0.17", "-0.17"), "line 2, column 5 (on_demand_usd_hour): \"-0.17\" is negative"),
        (plain.replace("0.17", "$0.17"), "line 2, column 5 (on_demand_usd_hour): \"$0.17\" is not a number"),
        (plain.replace("0.17", "NaN"), "line 2, column 5"),
        (plain.replace("0.17", "99999999"), "is too large"),
        (plain.replace(",4,16", ",0,16"), "line 2, column 3 (vcpu): \"0\" is zero"),
        (plain.replace(',', ";"), "separated by commas"),
        (format!("{plain}europe-west3,e2-standard-8,8\n"), "line 3"),
        (plain.replace("europe-west3", "us-east1"), "no prices of europe-west3"),
    ] {
        let ran = run(prices.as_bytes());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{prices}: {}", ran.transcript());
        assert!(ran.err.contains(expected) && ran.err.contains("fix:"), "{prices}: {}", ran.err);
    }
    let free = run(format!("{plain}europe-west3,e2-standard-8,8,32,0,0\n").as_bytes()).json();
    assert!(
        free["warnings"].to_string().contains("prices of zero are not believed and left out: e2-standard-8"),
        "{free}"
    );
    assert_eq!(free["digest"], digest, "a machine for nothing is not offered");
}
