//! The planner's own plans, checked by the linter: two programs that share no code agree.

use planner::lint::{Check, Severity, lint, stranded};
use planner::plan;

use crate::synthetic::{Shape, generate};

/// Nodes before pods go, percent of the pods that go, seed.
const SHAPES: [(usize, u64, u64); 8] =
    [(8, 40, 1), (8, 60, 2), (20, 50, 3), (20, 30, 4), (20, 10, 5), (40, 50, 6), (40, 60, 7), (60, 40, 8)];

#[test]
fn plans_of_synthetic_clusters_have_no_error() {
    for (nodes, deleted_percent, seed) in SHAPES {
        let mut input = generate(&Shape { nodes, deleted_percent, families: &["e2-", "n2-"], seed });
        input.policy.optimize.limits.search_steps = 500;
        let planned = plan(&input, &input.policy.optimize.limits).unwrap();
        assert!(!planned.plan.moves.is_empty(), "seed {seed}: nothing to check");
        let findings = lint(&input, &planned);
        println!(
            "seed {seed}: {} nodes, {} moves, {} removed, {} added; {} stranded",
            input.cluster.nodes.len(),
            planned.plan.moves.len(),
            planned.plan.remove.len(),
            planned.plan.add.len(),
            findings.iter().filter(|finding| finding.check == Check::Stranded).count(),
        );
        let errors: Vec<String> =
            findings.iter().filter(|f| f.severity == Severity::Error).take(5).map(ToString::to_string).collect();
        assert!(errors.is_empty(), "seed {seed}: {errors:#?}");
        let reported = findings.iter().filter(|finding| finding.check == Check::Stranded).count();
        assert_eq!(stranded(&input, &planned).len(), reported, "seed {seed}");
    }
}
