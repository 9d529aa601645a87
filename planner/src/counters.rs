//! How many pods every rule between pods counts, by the domain in which they are.
//!
//! Each term has tallies: of the pods that it matches, and of those that have it. Over a topology key there
//! is a count for each domain; over hosts most counts are zero, so each host lists its own.

use crate::relations::{Relations, Topology};

/// The tallies of every term.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    /// By tally: counts by domain; empty for those over hosts.
    domains: Vec<Vec<u32>>,
    /// By host: the tallies over hosts that count a pod there.
    hosts: Vec<Vec<(u32, u32)>>,
    /// By affinity term: pods that match it anywhere.
    total: Vec<u32>,
    /// Pairs of an affinity term and a domain where pods have it and none matches it.
    pub(crate) lonely: u32,
}

impl Counters {
    pub(crate) fn new(relations: &Relations, slots: usize) -> Self {
        let zeros = |topology: Topology| match topology {
            Topology::Host => Vec::new(),
            Topology::Key(key) => vec![0; relations.domain_counts[key]],
        };
        Self {
            domains: relations.tallies().map(zeros).collect(),
            hosts: vec![Vec::new(); slots],
            total: vec![0; relations.affinity.len()],
            lonely: 0,
        }
    }

    /// The same counts, but over hosts those of some only.
    pub(crate) fn of_hosts(&self, slots: &[usize]) -> Self {
        let mut hosts = vec![Vec::new(); self.hosts.len()];
        slots.iter().for_each(|slot| hosts[*slot].clone_from(&self.hosts[*slot]));
        Self { domains: self.domains.clone(), hosts, total: self.total.clone(), lonely: self.lonely }
    }

    /// A tally's count in a domain: a host's slot, or the number of a key's value.
    pub(crate) fn count(&self, topology: Topology, tally: usize, domain: usize) -> u32 {
        match topology {
            Topology::Host => self.on_host(tally, domain),
            Topology::Key(_) => self.domains[tally][domain],
        }
    }

    fn on_host(&self, tally: usize, host: usize) -> u32 {
        self.hosts[host].iter().find(|(other, _)| *other as usize == tally).map_or(0, |(_, count)| *count)
    }

    /// Pods that match an affinity term anywhere.
    pub(crate) fn total(&self, affinity: usize) -> u32 {
        self.total[affinity]
    }

    fn bump(&mut self, topology: Topology, tally: usize, domain: usize, arrives: bool) {
        let apply = |count: &mut u32| if arrives { *count += 1 } else { *count -= 1 };
        if let Topology::Key(_) = topology {
            apply(&mut self.domains[tally][domain]);
            return;
        }
        let list = &mut self.hosts[domain];
        let place = list.iter().position(|(other, _)| *other as usize == tally).unwrap_or_else(|| {
            list.push((u32::try_from(tally).unwrap_or(u32::MAX), 0));
            list.len() - 1
        });
        apply(&mut list[place].1);
        if list[place].1 == 0 {
            list.swap_remove(place);
        }
    }

    /// Counts a pod that came to a host, or left it.
    pub(crate) fn change(&mut self, relations: &Relations, profile: usize, sig: usize, host: usize, arrives: bool) {
        if relations.free[profile] {
            return;
        }
        for counted in &relations.counted[profile] {
            if counted.spread.is_none_or(|spread| relations.spreads[spread].eligible[sig])
                && let Some(domain) = relations.domain(counted.topology, sig, host)
            {
                self.bump(counted.topology, counted.tally, domain, arrives);
            }
        }
        let profile = &relations.profiles[profile];
        for (terms, hits) in [(&profile.affinity_hit, true), (&profile.affinity_own, false)] {
            for term in terms {
                if hits {
                    if arrives { self.total[*term] += 1 } else { self.total[*term] -= 1 }
                }
                let topology = relations.affinity[*term];
                let Some(domain) = relations.domain(topology, sig, host) else { continue };
                let before = self.is_lonely(relations, *term, domain);
                self.bump(topology, relations.affinity_tally(*term, hits), domain, arrives);
                let after = self.is_lonely(relations, *term, domain);
                if after && !before {
                    self.lonely += 1;
                } else if before && !after {
                    self.lonely -= 1;
                }
            }
        }
    }

