//! What can be wrong with a file, and where.

use std::fmt;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Which object of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemAt {
    /// Its number among the file's objects, from 0.
    pub index: usize,
    /// Kind; empty when it has none.
    pub kind: String,
    /// `namespace/name`, or `name`; empty when it has none.
    pub object: String,
    /// Where it begins, or where the reading of it stopped.
    pub position: Option<Position>,
}

/// `line 120, column 9: item 5, Pod shop/cart-1`.
impl fmt::Display for ItemAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        write!(f, "item {}", self.index)?;
        for part in [&self.kind, &self.object] {
            if !part.is_empty() {
                write!(f, "{}{part}", if part == &self.kind { ", " } else { " " })?;
            }
        }
        Ok(())
    }
}

/// A file could not be read as a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing in it.
    #[error("the file is empty; expected what `kubectl get nodes,pods,… -A -o json` prints")]
    Empty,
    /// Not text.
    #[error("the file is not text in UTF-8 (first wrong byte at offset {offset})")]
    Encoding {
        /// Offset of the first byte that is not.
        offset: usize,
    },
    /// Not JSON.
    #[error("{position}: not valid JSON: {what}")]
    Json {
        /// Where.
        position: Position,
        /// What.
        what: String,
    },
    /// Not YAML.
    #[error("{}not valid YAML: {what}", position.map(|position| format!("{position}: ")).unwrap_or_default())]
    Yaml {
        /// Where, when it is known.
        position: Option<Position>,
        /// What.
        what: String,
    },
    /// An object's field cannot be read.
    #[error("{at}: {field}: {what}")]
    Item {
        /// Which object.
        at: Box<ItemAt>,
        /// The field's path inside it.
        field: String,
        /// What is wrong.
        what: String,
    },
    /// No Node was read.
    #[error("no Node in the file; `kubectl get` must list nodes, too (`kubectl get nodes,pods,… -A -o json`)")]
    NoNodes {
        /// How many watched kinds were read.
        objects: usize,
    },
}
