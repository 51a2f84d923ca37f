//! Who may do what, on the real service: keys, tokens, scopes, rate limits, browsers, TLS.
//!
//! In reading order: `keys`, `tokens`, `limits`, `streams`, `browsers`, `tls`, `start`; what they stand on is in `asking`, `key_file`,
//! `signer` and `certificate`.

#[path = "access/asking.rs"]
mod asking;
#[path = "access/browsers.rs"]
mod browsers;
#[path = "access/certificate.rs"]
mod certificate;
#[path = "access/key_file.rs"]
mod key_file;
#[path = "access/keys.rs"]
mod keys;
#[path = "access/limits.rs"]
mod limits;
#[path = "access/signer.rs"]
mod signer;
#[path = "access/start.rs"]
mod start;
#[path = "access/streams.rs"]
mod streams;
#[path = "access/tls.rs"]
mod tls;
#[path = "access/tokens.rs"]
mod tokens;
