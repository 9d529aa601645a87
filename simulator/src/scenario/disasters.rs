//! What has happened to others, and must not happen here: each published disaster as a small world that invites it.
//!
//! The table in `docs/hazards.md` says where each was reported, and which rule stands against it.

use journal_schema::event::OperatorCommand;
use journal_schema::facts::Kind;
use journal_schema::units::{Millis, Ppm};

use super::kinds::{dear_world, deployment, operator, small_world};
use super::spec::{Expected, Scenario};
use super::system;
use crate::cloud::{FaultKind as CloudFault, FaultRule as CloudFaultRule};
use crate::faults::{FaultKind, FaultRule, RequestFault, Trigger};

fn untouched(mut this: Scenario) -> Scenario {
    this.expected = Expected::Untouched;
    this.limit = Millis::from_minutes(60);
    this
}

fn unwound(mut this: Scenario, because: &str) -> Scenario {
    this.expected = Expected::Unwound;
    this.because = Some(because.to_owned());
    this
}

fn crash(effect: &'static str, nodes: usize, back: Option<Millis>) -> Vec<FaultRule> {
    (0..nodes).map(|index| FaultRule::on(effect, 1, FaultKind::NodeCrash { index, back })).collect()
}

/// Ten machines, so that some may be lost and others still be there to go.
fn ten_machines(scenario: &str, about: &str) -> Scenario {
    let mut this = small_world(scenario, about);
    this.pools.truncate(1);
    if let Some(pool) = this.pools.first_mut() {
        pool.initial = 10;
    }
    this.workloads =
        [system(), vec![deployment("cart", 6, 12, 300, 600), deployment("orders", 4, 8, 250, 500)]].concat();
    this
}

/// Every pod of most nodes is missing from one list.
fn empty_nodes() -> Scenario {
    let mut this = untouched(small_world("empty-nodes", "a list shows most nodes empty: nothing is changed"));
    this.faults = vec![
        FaultRule::at(Millis(1_000), FaultKind::EmptyList { kind: Kind::Pod }),
        FaultRule::at(Millis(2_000), FaultKind::InterruptWatch { kind: Kind::Pod }),
    ];
    // Too few pods for the breaker that never closes by itself.
    this.workloads = [system(), vec![deployment("cart", 6, 6, 300, 600)]].concat();
    this.policy.breakers.empty_hold = Millis::from_minutes(120);
    this.policy.decide.max_change = Ppm::percent(100);
    this
}

fn another_machine() -> Scenario {
    let mut this = small_world("another-machine", "a leaving machine is made anew under its name: the new one stays");
    this.faults = (0..6).map(|index| FaultRule::on("MarkNode", 1, FaultKind::MachineReplaced { index })).collect();
    this.faults.truncate(2);
    this.expected = Expected::Any;
    this
}

fn too_many_replaced() -> Scenario {
    let mut this = untouched(dear_world("too-many-replaced", "a plan replaces more nodes than a day allows"));
    this.policy.breakers.replaced_per_day = Ppm(0);
    this.policy.breakers.replaced_nodes = 1;
    this.because = Some("TooManyReplaced".to_owned());
    this
}

fn stockout_for_a_day() -> Scenario {
    let mut this = dear_world("stockout-for-a-day", "no machine can be had for a day: it is tried now and then");
    this.cloud_faults = vec![CloudFaultRule::new(CloudFault::Stockout { free: 0 })];
    this.limit = Millis::from_minutes(24 * 60);
    this.expected = Expected::Unwound;
    this
}

fn young_nodes() -> Scenario {
    let mut this = untouched(small_world("young-nodes", "nodes that joined lately stay, however empty they are"));
    this.policy.observe.min_node_age = Millis::from_minutes(365 * 24 * 60);
    this
}

fn configuration_lost() -> Scenario {
    let about = "the configuration is lost while pods move: what was changed is undone, no machine goes";
    let mut this = unwound(small_world("configuration-lost", about), "PolicyForbids");
    this.faults = vec![FaultRule::on("Scale", 2, FaultKind::Policy(Box::default()))];
    this
}

fn deleted_twice() -> Scenario {
    let mut this = small_world("deleted-twice", "every deletion arrives twice and fails afterwards: each counts once");
    let rule = |nth, fault| {
        let trigger = Trigger::Effect { name: "DeleteInstances".into(), nth, times: 1 };
        FaultRule { trigger, kind: FaultKind::Request(fault) }
    };
    this.faults =
        (1..6).map(|nth| rule(nth, [RequestFault::Twice, RequestFault::ServerErrorAfter][nth as usize % 2])).collect();
    this
}

