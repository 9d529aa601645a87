//! The simulated cluster itself: what its API server and its controllers do with each request, as
//! text. The daemon plays no part here.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fmt::Write;

use journal_schema::effect::{Effect, EffectId, NodeRole, Outcome};
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::{Key, Kind, PodFact, WorkloadId, WorkloadKind};
use journal_schema::text::Name;
use journal_schema::units::Millis;
use simulator::World;
use simulator::scenario::{PdbSpec, Scenario};

/// A world under test and what happened in it.
struct Bench {
    world: World,
    sent: u32,
    text: String,
}

fn name(text: &str) -> Name {
    Name::truncated(text)
}

impl Bench {
    fn new(change: impl FnOnce(&mut Scenario)) -> Self {
        let mut scenario = Scenario::find("small", 1).unwrap();
        scenario.policy.mode = journal_schema::policy::Mode::Auto;
        change(&mut scenario);
        let mut world = World::new(scenario, 1).unwrap();
        world.connect();
        world.run_for(Millis::from_secs(1));
        let _ = world.wait_for_news(None);
        Self { world, sent: 0, text: String::new() }
    }

    /// Sends a request and waits for its answer.
    fn send(&mut self, effect: Effect) -> Outcome {
        self.sent += 1;
        let id = EffectId { cause: u64::from(self.sent), index: 0 };
        let name = effect.name();
        self.world.send(vec![(id, effect)]);
        loop {
            for event in self.world.wait_for_news(None).events {
                if let Event::Outcome { id: of, outcome } = event
                    && of == id
                {
                    let text = match &outcome {
                        Outcome::Answered(_) => "done".to_owned(),
                        Outcome::Failed(failure) => {
                            format!("{:?} {:?} ({})", failure.class, failure.code, failure.message)
                        }
                    };
                    writeln!(self.text, "{name}: {text}").unwrap();
                    return outcome;
                }
            }
        }
    }

    fn pods(&self, app: &str) -> Vec<&PodFact> {
        let wanted = name(app);
        let of_app = |pod: &&PodFact| pod.labels.get(&name("app")) == Some(&wanted);
        let mut pods: Vec<&PodFact> = self.world.cluster().pods.values().filter(of_app).collect();
        pods.sort_by(|one, other| (one.created_at, &one.key).cmp(&(other.created_at, &other.key)));
        pods
    }

    /// Writes down the state of a workload, once a second as long as it changes.
    fn watch(&mut self, app: &str, secs: u32) {
        let mut last = String::new();
        for second in 0..=secs {
            let state = |pod: &&PodFact| match (pod.deletion_at, pod.ready, &pod.node) {
                (Some(_), ..) => 'x',
                (None, true, _) => 'R',
                (None, false, Some(_)) => 's',
                (None, false, None) => '?',
            };
            let line: String = self.pods(app).iter().map(state).collect();
            if line != last {
                writeln!(self.text, "{app} +{second}s {line}").unwrap();
                last = line;
            }
            self.world.run_for(Millis::from_secs(1));
        }
    }

    fn deployment(&self, app: &str) -> (WorkloadId, Name, i32) {
        let id = WorkloadId { kind: WorkloadKind::Deployment, key: Key::new(name("shop"), name(app)) };
        let fact = &self.world.cluster().workloads[&id];
        (id, fact.uid.clone(), fact.replicas)
    }

    fn scale(&mut self, app: &str, from: i32, to: i32) {
        let (workload, uid, _) = self.deployment(app);
        self.send(Effect::Scale { workload, uid, from, to });
    }

    fn evict(&mut self, app: &str, index: usize) {
        let pod = self.pods(app)[index];
        let (pod, uid) = (pod.key.clone(), pod.uid.clone());
        self.send(Effect::Evict { pod, uid });
    }
}

