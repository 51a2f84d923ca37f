//! What a caller may do.

use std::fmt;

/// One thing that a caller may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Ask questions.
    Read,
    /// Send commands, and ask questions: a command's answer shows what it has changed anyway.
    Write,
    /// Operate the service, and all that the others may do.
    Admin,
}

impl Scope {
    /// The scope as keys and tokens name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "inventory:read",
            Self::Write => "inventory:write",
            Self::Admin => "inventory:admin",
        }
    }

    /// The scope with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|scope| scope.name() == name)
    }
}

/// What a caller may do: its highest scope, since each one includes those before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scopes(Option<Scope>);

impl Scopes {
    /// What these names stand for; other names mean something to other services, and nothing here.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().filter_map(Scope::named).max())
    }

    /// Whether they include this one.
    #[must_use]
    pub fn allow(self, needed: Scope) -> bool {
        self.0 >= Some(needed)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.map_or("nothing", Scope::name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_includes_those_before_it() {
        for (given, allowed) in [
            (&["inventory:read"][..], &[Scope::Read][..]),
            (&["inventory:write"], &[Scope::Read, Scope::Write]),
            (&["inventory:admin"], &[Scope::Read, Scope::Write, Scope::Admin]),
            (&["inventory:write", "inventory:read", "openid"], &[Scope::Read, Scope::Write]),
            (&[], &[]),
            (&["read", "INVENTORY:READ", "inventory:reader", ""], &[]),
        ] {
            for scope in [Scope::Read, Scope::Write, Scope::Admin] {
                assert_eq!(
                    Scopes::of(given.iter().copied()).allow(scope),
                    allowed.contains(&scope),
                    "{given:?} {scope:?}"
                );
            }
        }
    }
}
