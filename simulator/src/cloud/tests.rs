use std::collections::BTreeMap;

use journal_schema::cloud::{CapacityType, CloudFault, InstanceState, PoolRefusal, PriceEntry};
use journal_schema::effect::{Answer, Effect, FailureClass, FailureCode, Outcome};
use journal_schema::text::{Few, Many};
use journal_schema::units::{Bytes, MicroUsdPerHour, MilliCpu, Millis, Ppm};

use super::port::Progress;
use super::*;

const POOL: &str = "zone-a/pool";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp(secs * 1000)
}

fn fixed(secs: i64) -> Span {
    Span::secs(secs, secs)
}

/// Everything takes a known time: accept 1, finish 1, provision 2, stage 3, boot 10, join 5, shutdown 4, removal 2.
fn timings() -> Timings {
    Timings {
        accept: fixed(1),
        finish: fixed(1),
        provision: fixed(2),
        stage: fixed(3),
        boot: fixed(10),
        join: fixed(5),
        shutdown: fixed(4),
        node_removal: fixed(2),
        retry: Millis::from_secs(15),
        request_id_ttl: Millis::from_secs(600),
        operation_retention: Millis::from_secs(100),
    }
}

fn pool() -> Pool {
    Pool {
        id: name(POOL),
        base_name: name("pool"),
        machine_type: name("e2-standard-4"),
        region: name("region-1"),
        zone: name("zone-a"),
        capacity_type: CapacityType::OnDemand,
        labels: BTreeMap::new(),
        taints: Few::default(),
        allocatable: Resources { cpu: MilliCpu(3920), memory: Bytes(13 << 30), pods: 110, ..Resources::default() },
        size: 0,
        max_size: None,
        refusal: None,
    }
}

fn prices(micro: i64) -> PriceBook {
    let entry = PriceEntry {
        region: name("region-1"),
        machine_type: name("e2-standard-4"),
        capacity_type: CapacityType::OnDemand,
        price: MicroUsdPerHour(micro),
    };
    PriceBook { source: name("test"), as_of: at(0), entries: Many::new(vec![entry]).unwrap() }
}

fn settings() -> Settings {
    Settings { seed: 1, pools: vec![PoolSetting { pool: pool(), vcpus: 4 }], timings: timings(), ..Settings::default() }
}

fn cloud_with(faults: Vec<FaultRule>) -> Cloud {
    Cloud::new(Settings { faults, ..settings() }, prices(3_600_000), at(0))
}

fn states(cloud: &mut Cloud, secs: i64) -> Vec<(String, InstanceState)> {
    cloud
        .list_managed(at(secs), POOL)
        .unwrap()
        .into_iter()
        .map(|instance| (instance.name.to_string(), instance.state))
        .collect()
}

fn happenings(changes: &[CloudChange]) -> Vec<(i64, String)> {
    changes
        .iter()
        .map(|change| {
            let what = match &change.what {
                Happening::Running => "running".to_owned(),
                Happening::NodeJoins { allocatable, ready } => format!("joins cpu={} ready={ready}", allocatable.cpu),
                Happening::Gone => "gone".to_owned(),
                Happening::NodeLeaves => "leaves".to_owned(),
            };
            (change.at.0 / 1000, format!("{} {what}", change.name))
        })
        .collect()
}

