//! Integers whose type names the unit.
//!
//! Money and resources are never floating point: sums must not depend on their order, and a replay
//! must give the same bytes. Arithmetic saturates nowhere; an overflow is a bug and panics in
//! every profile (`overflow-checks` is on in release).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::text::Name;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self(self.0 + other.0) }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self(self.0 - other.0) }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) { self.0 += other.0; }
        }
        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) { self.0 -= other.0; }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self { items.fold(Self(0), Self::add) }
        }
    };
}

quantity! {
    /// Thousandths of a vCPU.
    MilliCpu
}
quantity! {
    /// Bytes of memory or disk.
    Bytes
}
quantity! {
    /// Millionths of a US dollar per hour.
    MicroUsdPerHour
}
quantity! {
    /// Millionths of a US dollar.
    MicroUsd
}
quantity! {
    /// A span of time in milliseconds.
    Millis
}
quantity! {
    /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
    Timestamp
}

impl Millis {
    /// A span of whole seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1000)
    }
    /// A span of whole minutes.
    pub const fn from_minutes(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }
}

impl Timestamp {
    /// The moment `span` later.
    #[must_use]
    pub fn plus(self, span: Millis) -> Self {
        Self(self.0 + span.0)
    }
    /// The span from `earlier` to this moment; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0 - earlier.0)
    }
}

/// Writes micro-dollars as a decimal with at least `min_digits` and at most six digits.
fn write_dollars(f: &mut fmt::Formatter<'_>, micro: i64, min_digits: usize) -> fmt::Result {
    let sign = if micro < 0 { "-" } else { "" };
    let magnitude = micro.unsigned_abs();
    let mut digits = format!("{:06}", magnitude % 1_000_000);
    while digits.len() > min_digits && digits.ends_with('0') {
        digits.pop();
    }
    let text = format!("{sign}{}.{digits}", magnitude / 1_000_000);
    f.pad(&text)
}

/// Decimal dollars without a sign of currency, for example `1.608`.
impl fmt::Display for MicroUsdPerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(f, self.0, 2)
    }
}

/// Decimal dollars without a sign of currency, for example `0.12`.
impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(f, self.0, 2)
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { f.pad(&format!("{}", self.0 / 1000)) } else { f.pad(&format!("{}m", self.0)) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SUFFIXES: [(i64, &str); 4] = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        for (unit, suffix) in SUFFIXES {
            if self.0 != 0 && self.0 % unit == 0 {
                return f.pad(&format!("{}{suffix}", self.0 / unit));
            }
        }
        f.pad(&self.0.to_string())
    }
}

/// RFC 3339 in UTC, with as many digits of the second as there are: `2026-11-22T10:25:32.5Z`.
///
/// The date by Howard Hinnant's `civil_from_days`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: i64 = 86_400_000;
        // Days since 0000-03-01, in eras of 400 years.
        let days = self.0.div_euclid(DAY) + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // From March, so that a leap day is a year's last.
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let of_day = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
        let digits = format!(".{:03}", of_day % 1000);
        let fraction = digits.trim_end_matches('0').trim_end_matches('.');
        f.pad(&format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            return f.pad(&format!("{}ms", self.0));
        }
        let secs = self.0 / 1000;
        let text = match (secs / 3600, secs % 3600 / 60, secs % 60) {
            (0, 0, _) if secs < 10 && self.0 % 1000 != 0 => format!("{}.{}s", secs, self.0 % 1000 / 100),
            (0, 0, s) => format!("{s}s"),
            (0, m, 0) => format!("{m}m"),
            (0, m, s) => format!("{m}m{s:02}s"),
            (h, m, _) => format!("{h}h{m:02}m"),
        };
        f.pad(&text)
    }
}

/// A share in parts per million; 10 % is 100,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ppm(pub i64);

impl Ppm {
    /// A share of whole percents.
    pub const fn percent(percent: i64) -> Self {
        Self(percent * 10_000)
    }

    /// `part` of `whole`, rounded down; zero when `whole` is zero.
    pub fn of(part: i64, whole: i64) -> Self {
        if whole == 0 {
            return Self(0);
        }
        let ppm = i128::from(part) * 1_000_000 / i128::from(whole);
        Self(i64::try_from(ppm).unwrap_or(if ppm < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl fmt::Display for Ppm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.abs() + 500) / 1000;
        let sign = if self.0 < 0 && tenths > 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{} %", tenths / 10, tenths % 10))
    }
}

/// Amounts of every resource that a scheduler counts.
///
/// As a request: what one pod asks for. As an allocatable: what one node offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Ephemeral storage.
    pub ephemeral: Bytes,
    /// Pods: 1 in a pod's request, the node's maximum in an allocatable.
    pub pods: i64,
    /// Extended resources (GPUs, hugepages, vendors' devices) by name, in their own whole units.
    pub extended: BTreeMap<Name, i64>,
}

impl Resources {
    /// Whether every amount of `self` is within that of `room`.
    pub fn fits_in(&self, room: &Self) -> bool {
        self.cpu <= room.cpu
            && self.memory <= room.memory
            && self.ephemeral <= room.ephemeral
            && self.pods <= room.pods
            && self
                .extended
                .iter()
                .all(|(name, amount)| *amount <= 0 || *amount <= room.extended.get(name).copied().unwrap_or(0))
    }

    /// Adds every amount of `other`.
    pub fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.ephemeral += other.ephemeral;
        self.pods += other.pods;
        for (name, amount) in &other.extended {
            *self.extended.entry(name.clone()).or_default() += amount;
        }
    }

    /// Takes every amount of `other` away; what is left may be negative.
    pub fn sub(&mut self, other: &Self) {
        self.cpu -= other.cpu;
        self.memory -= other.memory;
        self.ephemeral -= other.ephemeral;
        self.pods -= other.pods;
        for (name, amount) in &other.extended {
            *self.extended.entry(name.clone()).or_default() -= amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_decimal_dollars() {
        assert_eq!(MicroUsdPerHour(1_608_000).to_string(), "1.608");
        assert_eq!(MicroUsdPerHour(134_023).to_string(), "0.134023");
        assert_eq!(MicroUsdPerHour(0).to_string(), "0.00");
        assert_eq!(MicroUsdPerHour(-5_000_000).to_string(), "-5.00");
        assert_eq!(MicroUsd(-1).to_string(), "-0.000001");
    }

    #[test]
    fn shares_are_rounded_to_a_tenth_of_a_percent() {
        assert_eq!(Ppm::percent(10).to_string(), "10.0 %");
        assert_eq!(Ppm::of(-1, 3).to_string(), "-33.3 %");
        assert_eq!(Ppm::of(1, 0), Ppm(0));
    }

    #[test]
    fn spans_read_like_a_person_would_say_them() {
        assert_eq!(Millis(300).to_string(), "0.3s");
        assert_eq!(Millis::from_secs(62).to_string(), "1m02s");
        assert_eq!(Millis::from_minutes(90).to_string(), "1h30m");
    }
}
