//! A part of a list.

/// What was found of a list, and where to look on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<T, K> {
    /// What was found, in the order of the list. It may be less than what was asked for where much had to be passed over.
    pub found: Vec<T>,
    /// The key after which there may be more; `None` at the end of the list.
    pub next: Option<K>,
}
