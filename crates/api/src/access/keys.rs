//! API keys: kept as hashes, looked up by hash.
//!
//! A key is 256 random bits, so a fast hash is enough: there is nothing to guess that a slow one would make dearer. Hashes are compared in
//! constant time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use blake3::Hash;
use inventory_domain::Timestamp;
use thiserror::Error;

use super::caller::Caller;
use super::rate_limits::{Limiter, Rate};
use super::scopes::{Scope, Scopes};
use crate::moment;
use crate::settings::KeySettings;

/// What stands before a hash, so that a line says what it is a hash of.
const HASH_PREFIX: &str = "blake3:";

/// What a fresh key begins with, so that whoever scans for leaked secrets finds it.
const KEY_PREFIX: &str = "inv_";

/// The longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// The keys that are known at a time.
#[derive(Debug, Default)]
pub struct KeyRing {
    callers: HashMap<Hash, Caller>,
}

/// A key that can't be used. It doesn't show what was given for a hash, which may be the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the key {name:?}: {problem}")]
pub struct KeyError {
    /// The key's name, as given.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl KeyRing {
    /// The keys in these settings, all or none; those without a rate of their own get `default_rate`. Who was in `before` with the same
    /// rate goes on with what is left of its allowance.
    ///
    /// # Errors
    ///
    /// The first key that can't be used.
    pub fn new<'a>(
        given: impl IntoIterator<Item = &'a KeySettings>,
        default_rate: Option<Rate>,
        before: &Self,
    ) -> Result<Self, KeyError> {
        let (mut callers, mut names) = (HashMap::new(), HashSet::new());
        let limiters = before.callers.values().filter_map(|caller| Some((caller.actor(), caller.limiter()?)));
        let limiters: HashMap<&str, &Arc<Limiter>> = limiters.collect();
        for key in given {
            let refused = |problem: String| KeyError { name: key.name.clone(), problem };
            check_name(&key.name).map_err(refused)?;
            if !names.insert(&key.name) {
                return Err(refused("the name is used twice".into()));
            }
            let hash = parse_hash(key.hash.reveal()).map_err(|problem| refused(problem.into()))?;
            let scopes = scopes_of(&key.scopes).map_err(refused)?;
            let expires_at = expiry_of(key.expires_at.as_deref()).map_err(|problem| refused(problem.into()))?;
            let rate = key.requests_per_second.map_or(default_rate, |rate| Rate::new(rate, key.burst.unwrap_or(0)));
            let fresh = Caller::with_key(&key.name, scopes, expires_at, None);
            let kept = limiters.get(fresh.actor()).copied().cloned();
            let limiter =
                rate.map(|rate| kept.filter(|kept| kept.rate() == rate).unwrap_or_else(|| Limiter::new(rate).into()));
            if callers.insert(hash, Caller::with_key(&key.name, scopes, expires_at, limiter)).is_some() {
                return Err(refused("another one has the same hash".into()));
            }
        }
        Ok(Self { callers })
    }

    /// Whose key has this hash.
    #[must_use]
    pub fn caller(&self, hash: &Hash) -> Option<&Caller> {
        self.callers.get(hash)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.callers.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }
}

/// Whether a key may have this name, which stands in events, logs and files.
///
/// # Errors
///
/// What a name is.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte));
    if is_name && (1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    Err(format!("the name must be 1 to {NAME_BYTES_MAX} letters, digits and -_.:/+=@"))
}

fn parse_hash(text: &str) -> Result<Hash, &'static str> {
    let hash = text.strip_prefix(HASH_PREFIX).and_then(|hex| Hash::from_hex(hex).ok());
    hash.ok_or("the hash must be blake3: and 64 hexadecimal digits, as `inventory keys new` prints it")
}

fn scopes_of(names: &[String]) -> Result<Scopes, String> {
    let known = "inventory:read, inventory:write and inventory:admin";
    match names.iter().find(|name| Scope::named(name).is_none()) {
        Some(unknown) => Err(format!("there is no scope {unknown:?}, only {known}")),
        None if names.is_empty() => Err(format!("it needs a scope: {known}")),
        None => Ok(Scopes::of(names.iter().map(String::as_str))),
    }
}

