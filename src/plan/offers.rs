//! What may be booted, when no cloud was asked: pools made up from the price list, one for each zone
//! of the cluster, machine type and way of paying.

use std::collections::{BTreeMap, BTreeSet};

use adapter_prices::{Arch, Catalogue};
use journal_schema::cloud::{CapacityType, Pool};
use journal_schema::plan::Cluster;
use journal_schema::policy::Policy;
use journal_schema::text::Name;
use planner::{MachineSpec, synthetic_pools};

use crate::cli::PlanArgs;
use crate::exit::{Exit, Problem};

/// Whether `text` matches a glob of `*` and `?`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // matches[j]: the pattern so far matches the first j characters.
    let mut matches = vec![false; text.len() + 1];
    matches[0] = true;
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        next[0] = c == '*' && matches[0];
        for (j, character) in text.iter().enumerate() {
            next[j + 1] = match c {
                '*' => matches[j + 1] || next[j],
                '?' => matches[j],
                c => matches[j] && c == *character,
            };
        }
        matches = next;
    }
    matches[text.len()]
}

/// The region of the command line, when it can be one of this cluster's.
fn region_given(cluster: &Cluster, given: &str, catalogue: &Catalogue) -> Result<Name, Problem> {
    if given.trim().is_empty() {
        return Err(Problem::new(Exit::Usage, "--region is empty").fix("leave it out for the region of the nodes"));
    }
    let known = catalogue.regions();
    if !known.iter().any(|region| region.as_str() == given) {
        let alike = |name: &Name| strsim::jaro_winkler(name, given);
        let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)).then(b.cmp(a)));
        let problem = Problem::failed(format!("the price list {} has no region {given}", catalogue.source));
        return Err(match nearest {
            Some(nearest) => problem.fix(format!("did you mean --region {nearest}?")),
            None => problem,
        });
    }
    let present: BTreeSet<&str> =
        cluster.nodes.values().map(engine::cloud::region).filter(|region| !region.is_empty()).collect();
    // Pods are not moved to another region because machines are cheaper there: their data is here.
    if !present.is_empty() && !present.contains(given) {
        let present: Vec<&str> = present.into_iter().collect();
        return Err(Problem::failed(format!("no node is in region {given}: they are in {}", present.join(", ")))
            .fix("leave --region out for the region of the nodes"));
    }
    Ok(Name::truncated(given))
}

/// The regions that machines may be booted in, with the zones that the nodes are in.
fn regions(
    cluster: &Cluster,
    args: &PlanArgs,
    catalogue: &Catalogue,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<Name, BTreeSet<Name>>, Problem> {
    let given = args.region.as_deref().map(|given| region_given(cluster, given, catalogue)).transpose()?;
    let mut regions: BTreeMap<Name, (usize, BTreeSet<Name>)> = BTreeMap::new();
    for node in cluster.nodes.values() {
        let region = given.as_ref().map_or_else(|| engine::cloud::region(node), Name::as_str);
        if !region.is_empty() {
            let (nodes, zones) = regions.entry(Name::truncated(region)).or_default();
            *nodes += 1;
            if node.zone().starts_with(region) {
                zones.insert(Name::truncated(node.zone()));
            }
        }
    }
    if regions.is_empty() {
        return Err(
            Problem::failed("no node has a region or zone label (topology.kubernetes.io/region)").fix("give --region")
        );
    }
    let known: BTreeSet<&Name> = catalogue.regions().into_iter().collect();
    let without: Vec<&Name> = regions.keys().filter(|region| !known.contains(region)).collect();
    if without.len() == regions.len() {
        let names = without.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Problem::failed(format!("the price list {} has no prices of {names}", catalogue.source))
            .fix("give the prices of these machines with --prices FILE (CSV; the built-in ones are Google Cloud's)"));
    }
    for region in without {
        warnings.push(format!(
            "the price list {} has no prices of {region}: no machine is added there, and its nodes stay ({})",
            catalogue.source, regions[region].0
        ));
    }
    Ok(regions
        .into_iter()
        .filter(|(region, _)| known.contains(region))
        .map(|(region, (_, zones))| (region, zones))
        .collect())
}

