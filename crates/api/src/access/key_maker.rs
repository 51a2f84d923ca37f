//! Makes API keys: a fresh one from the system's randomness, or the line for one that there is.

use rustls::crypto::{GetRandomFailed, aws_lc_rs};

use super::keys::{hash_text, key_of};

/// A fresh key; nobody else has it or can guess it.
///
/// # Errors
///
/// When the system has no randomness.
pub fn fresh_key() -> Result<String, GetRandomFailed> {
    let mut random = [0; 32];
    aws_lc_rs::default_provider().secure_random.fill(&mut random)?;
    Ok(key_of(random))
}

/// The entry of this key in the file that `access.keys_file` names. It holds a hash, so the file gives no key away.
#[must_use]
pub fn entry_for(key: &str, name: &str, scopes: &[String], expires_at: Option<&str>) -> String {
    let scopes = scopes.iter().map(|scope| format!("\"inventory:{scope}\"")).collect::<Vec<_>>().join(", ");
    let expiry = expires_at.map(|moment| format!("expires_at = \"{moment}\"\n")).unwrap_or_default();
    format!("[[keys]]\nname = \"{name}\"\nhash = \"{}\"\nscopes = [{scopes}]\n{expiry}", hash_text(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::keys::KeyRing;
    use crate::settings::parse_key_file;

    #[test]
    fn a_fresh_key_opens_with_its_entry() {
        let (key, other) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_ne!(key, other);
        assert_eq!((key.len(), &key[..4]), (68, "inv_"));
        let entry = entry_for(&key, "till-12", &["read".into(), "write".into()], Some("2030-01-31T00:00:00Z"));
        assert!(!entry.contains(&key[4..]), "{entry}");
        let keys = parse_key_file(entry.as_bytes()).unwrap();
        let ring = KeyRing::new(&keys, None, &KeyRing::default()).unwrap();
        assert_eq!(ring.caller(&blake3::hash(key.as_bytes())).unwrap().actor(), "key:till-12");
        assert!(ring.caller(&blake3::hash(other.as_bytes())).is_none());
    }
}
