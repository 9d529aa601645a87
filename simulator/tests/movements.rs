//! Every small world ends as it is expected to end, breaks no rule and leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::effect::{Effect, LATER_KEY, NodeRole};
use journal_schema::event::Event;
use journal_schema::facts::PodFact;
use journal_schema::plan::{Move, Target};
use journal_schema::policy::{Actuation, Objective, SingleReplica};
use journal_schema::text::Name;
use journal_schema::units::Millis;
use simulator::Scenario;
use simulator::faults::{FaultKind, FaultRule};
use simulator::runner::{Ending, Progress, RunOptions, run, run_with};
use simulator::scenario::Expected;

/// The scheduler decides where pods go, and pods that move together reach it in any order. A plan that
/// comes true only when the scheduler does as expected leaves nodes behind that cost more.
#[test]
fn what_was_planned_is_what_is_reached() {
    let (mut planned, mut reached, mut exact) = (0, 0, 0);
    for seed in 1..=6 {
        let report = run(Scenario::find("default", seed).unwrap(), seed, &RunOptions::default()).unwrap();
        let plan = report.planned_cost_per_hour.expect("a plan");
        println!("seed {seed}: planned {plan}, reached {}", report.cost_per_hour_after);
        exact += u32::from(report.cost_per_hour_after == plan);
        (planned, reached) = (planned + plan.0, reached + report.cost_per_hour_after.0);
    }
    assert!(exact >= 4 && reached * 100 <= planned * 105, "planned {planned}, reached {reached}, {exact} of 6 exactly");
}

/// No pod moves while a node is avoided that its wave opens, or one is open that it does not.
#[test]
fn pods_move_while_the_nodes_of_their_wave_are_open() {
    let (mut moves, mut waves) = (0, BTreeSet::new());
    let mut watch = |progress: Progress<'_>| {
        let Progress::Entry(entry, state) = progress else { return };
        let Event::Intents { effects } = &entry.event else { return };
        let Some(iteration) = state.phase().iteration() else { return };
        let plan = &iteration.planned.plan;
        for (_, effect) in effects {
            let (Effect::Evict { pod, uid } | Effect::SetDeletionCost { pod, uid, cost: Some(_) }) = effect else {
                continue;
            };
            let Some(step) = plan.moves.iter().find(|step| step.pod == *pod && step.uid == *uid) else { continue };
            let Some(wave) = plan.waves.get(step.wave as usize) else { continue };
            let opens: BTreeSet<&Name> = wave
                .opens
                .iter()
                .filter_map(|target| match target {
                    Target::Node(name) => Some(name),
                    Target::New(slot) => iteration.machines.iter().find(|m| m.slot == *slot).map(|m| &m.name),
                })
                .collect();
            for node in state.cluster().nodes.values().filter(|node| !iteration.removes(&node.name)) {
                let avoided = node.taints.iter().any(|taint| taint.key == LATER_KEY);
                assert_eq!(!avoided, opens.contains(&node.name), "{pod} moves in wave {}: {}", step.wave, node.name);
            }
            moves += 1;
            waves.insert(step.wave);
        }
    };
    run_with(Scenario::find("default", 3).unwrap(), 3, &RunOptions::default(), &mut watch).unwrap();
    assert!(moves > 20 && waves.len() > 2, "{moves} moves in waves {waves:?}");
}

/// A node whose pod cannot leave stays, and what was done to it is undone, once.
#[test]
fn a_spared_node_is_not_marked_again() {
    let (mut spared, mut undone) = (BTreeSet::new(), 0);
    let mut watch = |progress: Progress<'_>| {
        let Progress::Entry(entry, state) = progress else { return };
        if let Event::Intents { effects } = &entry.event {
            for (_, effect) in effects {
                if let Effect::MarkNode { node, role, .. } = effect
                    && spared.contains(node)
                {
                    assert_eq!(*role, NodeRole::None, "{node} is marked although it is spared");
                    undone += 1;
                }
            }
        }
        spared.extend(state.phase().iteration().into_iter().flat_map(|iteration| iteration.spared.iter().cloned()));
    };
    let mut scenario = Scenario::find("default", 9).unwrap();
    // The slowest pods are given up, and few enough of them that the plan goes on.
    scenario.policy.deadlines.one_move = Millis(20_000);
    let report = run_with(scenario, 9, &RunOptions::default(), &mut watch).unwrap();
    assert_eq!(report.ending, Ending::Completed);
    assert!(!spared.is_empty() && undone <= spared.len(), "{undone} times undone for {spared:?}");
}

