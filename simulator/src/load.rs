//! What containers use: a load model for each workload, sampled at any moment without state.

use journal_schema::units::{Bytes, MilliCpu, Millis, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rng::noise;

/// How a workload's use moves over time, as a share of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Load {
    /// Always the same.
    Constant(Ppm),
    /// Swings around a mean.
    Wave {
        /// Middle.
        mean: Ppm,
        /// Largest distance from the middle.
        swing: Ppm,
        /// Time of one swing.
        period: Millis,
    },
    /// Goes from one share to another, then stays.
    Ramp {
        /// Share at the beginning.
        from: Ppm,
        /// Share at the end.
        to: Ppm,
        /// When it begins, from the start of the world.
        begin: Millis,
        /// How long it takes.
        over: Millis,
    },
}

impl Default for Load {
    fn default() -> Self {
        Self::Constant(Ppm::percent(50))
    }
}

/// A sine in parts per million of `part` of `whole`, by Bhaskara's approximation: integers, so that
/// a run is the same on every machine. Off by at most 0.2 %.
fn sine(part: i64, whole: i64) -> i64 {
    let half = whole / 2;
    if half == 0 {
        return 0;
    }
    let at = part.rem_euclid(whole);
    let (x, sign) = if at < half { (at, 1) } else { (at - half, -1) };
    let product = i128::from(x) * i128::from(half - x);
    let value = 16 * product * 1_000_000 / (5 * i128::from(half) * i128::from(half) - 4 * product);
    sign * i64::try_from(value).unwrap_or(0)
}

impl Load {
    /// The share at a moment, counted from the start of the world.
    pub fn share(&self, since_start: Millis) -> Ppm {
        match *self {
            Self::Constant(share) => share,
            Self::Wave { mean, swing, period } => {
                Ppm(mean.0 + swing.0 * sine(since_start.0, period.0.max(2)) / 1_000_000)
            }
            Self::Ramp { from, to, begin, over } => {
                let done = (since_start.0 - begin.0).clamp(0, over.0.max(1));
                Ppm(from.0 + (to.0 - from.0) * done / over.0.max(1))
            }
        }
    }
}

/// What one container uses at a moment: CPU by the load with up to 5 % of noise, memory at 70 % of
/// the request with a tenth of the CPU's swing, because working sets move less than CPU.
pub(crate) fn usage(
    load: &Load,
    request: (MilliCpu, Bytes),
    at: (Timestamp, Millis),
    seed: u64,
    container: &str,
) -> (MilliCpu, Bytes) {
    let (moment, since_start) = at;
    let share = load.share(since_start).0;
    let jitter = i64::try_from(noise(seed, container, moment.0) % 100_001).unwrap_or(0) - 50_000;
    let cpu = request.0.0 * share / 1_000_000 * (1_000_000 + jitter) / 1_000_000;
    let memory_share = 700_000 + (share - 500_000) / 10;
    let memory = request.1.0 / 1_000_000 * memory_share;
    (MilliCpu(cpu.max(0)), Bytes(memory.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_swings_between_its_bounds() {
        let load = Load::Wave { mean: Ppm::percent(50), swing: Ppm::percent(40), period: Millis::from_minutes(60) };
        let share = |minute| load.share(Millis::from_minutes(minute));
        assert_eq!(share(0), Ppm::percent(50));
        assert_eq!(share(15), Ppm::percent(90));
        assert_eq!(share(45), Ppm::percent(10));
        assert!((share(5).0 - 700_000).abs() < 2_000, "sin 30° is one half: {:?}", share(5));
    }

    #[test]
    fn a_ramp_starts_and_ends_flat() {
        let load = Load::Ramp {
            from: Ppm::percent(20),
            to: Ppm::percent(80),
            begin: Millis::from_minutes(10),
            over: Millis::from_minutes(10),
        };
        assert_eq!(load.share(Millis::from_minutes(5)), Ppm::percent(20));
        assert_eq!(load.share(Millis::from_minutes(15)), Ppm::percent(50));
        assert_eq!(load.share(Millis::from_minutes(60)), Ppm::percent(80));
    }

    #[test]
    fn usage_is_near_the_load_and_the_same_every_time() {
        let sample = |at| {
            let moment = (Timestamp(at), Millis(at));
            usage(&Load::Constant(Ppm::percent(50)), (MilliCpu(1000), Bytes(1 << 30)), moment, 7, "shop/cart-0/main")
        };
        assert_eq!(sample(60_000), sample(60_000));
        assert!((475..=525).contains(&sample(60_000).0.0));
        assert_ne!(sample(60_000).0, sample(120_000).0);
    }
}
