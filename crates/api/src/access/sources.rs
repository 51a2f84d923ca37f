//! Where keys come from: the settings, and files that may change while the service runs.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::keys::{KeyError, KeyRing};
use super::rate_limits::Rate;
use super::tokens::{TokenKeysError, TokenRules, TokenVerifier};
use crate::secret::Secret;
use crate::settings::{AccessSection, KeySettings, SettingsError, TokenSection, parse_key_file};
use crate::watched_files::{FileContents, UnreadableFile};

/// The settings that say where keys are.
#[derive(Debug)]
pub struct Sources {
    keys: Vec<KeySettings>,
    keys_file: Option<PathBuf>,
    secret: Secret,
    secret_file: Option<PathBuf>,
    key_set_file: Option<PathBuf>,
    rules: TokenRules,
    file_bytes_max: u64,
}

/// Everything that credentials are checked with.
#[derive(Debug, Default)]
pub struct KnownKeys {
    /// API keys.
    pub keys: KeyRing,
    /// What tokens are checked with, where they are taken.
    pub tokens: Option<TokenVerifier>,
}

/// Why keys can't be used.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file with API keys is no list of keys.
    #[error("{path}: {source}")]
    KeyFile {
        /// The file.
        path: String,
        /// Why.
        source: Box<SettingsError>,
    },
    /// An API key can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What tokens are checked with can't be used.
    #[error("tokens can't be checked: {0}")]
    Tokens(#[from] TokenKeysError),
}

impl Sources {
    /// What the settings say.
    #[must_use]
    pub fn of(access: &AccessSection, tokens: &TokenSection) -> Self {
        let named = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let rules = TokenRules {
            issuers: tokens.issuers.clone(),
            audiences: tokens.audiences.clone(),
            leeway_s: tokens.leeway_s,
        };
        Self {
            keys: access.keys.clone(),
            keys_file: named(&access.keys_file),
            secret: tokens.hs256_secret.clone(),
            secret_file: named(&tokens.hs256_secret_file),
            key_set_file: named(&tokens.jwks_file),
            rules,
            file_bytes_max: access.file_bytes_max,
        }
    }

    /// Whether there is any place where a key could be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.secret.is_empty() && self.files().is_empty()
    }

    /// The files, which may change.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        [&self.keys_file, &self.secret_file, &self.key_set_file].into_iter().flatten().cloned().collect()
    }

    /// How long each may be.
    #[must_use]
    pub fn file_bytes_max(&self) -> u64 {
        self.file_bytes_max
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first that can't be read.
    pub fn read(&self) -> Result<FileContents, UnreadableFile> {
        FileContents::read(&self.files(), self.file_bytes_max)
    }

    /// The keys that are in the settings and in these contents, all of them or none.
    ///
    /// # Errors
    ///
    /// [`SourceError`] says what can't be used.
    pub fn keys(
        &self,
        contents: &FileContents,
        rate: Option<Rate>,
        before: &KeyRing,
    ) -> Result<KnownKeys, SourceError> {
        let of = |path: &Option<PathBuf>| path.as_deref().and_then(|path| contents.of(path));
        let in_file = of(&self.keys_file).map(parse_key_file).transpose();
        let in_file = in_file.map_err(|source| SourceError::KeyFile {
            path: shown(self.keys_file.as_deref()),
            source: Box::new(source),
        })?;
        let keys = KeyRing::new(self.keys.iter().chain(in_file.iter().flatten()), rate, before)?;
        let in_settings = Some(self.secret.reveal().as_bytes()).filter(|secret| !secret.is_empty());
        let secret = of(&self.secret_file).map(<[u8]>::trim_ascii).or(in_settings);
        let tokens = match (secret, of(&self.key_set_file)) {
            (None, None) => None,
            (secret, key_set) => Some(TokenVerifier::new(secret, key_set, self.rules.clone())?),
        };
        Ok(KnownKeys { keys, tokens })
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}
