//! What a plan says of its own cost: where it exceeds the bound, what the bound is made of, and what a rule
//! costs.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;
#[path = "common/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use journal_schema::facts::*;
use journal_schema::plan::{NodeAction, Planned, PlanningInput};
use journal_schema::policy::Limits;
use journal_schema::units::Ppm;
use synthetic::{Random, Shape, generate, name};

/// A generated cluster with nodes that must stay, pods that may not move or that wait, pools with little
/// room, nodes that are much cheaper than what they hold, and requests of a third resource.
fn cluster(seed: u64) -> PlanningInput {
    let random = &mut Random(seed.wrapping_mul(7_919) + 1);
    let shape = Shape {
        nodes: 2 + random.below(18),
        deleted_percent: [0, 20, 50, 80][random.below(4)],
        families: [&["e2"][..], &["e2-standard"], &["n2", "c3"], &["e2", "n2", "c3"], &[]][random.below(5)],
        seed,
    };
    let mut input = generate(&shape);
    for node in input.cluster.nodes.values_mut() {
        match random.below(12) {
            0 => node.excluded = true,
            1 => node.unschedulable = true,
            2 => _ = node.labels.insert(name("node.kubernetes.io/instance-type"), name("z9-mystery")),
            3 => _ = node.labels.insert(name("cloud.google.com/gke-spot"), name("true")),
            _ => {}
        }
    }
    for pod in input.cluster.pods.values_mut().filter(|pod| !pod.of_daemon_set()) {
        match random.below(60) {
            0 => pod.do_not_disrupt = DoNotDisrupt::Always,
            1 => pod.node = None,
            2 => pod.spec.requests.cpu.0 = 0,
            3 => pod.deletion_at = Some(journal_schema::units::Timestamp(1)),
            4 => pod.spec.requests.memory.0 *= 100,
            _ => {}
        }
    }
    for pool in &mut input.pools {
        if random.below(3) == 0 {
            pool.size = 0;
            pool.max_size = Some(1 + random.below(3) as u32);
        }
    }
    // Some types are bargains: where their number is limited the bound takes a rent off for each.
    for entry in 0..input.prices.entries.len() {
        if random.below(6) == 0 {
            let mut entries: Vec<_> = input.prices.entries.to_vec();
            entries[entry].price.0 /= 3;
            input.prices.entries = entries.try_into().expect("as many as before");
        }
    }
    input
}

fn limits() -> Limits {
    Limits { search_steps: 400, mip_nodes: 0, threads: 1 }
}

fn whole(planned: &Planned) -> i64 {
    planned.plan.cost_after.0 - planned.plan.lower_bound.0
}

#[test]
fn the_waste_of_all_nodes_sums_to_the_distance_from_the_bound() {
    let (mut with_waste, mut with_unused, mut apart) = (0, 0, 0);
    for seed in 0..250 {
        let input = cluster(seed);
        let planned = planner::plan(&input, &limits()).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let report = &planned.report;
        let of_nodes: i64 = report.nodes.iter().map(|verdict| verdict.waste.0).sum();
        let of_added: i64 = report.waste_of_added.iter().map(|waste| waste.0).sum();
        assert_eq!(of_nodes + of_added + report.unused.0, whole(&planned), "{seed}");
        assert_eq!(report.waste_of_added.len(), planned.plan.add.len(), "{seed}");
        let wasted = report.nodes.iter().map(|verdict| verdict.waste).chain(report.waste_of_added.iter().copied());
        assert!(wasted.chain([report.unused]).all(|waste| waste.0 >= 0), "{seed}");
        let leaves = |verdict: &&journal_schema::plan::NodeVerdict| verdict.action == NodeAction::Remove;
        assert!(report.nodes.iter().filter(leaves).all(|verdict| verdict.waste.0 == 0), "{seed}");
        with_waste += usize::from(of_nodes + of_added > 0);
        with_unused += usize::from(report.unused.0 > 0);
        apart += usize::from(report.binding.iter().any(|binding| binding.zone.is_some()));
        let everywhere: i64 = report.binding.iter().filter(|b| b.zone.is_none()).map(|b| b.share.0).sum();
        assert!((0..=Ppm::percent(100).0).contains(&everywhere), "{seed}");
    }
    // The clusters are of all sorts.
    println!("with waste {with_waste}, with unused bargains {with_unused}, with zones apart {apart}, of 250");
    assert!(with_waste > 100 && with_unused > 5 && apart > 5, "{with_waste} {with_unused} {apart}");
}
