//! `[telemetry]`: where spans go, and how many.

use std::fmt;

use actix_web::http::Uri;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use thiserror::Error;

use super::{SettingsError, ensure};

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config/default.toml says what each one is")]
pub struct TelemetrySettings {
    pub otlp_endpoint: String,
    pub otlp_headers: OtlpHeaders,
    pub service_name: String,
    pub sample_ratio: f64,
    pub sampled_requests_per_s_max: u32,
    pub unprojected_requests_max: usize,
    pub queue_spans_max: usize,
    pub batch_spans_max: usize,
    pub batch_delay_ms: u64,
    pub export_timeout_ms_max: u64,
    pub flush_ms_max: u64,
    pub failure_log_interval_s: u64,
}

impl TelemetrySettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let is_address = |given: &str| {
            let Ok(uri) = given.parse::<Uri>() else { return false };
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
        };
        ensure(
            self.otlp_endpoint.is_empty() || is_address(&self.otlp_endpoint),
            "telemetry.otlp_endpoint",
            "must be empty or an address like http://localhost:4318",
        )?;
        ensure(!self.service_name.trim().is_empty(), "telemetry.service_name", "must not be empty")?;
        ensure((0.0..=1.0).contains(&self.sample_ratio), "telemetry.sample_ratio", "must be from 0 to 1")?;
        let within = [
            ("telemetry.unprojected_requests_max", self.unprojected_requests_max, 1_000_000),
            ("telemetry.queue_spans_max", self.queue_spans_max, 1_000_000),
            ("telemetry.batch_spans_max", self.batch_spans_max, self.queue_spans_max.min(16_384)),
        ];
        for (key, value, most) in within {
            ensure((1..=most).contains(&value), key, format!("must be from 1 to {most}"))?;
        }
        let within = [
            ("telemetry.batch_delay_ms", self.batch_delay_ms, 60_000),
            ("telemetry.export_timeout_ms_max", self.export_timeout_ms_max, 60_000),
            ("telemetry.flush_ms_max", self.flush_ms_max, 60_000),
            ("telemetry.failure_log_interval_s", self.failure_log_interval_s, 86_400),
        ];
        for (key, value, most) in within {
            ensure((1..=most).contains(&value), key, format!("must be from 1 to {most}"))?;
        }
        Ok(())
    }
}

/// Headers for the collector, written as `OTEL_EXPORTER_OTLP_HEADERS` is: `name=value,name=value`, values percent-encoded. They are
/// secrets, and shown nowhere.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct OtlpHeaders(Vec<(String, String)>);

/// Why headers can't be used; it shows nothing of them.
#[derive(Debug, Error)]
#[error("header {0} (counted from 1) is not written as name=value, with the value percent-encoded")]
pub struct MalformedHeader(usize);

impl OtlpHeaders {
    /// The headers.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} secret headers", self.0.len())
    }
}

impl TryFrom<String> for OtlpHeaders {
    type Error = MalformedHeader;

    fn try_from(given: String) -> Result<Self, MalformedHeader> {
        let parts = given.split(',').enumerate().filter(|(_, part)| !part.trim().is_empty());
        let headers = parts.map(|(index, part)| header(part).ok_or(MalformedHeader(index + 1)));
        headers.collect::<Result<_, _>>().map(Self)
    }
}

fn header(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=')?;
    let (name, value) = (name.trim(), percent_decoded(value.trim())?);
    HeaderName::try_from(name).ok()?;
    HeaderValue::try_from(&value).ok()?;
    Some((name.to_owned(), value))
}

fn percent_decoded(given: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(given.len());
    let mut bytes = given.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_never_shown() {
        let headers = OtlpHeaders::try_from("api-key=s3cret, Authorization = Basic%20YWJj==,".to_owned()).unwrap();
        let pairs: Vec<_> = headers.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("api-key", "s3cret"), ("Authorization", "Basic YWJj==")]);
        assert_eq!(format!("{headers:?}"), "2 secret headers");
        assert!(OtlpHeaders::try_from(String::new()).unwrap().pairs().is_empty());
        for given in ["a=b,s3cret", "a b=s3cret", "a=s3cret%2", "a=s3cret%zz", "a=s3cret%0A", "a=s3cret%+1", "=s3cret"]
        {
            let error = OtlpHeaders::try_from(given.to_owned()).unwrap_err().to_string();
            assert!(error.starts_with("header ") && !error.contains("s3cret"), "{given}: {error}");
        }
    }
}
