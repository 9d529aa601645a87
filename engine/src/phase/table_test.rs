//! The drawn table and the code's table are the same.

use super::{PhaseName, TRANSITIONS};

#[test]
fn the_drawn_table_is_the_codes_table() {
    let source = include_str!("../lib.rs");
    let drawn: Vec<(String, String)> = source
        .lines()
        .skip_while(|line| !line.starts_with("//! from "))
        .skip(1)
        .take_while(|line| !line.starts_with("//! ```"))
        .map(|line| {
            let mut words = line.trim_start_matches("//! ").split_whitespace();
            (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
        })
        .collect();
    let coded: Vec<(String, String)> =
        TRANSITIONS.iter().map(|(from, to)| (format!("{from:?}"), format!("{to:?}"))).collect();
    assert_eq!(drawn, coded);
}

#[test]
fn every_phase_can_be_reached_and_left() {
    use PhaseName::*;
    for name in [Observing, Predicting, Optimizing, Deciding, Booting, Labelling, Rolling, Draining, Unwinding] {
        assert!(TRANSITIONS.iter().any(|(from, _)| *from == name), "{name:?} cannot be left");
        assert!(TRANSITIONS.iter().any(|(_, to)| *to == name), "{name:?} cannot be reached");
    }
}
