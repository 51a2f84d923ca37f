//! TLS from PEM files, which may be renewed while the service runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use slog::{Logger, error, info};
use thiserror::Error;

use crate::settings::Settings;
use crate::watched_files::{FileContents, UnreadableFile, WatchedFiles};

/// What the server needs for TLS.
pub struct Tls {
    /// For the listening sockets.
    pub config: ServerConfig,
    /// The files to watch for a renewed certificate.
    pub watched: WatchedFiles,
}

/// Why TLS can't be had. No part of a key is shown.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
    /// There is no certificate in the file.
    #[error("{0}: it has no certificate in PEM")]
    NoCertificate(String),
    /// There is no key in the file.
    #[error("{0}: it has no private key in PEM")]
    NoKey(String),
    /// The key and the certificate can't be used together, or at all.
    #[error("{certificate} and {key} can't be used: {source}")]
    Unusable {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// Why.
        source: rustls::Error,
    },
}

/// The two files of a certificate.
#[derive(Clone)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// Shows the certificate that is good now.
struct Current(ArcSwap<CertifiedKey>);

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the current certificate")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// TLS as the settings say; `None` where they name no certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says why it can't be had.
    pub fn open(settings: &Settings, log: &Logger) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = (settings.server.tls_certificate.clone(), settings.server.tls_key.clone());
        if certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (files, bytes_max) = (vec![certificate.clone(), key.clone()], settings.access.file_bytes_max);
        let contents = FileContents::read(&files, bytes_max)?;
        let pair = Pair { certificate, key };
        let current = Arc::new(Current(ArcSwap::from_pointee(pair.certified(&contents, &provider)?)));
        let unusable = |source| pair.unusable(source);
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        let told = log.clone();
        let take_in = Box::new(move |contents: &FileContents| match pair.certified(contents, &provider) {
            Ok(renewed) => {
                current.0.store(Arc::new(renewed));
                info!(told, "certificate_reloaded");
            }
            Err(why) => error!(told, "certificate_not_reloaded"; "cause" => why.to_string()),
        });
        let watched = WatchedFiles::new(files, bytes_max, &contents, take_in, log.clone());
        Ok(Some(Self { config, watched }))
    }
}

impl Pair {
    /// The certificate and its key, which belong together.
    fn certified(&self, contents: &FileContents, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let of = |path: &Path| contents.of(path).unwrap_or_default().to_vec();
        let chain = CertificateDer::pem_slice_iter(&of(&self.certificate)).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| TlsError::NoCertificate(self.certificate.display().to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&of(&self.key));
        let key = key.map_err(|_| TlsError::NoKey(self.key.display().to_string()))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        let (certificate, key) = (self.certificate.display().to_string(), self.key.display().to_string());
        TlsError::Unusable { certificate, key, source }
    }
}