/// Adds the zones that were asked for.
fn with_zones(
    regions: BTreeMap<Name, BTreeSet<Name>>,
    wanted: &[Name],
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<Name, Vec<Name>>, Problem> {
    let of = |region: &Name, zone: &Name| {
        zone.strip_prefix(region.as_str()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('-'))
    };
    let elsewhere: Vec<&str> =
        wanted.iter().filter(|zone| !regions.keys().any(|region| of(region, zone))).map(Name::as_str).collect();
    if !elsewhere.is_empty() {
        let names: Vec<&str> = regions.keys().map(Name::as_str).collect();
        let text = format!("no zone of {}: {}", names.join(", "), elsewhere.join(", "));
        if elsewhere.len() == wanted.len() {
            return Err(Problem::failed(text).fix("check --zones and spec.optimize.machineTypes.zones"));
        }
        warnings.push(format!("{text} (--zones, or spec.optimize.machineTypes.zones)"));
    }
    Ok(regions
        .into_iter()
        .map(|(region, mut zones)| {
            zones.extend(wanted.iter().filter(|zone| of(&region, zone)).cloned());
            if zones.is_empty() {
                warnings.push(format!("no node of {region} has a zone label: new machines are counted in {region}-a"));
                zones.insert(Name::truncated(format!("{region}-a")));
            }
            (region, zones.into_iter().collect())
        })
        .collect())
}

/// Made-up pools of everything that may be booted.
pub fn pools(
    cluster: &Cluster,
    catalogue: &Catalogue,
    policy: &Policy,
    args: &PlanArgs,
    warnings: &mut Vec<String>,
) -> Result<Vec<Pool>, Problem> {
    let label = |key: &str, value: &str| cluster.nodes.values().any(|node| node.label(key) == value);
    let arm = label("kubernetes.io/arch", "arm64");
    let present: BTreeSet<&str> = cluster.nodes.values().map(|node| node.machine_type()).collect();
    let globs = &policy.optimize.machine_types;
    let regions = with_zones(regions(cluster, args, catalogue, warnings)?, &policy.optimize.zones, warnings)?;
    let region_names = regions.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
    let mut matching: BTreeSet<&Name> = BTreeSet::new();
    let mut pools = Vec::new();
    for (region, zones) in regions {
        let machines: Vec<MachineSpec> = catalogue
            .region(&region)
            .filter(|(name, machine, _)| {
                if !globs.is_empty() {
                    let hits: Vec<&Name> = globs.iter().filter(|pattern| glob(pattern, name)).collect();
                    matching.extend(&hits);
                    return !hits.is_empty();
                }
                // Not without being asked for: another architecture than the images may have, cores
                // that are shared, and devices that no pod here uses.
                present.contains(name.as_str())
                    || ((machine.arch == Arch::Amd64 || arm)
                        && !machine.shared_core
                        && machine.gpus == 0
                        && !machine.local_ssd)
            })
            .map(|(name, machine, _)| MachineSpec {
                machine_type: name.clone(),
                cpu: machine.cpu,
                memory: machine.memory,
                shared_core: machine.shared_core,
                arch: Name::truncated(match machine.arch {
                    Arch::Amd64 => "amd64",
                    Arch::Arm64 => "arm64",
                }),
                gpu: (machine.gpus > 0).then(|| (machine.gpu.clone(), i64::from(machine.gpus))),
            })
            .collect();
        let capacity: Vec<CapacityType> = policy.optimize.capacity_types.to_vec();
        pools.extend(synthetic_pools(cluster, &region, &zones, &machines, &capacity));
    }
    let missed: Vec<&str> = globs.iter().filter(|glob| !matching.contains(glob)).map(Name::as_str).collect();
    if !missed.is_empty() {
        let text = format!(
            "no machine type of {region_names} in the price list {} matches {}",
            catalogue.source,
            missed.join(", ")
        );
        if pools.is_empty() {
            return Err(Problem::failed(text).fix("check --machine-types (globs, for example \"e2-*,n2d-standard-8\")"));
        }
        warnings.push(text);
    }
    Ok(pools)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("e2-*", "e2-standard-4", true),
            ("e2-*", "n2-standard-4", false),
            ("*-standard-?", "e2-standard-8", true),
            ("*-standard-?", "e2-standard-16", false),
            ("*", "", true),
            ("", "x", false),
            ("a*b*c", "axxbyyc", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
