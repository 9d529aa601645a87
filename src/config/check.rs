//! What a configuration file's values mean together: settings that contradict each other, or that nobody means.

use super::file::{Availability, File, Objective, Optimize};
use super::schedule;
use crate::exit::{Exit, Problem};
use journal_schema::units::{MicroUsdPerHour, Ppm};
use planner::pricing::interruption_per_hour;

/// Dearer than any machine's disk, or the interruption of one: probably meant per month.
const DEAR: MicroUsdPerHour = MicroUsdPerHour(1_000_000_000);

/// Checks a file called `name`.
pub(super) fn check(name: &str, file: &File) -> Result<(), Problem> {
    schedule::check(name, file, jiff::Timestamp::now())?;
    optimize(name, "spec.optimize", &file.spec.optimize)?;
    for (index, window) in file.spec.schedule.iter().enumerate() {
        let place = format!("spec.schedule[{index}] ({}).optimize", window.name);
        optimize(name, &place, &window.optimize.over(&file.spec.optimize))?;
    }
    Ok(())
}

fn optimize(name: &str, place: &str, of: &Optimize) -> Result<(), Problem> {
    let wrong = |text: &str| Problem::new(Exit::Config, format!("{name}: {place}{text}"));
    let Availability { max_per_node, max_per_zone } = &of.availability;
    for (key, share) in [("maxPerNode", max_per_node), ("maxPerZone", max_per_zone)] {
        if let Some(share) = share.filter(|share| share.0.0 <= 0 || share.0 > Ppm::percent(100)) {
            return Err(wrong(&format!(".availability.{key} is {share}"))
                .fix("use a share above 0% and up to 100%, such as 50%; leave it out for no limit"));
        }
    }
    if max_per_node.is_none() && max_per_zone.is_none() {
        let missing = "set availability.maxPerNode or availability.maxPerZone beside it, such as 50%";
        if of.objective == Objective::Availability {
            return Err(wrong(".objective is Availability, and no limit is set").fix(missing));
        }
        if of.weights.availability.0.0 > 0 {
            return Err(wrong(".weights.availability has a price, and no limit is set").fix(missing));
        }
    }
    let pricing = of.pricing.policy();
    if pricing.boot_disk > DEAR {
        return Err(wrong(&format!(".pricing.bootDisk is ${}/h", pricing.boot_disk))
            .fix("give dollars per hour: a disk of 10 dollars a month is 0.0137"));
    }
    if interruption_per_hour(&pricing) > DEAR {
        return Err(wrong(&format!(".pricing.spotInterruption comes to ${}/h", interruption_per_hour(&pricing)))
            .fix("give how often a spot machine is taken back within 30 days, and the dollars that each time costs"));
    }
    for (index, own) in of.pricing.commitments.iter().enumerate() {
        if own.machine_type.is_empty() || own.region.is_empty() {
            return Err(wrong(&format!(".pricing.commitments[{index}] has no machineType or no region"))
                .fix("name both, for example: {machineType: n2-standard-8, region: us-central1, count: 4}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    fn refused(optimize: &str) -> String {
        let text =
            format!("apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec: {{optimize: {{{optimize}}}}}\n");
        let problem = super::super::parse("policy.yaml", &text).expect_err("refused");
        format!("{} | {}", problem.message, problem.fix.expect("a fix"))
    }

    #[test]
    fn what_contradicts_itself_is_named_with_the_fix() {
        for (optimize, expected) in [
            (
                "objective: Availability",
                "policy.yaml: spec.optimize.objective is Availability, and no limit is set | set",
            ),
            ("weights: {availability: 1}", "spec.optimize.weights.availability has a price, and no limit"),
            ("availability: {maxPerNode: 0%}", "spec.optimize.availability.maxPerNode is 0% | use a share"),
            ("availability: {maxPerZone: 101%}", "spec.optimize.availability.maxPerZone is 101% | use a share"),
            ("pricing: {bootDisk: 1001}", "spec.optimize.pricing.bootDisk is $1001.00/h | give dollars per hour"),
            (
                "pricing: {spotInterruption: {per30Days: 1000, costPerInterruption: 1000}}",
                "spec.optimize.pricing.spotInterruption comes to $1388.888889/h",
            ),
            (
                "pricing: {commitments: [{machineType: '', region: a, count: 1}]}",
                "spec.optimize.pricing.commitments[0] has no machineType",
            ),
        ] {
            let text = refused(optimize);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_window_is_checked_with_what_it_changes() {
        let text = "apiVersion: kinema.dev/v1alpha1\nkind: ReschedulePolicy\nspec:\n  schedule:\n  - {name: day, from: '08:00', to: '18:00', timeZone: UTC, optimize: {objective: Availability}}\n";
        let problem = super::super::parse("policy.yaml", text).expect_err("refused");
        assert!(problem.message.starts_with("policy.yaml: spec.schedule[0] (day).optimize.objective is Availability"));
    }
}
