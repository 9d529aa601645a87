//! Rules between pods, compiled: anti-affinity (both ways), affinity, hard topology spread, host ports.
//!
//! Each distinct rule becomes a term with counters per topology domain; each distinct set of labels
//! and rules becomes a profile that lists the terms it owns and the terms that match it. A host port
//! is an anti-affinity of the node with everything that takes the same port (addresses are left
//! aside: two pods that take one port on different addresses are kept apart all the same).

use std::collections::{BTreeMap, BTreeSet};

use journal_schema::facts::{Labels, PodFact, PodTerm, Selector};
use journal_schema::plan::PlanningInput;
use journal_schema::text::Name;

use crate::availability::{Over, Rule, Rules};
use crate::hooks::Hooks;
use crate::model::Signature;
use crate::rules::{
    HOSTNAME, ZONE, node_affinity_matches, pairs_and_expressions_match, repelling_taint, term_namespaces,
};

/// A topology: where the domains of a key lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topology {
    /// Every host is its own domain.
    Host,
    /// Domains by the value of this key, an index into the relations' keys.
    Key(usize),
}

/// A hard spread constraint of some pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spread {
    pub(crate) topology: Topology,
    pub(crate) key: Name,
    pub(crate) max_skew: i64,
    pub(crate) min_domains: i64,
    /// By signature: hosts whose pods and domains count.
    pub(crate) eligible: Vec<bool>,
    /// Domains that some present host is in.
    pub(crate) domains: Vec<u32>,
    /// The skew of the present placement: a plan must not make a broken rule worse.
    pub(crate) skew_now: i64,
    /// Where its pods are now, when there are fewer of them than domains.
    pub(crate) few: Option<Few>,
}

impl Spread {
    /// The count of the domain with the fewest pods; zero where there are fewer domains than the rule asks for.
    pub(crate) fn least(&self, count: &impl Fn(usize) -> u32) -> i64 {
        if i64::try_from(self.domains.len()).unwrap_or(i64::MAX) < self.min_domains {
            return 0;
        }
        self.domains.iter().map(|domain| i64::from(count(*domain as usize))).min().unwrap_or(0)
    }

    /// The most of `pods` that one domain ends with, when there are at least so many hosts; `None` when that is not
    /// known. When the last one comes to a domain, the one that it is to replace may still count elsewhere.
    pub(crate) fn most(&self, pods: i64, hosts: i64) -> Option<i64> {
        let (counted, skew) = (pods + 1, self.max_skew.max(self.skew_now));
        match self.topology {
            // The fewest on any host are no more than the mean.
            Topology::Host if self.eligible.iter().all(|eligible| *eligible) => Some(skew + counted / hosts),
            Topology::Host => None,
            Topology::Key(_) => {
                let domains = i64::try_from(self.domains.len()).ok().filter(|domains| *domains > 0)?;
                // The others have at most `skew` less.
                Some(if domains < self.min_domains { skew } else { (counted + skew * (domains - 1)) / domains })
            }
        }
    }
}

/// Fewer pods than domains under a spread constraint that lets no domain have two more than another. Each
/// of them that is surged needs a domain without one while the old pod still counts: so of those that move the
/// first goes to a domain that has none now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Few {
    /// Domains that have one now.
    pub(crate) domains: Vec<usize>,
    /// Their hosts: a pod that stays at home does not move.
    pub(crate) homes: Vec<usize>,
}

/// The most that a workload may have in one place by the policy's limits of availability.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cap {
    pub(crate) topology: Topology,
    /// By the policy.
    pub(crate) limit: i64,
    /// What a plan keeps to: the limit, or the most there is in one place now.
    pub(crate) most: i64,
}

