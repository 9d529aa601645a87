//! The lower bound against exhaustive enumeration: it must never exceed the true optimum, and a plan
//! must never cost less than that optimum.

#[path = "common/synthetic.rs"]
#[allow(dead_code, unreachable_pub)]
mod synthetic;

use journal_schema::cloud::CapacityType;
use journal_schema::facts::*;
use journal_schema::plan::{Cluster, PlanningInput};
use journal_schema::policy::Limits;
use journal_schema::text::{Few, Name};
use journal_schema::units::{Bytes, MilliCpu, Resources};
use planner::{MachineSpec, synthetic_pools};
use synthetic::{Random, input, name, node, pod, pod_spec, price, spec, workload};

const GIB: i64 = 1 << 30;
const TYPES: [&str; 5] = ["e2-standard-2", "e2-highmem-2", "e2-standard-4", "e2-highcpu-4", "n2-standard-2"];

struct Small {
    input: PlanningInput,
    pods: Vec<Thing>,
    nodes: Vec<Place>,
    offers: Vec<(i64, Room, bool)>,
    fixed: i64,
}

type Room = [i64; 2];

/// A movable pod as the enumeration sees it.
#[derive(Clone)]
struct Thing {
    app: usize,
    request: Room,
    home: usize,
    /// Only on n2 machines.
    n2: bool,
    /// At most one of its app on a node.
    alone: bool,
}

#[derive(Clone)]
struct Place {
    room: Room,
    /// Zero when the node stays in any case.
    price: i64,
    n2: bool,
}

/// How large an instance is at most.
struct Size {
    nodes: usize,
    pods: usize,
    /// What runs may break rules that bind only new placements.
    broken: bool,
}

/// Few enough to try every placement.
const SMALL: Size = Size { nodes: 3, pods: 6, broken: true };
/// Few enough for a program with a variable for each pod on each host.
const MIDDLING: Size = Size { nodes: 5, pods: 12, broken: false };

/// A random instance.
fn instance(seed: u64, size: &Size) -> Small {
    let random = &mut Random(seed);
    let mut cluster = Cluster::default();
    let zone = "us-central1-a";
    let node_count = 1 + random.below(size.nodes);
    let mut nodes = Vec::new();
    let mut fixed = 0;
    for n in 0..node_count {
        let machine_type = TYPES[random.below(TYPES.len())];
        let resources = planner::gke_allocatable(&spec(machine_type));
        let mut fact = node(&format!("n{n}"), machine_type, zone, resources.clone());
        fact.excluded = random.below(5) == 0;
        let stays = fact.excluded;
        if stays {
            fixed += price(machine_type);
        }
        nodes.push(Place {
            room: [resources.cpu.0, resources.memory.0],
            price: if stays { 0 } else { price(machine_type) },
            n2: machine_type.starts_with("n2"),
        });
        cluster.nodes.insert(fact.name.clone(), fact);
    }
    let apps: Vec<(Room, bool, bool)> = (0..1 + random.below(3))
        .map(|_| {
            let cpu = [100, 300, 700, 900, 1500][random.below(5)];
            let memory = [1, 2, 3, 5, 9][random.below(5)] * GIB / 2;
            ([cpu, memory], random.below(6) == 0, random.below(3) == 0)
        })
        .collect();
    let mut pods = Vec::new();
    let mut left: Vec<Room> = nodes.iter().map(|n| n.room).collect();
    let mut counts = vec![0; apps.len()];
    for _ in 0..1 + random.below(size.pods) {
        let app = random.below(apps.len());
        let (request, n2, alone) = apps[app];
        let home = random.below(node_count);
        let overfull = random.below(12) == 0 && size.broken;
        let fits = left[home][0] >= request[0] && left[home][1] >= request[1];
        // What runs may break a rule that only binds new placements: overfull nodes, wrong families.
        if !(fits || overfull)
            || (alone
                && (random.below(8) != 0 || !size.broken)
                && pods.iter().any(|p: &Thing| p.app == app && p.home == home))
        {
            continue;
        }
        left[home][0] -= request[0];
        left[home][1] -= request[1];
        counts[app] += 1;
        pods.push(Thing { app, request, home, n2, alone });
    }
    for (index, thing) in pods.iter().enumerate() {
        let app_name = format!("app-{}", thing.app);
        let spec = spec_of(thing, &app_name);
        let mut fact = pod(
            &name("default"),
            &format!("{app_name}-{index}"),
            Some(&name(format!("n{}", thing.home))),
            spec.clone(),
        );
        fact.labels = [(name("app"), name(&app_name))].into();
        fact.owner =
            Some(Owner { kind: OwnerKind::ReplicaSet, name: name(&app_name), uid: name(format!("rs-{app_name}")) });
        cluster.pods.insert(fact.key.clone(), fact);
        let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: Key::new(name("default"), name(&app_name)) };
        cluster.workloads.insert(id.clone(), workload(id, spec, counts[thing.app]));
    }
    let mut types: Vec<&str> = TYPES.iter().copied().filter(|_| random.below(2) == 0).collect();
    if types.is_empty() {
        types.push("e2-standard-4");
    }
    let specs: Vec<MachineSpec> = types.iter().map(|t| spec(t)).collect();
    let pools = synthetic_pools(&cluster, &name("us-central1"), &[name(zone)], &specs, &[CapacityType::OnDemand]);
    let offers = pools
        .iter()
        .map(|p| {
            (price(&p.machine_type), [p.allocatable.cpu.0, p.allocatable.memory.0], p.machine_type.starts_with("n2"))
        })
        .collect();
    let mut input = input(cluster, pools);
    input.iteration = seed;
    Small { input, pods, nodes, offers, fixed }
}

