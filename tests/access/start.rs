//! What would be open to everybody, or can not work, does not start.

use std::fs;

use inventory_tests::{RunningService, inventory};

use crate::certificate::Pair;
use crate::key_file::KeyFile;

const ON_SHORT: (&str, &str) = ("ACCESS__ENABLED", "true");

#[test]
fn what_would_be_open_or_can_not_work_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let (pair, other) = (Pair::make(folder.path()), tempfile::tempdir().unwrap());
    let other = Pair::make(other.path());
    let short = folder.path().join("short");
    fs::write(&short, "short").unwrap();
    let (certificate, key, foreign) = (pair.certificate.to_str(), pair.key.to_str(), other.key.to_str());
    let (certificate, key, foreign) = (certificate.unwrap(), key.unwrap(), foreign.unwrap());
    for (settings, said) in [
        (vec![("SERVER__HOST", "0.0.0.0")], "access control is off"),
        (vec![("SERVER__HOST", "::")], "access control is off"),
        (vec![ON_SHORT], "there are no keys"),
        (vec![ON_SHORT, ("ACCESS__KEYS_FILE", "/no/such/file")], "/no/such/file"),
        (vec![ON_SHORT, ("TOKENS__HS256_SECRET", "short")], "at least 32 bytes"),
        (vec![ON_SHORT, ("TOKENS__HS256_SECRET_FILE", short.to_str().unwrap())], "at least 32 bytes"),
        (vec![ON_SHORT, ("TOKENS__JWKS_FILE", short.to_str().unwrap())], "no JSON Web Key Set"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate)], "server.tls_key"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", "/no/key")], "/no/key"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", certificate)], "no private key"),
        (vec![("SERVER__TLS_CERTIFICATE", key), ("SERVER__TLS_KEY", key)], "no certificate"),
        (vec![("SERVER__TLS_CERTIFICATE", certificate), ("SERVER__TLS_KEY", foreign)], "can't be used"),
        (vec![("CORS__ALLOWED_ORIGINS", "shop.example")], "an origin is"),
        (vec![("CORS__ALLOWED_ORIGINS", "*,https://shop.example")], "cors.allowed_origins"),
        (vec![("ACCESS__TRUSTED_PROXIES", "proxy")], "networks such as"),
    ] {
        let data = folder.path().join("data");
        let mut command = inventory();
        command.arg("serve").env("INVENTORY__DATA__DIR", &data).env("INVENTORY__SERVER__PORT", "0");
        command.envs(settings.iter().map(|(name, value)| (format!("INVENTORY__{name}"), *value)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(said), "{settings:?}: {text}");
        assert!(!data.exists(), "{settings:?}: nothing was opened");
    }
    let open = RunningService::start_with(
        &[],
        &[("INVENTORY__SERVER__HOST", "0.0.0.0"), ("INVENTORY__ACCESS__ALLOW_OPEN_NETWORK", "true")],
    );
    drop(open);
    let keys = KeyFile::new();
    let _ = keys.add("any", "read", None);
    drop(keys.start(&[("INVENTORY__SERVER__HOST", "0.0.0.0")]));
}
