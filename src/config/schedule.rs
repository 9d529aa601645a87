//! What plans are for by time of day: windows of the week in a time zone, each with settings of its own.
//!
//! A window holds while a clock on the wall of its zone shows a time in it. So it follows the change to summer time
//! and back: a time that is skipped never comes, and one that comes twice counts twice. One that ends before it
//! begins reaches over midnight and belongs to the day on which it begins. No two windows may hold at once: which of
//! them counted would be nobody's guess.
//!
//! A window changes what plans are for (`spec.optimize`) and nothing that an iteration reads once its plan is
//! decided, so that a change in the middle of one does not touch what is under way.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::{Availability, File, MachineTypes, Objective, Optimize, Pricing, Spec, Weights};
use super::scalars::{Dollars, Percent, TimeOfDay};
use crate::exit::{Exit, Problem};

/// Most windows.
const MOST_WINDOWS: usize = 64;
const MINUTES_OF_DAY: usize = 24 * 60;
const MINUTES_OF_WEEK: usize = 7 * MINUTES_OF_DAY;
/// For how long the distances between two time zones are looked at, and how often.
const LOOKED_AT_DAYS: i64 = 4 * 366;
const EVERY_DAYS: i64 = 3;

/// A part of the week with settings of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// Days on which it begins; empty for all.
    #[serde(default)]
    pub days: Vec<Day>,
    /// When it begins.
    pub from: TimeOfDay,
    /// When it ends: on the next day, when that is before it begins.
    pub to: TimeOfDay,
    /// Time zone by its IANA name.
    pub time_zone: Zone,
    /// Settings of `spec.optimize` that count instead.
    pub optimize: Overrides,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// A time zone by its IANA name, for example `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Zone(TimeZone);

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        match TimeZone::get(&name) {
            Ok(zone) if zone.iana_name().is_some() => Ok(Self(zone)),
            Ok(_) | Err(_) => Err(format!("`{name}` is not the IANA name of a time zone{}", nearest(&name))),
        }
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0.iana_name().unwrap_or_default().to_owned()
    }
}

/// The known name that is most like a wrong one.
fn nearest(name: &str) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase());
    let known = jiff::tz::db().available().map(|known| known.to_string());
    let best = known.map(|known| (likeness(&known), known)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    match best {
        Some((likeness, known)) if likeness > 0.8 => format!(": did you mean `{known}`?"),
        Some(_) | None => ", such as Europe/Berlin or UTC".to_owned(),
    }
}

/// Settings of `spec.optimize` that count while a window holds; what is left out stays as it is. A section counts
/// as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Overrides {
    /// What plans are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Share of a node's CPU, or of its memory, above which it is hot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_usage: Option<Percent>,
    /// Price of moving one pod, in dollars per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_penalty: Option<Dollars>,
    /// Machines that may be booted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_types: Option<MachineTypes>,
    /// Most nodes the cluster may have during the transition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// Most the cluster may cost during the transition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_per_hour: Option<Dollars>,
    /// What machines are reckoned to cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// How much of a workload one failure may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// What else counts under the objective of cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
}

impl Overrides {
    /// The settings with these over them.
    pub(super) fn over(&self, optimize: &Optimize) -> Optimize {
        let own = optimize.clone();
        Optimize {
            objective: self.objective.unwrap_or(own.objective),
            node_usage: self.node_usage.unwrap_or(own.node_usage),
            limits: own.limits,
            move_penalty: self.move_penalty.unwrap_or(own.move_penalty),
            machine_types: self.machine_types.clone().unwrap_or(own.machine_types),
            max_nodes: self.max_nodes.or(own.max_nodes),
            max_cost_per_hour: self.max_cost_per_hour.or(own.max_cost_per_hour),
            pricing: self.pricing.clone().unwrap_or(own.pricing),
            availability: self.availability.clone().unwrap_or(own.availability),
            weights: self.weights.clone().unwrap_or(own.weights),
        }
    }
}

