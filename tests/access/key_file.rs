//! API keys, as an operator makes them.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use inventory_tests::{RunningService, inventory};
use tempfile::TempDir;

/// Switches access control on.
pub(crate) const ON: (&str, &str) = ("INVENTORY__ACCESS__ENABLED", "true");

/// A file with API keys, filled by the binary itself.
pub(crate) struct KeyFile(TempDir);

impl KeyFile {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a fixture");
        fs::write(folder.path().join("keys.toml"), "").expect("a fixture");
        Self(folder)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("keys.toml")
    }

    /// Makes a key, as an operator would.
    pub(crate) fn add(&self, name: &str, scopes: &str, expires_at: Option<&str>) -> String {
        let mut command = inventory();
        command.args(["keys", "new", "--name", name, "--scopes", scopes]);
        command.args(expires_at.into_iter().flat_map(|moment| ["--expires-at", moment]));
        let made = command.stdin(Stdio::null()).output().expect("a fixture");
        assert!(made.status.success(), "{made:?}");
        let key =
            String::from_utf8(made.stderr).expect("a fixture").trim().rsplit(' ').next().expect("a fixture").to_owned();
        let entry = String::from_utf8(made.stdout).expect("a fixture");
        assert!(key.starts_with("inv_") && !entry.contains(&key), "{entry}");
        let file = fs::read_to_string(self.path()).expect("a fixture") + &entry;
        fs::write(self.path(), file).expect("a fixture");
        key
    }

    /// A service that lets these keys in.
    pub(crate) fn start(&self, settings: &[(&str, &str)]) -> RunningService {
        let path = self.path();
        let mut all = vec![
            ON,
            ("INVENTORY__ACCESS__KEYS_FILE", path.to_str().expect("a fixture")),
            ("INVENTORY__ACCESS__RELOAD_MS", "50"),
        ];
        all.extend_from_slice(settings);
        RunningService::start_with(&[], &all)
    }
}
