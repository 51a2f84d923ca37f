//! A query, a condition and a key are read or cleanly refused, and mean the same when what was read is written again.
//!
//! The first line is a query; each of the others is a value of `If-Match` or, behind a `#`, of `Idempotency-Key`.

use actix_web::http::Uri;
use actix_web::http::header::{HeaderMap, HeaderValue, IF_MATCH};
use actix_web::test::TestRequest;
use inventory_api::cursor::{LIMIT_MAX, Page};
use inventory_api::problem::Problem;
use inventory_api::query::{MIN_VERSION, QueryParameters};
use inventory_api::request_key::{IDEMPOTENCY_KEY, IdempotencyKey, if_match};
use inventory_application::ports::ReservationKey;
use inventory_application::{Condition, Position};
use inventory_domain::StockId;

use crate::is_clean;

/// What a list may be asked; more than any one is.
const KNOWN: [&str; 8] = ["limit", "cursor", "store_id", "below", "at", "order", "is_open", MIN_VERSION];

/// Reads the key of a request.
pub type ReadKey = fn(&HeaderMap) -> Result<Option<IdempotencyKey>, Problem>;

/// Tries a head.
pub fn check(input: &[u8]) {
    check_with(input, IdempotencyKey::of);
}

/// Tries a head with this way to read keys.
pub fn check_with(input: &[u8], read_key: ReadKey) {
    let mut lines = input.split(|byte| *byte == b'\n');
    if let Some(Ok(query)) = lines.next().map(std::str::from_utf8) {
        check_query(query);
    }
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = match line {
            [b'#', key @ ..] => (IDEMPOTENCY_KEY, key),
            _ => (IF_MATCH, line),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    check_condition(&headers);
    check_key(&headers, read_key);
}

fn check_query(query: &str) {
    let Ok(uri) = format!("/?{query}").parse::<Uri>() else { return };
    let request = TestRequest::default().uri(&uri.to_string()).to_http_request();
    let (parameters, _) = match QueryParameters::of_question(&request, &KNOWN) {
        Ok(read) => read,
        Err(problem) => return is_clean(&problem),
    };
    check_page::<Position>(&parameters);
    check_page::<StockId>(&parameters);
    check_page::<ReservationKey>(&parameters);
    let problems = [
        parameters.uuid("store_id").err(),
        parameters.number("below", 1, 1_000).err(),
        parameters.moment("at").err(),
        parameters.flag("is_open").err(),
        parameters.choice("order", &[("up", 1), ("down", 2)]).err(),
    ];
    problems.iter().flatten().for_each(is_clean);
    let given = |name: &&&str| parameters.text(name).is_some();
    let pairs: Vec<_> = KNOWN.iter().filter(given).map(|name| pair(name, parameters.text(name).unwrap())).collect();
    let written = TestRequest::default().uri(&format!("/?{}", pairs.join("&"))).to_http_request();
    let again = QueryParameters::of(&written, &KNOWN).unwrap();
    for name in KNOWN {
        assert_eq!(again.text(name), parameters.text(name), "{query}");
    }
}

fn pair(name: &str, value: &str) -> String {
    value.bytes().fold(format!("{name}="), |pair, byte| format!("{pair}%{byte:02x}"))
}

fn check_page<K: inventory_api::cursor::Key>(parameters: &QueryParameters) {
    // The hash of no filters, so that the corpus can have cursors that fit.
    match Page::<K>::of(parameters, "") {
        Ok(page) => {
            assert!((1..=usize::try_from(LIMIT_MAX).unwrap()).contains(&page.limit));
            let cursor = page.cursor_after(page.after.as_ref().and_then(|key| K::read(&key.bytes())));
            let given = parameters.text("cursor").map(str::to_ascii_lowercase);
            assert_eq!(cursor, given, "the place is the one that was asked for");
        }
        Err(problem) => is_clean(&problem),
    }
}

fn check_condition(headers: &HeaderMap) {
    match if_match(headers) {
        Ok(Condition::OneOf(versions)) if !versions.is_empty() => {
            let tags: Vec<_> = versions.iter().map(|version| format!("\"{version}\"")).collect();
            let mut again = HeaderMap::new();
            again.append(IF_MATCH, HeaderValue::from_str(&tags.join(", ")).unwrap());
            assert_eq!(if_match(&again).unwrap(), Condition::OneOf(versions));
        }
        Ok(Condition::None) => assert!(!headers.contains_key(IF_MATCH)),
        Ok(_) => assert!(headers.contains_key(IF_MATCH)),
        Err(problem) => is_clean(&problem),
    }
}

fn check_key(headers: &HeaderMap, read_key: ReadKey) {
    match read_key(headers) {
        Ok(Some(key)) => {
            assert!(
                (1..=255).contains(&key.as_str().len())
                    && key.as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte))
            );
            let escaped = key.as_str().replace('\\', "\\\\").replace('"', "\\\"");
            let mut again = HeaderMap::new();
            again.append(IDEMPOTENCY_KEY, HeaderValue::from_str(&format!("\"{escaped}\"")).unwrap());
            assert_eq!(read_key(&again).unwrap(), Some(key));
        }
        Ok(None) => assert!(!headers.contains_key(IDEMPOTENCY_KEY)),
        Err(problem) => is_clean(&problem),
    }
}