impl Window {
    /// Whether it holds at a moment.
    fn holds(&self, moment: Timestamp) -> bool {
        let local = self.time_zone.0.to_datetime(moment);
        let minute = usize::try_from(local.hour()).unwrap_or(0) * 60 + usize::try_from(local.minute()).unwrap_or(0);
        let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
        self.minutes()[day * MINUTES_OF_DAY + minute]
    }

    /// By minute of the week from Monday on, as clocks of its zone show it: whether it holds.
    fn minutes(&self) -> Vec<bool> {
        let (from, to) = (usize::from(self.from.0), usize::from(self.to.0));
        let length = if from < to { to - from } else { to + MINUTES_OF_DAY - from };
        let mut minutes = vec![false; MINUTES_OF_WEEK];
        for day in 0..7 {
            let begins = |own: &Day| usize::try_from(own.weekday().to_monday_zero_offset()).unwrap_or(0) == day;
            if self.days.is_empty() || self.days.iter().any(begins) {
                for minute in 0..length {
                    minutes[(day * MINUTES_OF_DAY + from + minute) % MINUTES_OF_WEEK] = true;
                }
            }
        }
        minutes
    }

    /// Whether it holds at a time when another does, within the years to come.
    fn overlaps(&self, other: &Self, now: Timestamp) -> bool {
        let (own, others) = (self.minutes(), other.minutes());
        let distances: BTreeSet<i64> = (0..LOOKED_AT_DAYS / EVERY_DAYS)
            .filter_map(|step| {
                let moment = Timestamp::from_second(now.as_second() + step * EVERY_DAYS * 86_400).ok()?;
                let offset = |zone: &Zone| i64::from(zone.0.to_offset(moment).seconds());
                Some((offset(&other.time_zone) - offset(&self.time_zone)).div_euclid(60))
            })
            .collect();
        let week = i64::try_from(MINUTES_OF_WEEK).unwrap_or(1);
        distances.into_iter().any(|distance| {
            let there = |minute: usize| {
                let shifted = (i64::try_from(minute).unwrap_or(0) + distance).rem_euclid(week);
                others[usize::try_from(shifted).unwrap_or(0)]
            };
            own.iter().enumerate().any(|(minute, holds)| *holds && there(minute))
        })
    }
}

impl Spec {
    /// The window that holds at a moment.
    pub fn window_at(&self, moment: journal_schema::units::Timestamp) -> Option<&Window> {
        let moment = Timestamp::from_millisecond(moment.0).ok()?;
        self.schedule.iter().find(|window| window.holds(moment))
    }

    /// What is in force at a moment: the window's settings over those of the file.
    pub fn at(&self, moment: journal_schema::units::Timestamp) -> Self {
        match self.window_at(moment) {
            Some(window) => Self { optimize: window.optimize.over(&self.optimize), ..self.clone() },
            None => self.clone(),
        }
    }
}

