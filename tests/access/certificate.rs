//! Certificates of the tests' own.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;

/// A certificate for localhost that nobody else has signed, and its key.
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn make(folder: &Path) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a fixture");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, cert.pem()).expect("a fixture");
        fs::write(&key, signing_key.serialize_pem()).expect("a fixture");
        Self { certificate, key, der: cert.der().clone() }
    }
}