#[test]
fn a_surge_without_a_gap() {
    let mut bench = Bench::new(|_| {});
    let leaving = bench.pods("mailer")[0].clone();
    bench.send(Effect::SetDeletionCost { pod: leaving.key.clone(), uid: leaving.uid.clone(), cost: Some(-1000) });
    bench.scale("mailer", 1, 2);
    bench.watch("mailer", 20);
    bench.scale("mailer", 2, 1);
    bench.watch("mailer", 8);
    assert!(bench.pods("mailer").iter().all(|pod| pod.uid != leaving.uid), "the marked pod is the one that left");
    assert_eq!(bench.world.judge().unavailable_ms(), 0);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn scaled_back_too_early_the_new_pod_goes() {
    let mut bench = Bench::new(|_| {});
    let leaving = bench.pods("mailer")[0].clone();
    bench.send(Effect::SetDeletionCost { pod: leaving.key.clone(), uid: leaving.uid.clone(), cost: Some(-1000) });
    bench.scale("mailer", 1, 2);
    bench.scale("mailer", 2, 1);
    bench.watch("mailer", 20);
    assert!(bench.pods("mailer").iter().any(|pod| pod.uid == leaving.uid));
    insta::assert_snapshot!(bench.text);
}

#[test]
fn a_scale_from_another_number_is_refused_and_a_repeated_one_changes_nothing() {
    let mut bench = Bench::new(|_| {});
    bench.scale("cart", 7, 8);
    bench.scale("cart", 3, 4);
    bench.scale("cart", 3, 4);
    assert_eq!(bench.deployment("cart").2, 4);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn a_budget_grants_one_eviction_after_the_other() {
    let mut bench = Bench::new(|scenario| {
        scenario.pdbs = vec![PdbSpec {
            namespace: name("shop"),
            name: name("cart"),
            app: name("cart"),
            min_available: Some(journal_schema::facts::IntOrPercent::Int(2)),
            max_unavailable: None,
            always_allow_unhealthy: false,
        }];
    });
    bench.evict("cart", 0);
    bench.evict("cart", 1);
    bench.watch("cart", 20);
    bench.evict("cart", 0);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn two_budgets_are_an_error() {
    let mut bench = Bench::new(|scenario| {
        let pdb = |text: &str| PdbSpec {
            namespace: name("shop"),
            name: name(text),
            app: name("cart"),
            min_available: Some(journal_schema::facts::IntOrPercent::Int(1)),
            max_unavailable: None,
            always_allow_unhealthy: false,
        };
        scenario.pdbs = vec![pdb("one"), pdb("two")];
    });
    bench.evict("cart", 0);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn a_template_change_rolls_within_its_limits_and_back() {
    let mut bench = Bench::new(|_| {});
    let (workload, uid, _) = bench.deployment("cart");
    let affinity = r#"{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kinema.dev/expiring","operator":"DoesNotExist"}]}]}}}"#;
    let ours = journal_schema::text::JsonText::truncated(affinity);
    let patch = |from, to| Effect::PatchTemplate {
        workload: workload.clone(),
        uid: uid.clone(),
        from,
        to,
        max_unavailable: None,
        requests: journal_schema::text::Few::default(),
    };
    bench.send(patch(None, Some(ours.clone())));
    bench.watch("cart", 60);
    bench.send(patch(None, None));
    bench.send(patch(Some(ours), None));
    bench.watch("cart", 60);
    assert_eq!(bench.world.judge().unavailable_ms(), 0);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn a_marked_node_takes_no_pods_and_another_machine_of_its_name_is_left_alone() {
    let mut bench = Bench::new(|_| {});
    let nodes: Vec<(Name, Name)> =
        bench.world.cluster().nodes.values().map(|node| (node.name.clone(), node.uid.clone())).collect();
    for (node, uid) in &nodes {
        bench.send(Effect::MarkNode { node: node.clone(), uid: uid.clone(), role: NodeRole::Expiring, iteration: 1 });
    }
    bench.scale("mailer", 1, 2);
    bench.watch("mailer", 15);
    let (node, uid) = &nodes[0];
    bench.send(Effect::MarkNode { node: node.clone(), uid: name("other"), role: NodeRole::None, iteration: 1 });
    bench.send(Effect::MarkNode { node: node.clone(), uid: uid.clone(), role: NodeRole::None, iteration: 1 });
    bench.watch("mailer", 20);
    insta::assert_snapshot!(bench.text);
}

#[test]
fn an_interrupted_watch_lists_again_and_misses_nothing() {
    let mut bench = Bench::new(|scenario| {
        let kind = simulator::faults::FaultKind::InterruptWatch { kind: Kind::Pod };
        scenario.faults = vec![simulator::faults::FaultRule::on("Scale", 1, kind)];
    });
    let (workload, uid, _) = bench.deployment("mailer");
    let effect = Effect::Scale { workload, uid, from: 1, to: 3 };
    bench.world.send(vec![(EffectId { cause: 1, index: 0 }, effect)]);
    bench.world.run_for(Millis::from_secs(30));
    let events = bench.world.wait_for_news(None).events;
    let mut listed = 0;
    let mut order = Vec::new();
    for event in &events {
        match event {
            Event::Watch(WatchEvent::Interrupted { kind: Kind::Pod }) => order.push("interrupted"),
            Event::Watch(WatchEvent::RelistStarted { kind: Kind::Pod }) => order.push("started"),
            Event::Watch(WatchEvent::RelistFinished { kind: Kind::Pod }) => order.push("finished"),
            Event::Watch(WatchEvent::Listed(object)) if object.kind() == Kind::Pod => listed += 1,
            _ => {}
        }
    }
    assert_eq!(order, ["interrupted", "started", "finished"]);
    assert_eq!(listed, bench.world.cluster().pods.len());
}

#[test]
fn a_crashed_node_is_noticed_after_forty_seconds_and_its_pods_come_back_after_five_minutes() {
    let mut bench = Bench::new(|scenario| {
        let kind = simulator::faults::FaultKind::NodeCrash { index: 0, back: None };
        scenario.faults = vec![simulator::faults::FaultRule::at(Millis(0), kind)];
    });
    let ready = |bench: &Bench| bench.world.cluster().nodes.values().filter(|node| node.ready).count();
    bench.world.run_for(Millis::from_secs(38));
    assert_eq!(ready(&bench), 6);
    bench.world.run_for(Millis::from_secs(4));
    assert_eq!(ready(&bench), 5);
    bench.world.run_for(Millis::from_secs(330));
    for workload in bench.world.cluster().workloads.values() {
        if workload.id.kind == WorkloadKind::Deployment {
            assert_eq!(workload.ready, workload.replicas, "{}", workload.id);
        }
    }
    assert_eq!(bench.world.judge().unavailable_ms(), 0, "a crash is not the daemon's doing");
}

/// A judge that never speaks proves nothing.
#[test]
fn the_judge_sees_a_machine_that_is_deleted_under_its_pods() {
    let mut bench = Bench::new(|_| {});
    let cart = bench.pods("cart")[0].clone();
    let node = bench.world.cluster().nodes[cart.node.as_ref().unwrap()].clone();
    let pool = name("us-central1-a/e2-standard-2-a");
    let instance = journal_schema::effect::InstanceRef { name: node.name.clone(), id: node.instance_id };
    let instances = journal_schema::text::Few::new(vec![instance]).unwrap();
    bench.send(Effect::DeleteInstances { pool, instances, request_id: name("canary") });
    bench.world.run_for(Millis::from_minutes(5));
    assert!(!bench.world.cluster().nodes.contains_key(&node.name));
    let rules: std::collections::BTreeSet<&str> =
        bench.world.judge().violations().iter().map(|broken| broken.rule).collect();
    // Pods were lost, the node was not marked, and nobody had allowed any change at all.
    assert_eq!(Vec::from_iter(rules), ["S1", "S2", "S20"]);
    assert!(bench.world.judge().unavailable_ms() > 0);
}

#[test]
fn the_judge_sees_an_effect_that_is_carried_out_twice() {
    let mut bench = Bench::new(|_| {});
    let (node, uid) = {
        let fact = bench.world.cluster().nodes.values().next().unwrap();
        (fact.name.clone(), fact.uid.clone())
    };
    let mark = |role| Effect::MarkNode { node: node.clone(), uid: uid.clone(), role, iteration: 1 };
    let id = |cause| EffectId { cause, index: 0 };
    // The same effect comes again after its change was taken back, and makes it again.
    bench.world.send(vec![(id(1), mark(NodeRole::Expiring))]);
    bench.world.run_for(Millis(30));
    bench.world.send(vec![(id(2), mark(NodeRole::None))]);
    bench.world.run_for(Millis(30));
    bench.world.send(vec![(id(1), mark(NodeRole::Expiring))]);
    bench.world.run_for(Millis::from_secs(2));
    let broken = bench.world.judge().violations().iter().filter(|broken| broken.rule == "S5").count();
    let marked = bench.world.cluster().nodes[&node].taints.iter().any(|taint| taint.key.starts_with("kinema.dev/"));
    assert_eq!((broken, marked), (1, true));
}