fn expiry_of(text: Option<&str>) -> Result<Option<Timestamp>, &'static str> {
    text.map(|text| moment::parse(text).ok_or("expires_at must be a time such as 2027-01-31T00:00:00Z")).transpose()
}

/// The hash of a key, as the settings have it.
#[must_use]
pub fn hash_text(key: &str) -> String {
    format!("{HASH_PREFIX}{}", blake3::hash(key.as_bytes()).to_hex())
}

/// A key that is made of these random bytes.
#[must_use]
pub fn key_of(random: [u8; 32]) -> String {
    format!("{KEY_PREFIX}{}", Hash::from_bytes(random).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_key_is_found_by_its_hash() {
        let ring = ring(&[key("till", "inventory:write"), key("shop", "inventory:read")]).unwrap();
        let caller = ring.caller(&blake3::hash(b"the key of till")).unwrap();
        assert_eq!((caller.actor(), caller.scopes().allow(Scope::Write)), ("key:till", true));
        let caller = ring.caller(&blake3::hash(b"the key of shop")).unwrap();
        assert_eq!((caller.actor(), caller.scopes().allow(Scope::Write)), ("key:shop", false));
        assert!(ring.caller(&blake3::hash(b"the key of nobody")).is_none());
        assert!(ring.caller(&blake3::hash(hash_text("the key of till").as_bytes())).is_none(), "the hash is no key");
    }

    #[test]
    fn a_key_that_can_not_be_used_is_named_and_its_hash_is_not_shown() {
        let good = || key("a", "inventory:read");
        for (bad, named) in [
            (KeySettings { name: String::new(), ..good() }, "the name must be"),
            (KeySettings { name: "a b".into(), ..good() }, "the name must be"),
            (KeySettings { name: "ä".into(), ..good() }, "the name must be"),
            (KeySettings { hash: Secret::new("inv_secret"), ..good() }, "the hash must be"),
            (KeySettings { hash: Secret::new("blake3:secret"), ..good() }, "the hash must be"),
            (KeySettings { scopes: vec![], ..good() }, "needs a scope"),
            (KeySettings { scopes: vec!["write".into()], ..good() }, "no scope \"write\""),
            (KeySettings { expires_at: Some("tomorrow".into()), ..good() }, "expires_at must be"),
        ] {
            let error = ring(&[key("b", "inventory:read"), bad]).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains("secret"), "{error}");
        }
        assert!(ring(&[good(), good()]).unwrap_err().problem.contains("used twice"));
        assert!(ring(&[good(), KeySettings { name: "b".into(), ..good() }]).unwrap_err().problem.contains("same hash"));
    }

    #[test]
    fn an_allowance_outlives_a_reload_unless_its_rate_changes() {
        let rated = |rate| KeySettings { requests_per_second: Some(rate), ..key("a", "inventory:read") };
        let limiter = |ring: &KeyRing| ring.callers.values().next().unwrap().limiter().cloned();
        let first = ring(&[rated(5)]).unwrap();
        let same = KeyRing::new(&[rated(5)], None, &first).unwrap();
        assert!(Arc::ptr_eq(&limiter(&first).unwrap(), &limiter(&same).unwrap()));
        let other = KeyRing::new(&[rated(6)], None, &first).unwrap();
        assert!(!Arc::ptr_eq(&limiter(&first).unwrap(), &limiter(&other).unwrap()));
        assert!(limiter(&KeyRing::new(&[rated(0)], Rate::new(9, 9), &first).unwrap()).is_none(), "0 is no limit");
    }

    fn ring(keys: &[KeySettings]) -> Result<KeyRing, KeyError> {
        KeyRing::new(keys, None, &KeyRing::default())
    }

    fn key(name: &str, scope: &str) -> KeySettings {
        let hash = Secret::new(hash_text(&format!("the key of {name}")));
        let (expires_at, requests_per_second, burst) = (None, None, None);
        KeySettings { name: name.into(), hash, scopes: vec![scope.into()], expires_at, requests_per_second, burst }
    }
}
