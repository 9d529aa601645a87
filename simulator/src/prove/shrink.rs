//! Making a failing run small: faults and crashes are left out as long as the same thing is still wrong.

use super::case::Case;

/// Most runs spent on one case.
const RUNS_MAX: u32 = 400;

/// What a complaint is about, without the names and numbers in it: rule or first words.
pub(super) fn kind_of(complaint: &str) -> String {
    complaint
        .split(' ')
        .take(3)
        .filter(|word| !word.chars().any(|c| c.is_ascii_digit() || c == '/'))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The smallest case found in which something of the same kind is wrong, and what is. The order of what is left out
/// is fixed: the same case gives the same small case.
///
/// Delta debugging (Zeller and Hildebrandt, TSE 2002): halves first, then ever smaller pieces.
pub fn shrink(case: &Case, complaint: &str) -> (Case, Vec<String>) {
    let wanted = kind_of(complaint);
    let mut runs = 0;
    let mut complaints = Vec::new();
    let mut fails = |candidate: &Case| {
        runs += 1;
        let verdict = candidate.judge(None, false);
        let found = verdict.complaints.iter().any(|complaint| kind_of(complaint) == wanted);
        if found {
            complaints = verdict.complaints;
        }
        (found, runs < RUNS_MAX)
    };
    let mut small = case.clone();
    // Chance is written down first, so that leaving one fault out does not shift the others.
    if let Some((_, evidence)) = case.judge(None, false).run {
        let explicit = case.without_chance(&evidence);
        if fails(&explicit).0 {
            small = explicit;
        }
    }
    let mut without_disk = small.clone();
    without_disk.disk = None;
    if small.disk.is_some() && fails(&without_disk).0 {
        small = without_disk;
    }
    loop {
        let before = size(&small);
        small = without(
            small,
            |case| case.scenario.faults.len(),
            |case, from, to| drop(case.scenario.faults.drain(from..to)),
            &mut fails,
        );
        small = without(
            small,
            |case| case.scenario.cloud_faults.len(),
            |case, from, to| drop(case.scenario.cloud_faults.drain(from..to)),
            &mut fails,
        );
        let leave_out = |case: &mut Case, from: usize, to: usize| {
            let kept = case.crashes.iter().copied().enumerate().filter(|(index, _)| !(from..to).contains(index));
            case.crashes = kept.map(|(_, place)| place).collect();
        };
        small = without(small, |case| case.crashes.len(), leave_out, &mut fails);
        small = without(
            small,
            |case| case.disk.as_ref().map_or(0, |disk| disk.rules.len()),
            |case, from, to| case.disk.iter_mut().for_each(|disk| drop(disk.rules.drain(from..to))),
            &mut fails,
        );
        if size(&small) == before {
            break;
        }
    }
    (small, complaints)
}

fn size(case: &Case) -> usize {
    let of_disk = case.disk.as_ref().map_or(0, |disk| disk.rules.len());
    case.scenario.faults.len() + case.scenario.cloud_faults.len() + case.crashes.len() + of_disk
}

/// Leaves out pieces of one list as long as the case goes on failing.
fn without(
    mut case: Case,
    length: impl Fn(&Case) -> usize,
    leave_out: impl Fn(&mut Case, usize, usize),
    fails: &mut impl FnMut(&Case) -> (bool, bool),
) -> Case {
    let mut piece = length(&case);
    while piece > 0 {
        let mut from = 0;
        while from < length(&case) {
            let mut candidate = case.clone();
            leave_out(&mut candidate, from, (from + piece).min(length(&case)));
            let (found, more) = fails(&candidate);
            if found {
                case = candidate;
            } else {
                from += piece;
            }
            if !more {
                return case;
            }
        }
        piece /= 2;
    }
    case
}
