//! A journal that the real loop wrote replays to the same bytes; one that was tampered with does not.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};

use driver::{Driver, Identity, Moment, Outside, Woken};
use journal::{Capture, Checkpoint, Journal, JournalId, MemoryJournal, Source};
use journal_schema::cloud::{CapacityType, Instance, InstanceState, Pool, PoolInstances, PriceBook, PriceEntry};
use journal_schema::effect::{Answer, Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Event, WatchEvent};
use journal_schema::facts::*;
use journal_schema::policy::{Mode, Policy};
use journal_schema::text::{Few, List, Text};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Millis, Resources, Timestamp};
use journal_schema::usage::{ContainerSeries, UsageWindow};
use replay::difference::What;
use replay::{CheckError, CheckOptions, StateAtError, check, state_at};

const START: i64 = 1_772_357_400_000;
const HOUR: i64 = 3_600_000;

fn text<const N: usize>(value: &str) -> Text<N> {
    Text::new(value).unwrap()
}

fn list<T, const N: usize>(items: Vec<T>) -> List<T, N> {
    List::new(items).map_err(|error| error.to_string()).unwrap()
}

fn resources(cpu: i64, memory: i64, pods: i64) -> Resources {
    Resources { cpu: MilliCpu(cpu), memory: Bytes(memory), ephemeral: Bytes(0), pods, extended: BTreeMap::new() }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Three nodes with a pod each, which would fit on one.
fn objects() -> Vec<Object> {
    let selector = Selector { labels: labels(&[("app", "cart")]), expressions: Few::default() };
    let container = ContainerFact {
        name: text("main"),
        cpu_request: Some(MilliCpu(500)),
        memory_request: Some(Bytes(512 << 20)),
        cpu_limit: None,
        memory_limit: None,
    };
    let spec = PodSpecFact {
        requests: resources(500, 512 << 20, 1),
        containers: list(vec![container]),
        ..PodSpecFact::default()
    };
    let created_at = Timestamp(START - 24 * HOUR);
    let workload = |kind, name: &str, owner| WorkloadFact {
        owner,
        strategy: UpdateStrategy::RollingUpdate {
            max_unavailable: IntOrPercent::Percent(25),
            max_surge: IntOrPercent::Percent(25),
        },
        selector: selector.clone(),
        template_labels: labels(&[("app", "cart")]).into(),
        template: spec.clone().into(),
        ..WorkloadFact::new(
            WorkloadId { kind, key: Key::new(text("shop"), text(name)) },
            text(&format!("uid-{name}")),
            3,
            created_at,
        )
        .at_rest()
    };
    let deployment = Owner { kind: OwnerKind::Deployment, name: text("cart"), uid: text("uid-cart") };
    let mut objects = vec![
        Object::Namespace(NamespaceFact { name: text("shop"), labels: Labels::new(), excluded: false }),
        Object::Workload(workload(WorkloadKind::Deployment, "cart", None)),
        Object::Workload(workload(WorkloadKind::ReplicaSet, "cart-7c", Some(deployment))),
    ];
    for number in 0..3 {
        let node = format!("pool-1-{number}");
        objects.push(Object::Node(NodeFact {
            name: text(&node),
            uid: text(&format!("uid-{node}")),
            provider_id: text(&format!("gce://project/zone-b/{node}")),
            instance_id: Some(number),
            labels: labels(&[
                ("node.kubernetes.io/instance-type", "e2-standard-4"),
                ("topology.kubernetes.io/zone", "zone-b"),
            ]),
            taints: Few::default(),
            unschedulable: false,
            allocatable: resources(3920, 12 << 30, 110),
            ready: true,
            ready_changed_at: Some(created_at),
            created_at,
            deletion_at: None,
            scale_down_disabled: false,
            do_not_disrupt: DoNotDisrupt::No,
            excluded: false,
            unknown: Few::default(),
        }));
        objects.push(Object::Pod(PodFact {
            owner: Some(Owner { kind: OwnerKind::ReplicaSet, name: text("cart-7c"), uid: text("uid-cart-7c") }),
            node: Some(text(&node)),
            phase: PodPhase::Running,
            ready: true,
            labels: labels(&[("app", "cart")]).into(),
            ..PodFact::new(
                Key::new(text("shop"), text(&format!("cart-7c-{number}"))),
                text(&format!("uid-cart-7c-{number}")),
                spec.clone(),
                created_at,
            )
        }));
    }
    objects
}

/// A cluster in which nothing ever happens, and a cloud that answers.
struct Quiet {
    now: Timestamp,
    events: VecDeque<Event>,
    turns: u32,
}

impl Quiet {
    fn new() -> Self {
        let mut events = VecDeque::new();
        for kind in Kind::ALL {
            events.push_back(Event::Watch(WatchEvent::RelistStarted { kind }));
            let listed = objects().into_iter().filter(|object| object.kind() == kind);
            events.extend(listed.map(|object| Event::Watch(WatchEvent::Listed(object))));
            events.push_back(Event::Watch(WatchEvent::RelistFinished { kind }));
        }
        Self { now: Timestamp(START), events, turns: 150 }
    }

    fn answer(&self, effect: &Effect) -> Answer {
        let pool = "zone-b/pool-1";
        match effect {
            Effect::DiscoverPools => Answer::Pools(list(vec![Pool {
                id: text(pool),
                base_name: text("pool-1"),
                machine_type: text("e2-standard-4"),
                region: text("region"),
                zone: text("zone-b"),
                capacity_type: CapacityType::OnDemand,
                labels: Labels::new(),
                taints: Few::default(),
                allocatable: resources(3920, 12 << 30, 110),
                size: 3,
                max_size: None,
                refusal: None,
            }])),
            Effect::ListInstances { .. } => {
                let instance = |number: u64| Instance {
                    name: text(&format!("pool-1-{number}")),
                    id: Some(number),
                    state: InstanceState::Running,
                    fault: None,
                    created_at: None,
                };
                Answer::Instances(list(vec![PoolInstances {
                    pool: text(pool),
                    instances: list((0..3).map(instance).collect()),
                    ended: list(vec![]),
                }]))
            }
            Effect::ReadPrices => Answer::Prices(PriceBook {
                source: text("test"),
                as_of: Timestamp(START),
                entries: list(vec![PriceEntry {
                    region: text("region"),
                    machine_type: text("e2-standard-4"),
                    capacity_type: CapacityType::OnDemand,
                    price: MicroUsdPerHour(134_012),
                }]),
            }),
            Effect::ReadUsage { end, window, step } => {
                let points = window.0 / step.0;
                let series = |number: i64| ContainerSeries {
                    pod: Key::new(text("shop"), text(&format!("cart-7c-{number}"))),
                    container: text("main"),
                    cpu: list((0..points).map(|at| Some(MilliCpu(100 + 3 * at + number))).collect()),
                    memory: list((0..points).map(|_| Some(Bytes(200 << 20))).collect()),
                };
                let start = Timestamp(end.0 - window.0);
                Answer::Usage(UsageWindow {
                    start,
                    step: *step,
                    series: list((0..3).map(series).collect()),
                    warnings: Few::default(),
                })
            }
            _ => Answer::Done,
        }
    }
}

impl Outside for Quiet {
    fn wait(&mut self, longest: Option<Millis>) -> Woken {
        let events: Vec<Event> = self.events.drain(..).collect();
        self.turns -= 1;
        self.now = Timestamp(self.now.0 + 10);
        match longest {
            Some(span) if events.is_empty() => self.now = self.now.plus(span),
            Some(_) | None => {}
        }
        let now = Moment { wall: self.now, steady: Millis(self.now.0) };
        Woken { now, stop: self.turns == 0 || (events.is_empty() && longest.is_none()), events }
    }

    fn perform(&mut self, effects: Vec<(EffectId, Effect)>) {
        for (id, effect) in effects {
            let outcome = Outcome::Answered(self.answer(&effect));
            self.events.push_back(Event::Outcome { id, outcome });
        }
    }
}

fn policy() -> Policy {
    let mut policy = Policy { mode: Mode::Recommend, ..Policy::default() };
    policy.observe.stable_for = Millis(0);
    policy.observe.cool_down = Millis::from_minutes(1);
    policy
}

/// What a daemon that only recommends records over some iterations, and what its state was at the end.
fn recorded() -> (MemoryJournal, String) {
    let identity = Identity {
        epoch: 1,
        build: text("test"),
        own_pod: None,
        policy: policy(),
        tail_cut: 0,
        behaviour: engine::BEHAVIOUR,
        checkpoint_every: driver::CHECKPOINT_EVERY,
    };
    let journal = MemoryJournal::new(JournalId::derived("replay"));
    let mut driver =
        Driver::start(journal, Quiet::new(), identity, Moment { wall: Timestamp(START), steady: Millis(START) })
            .unwrap();
    driver.run().unwrap();
    let (journal, _, state) = driver.into_parts();
    (journal, state.digest().unwrap().to_string())
}

/// The same journal with one entry changed.
fn tampered(journal: &MemoryJournal, mut change: impl FnMut(&mut Entry) -> bool) -> (MemoryJournal, u64) {
    let mut out = MemoryJournal::new(journal.id());
    let mut changed = 0;
    for entry in journal.read(1) {
        let mut entry = entry.unwrap();
        if changed == 0 && change(&mut entry) {
            changed = entry.seq;
        }
        out.append(&entry).unwrap();
    }
    out.flush().unwrap();
    assert!(changed > 0, "nothing was changed");
    (out, changed)
}

fn run(journal: &MemoryJournal) -> replay::CheckReport {
    check(journal, &CheckOptions::default(), |_| ()).unwrap()
}

#[test]
fn what_the_loop_wrote_replays_to_the_same_bytes() {
    let (journal, digest) = recorded();
    let mut seen = 0;
    let report = check(&journal, &CheckOptions::default(), |seq| seen = seq).unwrap();
    assert!(report.identical(), "{report}");
    assert_eq!((report.entries, seen), (journal.last().unwrap().seq, report.entries));
    assert_eq!(report.state_digest.as_deref(), Some(digest.as_str()));
    assert!(
        !report.plans.is_empty()
            && report.plans.iter().all(|plan| plan.identical == Some(true) && plan.digest.is_some()),
        "{report:?}"
    );
    assert!(report.forecasts.0 > 0 && report.forecasts.0 == report.forecasts.1, "{report}");
    assert!(report.intents > 4 && report.restores > 5, "{report:?}");
    let plans = report.plans.len();
    let forecasts = report.forecasts.0;
    let many = |count: u64| if count == 1 { "" } else { "s" };
    let expected = format!(
        "Replayed {} events.  {plans} plan{}: {plans} identical.  {forecasts} forecast{}: {forecasts} identical.  State digest {}… identical.",
        report.entries,
        many(plans as u64),
        many(forecasts),
        &digest[..12],
    );
    assert_eq!(report.to_string(), expected);
}

#[test]
fn a_plan_that_comes_out_otherwise_is_named_with_its_place() {
    let (journal, _) = recorded();
    let (journal, seq) = tampered(&journal, |entry| match &mut entry.event {
        Event::Outcome { outcome: Outcome::Answered(Answer::Planned(planned)), .. } => {
            planned.plan.cost_after = MicroUsdPerHour(planned.plan.cost_after.0 + 1);
            true
        }
        _ => false,
    });
    let report = run(&journal);
    assert!(!report.identical());
    let first = &report.differences[0];
    assert_eq!(first.seq, seq);
    let What::Plan(place) = &first.what else { panic!("{first}") };
    assert_eq!(place.path, "Answered.Planned.plan.cost_after");
    assert_eq!(report.plans[0].identical, Some(false));
    assert!(report.to_string().contains(&format!("\n  entry {seq} (")), "{report}");
}

#[test]
fn a_forecast_that_comes_out_otherwise_is_named() {
    let (journal, _) = recorded();
    let (journal, seq) = tampered(&journal, |entry| match &mut entry.event {
        Event::Outcome { outcome: Outcome::Answered(Answer::Forecasts(forecasts)), .. } => {
            let mut containers = forecasts.containers.clone().into_vec();
            containers[0].points += 1;
            forecasts.containers = list(containers);
            true
        }
        _ => false,
    });
    let report = run(&journal);
    let first = &report.differences[0];
    assert!(
        matches!(&first.what, What::Forecast(place) if place.path == "Answered.Forecasts.containers[0].points"),
        "{report}"
    );
    assert_eq!(first.seq, seq);
    assert_eq!(report.forecasts.0, report.forecasts.1 + 1);
}

#[test]
fn an_effect_that_is_not_the_recorded_one_ends_the_replay() {
    let (journal, _) = recorded();
    let (journal, seq) = tampered(&journal, |entry| match &mut entry.event {
        Event::Intents { effects } => {
            let mut changed = effects.clone().into_vec();
            changed[0].1 = Effect::ReadNodePods { node: text("another") };
            *effects = list(changed);
            true
        }
        _ => false,
    });
    let report = run(&journal);
    assert_eq!((report.differences.len(), report.differences[0].seq), (1, seq));
    assert!(matches!(&report.differences[0].what, What::Step { error } if error.contains("another")), "{report}");
    assert_eq!((report.entries, report.stopped_at, report.state_digest.clone()), (seq - 1, Some(seq), None));
    assert!(report.to_string().contains(&format!("Stopped at entry {seq}.")), "{report}");
}

#[test]
fn an_outcome_that_nobody_asked_for_is_named() {
    let (journal, _) = recorded();
    let (journal, seq) = tampered(&journal, |entry| match &mut entry.event {
        Event::Outcome { id, outcome: Outcome::Answered(Answer::Planned(_)) } => {
            id.index += 7;
            true
        }
        _ => false,
    });
    let report = run(&journal);
    assert_eq!(report.differences[0].seq, seq);
    assert!(matches!(report.differences[0].what, What::Unasked { .. }), "{report}");
}

#[test]
fn a_check_can_end_early_and_leave_things_out() {
    let (journal, _) = recorded();
    let options = CheckOptions { to: 20, recompute: false, restore: false };
    let report = check(&journal, &options, |_| ()).unwrap();
    assert_eq!((report.entries, report.restores), (20, 0));
    let text = report.to_string();
    assert!(
        text.starts_with("Replayed 20 events.  0 plans and 0 forecasts, not computed again.  State digest "),
        "{text}"
    );
    assert!(text.ends_with("…."), "{text}");
}

#[test]
fn a_capture_replays_like_its_journal_and_needs_its_beginning() {
    let (journal, digest) = recorded();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("whole.kjl");
    journal::capture::export_entries(&journal, true, &path).unwrap();
    let capture = Capture::open(&path).unwrap();
    let report = check(&capture, &CheckOptions::default(), |_| ()).unwrap();
    assert!(report.identical() && report.state_digest.as_deref() == Some(digest.as_str()), "{report}");

    let copy = dir.path().join("copy");
    journal::import::import(&capture, &copy, 1 << 20).unwrap();
    let reader = journal::JournalReader::open(&copy).unwrap();
    assert!(check(&reader, &CheckOptions::default(), |_| ()).unwrap().identical());
    let part = dir.path().join("part.kjl");
    journal::capture::export(&reader, 10, 30, false, &part).unwrap();
    let part = Capture::open(&part).unwrap();
    let error = check(&part, &CheckOptions::default(), |_| ()).unwrap_err();
    assert!(matches!(error, CheckError::NoBeginning { first: 10 }), "{error}");
    assert!(matches!(state_at(&part, 20), Err(StateAtError::NoBeginning { first: 10 })));
}

#[test]
fn the_state_at_any_entry_is_the_same_from_a_checkpoint() {
    let (mut journal, digest) = recorded();
    let last = journal.last().unwrap().seq;
    let whole = state_at(&journal, u64::MAX).unwrap();
    assert_eq!((whole.seq, whole.from_checkpoint, whole.state.digest().unwrap().to_string()), (last, None, digest));
    let some = || (0..=last).step_by(13);
    let states: Vec<String> =
        some().map(|seq| state_at(&journal, seq).unwrap().state.digest().unwrap().to_string()).collect();
    for seq in [last / 3, last / 2] {
        let state = state_at(&journal, seq).unwrap().state;
        journal.save_checkpoint(&Checkpoint::of(seq, &driver::fingerprint(), &state).unwrap());
    }
    for (seq, state) in some().zip(states) {
        let folded = state_at(&journal, seq).unwrap();
        assert_eq!(folded.state.digest().unwrap(), state.as_str(), "entry {seq}");
        assert_eq!(folded.from_checkpoint.is_some(), seq >= last / 3);
    }
}
