//! Scenario files: reading one, and writing a built-in scenario as one.

mod check;
mod convert;
mod fault_convert;
mod faults;
mod file;
mod names;

use std::path::Path;

use simulator::Scenario;

use crate::config;
use crate::exit::{Exit, Problem};
use file::File;

/// Largest scenario file that is read.
const MAX_BYTES: u64 = 4 << 20;

/// The scenario of a name, or of a file. What has a file's ending or a directory in it is a file.
pub(crate) fn find(given: &str, seed: u64) -> Result<Scenario, Problem> {
    let path = Path::new(given);
    let ending = path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
    if ending || given.contains('/') {
        return load(path);
    }
    Scenario::find(given, seed).map_err(|error| {
        Problem::new(Exit::Usage, format!("--scenario {given}"))
            .because(&error)
            .fix("kinema simulate --list shows the built-in ones; a file's name ends in .yaml")
    })
}

fn load(path: &Path) -> Result<Scenario, Problem> {
    let text = config::read_text(path, "scenario file", MAX_BYTES)?;
    parse(&path.display().to_string(), &text)
}

/// Reads and checks the text of a scenario file; `name` is shown in errors.
fn parse(name: &str, text: &str) -> Result<Scenario, Problem> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| config::yaml_problem(name, text, &error))?;
    check::check(&file.spec).map_err(|error| Problem::new(Exit::Config, format!("{name}: {error}")))?;
    Ok((&file).into())
}

/// A scenario as a file, to begin one's own from.
pub(crate) fn print(scenario: &Scenario) -> Result<String, Problem> {
    serde_saphyr::to_string(&File::from(scenario))
        .map_err(|error| Problem::failed("the scenario cannot be written").because(&error))
}