fn spec_of(thing: &Thing, app_name: &str) -> PodSpecFact {
    let mut spec = pod_spec(thing.request[0], thing.request[1]);
    if thing.n2 {
        spec.node_selector = [(name("cloud.google.com/machine-family"), name("n2"))].into();
    }
    if thing.alone {
        let selector = Selector { labels: [(name("app"), name(app_name))].into(), expressions: Few::default() };
        spec.pod_anti_affinity = Few::new(vec![PodTerm {
            selector: Some(selector),
            namespaces: Few::default(),
            namespace_selector: None,
            topology_key: name("kubernetes.io/hostname"),
        }])
        .expect("one term");
    }
    spec
}

/// The cheapest placement, by trying all of them. Every pod may go anywhere that its rules allow or
/// be where it is; a node that holds no pod is not paid for.
fn optimum(small: &Small) -> i64 {
    struct Walk<'a> {
        small: &'a Small,
        /// Places with what is left, whether they are paid for, and the pods there.
        places: Vec<(Place, bool, Vec<usize>)>,
        best: i64,
    }
    fn go(walk: &mut Walk<'_>, index: usize, cost: i64) {
        if cost >= walk.best {
            return;
        }
        let Some(thing) = walk.small.pods.get(index).cloned() else {
            walk.best = cost;
            return;
        };
        let present = walk.small.nodes.len();
        for p in 0..walk.places.len() {
            let (place, paid, pods) = &walk.places[p];
            let at_home = p == thing.home;
            // At home a pod may stay whatever is there, as long as nobody else has come.
            let undisturbed = at_home && pods.iter().all(|other| walk.small.pods[*other].home == p);
            let fits = place.room[0] >= thing.request[0] && place.room[1] >= thing.request[1];
            let rules = (at_home || !thing.n2 || place.n2)
                && (!thing.alone || undisturbed || pods.iter().all(|o| walk.small.pods[*o].app != thing.app));
            // A guest on an overfull node finds no room, because room is negative there.
            if !(rules && (fits || undisturbed)) {
                continue;
            }
            let extra = if *paid { 0 } else { place.price };
            let slot = &mut walk.places[p];
            let was_paid = slot.1;
            slot.0.room[0] -= thing.request[0];
            slot.0.room[1] -= thing.request[1];
            slot.1 = true;
            slot.2.push(index);
            go(walk, index + 1, cost + extra);
            let slot = &mut walk.places[p];
            slot.0.room[0] += thing.request[0];
            slot.0.room[1] += thing.request[1];
            slot.1 = was_paid;
            slot.2.pop();
        }
        for o in 0..walk.small.offers.len() {
            let (price, room, n2) = walk.small.offers[o];
            if room[0] < thing.request[0] || room[1] < thing.request[1] || thing.n2 && !n2 {
                continue;
            }
            let room = [room[0] - thing.request[0], room[1] - thing.request[1]];
            walk.places.push((Place { room, price, n2 }, true, vec![index]));
            go(walk, index + 1, cost + price);
            walk.places.pop();
        }
        debug_assert!(walk.places.len() >= present);
    }
    let places = small.nodes.iter().map(|place| (place.clone(), false, Vec::new())).collect();
    let mut walk = Walk { small, places, best: i64::MAX };
    go(&mut walk, 0, small.fixed);
    walk.best
}

#[test]
fn the_bound_never_exceeds_the_true_optimum() {
    let limits = Limits { search_steps: 300, ..Limits::default() };
    let (mut tight, mut optimal, mut total) = (0, 0, 0);
    for seed in 0..4_000 {
        let small = instance(seed, &SMALL);
        let best = optimum(&small);
        let planned = planner::plan(&small.input, &limits).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let plan = &planned.plan;
        assert!(plan.lower_bound.0 <= best, "seed {seed}: bound {} above the optimum {best}", plan.lower_bound.0);
        assert!(plan.cost_after.0 >= best, "seed {seed}: cost {} below the optimum {best}", plan.cost_after.0);
        assert!(plan.cost_after <= plan.cost_now, "seed {seed}: the plan is dearer than doing nothing");
        total += 1;
        tight += u32::from(plan.lower_bound.0 * 100 >= best * 70);
        optimal += u32::from(plan.cost_after.0 == best);
    }
    // A bound of zero would pass the above: most must be near, and most plans must be optimal.
    println!("{total} instances: {tight} bounds within 30 % of the optimum, {optimal} plans optimal");
    assert!(tight * 2 >= total, "only {tight} of {total} bounds are within 30 % of the optimum");
    assert!(optimal * 10 >= total * 7, "only {optimal} of {total} plans are optimal");
}

