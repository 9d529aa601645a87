//! The real adapter, with Google's own client inside, against the stand-in on loopback.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::time::Duration;

use adapter_google_cloud::{
    BillingConfig, Config, Credentials, GoogleCloud, NodeCloud as _, Selection, install_crypto, perform,
};
use adapter_prices::Catalogue;
use google_cloud_standin::clock::Clock;
use google_cloud_standin::{Scenario, StandIn};
use journal_schema::cloud::{CapacityType, CloudFault, Ended, Instance, InstanceState, PoolRefusal};
use journal_schema::effect::{Answer, Effect, Failure, FailureClass, FailureCode, InstanceRef, Outcome};
use journal_schema::text::{Few, Name};
use simulator::cloud::{Call, FaultKind, FaultRule};

const ZONE: &str = "us-central1-b";
const POOL: &str = "us-central1-b/gke-demo-e2-grp";

struct Play {
    stand_in: Arc<StandIn>,
    url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Play {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn names(texts: &[&str]) -> Vec<Name> {
    texts.iter().map(|text| name(text)).collect()
}

const POOLS: &str = r#"
    { "name": "gke-demo-e2-grp", "zone": "us-central1-b", "machineType": "e2-standard-4", "instances": 2 },
    { "name": "gke-demo-spot-grp", "zone": "us-central1-c", "machineType": "n2-standard-8", "spot": true, "diskGib": 50, "maxPods": 32,
      "labels": { "team": "a" }, "taints": [ { "key": "dedicated", "value": "ml", "effect": "NoSchedule" } ] },
    { "name": "gke-demo-auto-grp", "zone": "us-central1-b", "machineType": "e2-standard-4", "autoscaler": "gke" },
    { "name": "gke-demo-mig-auto-grp", "zone": "us-central1-b", "machineType": "e2-standard-4", "autoscaler": "compute" },
    { "name": "gke-demo-proactive-grp", "zone": "us-central1-b", "machineType": "e2-standard-4", "proactive": true }"#;

/// Operations take 40 ms, machines 100 ms to run.
async fn play() -> Play {
    staged("[]").await
}

/// The same, with what the billing API lists.
async fn staged(rates: &str) -> Play {
    install_crypto();
    let ms = |least: u32, most: u32| format!(r#"{{ "least": {least}, "most": {most} }}"#);
    let timings = format!(
        r#"{{ "accept": {}, "finish": {}, "provision": {}, "stage": {}, "boot": {}, "join": {}, "shutdown": {}, "node_removal": {}, "retry": 100 }}"#,
        ms(20, 20),
        ms(20, 20),
        ms(20, 20),
        ms(20, 20),
        ms(40, 40),
        ms(20, 20),
        ms(40, 40),
        ms(10, 10)
    );
    let text = format!(
        r#"{{ "project": "demo-project", "cluster": "demo", "seed": 3, "timings": {timings}, "pools": [ {POOLS} ], "rates": {rates} }}"#
    );
    let scenario = Scenario::read(&text).unwrap();
    let clock = Clock::start(1);
    let staged = scenario.stage(&Catalogue::built_in().unwrap(), clock.now()).unwrap();
    let stand_in = StandIn::new(clock, &scenario.project, &scenario.cluster, staged);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, server) = stand_in.serve(listener).unwrap();
    Play { stand_in, url: format!("http://{address}"), server }
}

impl Play {
    fn config(&self) -> Config {
        Config {
            credentials: Credentials::Anonymous,
            endpoint: Some(self.url.clone()),
            container_endpoint: Some(self.url.clone()),
            timeout: Duration::from_secs(5),
            operation_wait: Duration::from_secs(2),
            ..Config::new("demo-project", Catalogue::built_in().unwrap())
        }
    }

    async fn adapter(&self) -> GoogleCloud {
        GoogleCloud::connect(self.config()).await.unwrap()
    }

    fn fault(&self, call: Option<Call>, kind: FaultKind) {
        let rule = FaultRule { call, times: Some(1), ..FaultRule::new(kind) };
        self.stand_in.with(|cloud, _| cloud.set_faults(vec![rule]));
    }

    /// Number of calls whose path ends like this.
    fn calls(&self, end: &str) -> usize {
        self.stand_in.log().iter().filter(|line| line["path"].as_str().is_some_and(|path| path.ends_with(end))).count()
    }
}

async fn listed(cloud: &GoogleCloud) -> Vec<Instance> {
    cloud.list(&names(&[POOL])).await.unwrap()[0].instances.to_vec()
}

/// Lists until `ready` holds, for five seconds at most.
async fn until(cloud: &GoogleCloud, ready: impl Fn(&[Instance]) -> bool) -> Vec<Instance> {
    for _ in 0..100 {
        let instances = listed(cloud).await;
        if ready(&instances) {
            return instances;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {:?}", listed(cloud).await);
}

fn all_running(instances: &[Instance]) -> bool {
    instances.iter().all(|instance| instance.state == InstanceState::Running)
}

async fn create(cloud: &GoogleCloud, wanted: &[&str]) -> Result<(), Failure> {
    cloud.create(&name(POOL), &names(wanted), &name("intent-1")).await
}

fn about(result: Result<(), Failure>) -> (FailureClass, FailureCode) {
    let failure = result.unwrap_err();
    (failure.class, failure.code)
}

#[tokio::test]
async fn pools_are_discovered_with_their_templates_and_refusals() {
    let play = play().await;
    let cloud = play.adapter().await;
    let pools = cloud.discover().await.unwrap();
    let refusals: Vec<_> = pools.iter().map(|pool| (pool.id.as_str(), pool.refusal)).collect();
    assert_eq!(
        refusals,
        vec![
            ("us-central1-b/gke-demo-auto-grp", Some(PoolRefusal::Autoscaled)),
            ("us-central1-b/gke-demo-e2-grp", None),
            ("us-central1-b/gke-demo-mig-auto-grp", Some(PoolRefusal::Autoscaled)),
            ("us-central1-b/gke-demo-proactive-grp", Some(PoolRefusal::ProactiveUpdates)),
            ("us-central1-c/gke-demo-spot-grp", None),
        ]
    );
    let (e2, spot) = (&pools[1], &pools[4]);
    assert_eq!(
        (e2.size, e2.base_name.as_str(), e2.region.as_str(), e2.zone.as_str()),
        (2, "gke-demo-e2", "us-central1", ZONE)
    );
    assert_eq!((e2.machine_type.as_str(), e2.capacity_type), ("e2-standard-4", CapacityType::OnDemand));
    assert_eq!((e2.allocatable.cpu.0, e2.allocatable.pods), (3920, 110));
    assert_eq!((spot.capacity_type, spot.allocatable.pods), (CapacityType::Spot, 32));
    assert_eq!(spot.labels.get("team").map(Name::as_str), Some("a"));
    assert_eq!(spot.labels.get("topology.kubernetes.io/zone").map(Name::as_str), Some("us-central1-c"));
    assert_eq!(spot.taints[0].key.as_str(), "dedicated");
    assert!(spot.allocatable.ephemeral < e2.allocatable.ephemeral, "a smaller disk");

    // What is promised for a node to come is never more than what the living one offers.
    let living = play.stand_in.with(|cloud, _| cloud.inspect());
    for (group, _) in &living {
        let promised = pools.iter().find(|pool| pool.id == group.pool.id).unwrap();
        assert!(promised.allocatable.fits_in(&group.pool.allocatable), "{}", group.pool.id);
        assert_eq!(promised.labels, group.pool.labels, "{}", group.pool.id);
    }
    cloud.discover().await.unwrap();
    assert_eq!(play.calls("instanceTemplates/gke-demo-e2-grp"), 1, "a template never changes and is read once");
}

#[tokio::test]
async fn selection_refuses_or_leaves_out() {
    let play = play().await;
    let selection = Selection { name_prefixes: vec!["gke-demo-e2".to_owned()], ..Selection::default() };
    let by_prefix =
        GoogleCloud::connect(Config { selection, zones: vec![ZONE.to_owned()], ..play.config() }).await.unwrap();
    let pools = by_prefix.discover().await.unwrap();
    assert_eq!(pools.len(), 4, "one zone only");
    assert_eq!(pools.iter().filter(|pool| pool.refusal == Some(PoolRefusal::NotSelected)).count(), 3);
    let selection = Selection { cluster: Some("other".to_owned()), ..Selection::default() };
    let other = GoogleCloud::connect(Config { selection, ..play.config() }).await.unwrap();
    assert_eq!(other.discover().await.unwrap(), vec![]);
    let selection = Selection { labels: vec![("team".to_owned(), "a".to_owned())], ..Selection::default() };
    let labelled = GoogleCloud::connect(Config { selection, gke: false, ..play.config() }).await.unwrap();
    let chosen: Vec<_> = labelled.discover().await.unwrap().into_iter().filter(|pool| pool.refusal.is_none()).collect();
    assert_eq!(chosen.iter().map(|pool| pool.id.as_str()).collect::<Vec<_>>(), vec!["us-central1-c/gke-demo-spot-grp"]);
}

#[tokio::test]
async fn machines_are_created_by_name_once_however_often_they_are_asked_for() {
    let play = play().await;
    let cloud = play.adapter().await;
    create(&cloud, &["n-1", "n-2"]).await.unwrap();
    let running = until(&cloud, |instances| instances.len() == 4 && all_running(instances)).await;
    assert!(running.iter().all(|instance| instance.id.is_some()));
    create(&cloud, &["n-1", "n-2"]).await.unwrap();
    assert_eq!(play.calls("createInstances"), 1, "nothing was missing");
    create(&cloud, &["n-1", "n-2", "n-3"]).await.unwrap();
    let more = until(&cloud, |instances| instances.len() == 5 && all_running(instances)).await;
    assert_eq!(play.calls("createInstances"), 2);
    assert_eq!(running.iter().filter(|instance| more.contains(instance)).count(), 4, "the first ones are untouched");
}

#[tokio::test]
async fn only_the_exact_machine_is_deleted() {
    let play = play().await;
    let cloud = play.adapter().await;
    let before = listed(&cloud).await;
    let exact = |instance: &Instance| InstanceRef { name: instance.name.clone(), id: instance.id };
    let wrong = InstanceRef { name: before[0].name.clone(), id: Some(17) };
    let unknown = InstanceRef { name: before[0].name.clone(), id: None };
    let gone = InstanceRef { name: name("gone"), id: Some(18) };
    cloud.delete(&name(POOL), &[wrong.clone(), unknown, gone], &name("intent-2")).await.unwrap();
    assert_eq!(play.calls("deleteInstances"), 0);
    cloud.delete(&name(POOL), &[wrong, exact(&before[1])], &name("intent-3")).await.unwrap();
    assert_eq!(until(&cloud, |instances| instances.len() == 1).await, vec![before[0].clone()]);
    cloud.delete(&name(POOL), &[exact(&before[1])], &name("intent-3")).await.unwrap();
    assert_eq!(play.calls("deleteInstances"), 1, "what is gone is not asked for again");
}

#[tokio::test]
async fn machines_times_are_those_of_the_judge() {
    let play = play().await;
    let cloud = play.adapter().await;
    create(&cloud, &["n-1"]).await.unwrap();
    let before = until(&cloud, |instances| instances.len() == 3 && all_running(instances)).await;
    let leaving = before.iter().find(|instance| instance.name != "n-1").unwrap();
    let exact = InstanceRef { name: leaving.name.clone(), id: leaving.id };
    cloud.delete(&name(POOL), &[exact], &name("intent-2")).await.unwrap();
    until(&cloud, |instances| instances.len() == 2).await;
    let lists = cloud.list(&names(&[POOL, "us-central1-b/gke-demo-auto-grp"])).await.unwrap();
    let lives = play.stand_in.with(|cloud, _| cloud.lifetimes().to_vec());
    for instance in &lists[0].instances {
        let life = lives.iter().find(|life| Some(life.id) == instance.id).unwrap();
        assert_eq!(instance.created_at, Some(life.from), "{}", instance.name);
    }
    let life = lives.iter().find(|life| Some(life.id) == leaving.id).unwrap();
    let ended = Ended { name: leaving.name.clone(), id: life.id, at: life.to.unwrap() };
    assert_eq!(lists[0].ended.to_vec(), vec![ended]);
    assert!(lists[1].ended.is_empty(), "an end is told once for a zone");
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_asking_again_adds_nothing() {
    let play = play().await;
    let cloud = play.adapter().await;
    play.fault(Some(Call::Create), FaultKind::LoseAnswer);
    assert_eq!(about(create(&cloud, &["n-1"]).await), (FailureClass::Unknown, FailureCode::Unavailable));
    // At once, while the list does not show it yet: the request id finds the first operation.
    create(&cloud, &["n-1"]).await.unwrap();
    until(&cloud, |instances| instances.len() == 3 && all_running(instances)).await;
    assert_eq!(play.stand_in.with(|cloud, _| cloud.lifetimes().len()), 3);

    play.fault(Some(Call::Create), FaultKind::DropCall);
    assert_eq!(about(create(&cloud, &["n-2"]).await).0, FailureClass::Unknown, "it cannot be told apart");
    assert_eq!(listed(&cloud).await.len(), 3);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let play = play().await;
    let cloud = play.adapter().await;
    play.fault(Some(Call::Create), FaultKind::Throttle);
    assert_eq!(about(create(&cloud, &["n-1"]).await), (FailureClass::Retryable, FailureCode::Throttled));
    play.fault(Some(Call::Create), FaultKind::Unavailable);
    assert_eq!(about(create(&cloud, &["n-1"]).await), (FailureClass::Retryable, FailureCode::Unavailable));
    play.fault(Some(Call::Create), FaultKind::Forbid);
    let failure = create(&cloud, &["n-1"]).await.unwrap_err();
    assert_eq!((failure.class, failure.code), (FailureClass::Refused, FailureCode::Forbidden));
    assert!(failure.message.contains("compute.instanceGroupManagers.update"), "{}", failure.message);
    play.fault(Some(Call::List), FaultKind::Unavailable);
    assert_eq!(about(create(&cloud, &["n-1"]).await), (FailureClass::Retryable, FailureCode::Unavailable));
    assert_eq!(play.calls("createInstances"), 3, "no retries of the client's own");
    let nowhere = cloud.create(&name("us-central1-b/none"), &names(&["n"]), &name("i")).await;
    assert_eq!(about(nowhere), (FailureClass::Refused, FailureCode::NotFound));
    assert_eq!(
        about(cloud.create(&name("nonsense"), &names(&["n"]), &name("i")).await),
        (FailureClass::Refused, FailureCode::Invalid)
    );
    assert_eq!(listed(&cloud).await.len(), 2);
}

#[tokio::test]
async fn an_operation_that_fails_is_read_and_one_that_cannot_be_read_is_no_failure() {
    let play = play().await;
    let cloud = play.adapter().await;
    let proactive = name("us-central1-b/gke-demo-proactive-grp");
    let failure = cloud.create(&proactive, &names(&["n"]), &name("i")).await.unwrap_err();
    assert_eq!((failure.class, failure.code), (FailureClass::Refused, FailureCode::Cloud(CloudFault::Config)));
    assert!(failure.message.contains("412 CONDITION_NOT_MET"), "{}", failure.message);

    play.fault(None, FaultKind::LoseOperation);
    create(&cloud, &["n-1"]).await.unwrap();
    assert!(play.stand_in.log().iter().any(|line| line["status"] == 404), "the operation was looked for");
    until(&cloud, |instances| instances.len() == 3 && all_running(instances)).await;

    play.fault(None, FaultKind::StallOperation);
    create(&cloud, &["n-2"]).await.unwrap();
    until(&cloud, |instances| instances.len() == 4 && all_running(instances)).await;

    let exhausted = FaultKind::FailOperation {
        status: 503,
        code: name("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"),
        message: name("none left"),
    };
    play.fault(None, exhausted);
    assert_eq!(
        about(create(&cloud, &["n-3"]).await),
        (FailureClass::Refused, FailureCode::Cloud(CloudFault::Stockout))
    );
}

#[tokio::test]
async fn a_stock_out_shows_in_the_list_and_its_machine_is_deleted_by_name() {
    let play = play().await;
    let cloud = play.adapter().await;
    play.stand_in.with(|cloud, _| cloud.set_faults(vec![FaultRule::new(FaultKind::Stockout { free: 0 })]));
    create(&cloud, &["n-1"]).await.unwrap();
    let stuck = until(&cloud, |instances| instances.iter().any(|instance| instance.fault.is_some())).await;
    let stuck = stuck.iter().find(|instance| instance.name == "n-1").unwrap();
    assert_eq!((stuck.state, stuck.fault, stuck.id), (InstanceState::Requested, Some(CloudFault::Stockout), None));
    let exact = InstanceRef { name: stuck.name.clone(), id: None };
    cloud.delete(&name(POOL), &[exact], &name("intent-2")).await.unwrap();
    assert_eq!(listed(&cloud).await.len(), 2);
    play.stand_in.with(|cloud, _| cloud.set_faults(Vec::new()));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(listed(&cloud).await.len(), 2, "it does not come late");
}

#[tokio::test]
async fn long_lists_are_read_to_their_end_and_long_requests_are_split() {
    let play = play().await;
    let cloud = play.adapter().await;
    let many: Vec<Name> = (0..1010).map(|number| name(&format!("n-{number:04}"))).collect();
    cloud.create(&name(POOL), &many, &name("intent-1")).await.unwrap();
    assert_eq!(play.calls("createInstances"), 2);
    let instances = until(&cloud, |instances| instances.len() == 1012).await;
    assert!(instances.is_sorted_by(|one, other| one.name < other.name));
}

#[tokio::test]
async fn nothing_listens_or_nothing_answers() {
    let play = play().await;
    let gone = Config { endpoint: Some("http://127.0.0.1:9".to_owned()), ..play.config() };
    let cloud = GoogleCloud::connect(gone).await.unwrap();
    let started = std::time::Instant::now();
    assert_eq!(about(create(&cloud, &["n"]).await), (FailureClass::Retryable, FailureCode::Unavailable));
    assert!(started.elapsed() < Duration::from_secs(2), "no silent retries");

    // A server that takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let cloud =
        GoogleCloud::connect(Config { endpoint: Some(endpoint), timeout: Duration::from_millis(300), ..play.config() })
            .await
            .unwrap();
    assert_eq!(
        about(create(&cloud, &["n"]).await),
        (FailureClass::Retryable, FailureCode::Timeout),
        "the list before it had no answer"
    );
}

#[tokio::test]
async fn the_container_api_must_answer_before_a_pool_is_believed() {
    let play = play().await;
    let away = Config { container_endpoint: Some("http://127.0.0.1:9".to_owned()), ..play.config() };
    let failure = GoogleCloud::connect(away).await.unwrap().discover().await.unwrap_err();
    assert_eq!((failure.class, failure.code), (FailureClass::Retryable, FailureCode::Unavailable));
    let without = GoogleCloud::connect(Config { gke: false, ..play.config() }).await.unwrap();
    let pools = without.discover().await.unwrap();
    assert_eq!(
        pools.iter().filter(|pool| pool.refusal == Some(PoolRefusal::Autoscaled)).count(),
        1,
        "only Compute's own autoscaler is seen"
    );
}

#[tokio::test]
async fn effects_are_carried_out_and_the_judge_agrees_with_the_prices() {
    let play = play().await;
    let cloud = play.adapter().await;
    let outcome = perform(&cloud, &Effect::ReadPrices).await;
    let Some(Outcome::Answered(Answer::Prices(book))) = outcome else { panic!("{outcome:?}") };
    let price = book.price("us-central1", "e2-standard-4", CapacityType::OnDemand).unwrap();
    let effect =
        Effect::CreateInstances { pool: name(POOL), names: Few::new(names(&["n-1"])).unwrap(), request_id: name("i") };
    assert_eq!(perform(&cloud, &effect).await, Some(Outcome::Answered(Answer::Done)));
    let outcome = perform(&cloud, &Effect::ListInstances { pools: Few::new(names(&[POOL])).unwrap() }).await;
    assert!(matches!(outcome, Some(Outcome::Answered(Answer::Instances(lists))) if lists[0].instances.len() == 3));
    assert!(
        matches!(perform(&cloud, &Effect::DiscoverPools).await, Some(Outcome::Answered(Answer::Pools(pools))) if pools.len() == 5)
    );
    assert_eq!(perform(&cloud, &Effect::ReadNodePods { node: name("n") }).await, None);

    // Two machines for one hour, whatever else happened.
    let origin = play.stand_in.clock().origin();
    let hour = journal_schema::units::Millis::from_secs(3600);
    let before = journal_schema::units::Timestamp(origin.0 - hour.0);
    assert_eq!(play.stand_in.with(|cloud, _| cloud.cost(before, origin)).0, 0);
    let http = reqwest::Client::new();
    let url = format!("{}/_sim/cost?from={}&to={}", play.url, origin.0, origin.0 + hour.0);
    let cost: serde_json::Value = http.get(url).send().await.unwrap().json().await.unwrap();
    let micro = cost["microUsd"].as_i64().unwrap();
    let three = 3 * price.0;
    assert!(micro <= three && micro > three - three / 100, "{micro} for three machines of {}", price.0);
    assert_eq!(cost["unpriced"], 0);
}

#[tokio::test]
async fn faults_are_set_over_http() {
    let play = play().await;
    let cloud = play.adapter().await;
    let http = reqwest::Client::new();
    let rule = r#"[ { "kind": "Throttle", "call": "Create", "times": 1, "until": 60000 } ]"#;
    let url = format!("{}/_sim/faults", play.url);
    assert_eq!(http.put(format!("{url}?relative=true")).body(rule).send().await.unwrap().status(), 204);
    assert_eq!(about(create(&cloud, &["n-1"]).await).1, FailureCode::Throttled);
    let rules: serde_json::Value = http.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(rules[0]["applied"], 1);
    let refused = http.put(&url).body(r#"[ { "kind": "Nonsense" } ]"#).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let state: serde_json::Value =
        http.get(format!("{}/_sim/state", play.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(state["pools"][1]["targetSize"], 2);
}

#[tokio::test]
async fn prices_are_refreshed_from_the_billing_api_and_kept_while_it_is_away() {
    let rates = r#"[{ "family": "e2", "description": "E2 Instance", "coreNanos": 24000000, "gibNanos": 3200000 }]"#;
    let play = staged(rates).await;
    let billing = |refresh| Some(BillingConfig { refresh, endpoint: Some(play.url.clone()) });
    let connect = |billing| GoogleCloud::connect(Config { billing, ..play.config() });
    let of = async |cloud: &GoogleCloud| {
        let book = cloud.prices().await.unwrap();
        let price = book.price("us-central1", "e2-standard-4", CapacityType::OnDemand).unwrap();
        (book.source.to_string(), book.as_of, price.0)
    };
    let (source, then, built_in) = of(&connect(None).await.unwrap()).await;
    assert_eq!(source, "built-in");
    assert_eq!(play.calls("/skus"), 0);

    let daily = connect(billing(Duration::from_hours(24))).await.unwrap();
    let (source, today, price) = of(&daily).await;
    assert_eq!((source.as_str(), price), ("Cloud Billing over built-in", 4 * 24_000 + 16 * 3_200));
    assert!(today > then && price != built_in, "{price}");
    // The list has two pages, and is not read again before its time.
    assert_eq!(play.calls("/skus"), 2);
    assert_eq!(of(&daily).await, (source.clone(), today, price));
    assert_eq!(play.calls("/skus"), 2);

    // What was read last is used while the API is away, with the time it was read at.
    let often = connect(billing(Duration::ZERO)).await.unwrap();
    assert_eq!(of(&often).await.2, price);
    play.server.abort();
    let (source, _, kept) = of(&often).await;
    assert_eq!((source.as_str(), kept), ("Cloud Billing over built-in", price));
}

#[tokio::test]
async fn prices_stay_as_they_are_where_the_billing_api_is_not_enabled() {
    let play = play().await;
    let billing = Some(BillingConfig { refresh: Duration::from_hours(24), endpoint: Some(play.url.clone()) });
    let cloud = GoogleCloud::connect(Config { billing, ..play.config() }).await.unwrap();
    assert_eq!(cloud.prices().await.unwrap().source.as_str(), "built-in");
    assert_eq!(play.calls("/skus"), 1);
    // Not asked again at every step: it will not be enabled this minute.
    assert_eq!(cloud.prices().await.unwrap().source.as_str(), "built-in");
    assert_eq!(play.calls("/skus"), 1);
}