/// What is wrong with the schedule of a file called `name`.
pub(super) fn check(name: &str, file: &File, now: Timestamp) -> Result<(), Problem> {
    let windows = &file.spec.schedule;
    let wrong = |text: String| Problem::new(Exit::Config, format!("{name}: spec.schedule{text}"));
    if windows.len() > MOST_WINDOWS {
        return Err(wrong(format!(" has {} windows", windows.len())).fix(format!("use {MOST_WINDOWS} at most")));
    }
    for (index, window) in windows.iter().enumerate() {
        let at = format!("[{index}] ({})", window.name);
        if window.name.trim().is_empty() {
            return Err(wrong(format!("[{index}] has no name")).fix("name it, for example: name: office-hours"));
        }
        if window.from == window.to {
            return Err(wrong(format!("{at} begins and ends at {}", window.from))
                .fix("for the whole day: from: \"00:00\", to: \"24:00\""));
        }
        for (other, earlier) in windows[..index].iter().enumerate() {
            if earlier.name == window.name {
                return Err(wrong(format!("{at} has the name of [{other}]")).fix("give each window a name of its own"));
            }
            if window.overlaps(earlier, now) {
                return Err(wrong(format!("{at} holds at times when [{other}] ({}) does", earlier.name))
                    .fix("change days, from or to of one of the two so that one ends where the other begins"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  schedule:\n";

    fn read(windows: &[&str]) -> Result<File, Problem> {
        let list: String = windows.iter().map(|window| format!("  - {{{window}}}\n")).collect();
        super::super::parse("policy.yaml", &format!("{HEAD}{list}"))
    }

    fn refused(windows: &[&str]) -> String {
        let problem = read(windows).expect_err("refused");
        assert_eq!(problem.exit, Exit::Config);
        format!("{} | {}", problem.message, problem.fix.unwrap_or_default())
    }

    fn moment(text: &str) -> journal_schema::units::Timestamp {
        journal_schema::units::Timestamp(text.parse::<Timestamp>().expect("a moment").as_millisecond())
    }

    /// By moment: the name of the window that holds, or nothing.
    fn at(window: &str, moments: &[(&str, bool)]) {
        let file = read(&[window]).expect("valid");
        for (text, expected) in moments {
            assert_eq!(file.spec.window_at(moment(text)).is_some(), *expected, "{text} in {window}");
        }
    }

    const DAY: &str = "name: day, days: [Mon, Tue, Wed, Thu, Fri], from: '08:00', to: '18:00', timeZone: Europe/Berlin, optimize: {objective: NodeUsage, nodeUsage: 70%}";

    #[test]
    fn a_window_follows_the_clock_of_its_zone() {
        at(
            DAY,
            &[
                // Monday in winter, at an hour east of Greenwich.
                ("2026-01-05T06:59:59Z", false),
                ("2026-01-05T07:00:00Z", true),
                ("2026-01-05T16:59:59Z", true),
                ("2026-01-05T17:00:00Z", false),
                // Monday in summer, at two.
                ("2026-07-06T05:59:59Z", false),
                ("2026-07-06T06:00:00Z", true),
                ("2026-07-06T16:00:00Z", false),
                // Saturday.
                ("2026-01-10T10:00:00Z", false),
            ],
        );
    }

    #[test]
    fn one_over_midnight_belongs_to_the_day_on_which_it_begins() {
        at(
            "name: night, days: [Fri], from: '22:00', to: '06:00', timeZone: UTC, optimize: {objective: Cost}",
            &[
                ("2026-01-09T21:59:00Z", false),
                ("2026-01-09T22:00:00Z", true),
                ("2026-01-10T05:59:00Z", true),
                ("2026-01-10T06:00:00Z", false),
                ("2026-01-10T23:00:00Z", false),
                ("2026-01-09T03:00:00Z", false),
            ],
        );
        // From Sunday into Monday: the week is a circle.
        let sunday = "name: n, days: [Sun], from: '23:00', to: '01:00', timeZone: UTC, optimize: {}";
        at(sunday, &[("2026-01-11T23:30:00Z", true), ("2026-01-12T00:59:00Z", true), ("2026-01-12T01:00:00Z", false)]);
    }

    /// On 29 March 2026 clocks in Berlin go from 01:59 to 03:00, on 25 October from 02:59 back to 02:00.
    #[test]
    fn a_skipped_time_never_comes_and_a_doubled_one_comes_twice() {
        let skipped = "name: n, from: '02:00', to: '03:00', timeZone: Europe/Berlin, optimize: {}";
        at(
            skipped,
            &[
                ("2026-03-28T01:30:00Z", true),
                ("2026-03-29T00:59:59Z", false),
                ("2026-03-29T01:00:00Z", false),
                ("2026-10-25T00:30:00Z", true),
                ("2026-10-25T01:30:00Z", true),
                ("2026-10-25T02:00:00Z", false),
            ],
        );
        let over = "name: n, days: [Sat], from: '22:00', to: '04:00', timeZone: Europe/Berlin, optimize: {}";
        at(over, &[("2026-03-29T01:59:59Z", true), ("2026-03-29T02:00:00Z", false), ("2026-10-25T02:59:59Z", true)]);
    }

    #[test]
    fn the_window_settings_come_over_those_of_the_file() {
        let file = read(&[DAY]).expect("valid");
        let (day, night) = (moment("2026-01-05T12:00:00Z"), moment("2026-01-05T20:00:00Z"));
        let mut expected = file.spec.policy();
        assert_eq!(file.spec.at(night).policy(), expected);
        expected.optimize.objective = journal_schema::policy::Objective::NodeUsage;
        expected.optimize.node_usage = journal_schema::units::Ppm::percent(70);
        assert_eq!(file.spec.at(day).policy(), expected);
        assert_eq!(file.spec.window_at(day).map(|window| window.name.as_str()), Some("day"));
    }

    #[test]
    fn two_windows_that_hold_at_once_are_named() {
        let evening = "name: evening, from: '17:59', to: '22:00', timeZone: Europe/Berlin, optimize: {}";
        assert_eq!(
            refused(&[DAY, evening]),
            "policy.yaml: spec.schedule[1] (evening) holds at times when [0] (day) does | change days, from or to of one of the two so that one ends where the other begins"
        );
        let after = "name: evening, from: '18:00', to: '08:00', timeZone: Europe/Berlin, optimize: {}";
        // On Friday evening until Saturday, but on no weekday's morning but Monday's, which begins on Sunday.
        assert!(read(&[DAY, after]).is_ok());
        // From 18:00 in Berlin on it is 17:00 in London but for the hours between two changes of both on one night.
        let london = "name: london, from: '17:00', to: '18:00', timeZone: Europe/London, optimize: {}";
        assert!(read(&[DAY, london]).is_ok());
        // New York changes its clocks on another day than Berlin does: then 12:30 there is 17:30 in Berlin.
        let new_york = "name: lunch, from: '12:00', to: '13:00', timeZone: America/New_York, optimize: {}";
        assert!(refused(&[DAY, new_york]).contains("[1] (lunch) holds at times when [0] (day) does"));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_fix() {
        let with =
            |zone: &str, to: &str| format!("name: n, from: '08:00', to: '{to}', timeZone: {zone}, optimize: {{}}");
        let wrong = refused(&[&with("Europe/Berln", "09:00")]);
        assert!(wrong.contains("`Europe/Berln` is not the IANA name of a time zone: did you mean `Europe/Berlin`?"));
        assert!(wrong.contains("policy.yaml:5"), "{wrong}");
        let wrong = refused(&[&with("UTC", "08:00")]);
        assert!(wrong.contains("spec.schedule[0] (n) begins and ends at 08:00 | for the whole day"), "{wrong}");
        assert!(refused(&[&with("UTC", "24:01")]).contains("a time of day such as 08:00"));
        assert!(
            refused(&["name: n, from: '08:00', to: '09:00', timeZone: UTC, optimize: {objectiv: Cost}"])
                .contains("unknown key `objectiv` | did you mean `objective`?")
        );
        let twice = with("UTC", "09:00");
        assert!(
            refused(&[&twice, &twice.replace("08:00", "10:00").replace("09:00", "11:00")])
                .contains("spec.schedule[1] (n) has the name of [0]")
        );
    }

    #[test]
    fn the_whole_day_is_from_midnight_to_midnight() {
        at(
            "name: weekend, days: [Sat, Sun], from: '00:00', to: '24:00', timeZone: UTC, optimize: {}",
            &[
                ("2026-01-09T23:59:59Z", false),
                ("2026-01-10T00:00:00Z", true),
                ("2026-01-11T23:59:59Z", true),
                ("2026-01-12T00:00:00Z", false),
            ],
        );
    }
}
