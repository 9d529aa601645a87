//! Carries out every effect on a test cluster and tells what came of it:
//! `cargo run -p adapter-kube --example effects -- NAMESPACE DEPLOYMENT` (kubeconfig as usual).
//!
//! It moves real pods about. Not for a cluster that anyone uses.

#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Duration;

use adapter_kube::client::{Target, connect};
use adapter_kube::lease::{Elector, LeaseConfig};
use adapter_kube::perform::{Performer, Reporter};
use adapter_kube::project::Project;
use journal_schema::effect::{Answer, Effect, FailureCode, NodeRole, Outcome, Regarding};
use journal_schema::facts::{Key, Object, PodFact, WorkloadId, WorkloadKind};
use journal_schema::text::{Few, JsonText, Message, Name};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};

type Failed = Box<dyn std::error::Error>;

async fn show(performer: &Performer, what: &str, effect: Effect) -> Outcome {
    let outcome = performer.perform(&effect).await;
    match &outcome {
        Outcome::Answered(Answer::NodePods(pods)) => println!("{what}: {} pods", pods.len()),
        Outcome::Answered(answer) => println!("{what}: {answer:?}"),
        Outcome::Failed(failure) => println!("{what}: {:?} {:?}: {}", failure.class, failure.code, failure.message),
    }
    outcome
}

async fn pod(pods: &Api<Pod>) -> Result<PodFact, Failed> {
    for pod in pods.list(&ListParams::default()).await?.items {
        if let Object::Pod(fact) = pod.project()?.object
            && fact.node.is_some()
            && fact.deletion_at.is_none()
        {
            return Ok(fact);
        }
    }
    Err("no pod".into())
}

