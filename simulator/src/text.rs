//! Short ways to bounded strings and lists. What the simulator makes is always within the bounds.

use journal_schema::text::{List, Message, Name};

/// A name.
pub(crate) fn name(value: impl AsRef<str>) -> Name {
    Name::truncated(value)
}

/// A message.
pub(crate) fn message(value: impl AsRef<str>) -> Message {
    Message::truncated(value)
}

/// A bounded list; elements beyond the bound are dropped.
pub(crate) fn list<T, const N: usize>(items: impl IntoIterator<Item = T>) -> List<T, N> {
    List::new(items.into_iter().take(N).collect()).unwrap_or_default()
}