#[test]
fn a_machine_lives_and_dies_in_order_and_is_billed_while_it_exists() {
    let mut cloud = cloud_with(Vec::new());
    let operation = cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap();
    assert_eq!(cloud.operation(at(0), &operation).unwrap().unwrap().status, OperationStatus::Pending);
    assert_eq!(states(&mut cloud, 0), vec![], "a name is listed only once the operation runs");
    assert_eq!(states(&mut cloud, 1), vec![("a".to_owned(), InstanceState::Requested)]);
    let done = cloud.operation(at(2), &operation).unwrap().unwrap();
    assert_eq!((done.status, done.error, done.ended), (OperationStatus::Done, None, Some(at(2))));
    assert_eq!(cloud.list_managed(at(2), POOL).unwrap()[0].id, None, "DONE comes before the machine");
    assert_eq!(states(&mut cloud, 3), vec![("a".to_owned(), InstanceState::Booting)]);
    assert_eq!(states(&mut cloud, 16), vec![("a".to_owned(), InstanceState::Running)]);
    assert_eq!(cloud.groups(at(16)).unwrap()[0].pool.size, 1);
    assert!(cloud.groups(at(16)).unwrap()[0].stable());

    let id = cloud.list_managed(at(30), POOL).unwrap()[0].id;
    cloud.delete_instances(at(30), POOL, &[InstanceRef { name: name("a"), id }], "r2").unwrap();
    assert_eq!(states(&mut cloud, 31), vec![("a".to_owned(), InstanceState::Deleting)]);
    assert_eq!(cloud.groups(at(31)).unwrap()[0].pool.size, 0);
    assert_eq!(states(&mut cloud, 35), vec![]);
    assert_eq!(
        happenings(&cloud.advance(at(100))),
        vec![
            (16, "a running".to_owned()),
            (21, "a joins cpu=3920m ready=true".to_owned()),
            (35, "a gone".to_owned()),
            (37, "a leaves".to_owned())
        ]
    );
    // PROVISIONING at 3 s, gone at 35 s, 0.001 USD per second.
    assert_eq!(cloud.cost(at(0), at(1000)), MicroUsd(32_000));
    assert_eq!(cloud.cost(at(10), at(20)), MicroUsd(10_000));
    assert_eq!(cloud.unpriced(), 0);
}

#[test]
fn a_change_of_price_counts_from_its_moment_on() {
    let mut cloud = cloud_with(Vec::new());
    cloud.adopt(at(0), POOL, &[name("old")]).unwrap();
    cloud.set_prices(at(100), prices(7_200_000));
    assert_eq!(cloud.cost(at(0), at(200)), MicroUsd(100_000 + 200_000));
    cloud.set_prices(at(150), PriceBook::default());
    assert_eq!(cloud.unpriced(), 1);
}

#[test]
fn the_same_request_id_gives_the_first_operation_until_it_is_forgotten() {
    let mut cloud = cloud_with(Vec::new());
    let first = cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap();
    assert_eq!(cloud.create_instances(at(5), POOL, &[name("a")], "r1").unwrap(), first);
    let other = cloud.create_instances(at(5), POOL, &[name("b")], "r1");
    assert_eq!(other, Err(CallError::RequestIdReused(name("r1"))));
    // 600 s later the id is new again, and the name exists: the operation fails whole.
    let again = cloud.create_instances(at(600), POOL, &[name("a"), name("c")], "r1").unwrap();
    assert_ne!(again, first);
    let failed = cloud.operation(at(602), &again).unwrap().unwrap();
    assert_eq!(failed.error.unwrap().status, 409);
    assert_eq!(cloud.list_managed(at(602), POOL).unwrap().len(), 1);
    assert_eq!(cloud.operation(at(602), &first).unwrap(), None, "kept for 100 s only");
}

#[test]
fn a_forgotten_request_id_is_carried_out_twice() {
    let mut cloud = cloud_with(vec![FaultRule::new(FaultKind::ForgetRequestId)]);
    let first = cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap();
    assert_ne!(cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap(), first);
}

