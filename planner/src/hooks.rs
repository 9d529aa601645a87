//! Rules about pods, found by a label that they ask for.

use std::collections::BTreeMap;

use journal_schema::facts::Labels;
use journal_schema::text::Name;

/// Numbers of rules by the first label that their selector asks for; `None` for those that ask for none.
pub(crate) struct Hooks<'r>(BTreeMap<Option<(&'r Name, &'r Name)>, Vec<usize>>);

impl<'r> Hooks<'r> {
    /// Of rules, the labels that their selectors ask for, by number; `None` where there is no selector, and so nothing
    /// that it selects.
    pub(crate) fn new(rules: impl Iterator<Item = Option<&'r Labels>>) -> Self {
        let mut hooks: BTreeMap<Option<(&Name, &Name)>, Vec<usize>> = BTreeMap::new();
        for (number, labels) in rules.enumerate() {
            if let Some(labels) = labels {
                hooks.entry(labels.first_key_value()).or_default().push(number);
            }
        }
        Self(hooks)
    }

    /// The rules that may select a pod with these labels, ascending: all that ask for none of its labels first are
    /// left out. Time: labels × log hooks, and the rules found.
    pub(crate) fn about(&self, labels: &Labels) -> Vec<usize> {
        let hooks = labels.iter().map(Some).chain([None]);
        let mut numbers: Vec<usize> = hooks.filter_map(|hook| self.0.get(&hook)).flatten().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| (Name::truncated(key), Name::truncated(value))).collect()
    }

    #[test]
    fn only_rules_whose_first_label_a_pod_has_are_about_it() {
        let (web, db, both) =
            (labels(&[("app", "web")]), labels(&[("app", "db")]), labels(&[("app", "web"), ("tier", "front")]));
        let any = Labels::new();
        let hooks = Hooks::new([Some(&both), Some(&any), None, Some(&db), Some(&web)].into_iter());
        assert_eq!(hooks.about(&web), [0, 1, 4]);
        assert_eq!(hooks.about(&labels(&[("app", "db"), ("tier", "back")])), [1, 3]);
        assert_eq!(hooks.about(&any), [1]);
    }
}