#[test]
fn pods_are_evicted_in_the_order_of_the_plan() {
    let (mut planned, mut evicted) = (Vec::new(), Vec::new());
    let mut watch = |progress: Progress<'_>| {
        let Progress::Entry(entry, state) = progress else { return };
        if let Some((_, of)) = state.planned().filter(|_| planned.is_empty()) {
            planned = of.plan.moves.iter().map(|step| step.pod.clone()).collect();
        }
        let Event::Intents { effects } = &entry.event else { return };
        for (_, effect) in effects {
            if let Effect::Evict { pod, .. } = effect
                && !evicted.contains(pod)
            {
                evicted.push(pod.clone());
            }
        }
    };
    let mut scenario = Scenario::find("default", 3).unwrap();
    scenario.policy.disruption.actuation = Actuation::Evict;
    run_with(scenario, 3, &RunOptions::default(), &mut watch).unwrap();
    // A pod may go by itself before its turn comes.
    planned.retain(|pod| evicted.contains(pod));
    assert!(planned.len() > 50, "{}", planned.len());
    evicted.retain(|pod| planned.contains(pod));
    assert_eq!(evicted, planned);
}

/// A pod that fits nowhere gets the place of another, which is led away from there: by surge and by eviction.
#[test]
fn a_pod_that_waits_is_given_room_and_no_machine_is_booted() {
    for actuation in [Actuation::SurgeThenEvict, Actuation::Evict] {
        let mut scenario = Scenario::find("make-room", 1).unwrap();
        scenario.policy.disruption.actuation = actuation;
        let (mut led, mut bound, mut left) = (Vec::new(), None, None);
        let mut watch = |progress: Progress<'_>| {
            let Progress::Entry(entry, state) = progress else { return };
            let pod_of = |app: &str| state.cluster().pods.values().find(|pod| pod.key.name.starts_with(app));
            bound = pod_of("trainer").and_then(|pod| pod.node.clone());
            let Event::Intents { effects } = &entry.event else { return };
            for (_, effect) in effects {
                assert!(!matches!(effect, Effect::CreateInstances { .. }), "a machine is booted");
                if let Effect::Evict { pod, .. } | Effect::SetDeletionCost { pod, cost: Some(_), .. } = effect {
                    let node = state.cluster().pods[pod].node.clone().unwrap();
                    let taints = &state.cluster().nodes[&node].taints;
                    led.push(taints.iter().any(|taint| taint.key == LATER_KEY));
                    left = Some(node);
                }
            }
        };
        let report = run_with(scenario.clone(), 1, &RunOptions::default(), &mut watch).unwrap();
        assert_eq!((report.ending, report.moves), (Ending::Completed, 1), "{:?}", report.reason);
        assert_eq!(led, [true], "one pod moves while its node is avoided");
        assert!(bound.is_some() && bound == left, "{bound:?} where {left:?} was left");
        assert_eq!(complaints_of(scenario, 1), Vec::<String>::new());
    }
}

/// Pods change places, by surge and by eviction, and come where the plan says.
#[test]
fn balance_is_reached_without_a_machine() {
    for (name, actuation) in
        [("balance", Actuation::SurgeThenEvict), ("balance", Actuation::Evict), ("default", Actuation::SurgeThenEvict)]
    {
        let mut scenario = Scenario::find(name, 1).unwrap();
        scenario.policy.disruption.actuation = actuation;
        scenario.policy.disruption.single_replica = SingleReplica::Allow;
        scenario.policy.optimize.objective = Objective::Balance;
        let mut seen = None;
        let mut watch = |progress: Progress<'_>| {
            let Progress::Entry(_, state) = progress else { return };
            if let Some((_, planned)) = state.planned() {
                seen = Some((planned.clone(), state.cluster().clone()));
            }
        };
        let report = run_with(scenario.clone(), 1, &RunOptions::default(), &mut watch).unwrap();
        assert_eq!((report.ending, report.machines), (Ending::Completed, (0, 0)), "{name} {:?}", report.reason);
        let (planned, cluster) = seen.expect("a plan");
        let of = |step: &&Move| {
            let Target::Node(to) = &step.to else { return false };
            let moved = |pod: &&PodFact| {
                let workload = cluster.workload_of(pod).map(|workload| workload.id.clone());
                pod.node.as_ref() == Some(to) && workload == step.workload && pod.uid != step.uid
            };
            cluster.pods.values().any(|pod| moved(&pod))
        };
        let (moves, arrived) = (planned.plan.moves.len(), planned.plan.moves.iter().filter(of).count());
        println!("{name}: {:?}, {arrived} of {moves} arrived", planned.report.balance);
        assert!(moves > 0 && arrived * 10 >= moves * 9, "{name}: {arrived} of {moves} arrived");
        assert_eq!(complaints_of(scenario, 1), Vec::<String>::new());
    }
}