#[test]
fn a_stocked_out_machine_is_tried_for_ever_and_comes_late() {
    let mut rule = FaultRule::new(FaultKind::Stockout { free: 1 });
    rule.until = Some(at(100));
    let mut cloud = cloud_with(vec![rule]);
    cloud.create_instances(at(0), POOL, &[name("a"), name("b")], "r1").unwrap();
    let listed = cloud.list_managed(at(50), POOL).unwrap();
    assert_eq!(listed[0].state, InstanceState::Running, "one was still to be had");
    assert_eq!(
        (listed[1].state, listed[1].fault, listed[1].id),
        (InstanceState::Requested, Some(CloudFault::Stockout), None)
    );
    assert_eq!(cloud.cost(at(0), at(50)), MicroUsd(47_000), "only the machine that exists is billed");
    let healed = cloud.list_managed(at(200), POOL).unwrap();
    assert_eq!((healed[1].state, healed[1].fault), (InstanceState::Running, None));
}

#[test]
fn a_machine_that_never_came_is_deleted_by_having_no_id() {
    let mut cloud = cloud_with(vec![FaultRule::new(FaultKind::Stockout { free: 0 })]);
    cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap();
    cloud.delete_instances(at(50), POOL, &[InstanceRef { name: name("a"), id: Some(7) }], "r2").unwrap();
    assert_eq!(states(&mut cloud, 60).len(), 1, "another id is left alone");
    cloud.delete_instances(at(60), POOL, &[InstanceRef { name: name("a"), id: None }], "r3").unwrap();
    assert_eq!(states(&mut cloud, 61), vec![]);
    assert_eq!(happenings(&cloud.advance(at(1000))), vec![]);
    assert_eq!(cloud.cost(at(0), at(1000)), MicroUsd(0));
}

#[test]
fn a_quota_holds_until_room_is_made() {
    let quotas = vec![Quota { region: name("region-1"), vcpus: 8 }];
    let mut cloud = Cloud::new(Settings { quotas, ..settings() }, prices(1), at(0));
    cloud.create_instances(at(0), POOL, &[name("a"), name("b"), name("c")], "r1").unwrap();
    let listed = cloud.list_managed(at(60), POOL).unwrap();
    assert_eq!(listed[2].fault, Some(CloudFault::Quota));
    cloud.delete_named(at(60), POOL, &[name("a")], true, "r2").unwrap();
    assert_eq!(
        states(&mut cloud, 120),
        vec![("b".to_owned(), InstanceState::Running), ("c".to_owned(), InstanceState::Running)]
    );
}

#[test]
fn a_machine_that_is_taken_back_comes_again_with_another_id() {
    let mut rule = FaultRule::new(FaultKind::Preempt { after: Millis::from_secs(100) });
    rule.times = Some(1);
    let mut cloud = cloud_with(vec![rule]);
    let before = cloud.adopt(at(0), POOL, &[name("a")]).unwrap();
    assert_eq!(states(&mut cloud, 101), vec![("a".to_owned(), InstanceState::Other)]);
    let changes = cloud.advance(at(200));
    assert_eq!(
        happenings(&changes),
        vec![
            (104, "a gone".to_owned()),
            (106, "a leaves".to_owned()),
            (119, "a running".to_owned()),
            (124, "a joins cpu=3920m ready=true".to_owned())
        ]
    );
    assert_eq!(Some(changes[0].id), before[0].id);
    assert_ne!(changes[0].id, changes[2].id);
    assert_eq!(cloud.lifetimes().len(), 2);
}

#[test]
fn nodes_join_late_small_broken_or_never() {
    let on = |instance: &str, kind: FaultKind| FaultRule { instance: Some(name(instance)), ..FaultRule::new(kind) };
    let mut cloud = cloud_with(vec![
        on("never", FaultKind::NeverJoins),
        on("late", FaultKind::SlowJoin { extra: Millis::from_secs(60) }),
        on("small", FaultKind::JoinsSmaller { share: Ppm::percent(50) }),
        on("broken", FaultKind::JoinsNotReady),
        on("slow", FaultKind::SlowBoot { extra: Millis::from_secs(100) }),
    ]);
    cloud.create_instances(at(0), POOL, &["broken", "late", "never", "slow", "small"].map(name), "r1").unwrap();
    let joins: Vec<_> =
        happenings(&cloud.advance(at(1000))).into_iter().filter(|(_, what)| what.contains("joins")).collect();
    assert_eq!(
        joins,
        vec![
            (21, "broken joins cpu=3920m ready=false".to_owned()),
            (21, "small joins cpu=1960m ready=true".to_owned()),
            (81, "late joins cpu=3920m ready=true".to_owned()),
            (121, "slow joins cpu=3920m ready=true".to_owned()),
        ]
    );
}

