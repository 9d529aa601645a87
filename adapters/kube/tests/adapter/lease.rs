//! Leadership: two candidates never lead together, whatever the network does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_kube::lease::{Attempt, Elector, Fence, Head, LeaseConfig, Lost};
use http::Method;
use kube::Client;
use serde_json::json;

use crate::mock::{Fault, Server};

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kinema/leases/leader";

fn config(identity: &str) -> LeaseConfig {
    LeaseConfig::new("kinema", "leader", identity)
}

fn elector(server: &Server, identity: &str) -> Elector {
    Elector::new(server.client(), config(identity), 0)
}

async fn secs(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_created_and_renewed() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    let fence = one.fence();
    assert_eq!(fence.margin_for_mutation(), None);
    assert_eq!(one.attempt().await, Attempt::Acquired { epoch: 1, head: None });
    // One of its clocks goes on whatever a test says.
    let left = fence.margin_left();
    assert!(fence.epoch() == 1 && left <= Duration::from_secs(30) && left > Duration::from_secs(20), "{left:?}");
    let acquired = server.object(LEASE)["spec"]["acquireTime"].clone();
    secs(26).await;
    assert_eq!(fence.margin_for_mutation(), None, "four seconds are too few to begin a mutation");
    assert_eq!(one.attempt().await, Attempt::Renewed);
    assert!(fence.margin_for_mutation().is_some());
    let spec = &server.object(LEASE)["spec"];
    assert_eq!(
        (&spec["acquireTime"], &spec["leaseTransitions"], &spec["holderIdentity"]),
        (&acquired, &json!(1), &json!("one"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_only_after_it_was_watched_for_its_duration() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    one.attempt().await;
    // Its times tell an age of decades; they come from another machine's clock and mean nothing.
    {
        let mut state = server.0.lock().unwrap();
        let lease = state.objects.get_mut(LEASE).unwrap();
        lease["spec"]["renewTime"] = json!("1990-01-01T00:00:00.000000Z");
    }
    let mut two = elector(&server, "two");
    assert_eq!(two.attempt().await, Attempt::HeldBy("one".to_owned()));
    secs(29).await;
    assert_eq!(two.attempt().await, Attempt::HeldBy("one".to_owned()));
    secs(1).await;
    assert_eq!(two.attempt().await, Attempt::Acquired { epoch: 2, head: None });
    assert_eq!(one.fence().margin_left(), Duration::ZERO, "the old leader's fence ended before");
    assert_eq!(one.attempt().await, Attempt::HeldBy("two".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_new_process_with_the_old_name_has_a_new_epoch() {
    let server = Server::default();
    elector(&server, "pod-0").attempt().await;
    let mut again = elector(&server, "pod-0");
    assert_eq!(again.attempt().await, Attempt::HeldBy("pod-0".to_owned()), "the old process may live");
    let mut trusting = Elector::new(server.client(), LeaseConfig { trust_own_identity: true, ..config("pod-0") }, 0);
    assert_eq!(trusting.attempt().await, Attempt::Acquired { epoch: 2, head: None });
}

#[tokio::test(start_paused = true)]
async fn an_epoch_is_never_repeated_even_when_the_lease_was_deleted() {
    let server = Server::default();
    let mut one = Elector::new(server.client(), config("one"), 41);
    assert_eq!(one.attempt().await, Attempt::Acquired { epoch: 42, head: None });
    server.0.lock().unwrap().objects.clear();
    assert_eq!(one.attempt().await, Attempt::Acquired { epoch: 43, head: None }, "a new term, not a renewal");
}

#[tokio::test(start_paused = true)]
async fn the_journals_head_is_handed_over() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    one.attempt().await;
    let head = Head { journal: "0f3c".to_owned(), seq: 18_231, chain: "ab12".to_owned() };
    one.fence().set_head(head.clone());
    one.attempt().await;
    one.release().await.unwrap();
    assert_eq!(one.fence().margin_left(), Duration::ZERO);
    let mut two = elector(&server, "two");
    assert_eq!(
        two.attempt().await,
        Attempt::Acquired { epoch: 2, head: Some(head) },
        "a lease that was given back is taken at once"
    );
}

#[tokio::test(start_paused = true)]
async fn release_does_not_touch_a_lease_that_another_took() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    one.attempt().await;
    server.0.lock().unwrap().objects.get_mut(LEASE).unwrap()["spec"]["holderIdentity"] = json!("two");
    one.release().await.unwrap();
    assert_eq!(server.object(LEASE)["spec"]["holderIdentity"], "two");
}

#[tokio::test(start_paused = true)]
async fn two_that_write_at_once_do_not_both_win() {
    let server = Server::with(&[(
        LEASE,
        json!({"metadata": {"name": "leader"}, "spec": {"holderIdentity": "", "leaseTransitions": 4}}),
    )]);
    server.fault(
        Method::PUT,
        Fault::Meanwhile(Box::new(|objects| {
            let lease = objects.get_mut(LEASE).unwrap();
            lease["spec"] = json!({"holderIdentity": "two", "leaseTransitions": 5});
            lease["metadata"]["resourceVersion"] = json!("other");
        })),
    );
    let mut one = elector(&server, "one");
    assert_eq!(one.attempt().await, Attempt::Raced);
    assert_eq!(one.fence().margin_left(), Duration::ZERO);
    assert_eq!(one.attempt().await, Attempt::HeldBy("two".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_gives_up_before_its_lease_ends() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    one.acquire(|_| {}).await;
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        server.fault(Method::GET, Fault::Silence);
    }
    assert!(matches!(one.lead().await, Lost::NotRenewed(_)));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(one.fence().margin_left(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_paused_past_its_lease_learns_it() {
    let server = Server::default();
    let mut one = elector(&server, "one");
    one.acquire(|_| {}).await;
    let fence = one.fence();
    let mut two = elector(&server, "two");
    two.attempt().await;
    secs(31).await;
    two.acquire(|_| {}).await;
    assert_eq!(fence.margin_for_mutation(), None, "no word from the lease is needed to hold back");
    assert_eq!(one.lead().await, Lost::TakenBy("two".to_owned()));
}

/// A generator of chance that a failing run can be repeated with.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A client whose requests come late, are answered late, or are lost, on both ways.
fn bad_network(server: &Server, seed: u64) -> Client {
    let chance = Arc::new(Mutex::new(Chance(seed)));
    let server = server.clone();
    Client::new(
        tower::service_fn(move |request| {
            let (server, chance) = (server.clone(), chance.clone());
            async move {
                let delay = |chance: &Mutex<Chance>| {
                    let mut chance = chance.lock().unwrap();
                    match chance.below(20) {
                        0 => 40_000,
                        1..4 => chance.below(12_000),
                        _ => chance.below(50),
                    }
                };
                tokio::time::sleep(Duration::from_millis(delay(&chance))).await;
                // What the client gave up on may still arrive: the server works on by itself.
                let handled = tokio::spawn(server.handle(request)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(delay(&chance))).await;
                handled
            }
        }),
        "default",
    )
}

#[tokio::test(start_paused = true)]
async fn two_candidates_on_a_bad_network_never_lead_together() {
    let mut terms = 0;
    for seed in 1..=60_u64 {
        let server = Server::default();
        let fences: Arc<Mutex<Vec<Fence>>> = Arc::default();
        let epochs: Arc<Mutex<Vec<u64>>> = Arc::default();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..3_u64 {
            let client = bad_network(&server, seed * 1000 + number + 1);
            let (fences, epochs) = (fences.clone(), epochs.clone());
            tasks.spawn(async move {
                let mut chance = Chance(seed * 77 + number + 1);
                loop {
                    // Each process dies now and then, and a new one with the same name begins.
                    let mut elector = Elector::new(client.clone(), config(&format!("candidate-{number}")), 0);
                    fences.lock().unwrap().push(elector.fence());
                    let life = Duration::from_millis(5_000 + chance.below(120_000));
                    let _ = tokio::time::timeout(life, async {
                        let (epoch, _) = elector.acquire(|_| {}).await;
                        epochs.lock().unwrap().push(epoch);
                        elector.lead().await;
                    })
                    .await;
                    if chance.below(2) == 0 {
                        let _ = tokio::time::timeout(Duration::from_secs(5), elector.release()).await;
                    }
                }
            });
        }
        for _ in 0..6_000 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let leaders = fences.lock().unwrap().iter().filter(|fence| fence.margin_left() > Duration::ZERO).count();
            assert!(leaders <= 1, "seed {seed}: {leaders} leaders");
        }
        tasks.shutdown().await;
        let epochs = epochs.lock().unwrap().clone();
        assert_eq!(epochs.iter().collect::<BTreeSet<_>>().len(), epochs.len(), "seed {seed}: {epochs:?}");
        assert!(epochs.is_sorted(), "seed {seed}: {epochs:?}");
        terms += epochs.len();
    }
    assert!(terms > 300, "only {terms} terms: the test would show nothing");
}
