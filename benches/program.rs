//! The figures of the program as a whole: `cargo bench -p kinema --bench program`.
//!
//! Prints the size of the binary; how soon `simulate` says something and when it ends; time and memory
//! of a plan of 1,000 nodes and 10,000 pods from a file of 50 MB; and the time to resume a journal of
//! 100,000 entries. Every command is the release binary in a process of its own.
//!
//! The large cluster is made of copies of `fixtures/clusters/kwok-40.json`, so that its objects are as
//! a real API server prints them.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use journal::{FileJournal, Journal, JournalId, Options};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Kind, Object, PodFact};
use journal_schema::units::Timestamp;
use serde_json::{Value, json};

/// The program's own, as the journal is resumed in this process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KINEMA: &str = env!("CARGO_BIN_EXE_kinema");
const COPIES: usize = 25;
const PODS: usize = 10_000;
const TICK: Duration = Duration::from_millis(5);

const ENTRIES: u64 = 100_000;

/// What a process has used.
#[derive(Default)]
struct Used {
    wall: Duration,
    /// User and system time.
    cpu: Duration,
    /// Largest resident set.
    peak_bytes: u64,
}

/// User and system time of a process and all its threads, by its `stat` file.
fn cpu(stat: &str) -> Duration {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let Some((_, fields)) = text.rsplit_once(") ") else { return Duration::ZERO };
    // Clock ticks, of which Linux has 100 in a second.
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Looks at a process until it ends: the system forgets its memory when it does.
fn watch(child: &mut Child, began: Instant) -> Used {
    let mut used = Used::default();
    let path = |file: &str| format!("/proc/{}/{file}", child.id());
    let (status, schedule) = (path("status"), path("stat"));
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        used.peak_bytes = used.peak_bytes.max(kib.unwrap_or(0) << 10);
        used.cpu = used.cpu.max(cpu(&schedule));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            used.wall = began.elapsed();
            return used;
        }
        std::thread::sleep(TICK);
    }
}

fn run(args: &[&str]) -> Used {
    let began = Instant::now();
    let mut child =
        Command::new(KINEMA).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    watch(&mut child, began)
}

/// A text inside a tree gets an ending.
fn rename(value: &mut Value, pointer: &str, ending: &str) {
    if let Some(Value::String(text)) = value.pointer_mut(pointer) {
        text.push_str(ending);
    }
}

/// Whether a DaemonSet owns the object.
fn of_daemon_set(object: &Value) -> bool {
    object.pointer("/metadata/ownerReferences/0/kind").is_some_and(|kind| kind == "DaemonSet")
}

/// A copy of an object: on the copy's nodes, in the copy's namespace.
fn copied(object: &Value, copy: usize) -> Option<Value> {
    let mut object = object.clone();
    let ending = format!("-{copy}");
    let kind = object["kind"].as_str().unwrap().to_owned();
    match kind.as_str() {
        // One for all copies.
        "DaemonSet" if copy > 0 => return None,
        "DaemonSet" => {
            for number in object["status"].as_object_mut().unwrap().values_mut().filter(|value| value.is_u64()) {
                *number = json!(number.as_u64().unwrap() * COPIES as u64);
            }
            return Some(object);
        }
        "Node" => {
            rename(&mut object, "/metadata/name", &ending);
            rename(&mut object, "/metadata/labels/kubernetes.io~1hostname", &ending);
            rename(&mut object, "/spec/providerID", &ending);
        }
        "Pod" => {
            rename(&mut object, "/spec/nodeName", &ending);
            rename(&mut object, "/metadata/name", &ending);
            let affinity = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
            rename(&mut object, affinity, &ending);
        }
        _ => {}
    }
    rename(&mut object, "/metadata/uid", &ending);
    if !of_daemon_set(&object) {
        rename(&mut object, "/metadata/namespace", &ending);
        rename(&mut object, "/metadata/ownerReferences/0/uid", &ending);
    }
    Some(object)
}

/// A small Deployment's pod beside `pod`, so that there are enough.
fn small(pod: &Value, number: usize) -> Vec<Value> {
    let name = format!("small-{number}");
    let namespace = pod["metadata"]["namespace"].clone();
    let mut extra = pod.clone();
    extra["metadata"]["name"] = json!(name);
    extra["metadata"]["uid"] = json!(format!("{name}-pod"));
    extra["metadata"]["labels"] = json!({ "app": name });
    extra["metadata"]["ownerReferences"][0]["name"] = json!(name);
    extra["metadata"]["ownerReferences"][0]["uid"] = json!(format!("{name}-rs"));
    for key in ["affinity", "nodeSelector", "topologySpreadConstraints", "volumes"] {
        extra["spec"].as_object_mut().unwrap().remove(key);
    }
    for container in extra["spec"]["containers"].as_array_mut().unwrap() {
        container["resources"] = json!({ "requests": { "cpu": "10m", "memory": "16Mi" } });
    }
    let created = pod["metadata"]["creationTimestamp"].clone();
    let status = json!({ "replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "observedGeneration": 1 });
    let workload = |kind: &str, uid: &str, owner: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {
                "name": name, "namespace": namespace, "uid": uid, "generation": 1,
                "creationTimestamp": created, "labels": { "app": name }, "ownerReferences": owner,
            },
            "spec": {
                "replicas": 1, "selector": { "matchLabels": { "app": name } },
                "template": { "metadata": { "labels": { "app": name } }, "spec": extra["spec"] },
            },
            "status": status,
        })
    };
    let deployment = format!("{name}-deployment");
    let owner =
        json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": deployment, "controller": true }]);
    let set = workload("ReplicaSet", &format!("{name}-rs"), owner);
    let deployment = workload("Deployment", &deployment, json!([]));
    vec![extra, set, deployment]
}