/// Whose number of replicas it is: the API server's answer to all the ways in which others set it.
async fn whose_replicas(
    performer: &Performer,
    deployments: &Api<Deployment>,
    id: &WorkloadId,
    uid: &Name,
    base: i32,
) -> Result<(), Failed> {
    let name = id.key.name.as_str();
    let scale = async |from, to| {
        let effect = Effect::Scale { workload: id.clone(), uid: uid.clone(), from, to };
        performer.perform(&effect).await
    };
    let by_user = async |replicas: i32| {
        let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
        deployments
            .patch(name, &PatchParams { field_manager: Some("user".to_owned()), ..PatchParams::default() }, &patch)
            .await
    };
    let by_autoscaler = async |replicas: i32| {
        let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
        let params = PatchParams { field_manager: Some("autoscaler".to_owned()), ..PatchParams::default() };
        deployments.patch_scale(name, &params, &patch).await
    };
    let by_applier = async |replicas: i32| {
        let patch = serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas}});
        deployments.patch(name, &PatchParams::apply("applier").force(), &Patch::Apply(patch)).await
    };
    let mut wrong = Vec::new();
    let mut expect = |what: &str, outcome: Outcome, refusal: Option<String>| {
        let fits = match (&outcome, &refusal) {
            (Outcome::Answered(Answer::Done), None) => true,
            (Outcome::Failed(failure), Some(text)) => {
                failure.code == FailureCode::Precondition && failure.message.as_str() == text
            }
            _ => false,
        };
        println!("{what}: {}", if fits { "as expected" } else { "NOT AS EXPECTED" });
        if !fits {
            wrong.push(format!("{what}: {outcome:?} where {refusal:?} was expected"));
        }
    };
    let more = base + 1;
    let set_by = |manager: &str| Some(format!("replicas are {more} now, set by {manager}; expected {base}"));
    let changed_by = |manager: &str| Some(format!("replicas were set to {more} meanwhile, by {manager}"));

    by_user(base).await?;
    expect("our surge", scale(base, more).await, None);
    expect("our surge repeated", scale(base, more).await, None);
    expect("our way back", scale(more, base).await, None);
    expect("our way back repeated", scale(more, base).await, None);
    by_user(more).await?;
    expect("a surge to a user's number", scale(base, more).await, set_by("user"));
    by_user(base).await?;
    expect("a surge again", scale(base, more).await, None);
    by_user(more + 1).await?;
    by_user(more).await?;
    expect("back from a user's number", scale(more, base).await, changed_by("user"));
    by_autoscaler(base).await?;
    expect("a surge from an autoscaler's number", scale(base, more).await, None);
    by_autoscaler(more + 1).await?;
    by_autoscaler(more).await?;
    expect("back from an autoscaler's number", scale(more, base).await, changed_by("autoscaler"));
    by_applier(base).await?;
    expect("a surge from an applied number", scale(base, more).await, None);
    expect("back to the applied number", scale(more, base).await, None);
    expect("a surge once more", scale(base, more).await, None);
    by_applier(more).await?;
    expect("back from the same number, applied", scale(more, base).await, changed_by("applier"));
    expect("a surge to the same number, applied", scale(base, more).await, set_by("applier"));
    by_user(base).await?;
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let namespace = arguments.next().ok_or("usage: effects NAMESPACE DEPLOYMENT")?;
    let name = arguments.next().ok_or("usage: effects NAMESPACE DEPLOYMENT")?;
    let clients = connect(&Target::default()).await?;
    let client = clients.requests.clone();

    let mut one = Elector::new(client.clone(), LeaseConfig::new(&namespace, "kinema-example", "one"), 0);
    let mut two = Elector::new(client.clone(), LeaseConfig::new(&namespace, "kinema-example", "two"), 0);
    println!("one: {:?}", one.attempt().await);
    println!("two: {:?}", two.attempt().await);
    println!("one again: {:?}, {:?} left", one.attempt().await, one.fence().margin_left());
    let own = Key::new(Name::new(&namespace)?, Name::new("kinema-0")?);
    let performer = Performer::new(client.clone(), one.fence(), Reporter::new(own, "example"));

    let Object::Workload(workload) =
        Api::<Deployment>::namespaced(client.clone(), &namespace).get(&name).await?.project()?.object
    else {
        return Err("not a workload".into());
    };
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let first = pod(&pods).await?;
    let node_name = first.node.clone().unwrap_or_default();
    let Object::Node(node) = Api::<Node>::all(client.clone()).get(&node_name).await?.project()?.object else {
        return Err("not a node".into());
    };
    let id = WorkloadId { kind: WorkloadKind::Deployment, key: workload.id.key.clone() };
    let uid = workload.uid.clone();

    for role in [NodeRole::Optimal, NodeRole::Later, NodeRole::Expiring, NodeRole::Expiring, NodeRole::None] {
        let effect = Effect::MarkNode { node: node.name.clone(), uid: node.uid.clone(), role, iteration: 7 };
        show(&performer, &format!("mark {role:?}"), effect).await;
    }
    let other =
        Effect::MarkNode { node: node.name.clone(), uid: Name::new("other")?, role: NodeRole::None, iteration: 7 };
    show(&performer, "mark with another uid", other).await;
    for cost in [Some(-1000), None] {
        let effect = Effect::SetDeletionCost { pod: first.key.clone(), uid: first.uid.clone(), cost };
        show(&performer, &format!("deletion cost {cost:?}"), effect).await;
    }
    let replicas = workload.replicas;
    let scale = |from, to| Effect::Scale { workload: id.clone(), uid: uid.clone(), from, to };
    show(&performer, "scale up", scale(replicas, replicas + 1)).await;
    show(&performer, "scale up again", scale(replicas, replicas + 1)).await;
    show(&performer, "scale from elsewhere", scale(replicas + 7, replicas)).await;
    show(&performer, "scale back", scale(replicas + 1, replicas)).await;
    whose_replicas(&performer, &Api::namespaced(client.clone(), &namespace), &id, &uid, replicas).await?;

    let read = Effect::ReadAffinity { workload: id.clone(), uid: uid.clone() };
    let Outcome::Answered(Answer::Affinity(before, max_unavailable)) = show(&performer, "affinity", read).await else {
        return Err("no affinity".into());
    };
    let ours = JsonText::new(
        r#"{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"preference":{"matchExpressions":[{"key":"kinema.dev/optimal","operator":"In","values":["7"]}]},"weight":100}]}}"#,
    )?;
    let bound = max_unavailable.map(|now| Ok::<_, Failed>((now, JsonText::new("0")?))).transpose()?;
    let patch = |from: Option<JsonText>, to: Option<JsonText>, back: bool| Effect::PatchTemplate {
        workload: id.clone(),
        uid: uid.clone(),
        from,
        to,
        max_unavailable: bound.clone().map(|(a, b)| if back { (b, a) } else { (a, b) }),
        requests: Few::default(),
    };
    show(&performer, "patch", patch(before.clone(), Some(ours.clone()), false)).await;
    show(&performer, "patch again", patch(before.clone(), Some(ours.clone()), false)).await;
    show(&performer, "patch from elsewhere", patch(Some(JsonText::new("{}")?), None, false)).await;
    show(&performer, "restore", patch(Some(ours), before, true)).await;

    tokio::time::sleep(Duration::from_secs(5)).await;
    let leaving = pod(&pods).await?;
    let evict = |uid: Name| Effect::Evict { pod: leaving.key.clone(), uid };
    show(&performer, "evict with another uid", evict(Name::new("other")?)).await;
    show(&performer, "evict", evict(leaving.uid.clone())).await;
    show(&performer, "evict again", evict(leaving.uid.clone())).await;
    let next = pod(&pods).await?;
    show(&performer, "evict another at once", Effect::Evict { pod: next.key, uid: next.uid }).await;
    show(&performer, "pods of the node", Effect::ReadNodePods { node: node.name.clone() }).await;
    let notice = Effect::Notice {
        regarding: Regarding::Workload(id, uid),
        reason: Name::new("PodsMoving")?,
        note: Message::new("an example moves pods")?,
        warning: false,
    };
    show(&performer, "notice", notice).await;
    println!("released: {:?}", one.release().await);
    println!("two: {:?}", two.attempt().await);
    println!("released: {:?}", two.release().await);
    Ok(())
}
