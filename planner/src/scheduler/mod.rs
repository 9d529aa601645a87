//! A naive, readable model of kube-scheduler (v1.36, default profile) over a snapshot of a cluster.
//!
//! It answers one question: where would the scheduler put this pod now? The linter, the planner's
//! last check and the simulator ask it. It shares no code with the planner's own compiled model, so
//! that a mistake in one of them shows as a difference between both.
//!
//! Each rule names the plugin whose behaviour it mirrors:
//!
//! | plugin | filter | score (weight) | file |
//! |---|---|---|---|
//! | NodeUnschedulable | yes | | `node_rules` |
//! | TaintToleration | yes | 3 | `node_rules`, `score` |
//! | NodeAffinity | yes | 2 | `matching`, `score` |
//! | NodePorts | yes | | `node_rules` |
//! | NodeResourcesFit | yes | 1 (LeastAllocated) | `node_rules`, `score` |
//! | NodeVolumeLimits | CSI | | `volumes` |
//! | VolumeBinding, VolumeZone | yes | | `volumes` |
//! | PodTopologySpread | yes | 2 | `spread` |
//! | InterPodAffinity | yes | 2 | `affinity` |
//! | NodeResourcesBalancedAllocation | | 1 | `score` |
//!
//! What is chosen is the best of all nodes' scores. Where a plan leads the scheduler, to few open nodes among many that
//! it avoids, `shortcut` proves the same choice from the open ones, with bounds of soft spreading by `spread_bounds`.
//!
//! Recorded answers of the real plugins are among the tests, and where a real scheduler on a control plane put
//! the pods of random clusters. Differences from the real one, all
//! deliberate:
//! - Equal scores go to the first name; the real one draws lots.
//! - All nodes are scored; with more than 100 nodes the real one stops at a sample.
//! - NodeName: a pod with `spec.nodeName` never meets the scheduler, and [`PodFact::node`] is where
//!   a pod *is*, so it is not a rule here.
//! - ImageLocality (weight 1) is ignored: images are not in the facts.
//! - For scores, an init container that requests nothing counts nothing; the real one gives it the default
//!   request of other containers. Facts have the effective request of a pod only.
//! - A claim without a volume is refused: storage classes are not in the facts.
//! - VolumeRestrictions, preemption, resource claims and gangs are not modelled. A pod with a rule
//!   that the facts name as unknown fits nowhere.
//! - Services are not in the facts, so the default spreading of a pod without constraints follows
//!   its ReplicaSet or StatefulSet only.
//!
//! The scores use floating point where the real one does, with the four basic operations only, in
//! a fixed order, and every score is rounded to an integer before it is compared.
//!
//! [`PodFact::node`]: journal_schema::facts::PodFact::node

mod affinity;
mod cycle;
mod kinds;
pub(crate) mod marks;
pub(crate) mod matching;
pub(crate) mod newcomer;
mod node_rules;
mod score;
mod shortcut;
mod snapshot;
pub(crate) mod spread;
mod spread_bounds;
mod taints;
mod volumes;

pub use cycle::Cycle;
pub use score::Score;
pub use snapshot::Snapshot;
