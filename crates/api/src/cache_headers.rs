//! How an answer says that it is a copy: `Age` (RFC 9111, 5.1) and `Cache-Status` (RFC 9211).

use std::io::Write;

use actix_web::HttpResponseBuilder;
use actix_web::http::header::{AGE, HeaderName, HeaderValue};
use inventory_application::ports::Kept;

/// The header that tells what a cache did.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Adds what a client has to know of a copy; an answer that was made for it has neither header.
pub fn tell(response: &mut HttpResponseBuilder, kept: Option<Kept>) {
    let Some(kept) = kept else { return };
    response.insert_header((AGE, HeaderValue::from(kept.age.as_secs())));
    response.insert_header((CACHE_STATUS, cache_status(kept)));
}

/// A stale copy has a negative time to live (RFC 9211, 2.4), or says it in words, too, for people.
fn cache_status(kept: Kept) -> HeaderValue {
    let mut text = [0; 64];
    let mut rest = &mut text[..];
    let written = match kept.time_to_live.checked_sub(kept.age).filter(|left| !left.is_zero()) {
        Some(left) => write!(rest, "inventory; hit; ttl={}", left.as_secs()),
        None => {
            write!(rest, "inventory; hit; ttl=-{}; detail=stale", kept.age.saturating_sub(kept.time_to_live).as_secs())
        }
    };
    let left = rest.len();
    let length = 64 - left;
    match written {
        Ok(()) => {
            HeaderValue::from_bytes(&text[..length]).unwrap_or_else(|_| HeaderValue::from_static("inventory; hit"))
        }
        Err(_) => HeaderValue::from_static("inventory; hit"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_copy_tells_how_long_it_is_good_for() {
        let status = |age, time_to_live| {
            let (age, time_to_live) = (Duration::from_millis(age), Duration::from_millis(time_to_live));
            cache_status(Kept { age, time_to_live }).to_str().unwrap().to_owned()
        };
        assert_eq!(status(0, 30_000), "inventory; hit; ttl=30");
        assert_eq!(status(29_100, 30_000), "inventory; hit; ttl=0");
        assert_eq!(status(30_000, 30_000), "inventory; hit; ttl=-0; detail=stale");
        assert_eq!(status(95_500, 30_000), "inventory; hit; ttl=-65; detail=stale");
    }
}