/// What a pod's rules and labels mean to the terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Profile {
    /// Anti-affinity terms that it has.
    pub(crate) anti_own: Vec<usize>,
    /// Anti-affinity terms that match it.
    pub(crate) anti_hit: Vec<usize>,
    /// Affinity terms that it has.
    pub(crate) affinity_own: Vec<usize>,
    /// Affinity terms that match it.
    pub(crate) affinity_hit: Vec<usize>,
    /// It matches all its own affinity terms: it may be the first of its group.
    pub(crate) affinity_self: bool,
    /// Spread constraints that it has, and whether it counts itself.
    pub(crate) spread_own: Vec<(usize, bool)>,
    /// Spread constraints that count it.
    pub(crate) spread_hit: Vec<usize>,
    /// Caps of its workload.
    pub(crate) caps: Vec<usize>,
}

impl Profile {
    /// Whether no rule between pods concerns it.
    fn is_free(&self) -> bool {
        self.anti_own.is_empty()
            && self.anti_hit.is_empty()
            && self.affinity_own.is_empty()
            && self.affinity_hit.is_empty()
            && self.spread_own.is_empty()
            && self.spread_hit.is_empty()
            && self.caps.is_empty()
    }
}

/// A tally of anti-affinity, of a cap or of a spread constraint that counts pods of a profile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) topology: Topology,
    pub(crate) tally: usize,
    /// The spread constraint, which counts only on hosts that are eligible for it.
    pub(crate) spread: Option<usize>,
}

/// All terms and profiles.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    /// By profile: the tallies that count its pods, but for those of affinity.
    pub(crate) counted: Vec<Vec<Counted>>,
    /// By key and signature: the domain's number, if the host has the label.
    domains: Vec<Vec<Option<u32>>>,
    /// By key: how many domains there are.
    pub(crate) domain_counts: Vec<usize>,
    /// Topology of each anti-affinity term.
    pub(crate) anti: Vec<Topology>,
    /// Topology of each affinity term.
    pub(crate) affinity: Vec<Topology>,
    pub(crate) spreads: Vec<Spread>,
    pub(crate) caps: Vec<Cap>,
    pub(crate) profiles: Vec<Profile>,
    /// By profile: whether no rule between pods concerns it.
    pub(crate) free: Vec<bool>,
    /// By position of the pod in the list that was compiled.
    pub(crate) profile_of: Vec<usize>,
}

/// A pod term with everything resolved.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TermKey {
    selector: Option<KeySelector>,
    namespaces: Option<Vec<Name>>,
    topology: Topology,
}

/// A selector with an order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct KeySelector {
    labels: Labels,
    expressions: Vec<journal_schema::facts::NodeRequirement>,
}

impl KeySelector {
    fn new(selector: &Selector) -> Self {
        Self { labels: selector.labels.clone(), expressions: selector.expressions.to_vec() }
    }
    fn mentions(&self, keys: &mut BTreeSet<Name>) {
        keys.extend(self.labels.keys().cloned());
        keys.extend(self.expressions.iter().map(|e| e.key.clone()));
    }
}

/// A spread constraint before its hosts are known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SpreadKey {
    namespace: Name,
    selector: Option<KeySelector>,
    spread: Spread,
}

/// Gives each distinct value a number in order of appearance.
struct Numbers<T: Ord>(BTreeMap<T, usize>);

impl<T: Ord> Numbers<T> {
    fn number(&mut self, value: T) -> usize {
        let next = self.0.len();
        *self.0.entry(value).or_insert(next)
    }
    fn in_order(self) -> Vec<T> {
        let mut values: Vec<(usize, T)> = self.0.into_iter().map(|(value, number)| (number, value)).collect();
        values.sort_by_key(|(number, _)| *number);
        values.into_iter().map(|(_, value)| value).collect()
    }
}

/// Namespace, anti-affinity and affinity of a pod: what its own terms follow from.
type TermsOf<'a> = (&'a Name, &'a [PodTerm], &'a [PodTerm]);

/// What a pod owns, by term number.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Owned {
    anti: Vec<usize>,
    affinity: Vec<usize>,
    spread: Vec<usize>,
    ports: Vec<(Name, u16)>,
    caps: Vec<usize>,
}