fn nodes_lost_while_moving() -> Scenario {
    let about = "three of ten nodes are lost while pods move: nothing more is begun, and in the end all is undone";
    let mut this = unwound(ten_machines("nodes-lost-while-moving", about), "MassNotReady");
    this.faults = crash("Scale", 3, None);
    this
}

fn nodes_away_while_moving() -> Scenario {
    let about = "three of ten nodes are away for five minutes while pods move: it goes on when they are back";
    let mut this = ten_machines("nodes-away-while-moving", about);
    this.faults = crash("Scale", 3, Some(Millis::from_minutes(5)));
    this.expected = Expected::Any;
    this
}

fn reboot() -> Scenario {
    let mut this = small_world("reboot", "a node's machine reboots in the middle of an iteration");
    this.faults = vec![FaultRule::on("Scale", 1, FaultKind::NodeCrash { index: 0, back: Some(Millis::from_secs(90)) })];
    this.expected = Expected::Any;
    this
}

fn old_replica() -> Scenario {
    let about = "every watch breaks and lists from a replica that stands still: the old is not taken for the new";
    let mut this = small_world("old-replica", about);
    this.faults = vec![FaultRule::on("Scale", 2, FaultKind::OldReplica { span: Millis::from_minutes(3) })];
    let kinds = [Kind::Node, Kind::Pod, Kind::Deployment, Kind::ReplicaSet, Kind::StatefulSet];
    let gone = |kind| FaultRule::on("Scale", 3, FaultKind::InterruptWatch { kind });
    this.faults.extend(kinds.map(gone));
    this.expected = Expected::Any;
    this
}

fn api_failing() -> Scenario {
    let about = "the API server fails most requests while pods move: nothing more is begun";
    let mut this = unwound(ten_machines("api-failing", about), "ApiFailing");
    let trigger = Trigger::Effect { name: "Scale".into(), nth: 2, times: 150 };
    this.faults = vec![FaultRule { trigger, kind: FaultKind::Request(RequestFault::ServerError) }];
    this.policy.breakers.api_error_answers = 5;
    this
}

fn clock_forward() -> Scenario {
    let about = "the clock is set an hour forward while machines go: no settle time is over by that";
    let mut this = small_world("clock-forward", about);
    let step = |nth| FaultRule::on("ReadNodePods", nth, FaultKind::ClockStep { by: Millis::from_minutes(60) });
    this.faults = vec![step(1)];
    this.faults.extend(
        (2..6).map(|nth| FaultRule::on("DeleteInstances", nth, FaultKind::ClockStep { by: Millis::from_minutes(60) })),
    );
    this
}

fn clock_back() -> Scenario {
    let mut this = small_world("clock-back", "the clock is set an hour back: nothing stands still for an hour");
    this.faults = vec![FaultRule::on("Scale", 2, FaultKind::ClockStep { by: Millis::from_minutes(-60) })];
    this
}

fn clock_set_while_planning() -> Scenario {
    let about = "the clock is set while a plan waits for approval: the cluster is observed anew";
    let mut this = untouched(small_world("clock-set-while-planning", about));
    this.policy.mode = journal_schema::policy::Mode::Approve;
    this.policy.decide.plan_ttl = Millis::from_minutes(600);
    this.faults = vec![FaultRule::at(Millis::from_minutes(30), FaultKind::ClockStep { by: Millis::from_minutes(10) })];
    this.limit = Millis::from_minutes(35);
    this.because = Some("ClockStepped".to_owned());
    this
}

fn paused_while_lost() -> Scenario {
    let mut this = ten_machines("paused-while-lost", "an operator pauses and aborts while nodes are lost");
    this.faults = crash("Scale", 3, None);
    this.faults.push(operator(20, OperatorCommand::Abort));
    this.expected = Expected::Unwound;
    this
}

/// Every disaster.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        empty_nodes(),
        another_machine(),
        too_many_replaced(),
        stockout_for_a_day(),
        young_nodes(),
        configuration_lost(),
        deleted_twice(),
        nodes_lost_while_moving(),
        nodes_away_while_moving(),
        reboot(),
        old_replica(),
        api_failing(),
        clock_forward(),
        clock_back(),
        clock_set_while_planning(),
        paused_while_lost(),
    ]
}