#[test]
fn operations_fail_stall_get_lost_or_take_only_some_names() {
    let once = |kind: FaultKind| FaultRule { times: Some(1), ..FaultRule::new(kind) };
    let mut cloud = cloud_with(vec![once(FaultKind::FailOperation {
        status: 500,
        code: name("INTERNAL_ERROR"),
        message: name("x"),
    })]);
    let failed = cloud.create_instances(at(0), POOL, &[name("a")], "r1").unwrap();
    assert_eq!(cloud.operation(at(10), &failed).unwrap().unwrap().error.unwrap().code, name("INTERNAL_ERROR"));
    assert_eq!(states(&mut cloud, 10), vec![]);

    cloud.set_faults(vec![once(FaultKind::LoseOperation), once(FaultKind::Partial { created: 1 })]);
    let lost = cloud.create_instances(at(10), POOL, &[name("a"), name("b")], "r2").unwrap();
    assert_eq!(cloud.operation(at(10), &lost).unwrap(), None);
    assert_eq!(states(&mut cloud, 11).len(), 1);

    cloud.set_faults(vec![once(FaultKind::StallOperation)]);
    let stalled = cloud.create_instances(at(20), POOL, &[name("c")], "r3").unwrap();
    assert_eq!(cloud.operation(at(2000), &stalled).unwrap().unwrap().status, OperationStatus::Running);
    assert_eq!(states(&mut cloud, 2000).len(), 2);
    assert_eq!(cloud.faults()[0].1, 1);
}

#[test]
fn calls_are_refused_before_or_lost_after_their_effect() {
    let only = |kind: FaultKind| FaultRule { call: Some(Call::Create), times: Some(1), ..FaultRule::new(kind) };
    let mut cloud = cloud_with(vec![only(FaultKind::Throttle), only(FaultKind::DropCall), only(FaultKind::LoseAnswer)]);
    let mut answers = Vec::new();
    for round in 0..4 {
        answers.push(cloud.create_instances(at(round), POOL, &[name("a")], "r1").map(|_| ()));
        if round == 1 {
            assert_eq!(states(&mut cloud, 1), vec![]);
        }
    }
    assert_eq!(answers, vec![Err(CallError::Throttled), Err(CallError::Dropped), Err(CallError::AnswerLost), Ok(())]);
    assert_eq!(states(&mut cloud, 60).len(), 1, "the repeated call found the first one");
}

#[test]
fn deletions_come_late_or_not_at_all() {
    let once = |kind: FaultKind| FaultRule { times: Some(1), ..FaultRule::new(kind) };
    let mut cloud =
        cloud_with(vec![once(FaultKind::IgnoreDelete), once(FaultKind::SlowDelete { extra: Millis::from_secs(50) })]);
    cloud.adopt(at(0), POOL, &[name("a")]).unwrap();
    cloud.delete_named(at(0), POOL, &[name("a")], true, "r1").unwrap();
    assert_eq!(states(&mut cloud, 30), vec![("a".to_owned(), InstanceState::Running)]);
    cloud.delete_named(at(30), POOL, &[name("a")], true, "r2").unwrap();
    assert_eq!(states(&mut cloud, 80), vec![("a".to_owned(), InstanceState::Deleting)]);
    assert_eq!(states(&mut cloud, 100), vec![]);
}