/// Half of a workload leaves the only machine that runs it, by surge and by eviction.
#[test]
fn a_workload_is_spread_without_a_machine() {
    for actuation in [Actuation::SurgeThenEvict, Actuation::Evict] {
        let mut scenario = Scenario::find("spread-out", 1).unwrap();
        scenario.policy.disruption.actuation = actuation;
        let most_on_one = |pods: &mut dyn Iterator<Item = &PodFact>| {
            let mut on: BTreeMap<Name, usize> = BTreeMap::new();
            for node in pods.filter(|pod| pod.key.name.starts_with("cart")).filter_map(|pod| pod.node.clone()) {
                *on.entry(node).or_default() += 1;
            }
            on.into_values().max().unwrap_or(0)
        };
        let (mut told, mut before, mut after) = (None, 0, 0);
        let mut watch = |progress: Progress<'_>| {
            let Progress::Entry(_, state) = progress else { return };
            after = most_on_one(&mut state.cluster().pods.values());
            if let Some((_, planned)) = state.planned().filter(|_| told.is_none()) {
                told = planned.report.dispersion;
                before = after;
            }
        };
        let report = run_with(scenario.clone(), 1, &RunOptions::default(), &mut watch).unwrap();
        assert_eq!((report.ending, report.machines), (Ending::Completed, (0, 0)), "{:?}", report.reason);
        let told = told.expect("limits are set");
        assert_eq!((told.above_before, told.above_after), (1, 0), "{told:?}");
        assert_eq!((before, after), (4, 2), "{actuation:?}: {told:?}");
        assert_eq!(complaints_of(scenario, 1), Vec::<String>::new());
    }
}

/// What is wrong with a run; empty when nothing is.
fn complaints(name: &str, seed: u64) -> Vec<String> {
    complaints_of(Scenario::find(name, seed).unwrap(), seed)
}

fn complaints_of(scenario: Scenario, seed: u64) -> Vec<String> {
    let name = scenario.name.clone();
    let (expected, because) = (scenario.expected, scenario.because.clone());
    let clock_set = scenario.faults.iter().any(|rule| matches!(rule.kind, FaultKind::ClockStep { .. }));
    let report = match run(scenario, seed, &RunOptions::default()) {
        Ok(report) => report,
        Err(error) => {
            return vec![format!("{name}: {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))];
        }
    };
    println!(
        "{name}: {:?} {:?} {} -> {} bound {} moves {} machines {:?} unavailable {} s {:?} entries {} places {} in {} s, cost {} reckoned {}",
        report.ending,
        report.reason,
        report.cost_per_hour_before,
        report.cost_per_hour_after,
        report.lower_bound_per_hour,
        report.moves,
        report.machines,
        report.unavailable_pod_seconds,
        report.unavailable_list,
        report.journal_entries,
        report.crash_places,
        report.virtual_seconds,
        report.integrated_cost,
        report.reckoned_cost,
    );
    let mut found = Vec::new();
    let fits = match expected {
        Expected::Completed => report.ending == Ending::Completed,
        Expected::Unwound => report.ending == Ending::Unwound,
        Expected::Untouched => report.ending == Ending::Untouched,
        Expected::Any => report.ending != Ending::Unfinished,
    };
    if !fits {
        found.push(format!("{name}: ended {:?} ({:?}) where {expected:?} was expected", report.ending, report.reason));
    }
    if because.is_some() && because != report.reason {
        found.push(format!("{name}: ended because of {:?} where {because:?} was expected", report.reason));
    }
    // kinema's account begins when prices are known, a moment after the judge's.
    let moment = report.cost_per_hour_before.0 / 3600;
    // Nor can it tell what an hour costs that its clock does not show.
    let off = (report.integrated_cost.0 - report.reckoned_cost.0).abs();
    if !clock_set && off > report.integrated_cost.0 / 1000 + moment {
        found.push(format!("{name}: cost {} where the judge says {}", report.reckoned_cost, report.integrated_cost));
    }
    found.extend(report.violation_list.iter().map(|text| format!("{name}: broken rule {text}")));
    found.extend(report.leftover_list.iter().map(|text| format!("{name}: left over {text}")));
    found.extend(report.replay_difference.iter().map(|text| format!("{name}: replay differs: {text}")));
    found
}

#[test]
fn every_world_ends_as_expected() {
    let found: Vec<String> =
        Scenario::names().iter().filter(|name| *name != "default").flat_map(|name| complaints(name, 1)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The replicas that a surge asks for and those that a user sets may be the same number: the user's are kept.
#[test]
fn a_users_replicas_are_kept_even_when_they_are_the_number_that_a_surge_asks_for() {
    let mut found = Vec::new();
    for by in 1..=3 {
        for (effect, nth) in [("SetDeletionCost", 1), ("SetDeletionCost", 2), ("Scale", 1), ("Scale", 2), ("Scale", 3)]
        {
            let mut scenario = Scenario::find("foreign-scale", 1).unwrap();
            scenario.name = format!("{by} more at {effect} {nth}");
            let workloads = ["shop/cart", "shop/orders", "shop/mailer"];
            scenario.faults = workloads
                .map(|workload| {
                    FaultRule::on(effect, nth, FaultKind::ForeignScale { workload: workload.to_owned(), by })
                })
                .to_vec();
            found.extend(complaints_of(scenario, 1));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_default_world_is_made_cheaper() {
    let found = complaints("default", 1);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
