//! The HorizontalPodAutoscaler: by CPU, every 15 s, with upstream's tolerance and stabilisation.

use journal_schema::facts::{Key, WorkloadKind};
use journal_schema::units::Millis;

use crate::world::{Action, BEGIN, World};

/// How often it looks.
pub(crate) const SYNC: Millis = Millis::from_secs(15);
/// The highest recommendation of this long holds before a scale-down.
const STABILISATION: Millis = Millis::from_minutes(5);

impl World {
    pub(crate) fn sync_hpa(&mut self, key: &Key) {
        self.after(SYNC, Action::HpaSync(key.clone()));
        let Some(mut hpa) = self.facts.hpas.get(key).cloned() else { return };
        let Some(target) = hpa.target.clone() else { return };
        let Some(workload) = self.facts.workloads.get(&target).cloned() else { return };
        let Some(wanted_percent) = hpa.cpu_target_percent else { return };
        let Some(load) = self.inner.workloads.get(&target).map(|inner| inner.behaviour.load) else { return };
        let usual = self.scenario.workloads.iter().find(|spec| {
            spec.kind == WorkloadKind::Deployment && spec.namespace == key.namespace && spec.name == target.key.name
        });
        let usual = usual.map_or(workload.replicas, |spec| spec.replicas).max(1);
        // The load is that of the whole workload: more replicas share it.
        let share = load.share(self.now.since(BEGIN)).0 * i64::from(usual) / i64::from(workload.ready.max(1));
        let percent = i32::try_from(share / 10_000).unwrap_or(i32::MAX);
        let current = workload.replicas;
        let within_tolerance =
            (i64::from(percent) * 10 - i64::from(wanted_percent) * 10).abs() <= i64::from(wanted_percent);
        let raw = if within_tolerance {
            current
        } else {
            let product = i64::from(percent) * i64::from(current);
            let target = i64::from(wanted_percent.max(1));
            i32::try_from((product + target - 1) / target).unwrap_or(i32::MAX)
        };
        let raw = raw.clamp(hpa.min_replicas, hpa.max_replicas);
        let now = self.now;
        let inner = self.inner.hpas.entry(key.clone()).or_default();
        inner.recommendations.retain(|(at, _)| now.since(*at) < STABILISATION);
        inner.recommendations.push((now, raw));
        let held = inner.recommendations.iter().map(|(_, replicas)| *replicas).max().unwrap_or(raw);
        let desired = if raw < current { held.min(current) } else { raw };
        hpa.current_replicas = current;
        hpa.desired_replicas = desired;
        hpa.cpu_current_percent = Some(percent);
        if desired != current {
            hpa.last_scaled_at = Some(now);
        }
        self.put_hpa(hpa);
        if desired != current {
            self.scale_by_others(&target, desired);
        }
    }
}
