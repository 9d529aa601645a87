//! From the configuration file to the policy and back.

use journal_schema::cloud::CapacityType;
use journal_schema::policy::{self, Policy};
use journal_schema::text::{Few, Name};
use journal_schema::units::Ppm;

use super::file::{
    Actuation, Availability, Breakers, Capacity, Cloud, Commitment, Deadlines, Decide, Disruption, Journal, Lease,
    Limits, MachineTypes, MinRequests, Mode, Nodes, Objective, Observe, Optimize, Predict, PriceBasis, Pricing,
    Prometheus, RightSizing, Server, SingleReplica, Spec, SpotInterruption, Weights,
};
use super::labels::LabelSelector;
use super::scalars::{Count, Cpu, Dollars, Factor, Memory, Percent, Span, Usd};

macro_rules! same_names {
    ($file:ident, $policy:path, $($variant:ident),+) => {
        impl From<$file> for $policy {
            fn from(value: $file) -> Self {
                match value { $($file::$variant => Self::$variant),+ }
            }
        }
        impl From<$policy> for $file {
            fn from(value: $policy) -> Self {
                type Other = $policy;
                match value { $(Other::$variant => Self::$variant),+ }
            }
        }
    };
}
same_names!(Mode, policy::Mode, Recommend, Approve, Auto);
same_names!(Actuation, policy::Actuation, SurgeThenEvict, Evict, RollingUpdate);
same_names!(Objective, policy::Objective, Cost, Balance, NodeUsage, Availability);
same_names!(PriceBasis, policy::PriceBasis, List, SustainedUse);
same_names!(SingleReplica, policy::SingleReplica, Surge, Skip, Allow);
same_names!(RightSizing, policy::RightSizing, Off, Recommend, WithRollout);
same_names!(Capacity, CapacityType, OnDemand, Spot);

/// Names of the file as bounded names of the policy; one that is too long cannot name anything and is cut.
fn names(items: &[String]) -> Few<Name> {
    Few::new(items.iter().take(1024).map(Name::truncated).collect()).unwrap_or_default()
}

impl Spec {
    /// The policy that the file describes, whatever the time: see [`Self::at`].
    pub fn policy(&self) -> Policy {
        let Self { mode, nodes, observe, predict, optimize, decide, disruption, deadlines, breakers, .. } = self;
        Policy {
            mode: (*mode).into(),
            nodes: nodes.include.0.clone(),
            observe: policy::Observe {
                stable_for: observe.stable_for.0,
                hpa_threshold_percent: i32::try_from(observe.hpa_threshold.0.0 / 10_000).unwrap_or(i32::MAX),
                max_unsettled: observe.max_unsettled.0,
                cool_down: observe.cool_down.0,
                min_node_age: observe.min_node_age.0,
                cloud_refresh: observe.cloud_refresh.0,
            },
            predict: policy::Predict {
                window: predict.window.0,
                step: predict.step.0,
                horizon: predict.horizon.0,
                adjust: predict.adjust_factor.0,
                min_cpu: predict.min_requests.cpu.0,
                min_memory: predict.min_requests.memory.0,
                memory_margin: predict.memory_margin.0,
                right_sizing: predict.right_sizing.into(),
                without_metrics: predict.without_metrics,
                max_gap: predict.max_gap,
            },
            optimize: policy::Optimize {
                objective: optimize.objective.into(),
                node_usage: optimize.node_usage.0,
                limits: policy::Limits {
                    search_steps: optimize.limits.search_steps,
                    mip_nodes: optimize.limits.mip_nodes,
                    threads: optimize.limits.threads,
                },
                move_penalty: optimize.move_penalty.0,
                machine_types: names(&optimize.machine_types.include),
                zones: names(&optimize.machine_types.zones),
                capacity_types: Few::new(
                    optimize
                        .machine_types
                        .capacity_types
                        .iter()
                        .take(1024)
                        .map(|capacity| (*capacity).into())
                        .collect(),
                )
                .unwrap_or_default(),
                max_nodes: optimize.max_nodes,
                max_cost: optimize.max_cost_per_hour.map(|cost| cost.0),
                pricing: optimize.pricing.policy(),
                availability: policy::Availability {
                    max_per_node: optimize.availability.max_per_node.map(|share| share.0),
                    max_per_zone: optimize.availability.max_per_zone.map(|share| share.0),
                },
                weights: policy::Weights {
                    balance: optimize.weights.balance.0,
                    node_usage: optimize.weights.node_usage.0,
                    availability: optimize.weights.availability.0,
                },
            },
            decide: policy::Decide {
                min_savings: decide.min_savings.0,
                max_change: decide.max_change.0,
                plan_life: decide.plan_life.0,
                plan_ttl: decide.plan_ttl.0,
            },
            disruption: policy::Disruption {
                actuation: disruption.actuation.into(),
                single_replica: disruption.single_replica.into(),
                max_parallel_moves: disruption.max_parallel_moves,
                max_unavailable: disruption.max_unavailable.0,
                evict_jobs: disruption.evict_jobs,
                steering: disruption.steering,
            },
            deadlines: policy::Deadlines {
                boot: deadlines.boot.0,
                label: deadlines.label.0,
                one_move: deadlines.one_move.0,
                drain: deadlines.drain.0,
                effect: deadlines.effect.0,
                poll: deadlines.poll.0,
                settle: deadlines.settle.0,
                retry: deadlines.retry.0,
                stockout: deadlines.stockout.0,
            },
            breakers: policy::Breakers {
                not_ready_share: breakers.not_ready_share.0,
                not_ready_nodes: breakers.not_ready_nodes,
                empty_share: breakers.empty_share.0,
                empty_nodes: breakers.empty_nodes,
                empty_hold: breakers.empty_hold.0,
                api_error_share: breakers.api_error_share.0,
                api_error_window: breakers.api_error_window.0,
                api_error_answers: breakers.api_error_answers,
                clock_step: breakers.clock_step.0,
                aborts_per_hour: breakers.aborts_per_hour,
                replaced_per_day: breakers.replaced_per_day.0,
                replaced_nodes: breakers.replaced_nodes,
            },
        }
    }

