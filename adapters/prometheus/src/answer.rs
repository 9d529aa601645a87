//! Prometheus's JSON into series of integers.
//!
//! CPU is rounded half up to a thousandth of a core, memory to a byte. A value that is not finite,
//! is negative, or is beyond any machine (a million cores, an exbibyte) is a gap.

use std::collections::BTreeMap;

use journal_schema::facts::Key;
use journal_schema::text::Name;
use journal_schema::units::{Bytes, MilliCpu};
use serde::Deserialize;

use crate::query::Grid;

#[derive(Deserialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) status: &'a str,
    #[serde(default, borrow)]
    pub(crate) data: Option<Data<'a>>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

impl Envelope<'_> {
    /// The error's type: a word of Prometheus's own, never a text.
    pub(crate) fn error_type(&self) -> Option<&str> {
        let word = |kind: &&str| kind.len() <= 32 && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        self.error_type.as_deref().filter(word)
    }
}

/// More containers than were counted before: a row is made for each, however short the answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

#[derive(Deserialize)]
pub(crate) struct Data<'a> {
    #[serde(default, borrow)]
    result: Vec<Series<'a>>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(default)]
    metric: Labels,
    /// Of a range.
    #[serde(default, borrow)]
    values: Vec<(f64, &'a str)>,
    /// Of an instant.
    #[serde(default, borrow)]
    value: Option<(f64, &'a str)>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Labels {
    namespace: String,
    pod: String,
    container: String,
}

/// A container's place in the sort order of a window.
pub(crate) type Container = (Key, Name);
/// Values by container, each on the grid.
pub(crate) type Rows<T> = BTreeMap<Container, Vec<Option<T>>>;

impl Data<'_> {
    /// The number that an instant query of one value gave; zero when it gave none.
    pub(crate) fn count(&self) -> u64 {
        let value = self.result.first().and_then(|series| series.value).and_then(|(_, text)| text.parse::<f64>().ok());
        // Saturates: what is beyond the range is beyond any bound, too.
        value.filter(|count| *count >= 0.0).map_or(0, |count| count as u64)
    }

    /// Values by container, each on the grid; and how many series were left out because their
    /// labels name no container or too long a one. At most `most` containers.
    pub(crate) fn on_grid<T: Copy>(
        &self,
        grid: &Grid,
        most: u64,
        read: impl Fn(f64) -> Option<T>,
    ) -> Result<(Rows<T>, u32), TooMany> {
        let (mut all, mut left_out) = (BTreeMap::new(), 0);
        for series in &self.result {
            let Some(container) = series.metric.container() else {
                left_out += 1;
                continue;
            };
            let row = all.entry(container).or_insert_with(|| vec![None; grid.points]);
            for (time, text) in &series.values {
                if let (Some(index), Ok(value)) = (grid.index(*time), text.parse::<f64>()) {
                    row[index] = read(value);
                }
            }
            if all.len() as u64 > most {
                return Err(TooMany);
            }
        }
        Ok((all, left_out))
    }
}

impl Labels {
    fn container(&self) -> Option<Container> {
        if self.namespace.is_empty() || self.pod.is_empty() || self.container.is_empty() {
            return None;
        }
        Some((Key::new(Name::new(&self.namespace).ok()?, Name::new(&self.pod).ok()?), Name::new(&self.container).ok()?))
    }
}

/// Cores as thousandths.
pub(crate) fn milli_cpu(cores: f64) -> Option<MilliCpu> {
    (cores.is_finite() && (0.0..=1e6).contains(&cores)).then(|| MilliCpu((cores * 1000.0).round() as i64))
}

/// Bytes.
pub(crate) fn bytes(value: f64) -> Option<Bytes> {
    (value.is_finite() && (0.0..=1_152_921_504_606_846_976.0).contains(&value)).then(|| Bytes(value.round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_integers_and_nonsense_becomes_a_gap() {
        assert_eq!(milli_cpu(0.1235), Some(MilliCpu(124)));
        assert_eq!(milli_cpu(0.0004), Some(MilliCpu(0)));
        assert_eq!(bytes(1.5), Some(Bytes(2)));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1e19] {
            assert_eq!((milli_cpu(value), bytes(value)), (None, None), "{value}");
        }
    }
}