/// The cheapest placement by an exact program: a variable for each pod on each host. `None` where
/// the solver does not finish.
fn exact(small: &Small) -> Option<i64> {
    use microlp::{ComparisonOp, OptimizationDirection, Problem};
    const COPIES: usize = 4;
    let mut hosts: Vec<(Room, i64, bool, Option<usize>)> =
        small.nodes.iter().enumerate().map(|(n, place)| (place.room, place.price, place.n2, Some(n))).collect();
    for (price, room, n2) in &small.offers {
        hosts.extend(std::iter::repeat_n((*room, *price, *n2, None), COPIES));
    }
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let open: Vec<_> = hosts.iter().map(|(_, price, ..)| program.add_binary_var(*price as f64)).collect();
    let runs: Vec<Vec<_>> = small
        .pods
        .iter()
        .map(|thing| {
            let may = |host: &(Room, i64, bool, Option<usize>)| !thing.n2 || host.2 || host.3 == Some(thing.home);
            hosts.iter().map(|host| may(host).then(|| program.add_binary_var(0.0))).collect()
        })
        .collect();
    for row in &runs {
        let terms: Vec<_> = row.iter().flatten().map(|var| (*var, 1.0)).collect();
        program.add_constraint(terms.as_slice(), ComparisonOp::Eq, 1.0);
    }
    for (h, (room, ..)) in hosts.iter().enumerate() {
        for (dim, capacity) in room.iter().enumerate() {
            let mut terms: Vec<_> = small
                .pods
                .iter()
                .zip(&runs)
                .filter_map(|(thing, row)| Some((row[h]?, thing.request[dim] as f64 / *capacity as f64)))
                .collect();
            terms.push((open[h], -1.0));
            program.add_constraint(terms.as_slice(), ComparisonOp::Le, 0.0);
        }
        for app in 0..3 {
            let of_app = small.pods.iter().zip(&runs).filter(|(thing, _)| thing.app == app && thing.alone);
            let terms: Vec<_> = of_app.filter_map(|(_, row)| Some((row[h]?, 1.0))).collect();
            if terms.len() > 1 {
                program.add_constraint(terms.as_slice(), ComparisonOp::Le, 1.0);
            }
        }
    }
    let solution = program.solve().ok()?.into_solution().ok()?;
    Some(small.fixed + solution.objective().round() as i64)
}

#[test]
fn the_bound_is_not_above_an_exact_program_on_middling_instances() {
    let limits = Limits { search_steps: 1_000, ..Limits::default() };
    let (mut solved, mut sum, mut bounds, mut costs) = (0, 0, 0, 0);
    for seed in 0..60 {
        let middling = instance(10_000 + seed, &MIDDLING);
        let Some(best) = exact(&middling) else { continue };
        let plan = planner::plan(&middling.input, &limits).unwrap_or_else(|error| panic!("seed {seed}: {error}")).plan;
        assert!(plan.lower_bound.0 <= best, "seed {seed}: bound {} above the optimum {best}", plan.lower_bound.0);
        assert!(plan.cost_after.0 >= best, "seed {seed}: cost {} below the optimum {best}", plan.cost_after.0);
        solved += 1;
        sum += best;
        bounds += plan.lower_bound.0;
        costs += plan.cost_after.0;
    }
    println!(
        "{solved} instances: bounds {:.1} % below the optimum, plans {:.1} % above it",
        100.0 * (sum - bounds) as f64 / sum as f64,
        100.0 * (costs - sum) as f64 / sum as f64,
    );
    assert!(solved >= 50, "only {solved} were solved");
    assert!(costs * 100 <= sum * 110, "plans cost {costs}, the optima {sum}");
}

#[test]
fn a_node_that_runs_too_much_does_not_raise_the_bound() {
    let mut cluster = Cluster::default();
    let resources = Resources { cpu: MilliCpu(1000), memory: Bytes(GIB), pods: 110, ..Resources::default() };
    let fact = node("n0", "e2-standard-2", "us-central1-a", resources);
    cluster.nodes.insert(fact.name.clone(), fact);
    let id = WorkloadId { kind: WorkloadKind::ReplicaSet, key: Key::new(name("default"), name("app")) };
    for index in 0..4 {
        let mut fact = pod(&name("default"), &format!("p{index}"), Some(&name("n0")), pod_spec(900, GIB));
        fact.owner = Some(Owner { kind: OwnerKind::ReplicaSet, name: name("app"), uid: name("rs") });
        cluster.pods.insert(fact.key.clone(), fact);
    }
    cluster.workloads.insert(id.clone(), workload(id, pod_spec(900, GIB), 4));
    let pools = synthetic_pools(
        &cluster,
        &Name::truncated("us-central1"),
        &[name("us-central1-a")],
        &[spec("n2-standard-2")],
        &[CapacityType::OnDemand],
    );
    let planned = planner::plan(&input(cluster, pools), &Limits::default()).expect("a plan");
    assert_eq!(planned.plan.cost_after.0, price("e2-standard-2"));
    assert!(planned.plan.lower_bound <= planned.plan.cost_after);
}