impl Relations {
    /// Compiles the rules of these pods; the flag says whether a pod may be placed anew, because
    /// the spread of pods that never move again binds nobody.
    pub(crate) fn new(
        input: &PlanningInput,
        pods: &[(&PodFact, bool)],
        signatures: &[Signature],
        rules: &Rules,
    ) -> Self {
        let mut relations = Self::default();
        let keys = topology_keys(pods, rules);
        for key in &keys {
            let mut values = Numbers(BTreeMap::new());
            let row =
                signatures.iter().map(|s| s.labels.get(key).map(|v| values.number(v.clone()))).collect::<Vec<_>>();
            relations.domain_counts.push(values.0.len());
            relations.domains.push(row.into_iter().map(|d| d.map(|d| u32::try_from(d).unwrap_or(u32::MAX))).collect());
        }
        let topology = |key: &Name| {
            if *key == HOSTNAME { Topology::Host } else { Topology::Key(keys.binary_search(key).unwrap_or(0)) }
        };
        let over = |rule: &Rule| match rule.over {
            Over::Nodes => Topology::Host,
            Over::Zones => topology(&Name::truncated(ZONE)),
        };
        let cap = |rule: &Rule| Cap { topology: over(rule), limit: rule.limit, most: rule.limit };
        relations.caps = rules.list.iter().map(cap).collect();
        let mut anti = Numbers(BTreeMap::new());
        let mut affinity = Numbers(BTreeMap::new());
        let mut spreads = Numbers(BTreeMap::new());
        let mut owned = Vec::new();
        // Equal specs of one namespace own equal terms: resolve each once.
        let mut seen: BTreeMap<TermsOf<'_>, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for (index, (pod, placeable)) in pods.iter().enumerate() {
            let key = (&pod.key.namespace, &*pod.spec.pod_anti_affinity, &*pod.spec.pod_affinity);
            let (own_anti, own_affinity) = seen
                .entry(key)
                .or_insert_with(|| {
                    let resolve = |term: &PodTerm| TermKey {
                        selector: term.selector.as_ref().map(KeySelector::new),
                        namespaces: term_namespaces(&input.cluster, &pod.key.namespace, term),
                        topology: topology(&term.topology_key),
                    };
                    let a = pod.spec.pod_anti_affinity.iter().map(|term| anti.number(resolve(term))).collect();
                    let b = pod.spec.pod_affinity.iter().map(|term| affinity.number(resolve(term))).collect();
                    (a, b)
                })
                .clone();
            let mut own = Owned { anti: own_anti, affinity: own_affinity, ..Owned::default() };
            if *placeable {
                own.spread = pod
                    .spec
                    .spread
                    .iter()
                    .filter(|s| s.hard)
                    .map(|s| spreads.number(relations.spread_key(pod, s, &keys, signatures)))
                    .collect();
            }
            own.caps = rules.of_pod.get(index).cloned().unwrap_or_default();
            own.ports = pod.spec.host_ports.iter().map(|port| (port.protocol.clone(), port.port)).collect();
            owned.push(own);
        }
        relations.finish(pods, owned, &anti.in_order(), &affinity.in_order(), spreads.in_order());
        relations
    }

    fn spread_key(
        &self,
        pod: &PodFact,
        constraint: &journal_schema::facts::SpreadConstraint,
        keys: &[Name],
        signatures: &[Signature],
    ) -> SpreadKey {
        let all_keys = |sig: &Signature| {
            pod.spec
                .spread
                .iter()
                .filter(|s| s.hard && s.topology_key != HOSTNAME)
                .all(|s| sig.labels.contains_key(&s.topology_key))
        };
        let eligible: Vec<bool> = signatures
            .iter()
            .map(|sig| {
                all_keys(sig)
                    && (!constraint.honor_affinity || node_affinity_matches(&pod.spec, &sig.labels, &sig.name))
                    && (!constraint.honor_taints || repelling_taint(&pod.spec.tolerations, &sig.taints).is_none())
            })
            .collect();
        let topology = if constraint.topology_key == HOSTNAME {
            Topology::Host
        } else {
            Topology::Key(keys.binary_search(&constraint.topology_key).unwrap_or(0))
        };
        SpreadKey {
            namespace: pod.key.namespace.clone(),
            selector: constraint.selector.as_ref().map(KeySelector::new),
            spread: Spread {
                topology,
                key: constraint.topology_key.clone(),
                max_skew: i64::from(constraint.max_skew.max(1)),
                min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
                eligible,
                domains: Vec::new(),
                skew_now: 0,
                few: None,
            },
        }
    }

    fn finish(
        &mut self,
        pods: &[(&PodFact, bool)],
        owned: Vec<Owned>,
        anti: &[TermKey],
        affinity: &[TermKey],
        spreads: Vec<SpreadKey>,
    ) {
        let mut ports: Numbers<(Name, u16)> = Numbers(BTreeMap::new());
        let mut mentioned = BTreeSet::new();
        for selector in anti
            .iter()
            .chain(affinity)
            .filter_map(|t| t.selector.as_ref())
            .chain(spreads.iter().filter_map(|s| s.selector.as_ref()))
        {
            selector.mentions(&mut mentioned);
        }
        let mut profiles: Numbers<Profile> = Numbers(BTreeMap::new());
        let mut known: BTreeMap<(Name, Labels, bool, Owned), usize> = BTreeMap::new();
        let mut hits: BTreeMap<(Name, Labels), [Vec<usize>; 3]> = BTreeMap::new();
        let hooks = |terms| Hooks::new(<[TermKey]>::iter(terms).map(|t| t.selector.as_ref().map(|s| &s.labels)));
        let (anti_hooks, affinity_hooks) = (hooks(anti), hooks(affinity));
        let spread_hooks = Hooks::new(spreads.iter().map(|s| s.selector.as_ref().map(|s| &s.labels)));
        for ((pod, _), own) in pods.iter().zip(owned) {
            let labels: Labels = pod
                .labels
                .iter()
                .filter(|(k, _)| mentioned.contains(*k))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let terminating = pod.deletion_at.is_some();
            let key = (pod.key.namespace.clone(), labels.clone(), terminating, own.clone());
            if let Some(profile) = known.get(&key) {
                self.profile_of.push(*profile);
                continue;
            }
            let [anti_hit, affinity_hit, spread_hit] = hits
                .entry((pod.key.namespace.clone(), labels.clone()))
                .or_insert_with(|| {
                    let hit = |term: &TermKey| {
                        term.namespaces.as_ref().is_none_or(|n| n.binary_search(&pod.key.namespace).is_ok())
                            && term.selector.as_ref().is_some_and(|s| matches(s, &labels))
                    };
                    let indices = |terms: &[TermKey], hooks: &Hooks<'_>| {
                        hooks.about(&labels).into_iter().filter(|i| hit(&terms[*i])).collect()
                    };
                    let counted = |s: &SpreadKey| {
                        s.namespace == pod.key.namespace && s.selector.as_ref().is_some_and(|x| matches(x, &labels))
                    };
                    let spread = spread_hooks.about(&labels).into_iter().filter(|i| counted(&spreads[*i])).collect();
                    [indices(anti, &anti_hooks), indices(affinity, &affinity_hooks), spread]
                })
                .clone();
            let mut profile = Profile {
                affinity_self: own.affinity.iter().all(|t| affinity_hit.contains(t)),
                anti_own: own.anti.clone(),
                affinity_own: own.affinity.clone(),
                spread_own: own.spread.iter().map(|s| (*s, spread_hit.contains(s))).collect(),
                anti_hit,
                affinity_hit,
                spread_hit: if terminating { Vec::new() } else { spread_hit },
                caps: own.caps.clone(),
            };
            for port in &own.ports {
                let term = anti.len() + ports.number(port.clone());
                profile.anti_own.push(term);
                profile.anti_hit.push(term);
            }
            for list in [&mut profile.anti_own, &mut profile.anti_hit, &mut profile.affinity_own] {
                list.sort_unstable();
                list.dedup();
            }
            profile.spread_own.sort_unstable();
            profile.spread_own.dedup();
            let number = profiles.number(profile);
            known.insert(key, number);
            self.profile_of.push(number);
        }
        self.anti = anti.iter().map(|t| t.topology).chain(std::iter::repeat_n(Topology::Host, ports.0.len())).collect();
        self.affinity = affinity.iter().map(|t| t.topology).collect();
        self.spreads = spreads.into_iter().map(|s| s.spread).collect();
        self.profiles = profiles.in_order();
        self.free = self.profiles.iter().map(Profile::is_free).collect();
        self.counted = self.profiles.iter().map(|profile| self.counted(profile)).collect();
    }

    fn counted(&self, profile: &Profile) -> Vec<Counted> {
        let anti = |term: &usize, hits: bool| Counted {
            topology: self.anti[*term],
            tally: self.anti_tally(*term, hits),
            spread: None,
        };
        let cap =
            |cap: &usize| Counted { topology: self.caps[*cap].topology, tally: self.cap_tally(*cap), spread: None };
        let spread = |spread: &usize| Counted {
            topology: self.spreads[*spread].topology,
            tally: self.spread_tally(*spread),
            spread: Some(*spread),
        };
        let hit = profile.anti_hit.iter().map(|term| anti(term, true));
        let own = profile.anti_own.iter().map(|term| anti(term, false));
        hit.chain(own).chain(profile.caps.iter().map(cap)).chain(profile.spread_hit.iter().map(spread)).collect()
    }

    /// The domain of a host for a topology; `None` when it lacks the label.
    pub(crate) fn domain(&self, topology: Topology, sig: usize, host: usize) -> Option<usize> {
        match topology {
            Topology::Host => Some(host),
            Topology::Key(key) => self.domains[key][sig].map(|d| d as usize),
        }
    }

    /// By signature: a number of the place, the same where all topology keys have the same values.
    pub(crate) fn places(&self, signatures: usize) -> Vec<usize> {
        let mut places = Numbers(BTreeMap::new());
        let place = |sig: usize| self.domains.iter().map(|row| row[sig]).collect::<Vec<Option<u32>>>();
        (0..signatures).map(|sig| places.number(place(sig))).collect()
    }

    /// The topology of every tally: for each anti-affinity and each affinity term the pods that it matches and
    /// those that have it, then the spread constraints and the caps.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = Topology> {
        let twice = |terms: &[Topology]| terms.iter().flat_map(|topology| [*topology; 2]).collect::<Vec<_>>();
        let spreads = self.spreads.iter().map(|spread| spread.topology);
        let caps = self.caps.iter().map(|cap| cap.topology);
        twice(&self.anti).into_iter().chain(twice(&self.affinity)).chain(spreads).chain(caps)
    }

    /// The tally of pods that an anti-affinity term matches (`hits`), or that have it.
    pub(crate) fn anti_tally(&self, term: usize, hits: bool) -> usize {
        2 * term + usize::from(!hits)
    }

    /// The tally of pods that an affinity term matches (`hits`), or that have it.
    pub(crate) fn affinity_tally(&self, term: usize, hits: bool) -> usize {
        2 * (self.anti.len() + term) + usize::from(!hits)
    }

    /// The tally of pods that a spread constraint counts.
    pub(crate) fn spread_tally(&self, spread: usize) -> usize {
        2 * (self.anti.len() + self.affinity.len()) + spread
    }

    /// The tally of a cap.
    pub(crate) fn cap_tally(&self, cap: usize) -> usize {
        self.spread_tally(self.spreads.len()) + cap
    }

    /// Notes which domains the present hosts make; `sigs` are their signatures.
    pub(crate) fn note_present(&mut self, sigs: &[usize]) {
        for index in 0..self.spreads.len() {
            let Topology::Key(key) = self.spreads[index].topology else { continue };
            let mut domains: Vec<u32> = sigs
                .iter()
                .filter(|sig| self.spreads[index].eligible[**sig])
                .filter_map(|sig| self.domains[key][*sig])
                .collect();
            domains.sort_unstable();
            domains.dedup();
            self.spreads[index].domains = domains;
        }
    }

    /// Whether a new host of this signature would add a domain to some spread constraint.
    pub(crate) fn opens_domain(&self, sig: usize) -> bool {
        self.spreads.iter().any(|spread| {
            let Topology::Key(key) = spread.topology else { return false };
            spread.eligible[sig]
                && !spread.domains.is_empty()
                && self.domains[key][sig].is_some_and(|d| spread.domains.binary_search(&d).is_err())
        })
    }
}

