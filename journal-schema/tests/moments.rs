//! Moments are written as everybody else writes them.

use journal_schema::units::Timestamp;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_moment_is_written_as_rfc_3339(millis in 0_i64..253_402_300_800_000, whole in any::<bool>()) {
        let millis = if whole { millis / 1000 * 1000 } else { millis };
        let known = jiff::Timestamp::from_millisecond(millis).expect("within range");
        prop_assert_eq!(Timestamp(millis).to_string(), known.to_string());
    }
}

#[test]
fn no_number_is_too_large_for_a_moment() {
    for millis in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
        assert!(Timestamp(millis).to_string().ends_with('Z'), "{millis}");
    }
    assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
    assert_eq!(Timestamp(951_782_400_120).to_string(), "2000-02-29T00:00:00.12Z");
}
