//! Values that many facts have in common.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value of which equal copies may be one in memory: the specs of a workload's pods.
///
/// It reads, compares and is encoded as the value itself. Cloning shares; changing one that is
/// shared makes it a value of its own first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shared<T>(Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// Becomes one with `other` where both are equal.
    pub fn share_with(&mut self, other: &Self) {
        if !Arc::ptr_eq(&self.0, &other.0) && *self.0 == *other.0 {
            self.0 = Arc::clone(&other.0);
        }
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<A, T: FromIterator<A>> FromIterator<A> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = A>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<T>())
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Shared<BTreeMap<K, V>> {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Shared;

    #[test]
    fn what_is_shared_is_one_value_until_one_of_them_changes() {
        let first = Shared::from(vec![1, 2]);
        let mut second = Shared::from(vec![1, 2]);
        let mut other = Shared::from(vec![3]);
        second.share_with(&first);
        other.share_with(&first);
        assert!(std::ptr::eq(&*first, &*second) && *other == [3]);
        second.push(3);
        assert_eq!((&*first, &*second), (&vec![1, 2], &vec![1, 2, 3]));
    }
}