    /// The file that describes a policy, with the places left at their defaults.
    pub fn of_policy(policy: &Policy) -> Self {
        Self {
            mode: policy.mode.into(),
            nodes: Nodes { include: LabelSelector(policy.nodes.clone()) },
            observe: Observe::from(&policy.observe),
            predict: Predict::from(&policy.predict),
            optimize: Optimize::from(&policy.optimize),
            decide: Decide::from(&policy.decide),
            disruption: Disruption::from(&policy.disruption),
            deadlines: Deadlines::from(&policy.deadlines),
            breakers: Breakers::from(&policy.breakers),
            schedule: Vec::new(),
            cloud: Cloud::default(),
            prometheus: Prometheus::default(),
            journal: Journal::default(),
            server: Server::default(),
            lease: Lease::default(),
        }
    }
}

impl Pricing {
    pub(super) fn policy(&self) -> policy::Pricing {
        let commitment = |own: &Commitment| policy::Commitment {
            machine_type: Name::truncated(&own.machine_type),
            region: Name::truncated(&own.region),
            count: own.count,
        };
        policy::Pricing {
            basis: self.basis.into(),
            boot_disk: self.boot_disk.0,
            spot_interruption: policy::SpotInterruption {
                per_thirty_days: self.spot_interruption.per_thirty_days.0,
                cost: self.spot_interruption.cost_per_interruption.0,
            },
            commitments: Few::new(self.commitments.iter().take(1024).map(commitment).collect()).unwrap_or_default(),
        }
    }
}

impl From<&policy::Pricing> for Pricing {
    fn from(from: &policy::Pricing) -> Self {
        let commitment = |own: &policy::Commitment| Commitment {
            machine_type: own.machine_type.to_string(),
            region: own.region.to_string(),
            count: own.count,
        };
        Self {
            basis: from.basis.into(),
            boot_disk: Dollars(from.boot_disk),
            spot_interruption: SpotInterruption {
                per_thirty_days: Count(from.spot_interruption.per_thirty_days),
                cost_per_interruption: Usd(from.spot_interruption.cost),
            },
            commitments: from.commitments.iter().map(commitment).collect(),
        }
    }
}

impl Default for SpotInterruption {
    fn default() -> Self {
        Pricing::default().spot_interruption
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self::of_policy(&Policy::default())
    }
}

macro_rules! defaults_of_the_policy {
    ($($section:ident),+) => {
        $(impl Default for $section {
            fn default() -> Self {
                Self::from(&policy::$section::default())
            }
        })+
    };
}
defaults_of_the_policy!(
    Observe,
    Predict,
    Limits,
    Pricing,
    Availability,
    Weights,
    Optimize,
    Decide,
    Disruption,
    Deadlines,
    Breakers
);

impl Default for MinRequests {
    fn default() -> Self {
        Predict::default().min_requests
    }
}

impl From<&policy::Observe> for Observe {
    fn from(from: &policy::Observe) -> Self {
        Self {
            stable_for: Span(from.stable_for),
            hpa_threshold: Percent(Ppm::percent(i64::from(from.hpa_threshold_percent))),
            max_unsettled: Percent(from.max_unsettled),
            cool_down: Span(from.cool_down),
            min_node_age: Span(from.min_node_age),
            cloud_refresh: Span(from.cloud_refresh),
        }
    }
}

impl From<&policy::Predict> for Predict {
    fn from(from: &policy::Predict) -> Self {
        Self {
            window: Span(from.window),
            step: Span(from.step),
            horizon: Span(from.horizon),
            adjust_factor: Factor(from.adjust),
            min_requests: MinRequests { cpu: Cpu(from.min_cpu), memory: Memory(from.min_memory) },
            memory_margin: Percent(from.memory_margin),
            right_sizing: from.right_sizing.into(),
            without_metrics: from.without_metrics,
            max_gap: from.max_gap,
        }
    }
}

