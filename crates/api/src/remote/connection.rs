//! How a running service is reached.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use awc::error::SendRequestError;
use awc::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use awc::http::uri::Authority;
use awc::http::{Method, Uri};
use awc::{Client, ClientRequest, ClientResponse, Connector};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use super::named_certificates::NamedCertificates;
use super::{Answer, Question};
use crate::command_line::remote::ApiKey;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than a server lets a command wait before it says that it is overloaded.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest answer that is read: a page of a thousand events of large orders.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A way to one service.
pub struct Connection {
    client: Client,
    base: String,
}

/// Why the service can't be reached.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// There can be no service there.
    #[error("{url} is no URL such as http://127.0.0.1:8080: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL says nothing.
    #[error("the URL is empty: --url or INVENTORY_URL says where the service is, as in http://127.0.0.1:8080")]
    NoUrl,
    /// The key can't be sent.
    #[error("the API key has characters that no key has")]
    Key,
    /// The certificates can't be read.
    #[error("{file}: {problem}")]
    Certificates {
        /// Their file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The connection can't be made, or broke.
    #[error("{url}: {problem}")]
    Broken {
        /// What was asked for.
        url: String,
        /// What went wrong.
        problem: String,
    },
}

impl Connection {
    /// A way to the service at `url`, which is what comes before `/api`, with this key and these certificates besides the system's.
    ///
    /// # Errors
    ///
    /// [`ConnectionError`] when there is none.
    pub fn new(url: &str, key: Option<&ApiKey>, ca_file: Option<&Path>) -> Result<Self, ConnectionError> {
        let wrong = |problem: &str| ConnectionError::Url { url: without_user(url), problem: problem.to_owned() };
        if url.is_empty() {
            return Err(ConnectionError::NoUrl);
        }
        let base: Uri = url.parse().map_err(|error| wrong(&format!("{error}")))?;
        if base.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let authority = base.authority().map(Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("it has a user, whom nobody asks for: show a key with INVENTORY_API_KEY"));
        }
        if !has_host_and_port(authority) {
            return Err(wrong("it needs a host, and behind a colon a port from 1 to 65535"));
        }
        let connector = Connector::new().timeout(CONNECT_TIMEOUT).handshake_timeout(CONNECT_TIMEOUT);
        let mut client = match base.scheme_str() {
            Some("http") => Client::builder().connector(connector),
            Some("https") => {
                let connector = connector.rustls_0_23(Arc::new(trust(ca_file)?));
                Client::builder().connector(connector)
            }
            _ => return Err(wrong("it has to start with http:// or https://")),
        };
        client = client.timeout(ANSWER_TIMEOUT).disable_redirects().add_default_header((ACCEPT, "*/*"));
        if let Some(key) = key {
            let bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
            client = client.add_default_header((AUTHORIZATION, bearer.map_err(|_| ConnectionError::Key)?));
        }
        Ok(Self { client: client.finish(), base: url.trim_end_matches('/').to_owned() })
    }

    /// Asks, and reads the answer to its end.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Broken`] when no answer came.
    pub async fn ask(&self, question: &Question) -> Result<Answer, ConnectionError> {
        let url = format!("{}{}", self.base, question.path);
        let broken = |error: &dyn std::error::Error| broken(&url, error);
        let method = if question.body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, &url);
        for (name, value) in &question.headers {
            request = request.insert_header((name, value.as_str()));
        }
        let sent = match &question.body {
            Some(body) => request.send_json(body),
            None => request.send(),
        };
        let mut response = sent.await.map_err(|error| broken(&error))?.timeout(ANSWER_TIMEOUT);
        let body = response.body().limit(ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        match length(&response) {
            // The client takes the end of the connection for the end of the body.
            Some(length) if (body.len() as u64) < length => {
                let problem =
                    format!("the service has answered {status}, cut off after {} of {length} bytes", body.len());
                Err(broken(&io::Error::other(problem)))
            }
            // It doesn't read what only the end of the connection ends.
            None if body.is_empty() && !response.headers().contains_key(TRANSFER_ENCODING) => {
                let problem = format!("the service has answered {status}, without saying how long the body is");
                Err(broken(&io::Error::other(problem)))
            }
            _ => Ok(Answer::new(status, body.into())),
        }
    }

    /// A request whose answer doesn't end.
    #[must_use]
    pub(super) fn open(&self, path: &str) -> ClientRequest {
        self.client.get(format!("{}{path}", self.base))
    }

    /// What to say of a connection that broke.
    pub(super) fn broken(&self, path: &str, error: &dyn std::error::Error) -> ConnectionError {
        broken(&format!("{}{path}", self.base), error)
    }
}

/// The URL without what comes before an `@`, which may be a password.
fn without_user(url: &str) -> String {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| url.starts_with(scheme)).unwrap_or_default();
    url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, rest)| format!("{scheme}{rest}"))
}

/// Whether there is a host, and no port that can't be: the client would take the usual one instead of that.
fn has_host_and_port(place: &str) -> bool {
    // An IPv6 address has colons of its own, in brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let is_port =
        |port: &str| port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    !host.is_empty() && port.is_none_or(is_port)
}

/// How long the service has said that the body is.
fn length<S>(response: &ClientResponse<S>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn broken(url: &str, error: &dyn std::error::Error) -> ConnectionError {
    let mut problem = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !problem.contains(&said) {
            problem = format!("{problem}: {said}");
        }
        cause = deeper.source();
    }
    ConnectionError::Broken { url: url.to_owned(), problem }
}

/// Whether a request that failed so may be sent again later: the URL is one, and somebody may answer there.
pub(super) fn may_pass(error: &SendRequestError) -> bool {
    !matches!(error, SendRequestError::Url(_) | SendRequestError::TunnelNotSupported)
}

/// The certificates that a service may have.
fn trust(ca_file: Option<&Path>) -> Result<ClientConfig, ConnectionError> {
    let mut roots = RootCertStore::empty();
    let of_system = rustls_native_certs::load_native_certs(); // What can't be read of them is not trusted.
    roots.add_parsable_certificates(of_system.certs);
    let mut named = Vec::new();
    if let Some(file) = ca_file {
        let wrong = |problem: String| ConnectionError::Certificates { file: file.to_owned(), problem };
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
            named.push(certificate);
        }
        if named.is_empty() {
            return Err(wrong("it has no certificate in PEM".to_owned()));
        }
    }
    let wrong = |problem: String| ConnectionError::Url { url: "https".into(), problem };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = config.map_err(|error| wrong(error.to_string()))?;
    if named.is_empty() {
        return Ok(config.with_root_certificates(roots).with_no_client_auth());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = NamedCertificates::new(named, verifier.map_err(|error| wrong(error.to_string()))?);
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}