/// The JSON Schema of a scenario file.
pub(crate) fn schema() -> schemars::Schema {
    schemars::schema_for!(File)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let problem = parse("world.yaml", text).expect_err("refused");
        assert_eq!(problem.exit, Exit::Config);
        format!("{} | {}", problem.message, problem.fix.unwrap_or_default())
    }

    const HEAD: &str = "apiVersion: kinema.dev/v1alpha1\nkind: Scenario\nmetadata: {name: world}\nspec:\n";
    const POOLS: &str = "  pools: [{machineType: e2-standard-2, zone: us-central1-a, nodes: 2}]\n";

    /// The same scenario with every affinity in one spelling.
    fn spelled(mut scenario: Scenario) -> Scenario {
        for spec in scenario.workloads.iter_mut().chain(&mut scenario.late) {
            if let Some(affinity) = &mut spec.affinity {
                let value: serde_json::Value = serde_json::from_str(affinity).expect("JSON");
                *affinity = value.to_string();
            }
        }
        scenario
    }

    #[test]
    fn every_built_in_scenario_survives_the_way_through_a_file() {
        for name in Scenario::names() {
            let scenario = Scenario::find(&name, 1).expect("built in");
            let text = print(&scenario).expect("written");
            let read = parse(&name, &text).unwrap_or_else(|problem| panic!("{name}: {problem}\n{text}"));
            assert_eq!(spelled(read), spelled(scenario), "{name}\n{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_what_is_usual() {
        let text = format!("{HEAD}{POOLS}  workloads: [{{name: web, replicas: 2, cpu: 100m, memory: 64Mi}}]\n");
        let scenario = parse("world.yaml", &text).expect("a world");
        let web = &scenario.workloads[0];
        assert_eq!((web.namespace.as_str(), web.replicas, web.cpu.0, web.memory.0), ("default", 2, 100, 64 << 20));
        let usual = simulator::scenario::WorkloadSpec::new(web.kind, "default", "web", 2, 100, 64);
        assert_eq!(*web, usual);
        assert_eq!(scenario.policy.mode, journal_schema::policy::Mode::Auto);
    }

    #[test]
    fn an_error_has_line_column_and_the_nearest_name() {
        assert_eq!(
            refused(&format!("{HEAD}{POOLS}  worklods: []\n")),
            "world.yaml:6:3: unknown key `worklods` | did you mean `workloads`?"
        );
        assert_eq!(
            refused(&format!("{HEAD}  pools:\n  - machineType: e2-standrd-4\n    zone: us-central1-a\n")),
            "world.yaml:6:18: `e2-standrd-4` is not a machine type of the simulated cloud: did you mean e2-standard-4? | "
        );
        assert_eq!(
            refused(&format!("{HEAD}  pools:\n  - {{machineType: e2-standard-2, zone: europe-west3-a}}\n")),
            "world.yaml:6:40: `europe-west3-a` is not a zone of the simulated cloud: expected us-central1-a, us-central1-b, ... | "
        );
        assert_eq!(
            refused(&format!("{HEAD}  pools:\n  - {{machineType: e2-standard-2, zone: us-central1-a, nodes: -3}}\n")),
            "world.yaml:6:62: -3 is negative: expected a whole number from 0 to 10000 | "
        );
        assert_eq!(
            refused(&format!("{HEAD}{POOLS}  faults: [{{on: {{effect: Scal}}, fault: Lost}}]\n")),
            "world.yaml:6:26: unknown value `Scal` | did you mean `Scale`?"
        );
        assert_eq!(
            refused(&format!("{HEAD}{POOLS}  workloads: [{{name: Web, cpu: 1, memory: 1Gi}}]\n")),
            "world.yaml:6:22: `Web` is not a name: 1 to 63 lower-case letters, digits and -, without - at its ends | "
        );
    }

    #[test]
    fn a_world_that_cannot_be_is_refused_with_the_key() {
        let web = "  workloads: [{name: web, replicas: 2, cpu: 100m, memory: 64Mi}]\n";
        for (rest, expected) in [
            ("  pools: []\n".to_owned(), "spec.pools: no pool has machines at the beginning"),
            (
                "  pools: [{machineType: e2-standard-2, zone: us-central1-a}]\n".to_owned(),
                "spec.pools: no pool has machines at the beginning",
            ),
            (
                POOLS.replace("nodes: 2}", "nodes: 2}, {machineType: e2-standard-2, zone: us-central1-a}"),
                "spec.pools[1]: there is another pool us-central1-a/e2-standard-2-a: give it a name",
            ),
            (
                format!("{POOLS}{}", web.replace("}]", "}, {name: web, cpu: 1, memory: 1}]")),
                "spec.workloads[1]: there is another workload default/web",
            ),
            (
                format!("{POOLS}{web}  budgets: [{{workload: wbe, minAvailable: 1}}]\n"),
                "spec.budgets[0].workload: there is no workload default/wbe (namespace/name): did you mean default/web?",
            ),
            (
                format!("{POOLS}{web}  budgets: [{{workload: web}}]\n"),
                "spec.budgets[0]: give one of minAvailable and maxUnavailable",
            ),
            (
                format!(
                    "{POOLS}{web}  autoscalers: [{{workload: web, minReplicas: 3, maxReplicas: 2, targetCpu: 50%}}]\n"
                ),
                "spec.autoscalers[0]: minReplicas is at least 1 and at most maxReplicas",
            ),
            (format!("{POOLS}{web}  faults: [{{fault: Lost}}]\n"), "spec.faults[0]: give one of at, on and chance"),
            (
                format!("{POOLS}{web}  faults: [{{at: 1m, fault: Lost}}]\n"),
                "spec.faults[0]: this is the fate of a request",
            ),
            (
                format!("{POOLS}{web}  faults: [{{at: 1m, fault: {{NeverReady: {{workload: web}}}}}}]\n"),
                "spec.faults[0].fault: there is no workload web (namespace/name): did you mean default/web?",
            ),
            (
                format!("{POOLS}{web}  faults: [{{at: 1m, fault: {{NodeCrash: {{index: 2}}}}}}]\n"),
                "spec.faults[0].fault: node 2 of 2: the first is 0",
            ),
            (
                format!(
                    "{POOLS}{}",
                    web.replace(
                        "cpu",
                        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}, cpu"
                    )
                ),
                "spec.workloads[0].affinity: affinity has no proper nodeSelectorTerms",
            ),
            (format!("{POOLS}{web}  limit: 0s\n"), "spec.limit: a run lasts longer than nothing"),
        ] {
            let said = refused(&format!("{HEAD}{rest}"));
            assert!(said.starts_with(&format!("world.yaml: {expected}")), "{rest}: {said}");
        }
    }
}
