//! Finds the end of an HTTP answer, and what it says.

use httparse::{EMPTY_HEADER, Response, Status};
use memchr::memmem;
use thiserror::Error;

/// Why an answer can't be read.
#[derive(Debug, Error)]
pub enum BadAnswer {
    /// Its head is no HTTP.
    #[error("the head of the answer can't be read")]
    Head(#[from] httparse::Error),
    /// It doesn't say how long it is. The service and the ceiling programs always do.
    #[error("the answer has no content-length")]
    NoLength,
    /// There is more than was asked for.
    #[error("the answer goes on behind its end")]
    TooLong,
}

/// Headers that an answer has at most.
const HEADERS_MAX: usize = 64;
/// What stands in each refusal of a batch's answer, and nowhere else in it.
const PROBLEM: &[u8] = br#""/problems/"#;
/// How much of a refusal is shown.
const SHOWN_BYTES_MAX: usize = 300;

/// A whole answer's status and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body_start: usize,
    pub(super) length: usize,
}

impl Head {
    /// Reads the head of the answer that `bytes` begin with; `None` as long as it isn't whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, BadAnswer> {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut response = Response::new(&mut headers);
        let Status::Complete(body_start) = response.parse(bytes)? else { return Ok(None) };
        let body_length = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok())
            .ok_or(BadAnswer::NoLength)?;
        Ok(Some(Self { status: response.code.unwrap_or_default(), body_start, length: body_start + body_length }))
    }

    /// What the whole answer `bytes` refuses, if it does.
    pub(super) fn refusal(self, bytes: &[u8], is_batch: bool) -> Option<String> {
        let from = if !(200..300).contains(&self.status) {
            0
        } else if is_batch {
            self.body_start + memmem::find(&bytes[self.body_start..], PROBLEM)?
        } else {
            return None;
        };
        let shown = &bytes[from..bytes.len().min(from + SHOWN_BYTES_MAX)];
        Some(String::from_utf8_lossy(shown).into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
    use super::*;

    const GRANTED: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nbody";
    const BATCH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 73\r\n\r\n\
        {\"results\":[{\"status\":201},{\"status\":409,\"type\":\"/problems/version-mismatch\"}]}";

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        for short in 0..GRANTED.len() - 4 {
            assert_eq!(Head::read(&GRANTED[..short]).unwrap(), None, "{short} bytes");
        }
        let head = Head::read(GRANTED).unwrap().unwrap();
        assert_eq!((head.status, head.length), (201, GRANTED.len()));
        assert_eq!(head.refusal(GRANTED, false), None);
    }

    #[test]
    fn refusals_are_found_by_status_and_in_batches() {
        let overloaded = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        let refusal = Head::read(overloaded).unwrap().unwrap().refusal(overloaded, false).unwrap();
        assert!(refusal.contains("503"), "{refusal}");
        let head = Head::read(BATCH).unwrap().unwrap();
        assert!(head.refusal(BATCH, true).unwrap().contains("version-mismatch"));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(matches!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n"), Err(BadAnswer::NoLength)));
    }
}
