//! Worlds to start from: the default one, made from a seed, a small one for each kind of movement and of trouble, and
//! one for each published disaster.

mod default;
mod disasters;
mod kinds;
mod spec;

pub(crate) use default::{automatic as small_policy, system};
pub use spec::{Behaviour, Expected, HpaSpec, JobSpec, PdbSpec, PoolSpec, Scenario, WorkloadSpec};

/// No scenario has the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no scenario {name:?}; there are: {known}")]
pub struct UnknownScenario {
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: String,
}

impl Scenario {
    /// The scenario of a name; the default one depends on the seed.
    ///
    /// # Errors
    /// When no scenario has the name; the error lists those there are.
    pub fn find(name: &str, seed: u64) -> Result<Self, UnknownScenario> {
        if name == "default" {
            return Ok(default::scenario(seed));
        }
        let found = named().find(|scenario| scenario.name == name);
        found.ok_or_else(|| UnknownScenario { name: name.to_owned(), known: Self::names().join(", ") })
    }

    /// Every scenario's name.
    pub fn names() -> Vec<String> {
        let small = named().map(|scenario| scenario.name);
        std::iter::once("default".to_owned()).chain(small).collect()
    }
}

/// Every small world.
fn named() -> impl Iterator<Item = Scenario> {
    kinds::all().into_iter().chain(disasters::all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use journal_schema::facts::PodPhase;

    #[test]
    fn every_world_settles_before_the_daemon_starts() {
        for name in Scenario::names() {
            let world = World::new(Scenario::find(&name, 1).unwrap(), 1).unwrap();
            let pods = &world.cluster().pods;
            assert!(pods.len() > 10, "{name}: {} pods", pods.len());
            for pod in pods.values() {
                let settled = pod.phase == PodPhase::Running && pod.ready && pod.deletion_at.is_none();
                assert!(settled, "{name}: {} is {:?} ready={} node={:?}", pod.key, pod.phase, pod.ready, pod.node);
            }
            for workload in world.cluster().workloads.values() {
                assert_eq!(workload.ready, workload.replicas, "{name}: {}", workload.id);
                assert_eq!(workload.observed_generation, workload.generation, "{name}: {}", workload.id);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let build = |seed| World::new(Scenario::find("default", seed).unwrap(), seed).unwrap().cluster().clone();
        assert_eq!(build(3), build(3));
        assert_ne!(build(3), build(4));
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = Scenario::find("smal", 1).unwrap_err();
        assert!(error.to_string().contains("small"), "{error}");
    }
}