fn matches(selector: &KeySelector, labels: &Labels) -> bool {
    pairs_and_expressions_match(&selector.labels, &selector.expressions, labels)
}

fn topology_keys(pods: &[(&PodFact, bool)], rules: &Rules) -> Vec<Name> {
    let mut keys = BTreeSet::new();
    if rules.list.iter().any(|rule| rule.over == Over::Zones) {
        keys.insert(Name::truncated(ZONE));
    }
    for (pod, _) in pods {
        let terms = pod.spec.pod_affinity.iter().chain(pod.spec.pod_anti_affinity.iter()).map(|t| &t.topology_key);
        let spread = pod.spec.spread.iter().filter(|s| s.hard).map(|s| &s.topology_key);
        for key in terms.chain(spread).filter(|key| **key != HOSTNAME) {
            if !keys.contains(key) {
                keys.insert(key.clone());
            }
        }
    }
    keys.into_iter().collect()
}

impl Relations {
    /// By profile: whether every rule that is about its pods is about them alone.
    pub(crate) fn among_themselves(&self) -> Vec<bool> {
        let own: Vec<BTreeSet<usize>> = self.profiles.iter().map(|profile| self.terms_of(profile)).collect();
        let mut profiles_of = vec![0_u32; self.tallies().count()];
        own.iter().flatten().for_each(|tally| profiles_of[*tally] += 1);
        own.iter().map(|tallies| tallies.iter().all(|tally| profiles_of[*tally] == 1)).collect()
    }