impl From<&policy::Limits> for Limits {
    fn from(from: &policy::Limits) -> Self {
        Self { search_steps: from.search_steps, mip_nodes: from.mip_nodes, threads: from.threads }
    }
}

impl From<&policy::Optimize> for Optimize {
    fn from(from: &policy::Optimize) -> Self {
        Self {
            objective: from.objective.into(),
            node_usage: Percent(from.node_usage),
            limits: Limits::from(&from.limits),
            move_penalty: Dollars(from.move_penalty),
            machine_types: MachineTypes {
                include: from.machine_types.iter().map(ToString::to_string).collect(),
                capacity_types: from.capacity_types.iter().map(|capacity| (*capacity).into()).collect(),
                zones: from.zones.iter().map(ToString::to_string).collect(),
            },
            max_nodes: from.max_nodes,
            max_cost_per_hour: from.max_cost.map(Dollars),
            pricing: Pricing::from(&from.pricing),
            availability: Availability::from(&from.availability),
            weights: Weights::from(&from.weights),
        }
    }
}

impl From<&policy::Availability> for Availability {
    fn from(from: &policy::Availability) -> Self {
        Self { max_per_node: from.max_per_node.map(Percent), max_per_zone: from.max_per_zone.map(Percent) }
    }
}

impl From<&policy::Weights> for Weights {
    fn from(from: &policy::Weights) -> Self {
        Self {
            balance: Dollars(from.balance),
            node_usage: Dollars(from.node_usage),
            availability: Dollars(from.availability),
        }
    }
}

impl From<&policy::Decide> for Decide {
    fn from(from: &policy::Decide) -> Self {
        Self {
            min_savings: Percent(from.min_savings),
            max_change: Percent(from.max_change),
            plan_life: Span(from.plan_life),
            plan_ttl: Span(from.plan_ttl),
        }
    }
}

impl From<&policy::Disruption> for Disruption {
    fn from(from: &policy::Disruption) -> Self {
        Self {
            actuation: from.actuation.into(),
            single_replica: from.single_replica.into(),
            max_parallel_moves: from.max_parallel_moves,
            max_unavailable: Percent(from.max_unavailable),
            evict_jobs: from.evict_jobs,
            steering: from.steering,
        }
    }
}

impl From<&policy::Deadlines> for Deadlines {
    fn from(from: &policy::Deadlines) -> Self {
        Self {
            boot: Span(from.boot),
            label: Span(from.label),
            one_move: Span(from.one_move),
            drain: Span(from.drain),
            effect: Span(from.effect),
            poll: Span(from.poll),
            settle: Span(from.settle),
            retry: Span(from.retry),
            stockout: Span(from.stockout),
        }
    }
}

impl From<&policy::Breakers> for Breakers {
    fn from(from: &policy::Breakers) -> Self {
        Self {
            not_ready_share: Percent(from.not_ready_share),
            not_ready_nodes: from.not_ready_nodes,
            empty_share: Percent(from.empty_share),
            empty_nodes: from.empty_nodes,
            empty_hold: Span(from.empty_hold),
            api_error_share: Percent(from.api_error_share),
            api_error_window: Span(from.api_error_window),
            api_error_answers: from.api_error_answers,
            clock_step: Span(from.clock_step),
            aborts_per_hour: from.aborts_per_hour,
            replaced_per_day: Percent(from.replaced_per_day),
            replaced_nodes: from.replaced_nodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::File;
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_policy() {
        assert_eq!(File::default().spec.policy(), Policy::default());
    }

    #[test]
    fn a_policy_survives_the_way_through_the_file() {
        let mut policy = Policy { mode: policy::Mode::Auto, ..Policy::default() };
        policy.optimize.machine_types = names(&["e2-*".to_owned()]);
        policy.optimize.capacity_types = Few::new(vec![CapacityType::Spot]).expect("short");
        policy.optimize.max_nodes = Some(40);
        policy.optimize.pricing = policy::Pricing {
            basis: policy::PriceBasis::SustainedUse,
            boot_disk: journal_schema::units::MicroUsdPerHour(13_700),
            spot_interruption: policy::SpotInterruption {
                per_thirty_days: Ppm(2_500_000),
                cost: journal_schema::units::MicroUsd(500_000),
            },
            commitments: Few::new(vec![policy::Commitment {
                machine_type: Name::truncated("n2-standard-8"),
                region: Name::truncated("us-central1"),
                count: 3,
            }])
            .expect("short"),
        };
        policy.optimize.availability =
            policy::Availability { max_per_node: Some(Ppm::percent(50)), max_per_zone: None };
        policy.optimize.weights.node_usage = journal_schema::units::MicroUsdPerHour(250_000);
        policy.disruption.actuation = policy::Actuation::RollingUpdate;
        policy.deadlines.settle = journal_schema::units::Millis(1500);
        let text = serde_saphyr::to_string(&Spec::of_policy(&policy)).expect("written");
        let spec: Spec = serde_saphyr::from_str(&text).expect("read");
        assert_eq!(spec.policy(), policy);
    }
}