    /// By cap and domain with pods of its workload: how many.
    pub(crate) fn capped(&self, relations: &Relations) -> Vec<(usize, usize, u32)> {
        if relations.caps.is_empty() {
            return Vec::new();
        }
        let first = relations.cap_tally(0);
        let of_tally = |tally: u32| (tally as usize).checked_sub(first);
        let mut list: Vec<(usize, usize, u32)> = Vec::new();
        for (host, tallies) in self.hosts.iter().enumerate() {
            list.extend(tallies.iter().filter_map(|(tally, count)| Some((of_tally(*tally)?, host, *count))));
        }
        for (cap, counts) in self.domains[first..].iter().enumerate() {
            let taken = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            list.extend(taken.map(|(domain, count)| (cap, domain, *count)));
        }
        list.sort_unstable();
        list
    }

    fn is_lonely(&self, relations: &Relations, affinity: usize, domain: usize) -> bool {
        let topology = relations.affinity[affinity];
        let count = |hits: bool| self.count(topology, relations.affinity_tally(affinity, hits), domain);
        count(false) > 0 && count(true) == 0
    }
}

/// Counts as they are seen from one host.
pub(crate) trait Seen {
    /// The host's signature.
    fn sig(&self) -> usize;
    /// The host's slot.
    fn host(&self) -> usize;
    /// A tally's count in a domain.
    fn count(&self, topology: Topology, tally: usize, domain: usize) -> u32;
    /// Pods that match an affinity term anywhere.
    fn total(&self, affinity: usize) -> u32;
}

/// Which rule between pods keeps a pod off a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    Anti,
    Affinity,
    /// Index of the spread constraint.
    Spread(usize),
}

/// The first rule between pods that keeps pods of a profile off a host.
///
/// A spread constraint over hosts is read as if some eligible host had none of the pods: that is so on any
/// cluster with more hosts than replicas, and stricter elsewhere.
pub(crate) fn conflict(relations: &Relations, profile: usize, seen: &impl Seen) -> Option<Conflict> {
    if relations.free[profile] {
        return None;
    }
    let profile = &relations.profiles[profile];
    let (sig, host) = (seen.sig(), seen.host());
    let any = |topology: Topology, tally: usize| {
        relations.domain(topology, sig, host).is_some_and(|domain| seen.count(topology, tally, domain) > 0)
    };
    let anti = |term: usize, hits: bool| any(relations.anti[term], relations.anti_tally(term, hits));
    if profile.anti_own.iter().any(|term| anti(*term, true)) || profile.anti_hit.iter().any(|term| anti(*term, false)) {
        return Some(Conflict::Anti);
    }
    if !profile.affinity_own.is_empty() {
        let own = || profile.affinity_own.iter();
        let met = own().all(|term| any(relations.affinity[*term], relations.affinity_tally(*term, true)));
        let has_label = |term: &usize| relations.domain(relations.affinity[*term], sig, host).is_some();
        let first = profile.affinity_self && own().all(|term| seen.total(*term) == 0 && has_label(term));
        if !met && !first {
            return Some(Conflict::Affinity);
        }
    }
    for (spread, counts_itself) in &profile.spread_own {
        let rule = &relations.spreads[*spread];
        let Some(domain) = relations.domain(rule.topology, sig, host) else {
            return Some(Conflict::Spread(*spread));
        };
        let tally = relations.spread_tally(*spread);
        let count = |domain: usize| seen.count(rule.topology, tally, domain);
        let least = match rule.topology {
            Topology::Host => 0,
            Topology::Key(_) => rule.least(&count),
        };
        let crowded = i64::from(count(domain)) + i64::from(*counts_itself) - least > rule.max_skew;
        let comes_too_soon = rule.few.as_ref().is_some_and(|few| {
            !few.homes.contains(&host)
                && few.domains.contains(&domain)
                && rule.domains.iter().all(|d| count(*d as usize) == 0 || few.domains.contains(&(*d as usize)))
        });
        if crowded || comes_too_soon {
            return Some(Conflict::Spread(*spread));
        }
    }
    None
}

/// Whether one pod of a profile more would exceed a cap of its workload, which the scheduler knows nothing of.
pub(crate) fn exceeds_cap(relations: &Relations, profile: usize, seen: &impl Seen) -> bool {
    let (sig, host) = (seen.sig(), seen.host());
    relations.profiles[profile].caps.iter().any(|cap| {
        let own = &relations.caps[*cap];
        relations
            .domain(own.topology, sig, host)
            .is_some_and(|domain| i64::from(seen.count(own.topology, relations.cap_tally(*cap), domain)) >= own.most)
    })
}