    /// By profile: a number that it has in common with the profiles whose pods matter to where its own may run, because
    /// a rule over domains larger than a host is about both, or by way of others; `None` where no such rule is about
    /// them.
    pub(crate) fn bound_together(&self) -> Vec<Option<usize>> {
        let topologies: Vec<Topology> = self.tallies().collect();
        let mut group: Vec<usize> = (0..topologies.len()).collect();
        fn root(group: &mut [usize], mut tally: usize) -> usize {
            while group[tally] != tally {
                group[tally] = group[group[tally]];
                tally = group[tally];
            }
            tally
        }
        let of_profile = |profile: &Profile| -> Vec<usize> {
            self.terms_of(profile).into_iter().filter(|tally| topologies[*tally] != Topology::Host).collect()
        };
        let own: Vec<Vec<usize>> = self.profiles.iter().map(of_profile).collect();
        for tallies in &own {
            for pair in tallies.windows(2) {
                let (one, other) = (root(&mut group, pair[0]), root(&mut group, pair[1]));
                group[one.max(other)] = one.min(other);
            }
        }
        own.iter().map(|tallies| tallies.first().map(|tally| root(&mut group, *tally))).collect()
    }

    /// The terms that a profile has or that match it, each by one of its tallies.
    fn terms_of(&self, profile: &Profile) -> BTreeSet<usize> {
        let anti = profile.anti_own.iter().chain(&profile.anti_hit).map(|term| self.anti_tally(*term, true));
        let affinity = profile.affinity_own.iter().chain(&profile.affinity_hit);
        let spread = profile.spread_own.iter().map(|(spread, _)| spread).chain(&profile.spread_hit);
        let affinity = affinity.map(|term| self.affinity_tally(*term, true));
        let spread = spread.map(|spread| self.spread_tally(*spread));
        anti.chain(affinity).chain(spread).chain(profile.caps.iter().map(|cap| self.cap_tally(*cap))).collect()
    }

    /// Whether pods of this profile keep each other off a host: one of their own anti-affinity terms
    /// over hosts matches them.
    pub(crate) fn alone_on_host(&self, profile: usize) -> bool {
        let profile = &self.profiles[profile];
        profile
            .anti_own
            .iter()
            .any(|term| self.anti[*term] == Topology::Host && profile.anti_hit.binary_search(term).is_ok())
    }
}