/// Writes 1,000 nodes and 10,000 pods as `kubectl get -o json` would.
fn write_cluster(path: &Path) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/clusters/kwok-40.json");
    let mut list: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let originals = std::mem::take(list["items"].as_array_mut().unwrap());
    let mut items: Vec<Value> =
        (0..COPIES).flat_map(|copy| originals.iter().filter_map(move |object| copied(object, copy))).collect();
    let is = |kind: &'static str| move |object: &&Value| object["kind"] == kind;
    let missing = PODS - items.iter().filter(is("Pod")).count();
    let hosts: Vec<Value> = items
        .iter()
        .filter(is("Pod"))
        .filter(|pod| pod.pointer("/metadata/ownerReferences/0/kind").is_some_and(|kind| kind == "ReplicaSet"))
        .take(missing)
        .cloned()
        .collect();
    items.extend(hosts.iter().enumerate().flat_map(|(number, pod)| small(pod, number)));
    let count = |kind| items.iter().filter(is(kind)).count();
    assert_eq!((count("Node"), count("Pod")), (1_000, PODS));
    list["items"] = Value::Array(items);
    std::fs::write(path, serde_json::to_vec_pretty(&list).unwrap()).unwrap();
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

fn simulate() {
    let began = Instant::now();
    let mut child =
        Command::new(KINEMA).arg("simulate").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let first = began.elapsed();
    let rest = std::thread::spawn(move || lines.count());
    let used = watch(&mut child, began);
    rest.join().unwrap();
    println!("simulate: first line after {first:.0?}, end after {:.1?} ({:.1?} of CPU)", used.wall, used.cpu);
}

fn plan(file: &Path) {
    let file = file.to_str().unwrap();
    let size = std::fs::metadata(file).unwrap().len();
    let used = run(&["plan", "--cluster", file, "-o", "json"]);
    println!(
        "plan of 1,000 nodes and {PODS} pods from {} MiB of JSON: {:.1?} ({:.1?} of CPU), {} MiB",
        mib(size),
        used.wall,
        used.cpu,
        mib(used.peak_bytes)
    );
}

/// A journal of as many entries as a daemon writes that sees these pods and how they come and go.
fn write_journal(dir: &Path, pods: &[PodFact]) {
    let options = Options { id: Some(JournalId::derived("bench")), ..Options::default() };
    let (mut journal, _) = FileJournal::open(dir, options).unwrap();
    let relist = [WatchEvent::RelistStarted { kind: Kind::Pod }]
        .into_iter()
        .chain(pods.iter().map(|pod| WatchEvent::Listed(Object::Pod(pod.clone()))))
        .chain([WatchEvent::RelistFinished { kind: Kind::Pod }]);
    let changes = pods.iter().cycle().zip(0..).map(|(pod, index): (&PodFact, usize)| {
        let ready = (index / pods.len()) % 2 == 1;
        WatchEvent::Applied(Object::Pod(PodFact { ready, ..pod.clone() }))
    });
    for (seq, event) in (1..=ENTRIES).zip(relist.chain(changes)) {
        journal.append(&Entry { seq, at: Timestamp(seq as i64), event: Event::Watch(event) }).unwrap();
        if seq % 1_000 == 0 {
            journal.flush().unwrap();
        }
    }
    journal.index().unwrap().settle();
    journal.close().unwrap();
}

fn resume(dir: &Path, cluster: &Path) {
    let read = adapter_kube::file::read_cluster(&std::fs::read(cluster).unwrap()).unwrap();
    let pods: Vec<PodFact> = read.cluster.pods.into_values().collect();
    write_journal(dir, &pods);
    let bytes: u64 =
        std::fs::read_dir(dir.join("segments")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let (began, before) = (Instant::now(), cpu("/proc/self/stat"));
    let (journal, _) =
        FileJournal::open(dir, Options { id: Some(JournalId::derived("bench")), ..Options::default() }).unwrap();
    let state = driver::recover(&journal).unwrap();
    let (wall, used) = (began.elapsed(), cpu("/proc/self/stat") - before);
    assert_eq!((state.seq(), state.cluster().pods.len()), (ENTRIES, PODS));
    println!(
        "resume of {ENTRIES} entries of whole pods, {} MiB, without a checkpoint: {wall:.2?} ({used:.2?} of CPU)",
        mib(bytes)
    );
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let size = std::fs::metadata(KINEMA).unwrap().len();
    println!("binary: {:.1} MB", size as f64 / 1e6);
    simulate();
    let cluster = dir.path().join("cluster.json");
    write_cluster(&cluster);
    plan(&cluster);
    resume(&dir.path().join("journal"), &cluster);
}
