//! Bounded strings and lists.
//!
//! A journal may be imported from a stranger, and names in a cluster are chosen by its users, so
//! every length is checked while decoding, before anything is kept.

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

/// A string of at most `N` bytes.
///
/// Cloning is cheap (the bytes are shared), because names are repeated all over a cluster's state.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize>(Arc<str>);

/// A Kubernetes object name, namespace, label key or UID: at most 253 bytes by the API's rules,
/// but a label key may carry a 253-byte prefix, a slash and 63 bytes more.
pub type Name = Text<317>;
/// A short message for people: an error's text, an operator's reason.
pub type Message = Text<1024>;
/// A fragment of an object in its JSON form, kept to be restored exactly.
pub type JsonText = Text<65536>;

/// The value was longer than its type allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("text of {got} bytes exceeds the limit of {limit}")]
pub struct TextTooLong {
    /// Length in bytes of what was given.
    pub got: usize,
    /// The type's limit in bytes.
    pub limit: usize,
}

impl<const N: usize> Text<N> {
    /// Takes `value` as it is, or refuses it when it is longer than `N` bytes.
    pub fn new(value: impl AsRef<str>) -> Result<Self, TextTooLong> {
        let value = value.as_ref();
        if value.len() > N {
            return Err(TextTooLong { got: value.len(), limit: N });
        }
        Ok(Self(Arc::from(value)))
    }

    /// Takes as much of `value` as fits, cut at a character boundary.
    ///
    /// For texts that only people read; never for an identity.
    pub fn truncated(value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        let mut end = value.len().min(N);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        Self(Arc::from(&value[..end]))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> AsRef<str> for Text<N> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> std::borrow::Borrow<str> for Text<N> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> PartialEq<str> for Text<N> {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl<const N: usize> PartialEq<&str> for Text<N> {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> TryFrom<&str> for Text<N> {
    type Error = TextTooLong;
    fn try_from(value: &str) -> Result<Self, TextTooLong> {
        Self::new(value)
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = TextTooLong;
    fn try_from(value: String) -> Result<Self, TextTooLong> {
        Self::new(value)
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const N: usize>;
        impl<const N: usize> Visitor<'_> for TextVisitor<N> {
            type Value = Text<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a string of at most {N} bytes")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Text<N>, E> {
                Text::new(value).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor::<N>)
    }
}

/// A list of at most `N` elements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct List<T, const N: usize>(Vec<T>);

/// The list was longer than its type allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("list of {got} elements exceeds the limit of {limit}")]
pub struct ListTooLong {
    /// Number of elements given.
    pub got: usize,
    /// The type's limit.
    pub limit: usize,
}

impl<T, const N: usize> List<T, N> {
    /// Takes `items`, or refuses them when they are more than `N`.
    pub fn new(items: Vec<T>) -> Result<Self, ListTooLong> {
        if items.len() > N {
            return Err(ListTooLong { got: items.len(), limit: N });
        }
        Ok(Self(items))
    }

    /// The elements as a vector.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> TryFrom<Vec<T>> for List<T, N> {
    type Error = ListTooLong;
    fn try_from(items: Vec<T>) -> Result<Self, ListTooLong> {
        Self::new(items)
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
            type Value = List<T, N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N} elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T, N>, A::Error> {
                // The announced length is a stranger's word: it is a hint, capped, for the first allocation.
                let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(N).min(1024));
                while let Some(item) = seq.next_element()? {
                    if items.len() == N {
                        return Err(de::Error::custom(ListTooLong { got: N + 1, limit: N }));
                    }
                    items.push(item);
                }
                Ok(List(items))
            }
        }
        deserializer.deserialize_seq(ListVisitor::<T, N>(PhantomData))
    }
}

/// A list inside one object: tolerations, taints, containers.
pub type Few<T> = List<T, 1024>;
/// A list over a whole cluster: pods, verdicts, series.
pub type Many<T> = List<T, 400_000>;
