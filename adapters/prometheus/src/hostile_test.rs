//! Whatever an answer is: an error, or rows of the grid, as many as are allowed.

use journal_schema::units::{Millis, Timestamp};
use proptest::prelude::*;

use crate::answer::milli_cpu;
use crate::client::parse;
use crate::query::Grid;

const MOST: u64 = 3;

fn grid() -> Grid {
    Grid::new(Timestamp(1_000_000), Millis::from_minutes(3), Millis::from_minutes(1)).unwrap()
}

/// How many rows were read.
fn read(body: &[u8]) -> Option<usize> {
    let (grid, mut warnings) = (grid(), Vec::new());
    let data = parse(body, &mut warnings).ok()?;
    let _ = data.count();
    let (rows, _) = data.on_grid(&grid, MOST, milli_cpu).ok()?;
    assert!(rows.len() as u64 <= MOST && rows.values().all(|row| row.len() == grid.points));
    Some(rows.len())
}

fn series() -> impl Strategy<Value = String> {
    let time = prop_oneof![
        Just("880".to_owned()),
        Just("1e308".to_owned()),
        Just("-1e308".to_owned()),
        any::<f64>().prop_filter("JSON", |time| time.is_finite()).prop_map(|time| format!("{time:e}")),
        any::<i64>().prop_map(|time| time.to_string()),
    ];
    let value = prop_oneof![
        Just("NaN".to_owned()),
        Just("+Inf".to_owned()),
        any::<f64>().prop_map(|v| v.to_string()),
        "[ -~&&[^\"\\\\]]{0,8}"
    ];
    let point = (time, value).prop_map(|(time, value)| format!("[{time},\"{value}\"]"));
    let points = proptest::collection::vec(point, 0..5).prop_map(|points| points.join(","));
    ("[a-c]{0,2}", points).prop_map(|(pod, points)| {
        format!(r#"{{"metric":{{"namespace":"n","pod":"{pod}","container":"c"}},"values":[{points}]}}"#)
    })
}

fn answer(series: &[String]) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, series.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_values_are_rows_or_too_many(series in proptest::collection::vec(series(), 0..8)) {
        read(answer(&series).as_bytes());
    }

    #[test]
    fn any_damage_is_an_error_or_rows(
        series in proptest::collection::vec(series(), 1..4),
        at in any::<prop::sample::Index>(),
        patch in proptest::collection::vec(any::<u8>(), 0..6),
        cut in any::<bool>(),
    ) {
        let mut body = answer(&series).into_bytes();
        let at = at.index(body.len());
        let end = (at + patch.len()).min(body.len());
        body.splice(at..end, patch);
        if cut {
            body.truncate(at);
        }
        read(&body);
    }
}

#[test]
fn an_answer_as_it_should_be_is_read() {
    let one =
        |pod: &str| format!(r#"{{"metric":{{"namespace":"n","pod":"{pod}","container":"c"}},"values":[[880,"1"]]}}"#);
    assert_eq!(read(answer(&[one("a"), one("b"), one("c")]).as_bytes()), Some(3));
    assert_eq!(read(answer(&[one("a"), one("b"), one("c"), one("d")]).as_bytes()), None, "more than are allowed");
}

#[test]
fn an_answer_without_an_end_to_its_depth_is_an_error() {
    for open in ["[", r#"{"a":"#] {
        assert_eq!(read(open.repeat(1_000_000).as_bytes()), None);
        let hidden = format!(r#"{{"status":"success","more":{}"#, open.repeat(1_000_000));
        assert_eq!(read(hidden.as_bytes()), None);
    }
}
