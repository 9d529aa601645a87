//! PromQL over cAdvisor's series.

use journal_schema::units::{Millis, Timestamp};

/// Counter of CPU seconds.
pub(crate) const CPU: &str = "container_cpu_usage_seconds_total";
/// Gauge of memory that cannot be taken back.
pub(crate) const MEMORY: &str = "container_memory_working_set_bytes";

/// Series of containers: cgroups of pods and nodes have no container, and the sandbox is no
/// container of the pod's.
fn selector(matchers: &str) -> String {
    let more = if matchers.is_empty() { String::new() } else { format!(",{matchers}") };
    format!(r#"{{container!="",container!="POST",container!="POD",namespace!="",pod!=""{more}}}"#)
}

/// CPU in cores. Per-core series of old kubelets are summed; of the same container seen twice (two
/// scrape jobs, or an instance of it before a restart) the larger counts.
///
/// Only where the counter is as old as the window: `rate()` divides by the whole window, so that a
/// young container would seem to climb from nothing, and a line through its points to climb on.
pub(crate) fn cpu(matchers: &str, rate_window: Millis) -> String {
    let (seconds, selector) = ((rate_window.0 + 999) / 1000, selector(matchers));
    format!(
        "max by (namespace, pod, container) (sum without (cpu) (rate({CPU}{selector}[{seconds}s]) and {CPU}{selector} offset {seconds}s))"
    )
}

/// Memory in bytes; of the same container seen twice the larger counts.
pub(crate) fn memory(matchers: &str) -> String {
    format!("max by (namespace, pod, container) ({MEMORY}{})", selector(matchers))
}

/// Number of containers that have a series of `metric` now.
pub(crate) fn count(metric: &str, matchers: &str) -> String {
    format!("count(count by (namespace, pod, container) ({metric}{}))", selector(matchers))
}

/// The points of a window: Prometheus takes whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// First point, in seconds.
    pub(crate) start: i64,
    /// Last point, in seconds.
    pub(crate) end: i64,
    /// Distance.
    pub(crate) step: Millis,
    /// Number of points.
    pub(crate) points: usize,
}

/// Most points that a series of the journal holds.
pub(crate) const MOST_POINTS: i64 = 1024;

impl Grid {
    /// The points at `step` that end at `end` (cut to a whole second) and reach back by `window`:
    /// one per whole step, at least one. The last is `end`. `None` when there would be too many, or the step is
    /// not a whole number of seconds above zero.
    pub(crate) fn new(end: Timestamp, window: Millis, step: Millis) -> Option<Self> {
        if step.0 <= 0 || step.0 % 1000 != 0 || window.0 < 0 {
            return None;
        }
        let points = (window.0 / step.0).max(1);
        let end = end.0.div_euclid(1000);
        let points_wide = usize::try_from(points).ok()?;
        (points <= MOST_POINTS).then(|| Self {
            start: end - (points - 1) * (step.0 / 1000),
            end,
            step,
            points: points_wide,
        })
    }

    /// The point nearest to a time in seconds, when it is within half a step of one.
    pub(crate) fn index(&self, seconds: f64) -> Option<usize> {
        // A time that is not a number casts to zero, a far one saturates: both are out of range.
        let offset = (seconds * 1000.0).round() as i64;
        let offset = offset.checked_sub(self.start.checked_mul(1000)?)?.checked_add(self.step.0 / 2)?;
        let index = usize::try_from(offset.div_euclid(self.step.0)).ok()?;
        (index < self.points).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_point_per_step_and_ends_at_its_end() {
        let grid = Grid::new(Timestamp(1_000_999), Millis::from_minutes(15), Millis::from_minutes(1)).unwrap();
        assert_eq!(grid, Grid { start: 160, end: 1000, step: Millis(60_000), points: 15 });
        assert_eq!((grid.index(160.0), grid.index(1000.0), grid.index(219.6)), (Some(0), Some(14), Some(1)));
        assert_eq!(
            (grid.index(100.0), grid.index(1060.0), grid.index(f64::NAN), grid.index(f64::MAX)),
            (None, None, None, None)
        );
        assert_eq!(Grid::new(Timestamp(0), Millis(0), Millis(1000)).unwrap().points, 1);
        assert_eq!(Grid::new(Timestamp(0), Millis::from_minutes(2000), Millis(60_000)), None);
        assert_eq!(Grid::new(Timestamp(0), Millis(1000), Millis(0)), None);
        assert_eq!(Grid::new(Timestamp(0), Millis(1000), Millis(500)), None);
    }

    #[test]
    fn matchers_are_added_to_every_query() {
        assert!(cpu(r#"cluster="a""#, Millis(120_500)).contains(r#"pod!="",cluster="a"}[121s]"#));
        assert!(cpu(r#"cluster="a""#, Millis(120_500)).ends_with(r#"pod!="",cluster="a"} offset 121s))"#));
        assert!(memory("").ends_with(r#"pod!=""})"#));
        assert!(
            count(CPU, "")
                .starts_with("count(count by (namespace, pod, container) (container_cpu_usage_seconds_total{")
        );
    }
}