#[test]
fn one_unknown_name_fails_a_deletion_unless_it_is_skipped() {
    let mut cloud = cloud_with(Vec::new());
    cloud.adopt(at(0), POOL, &[name("a")]).unwrap();
    let strict = cloud.delete_named(at(0), POOL, &[name("a"), name("x")], false, "r1").unwrap();
    assert_eq!(cloud.operation(at(5), &strict).unwrap().unwrap().error.unwrap().status, 400);
    assert_eq!(states(&mut cloud, 20).len(), 1);
    cloud.delete_named(at(20), POOL, &[name("a"), name("x")], true, "r2").unwrap();
    assert_eq!(states(&mut cloud, 40), vec![]);
}

#[test]
fn the_port_creates_only_what_is_missing_and_deletes_only_exact_matches() {
    let mut cloud = cloud_with(Vec::new());
    let ids = cloud.adopt(at(0), POOL, &[name("a"), name("b")]).unwrap();
    let create = |names: &[&str]| Effect::CreateInstances {
        pool: name(POOL),
        names: Few::new(names.iter().map(|text| name(text)).collect()).unwrap(),
        request_id: name("intent"),
    };
    assert_eq!(cloud.perform(at(0), &create(&["a"])), Progress::Over(Outcome::Answered(Answer::Done)));
    let Progress::Accepted(operation) = cloud.perform(at(0), &create(&["a", "c"])) else { panic!("nothing accepted") };
    assert_eq!(cloud.settled(at(1), &operation), None);
    assert_eq!(cloud.settled(at(2), &operation), Some(Outcome::Answered(Answer::Done)));
    assert_eq!(states(&mut cloud, 60).len(), 3);

    let delete = |instances: Vec<InstanceRef>| Effect::DeleteInstances {
        pool: name(POOL),
        instances: Few::new(instances).unwrap(),
        request_id: name("intent"),
    };
    let wrong = InstanceRef { name: name("a"), id: Some(1) };
    assert_eq!(cloud.perform(at(60), &delete(vec![wrong.clone()])), Progress::Over(Outcome::Answered(Answer::Done)));
    assert!(matches!(
        cloud.perform(at(60), &delete(vec![wrong, InstanceRef { name: name("b"), id: ids[1].id }])),
        Progress::Accepted(_)
    ));
    assert_eq!(states(&mut cloud, 120).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), vec!["a", "c"]);
}

#[test]
fn a_pool_that_replaces_machines_by_itself_refuses_creations() {
    let mut refusing = settings();
    refusing.pools[0].pool.refusal = Some(PoolRefusal::ProactiveUpdates);
    let mut cloud = Cloud::new(refusing, prices(1), at(0));
    let effect =
        Effect::CreateInstances { pool: name(POOL), names: Few::new(vec![name("a")]).unwrap(), request_id: name("r") };
    let Progress::Accepted(operation) = cloud.perform(at(0), &effect) else { panic!("nothing accepted") };
    let Some(Outcome::Failed(failure)) = cloud.settled(at(5), &operation) else { panic!("it worked") };
    assert_eq!((failure.class, failure.code), (FailureClass::Refused, FailureCode::Cloud(CloudFault::Config)));
}

#[test]
fn the_same_seed_gives_the_same_cloud_and_next_change_never_misses() {
    let run = |jump: bool| {
        let mut cloud = Cloud::new(Settings { seed: 42, timings: Timings::default(), ..settings() }, prices(1), at(0));
        let names: Vec<Name> = (0..20).map(|index| name(&format!("n{index:02}"))).collect();
        cloud.create_instances(at(0), POOL, &names, "r").unwrap();
        let mut changes = Vec::new();
        if jump {
            while let Some(next) = cloud.next_change().filter(|next| *next < at(600)) {
                changes.extend(cloud.advance(next));
            }
        } else {
            changes = cloud.advance(at(600));
        }
        changes
    };
    let changes = run(false);
    assert_eq!(changes, run(true));
    assert_eq!(changes.len(), 40, "every machine runs and joins");
    assert!(changes.is_sorted_by_key(|change| change.at));
}
