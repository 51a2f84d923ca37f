//! TLS, and certificates that are renewed while the service runs.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use inventory_tests::RunningService;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::asking::{PATIENCE, logged, wait_until};
use crate::certificate::Pair;

#[test]
fn tls_is_served_and_its_certificate_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::make(folder.path());
    let service = RunningService::start_with(
        &[],
        &[
            ("INVENTORY__SERVER__TLS_CERTIFICATE", pair.certificate.to_str().unwrap()),
            ("INVENTORY__SERVER__TLS_KEY", pair.key.to_str().unwrap()),
            ("INVENTORY__ACCESS__RELOAD_MS", "50"),
            ("INVENTORY__SERVER__TLS_HANDSHAKE_MS_MAX", "200"),
        ],
    );
    let address = service.url().replace("http://", "").replace("https://", "");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let answer = https_get(&address, &pair, version).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    }
    // Who doesn't speak TLS gets no answer, and who doesn't speak at all is cut off.
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(!read_all(&mut plain).contains("HTTP/1.1 200"));
    let mut silent = TcpStream::connect(&address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0);

    fs::write(&pair.key, "no key").unwrap();
    wait_until("the broken pair is refused", || logged(&service, "certificate_not_reloaded"));
    assert!(https_get(&address, &pair, &rustls::version::TLS13).unwrap().starts_with("HTTP/1.1 200"));
    let renewed = Pair::make(folder.path());
    wait_until("the new certificate is shown", || https_get(&address, &renewed, &rustls::version::TLS13).is_ok());
    assert!(https_get(&address, &pair, &rustls::version::TLS13).is_err(), "the old one is not shown any more");
}

/// Asks for `/health` over TLS, trusting only this certificate.
fn https_get(address: &str, trusted: &Pair, version: &'static SupportedProtocolVersion) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der.clone()).expect("a fixture");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("a fixture");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a fixture");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a fixture");
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    Ok(read_all(&mut stream))
}

fn read_all(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}
