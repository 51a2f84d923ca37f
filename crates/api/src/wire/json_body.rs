//! Reads a request's body: its type, its size, its grammar, its fields, in this order.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::problem::{FieldError, Problem};

/// Fields in error that are named; a client that has more finds the others once these are right.
const ERRORS_MAX: usize = 20;

/// What a body is bounded by; as app data.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// Bytes, at most.
    pub bytes_max: usize,
    /// How long it may take to arrive.
    pub wait_max: Duration,
}

/// A body of JSON that is a `T`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let checked = check_head(request);
        Box::pin(async move {
            let body = read(payload, checked?).await?;
            parse(&body).map(Self)
        })
    }
}

/// A body of JSON as it was sent.
#[derive(Debug)]
pub struct RawJsonBody(pub Bytes);

impl FromRequest for RawJsonBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let checked = check_head(request);
        Box::pin(async move { read(payload, checked?).await.map(Self) })
    }
}

/// A body of JSON that is a `T`, or no body at all.
#[derive(Debug)]
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let (limit, checked) = (limit(request), check_head(request));
        Box::pin(async move {
            let body = read(payload, limit?).await?;
            if body.is_empty() {
                return Ok(Self(T::default()));
            }
            checked?;
            parse(&body).map(Self)
        })
    }
}

/// What the body is bounded by.
fn limit(request: &HttpRequest) -> Result<BodyLimit, Problem> {
    Ok(*request.app_data::<web::Data<BodyLimit>>().ok_or_else(Problem::not_found)?.as_ref())
}

/// Whether the headers promise a body that can be read; what it is bounded by.
fn check_head(request: &HttpRequest) -> Result<BodyLimit, Problem> {
    let limit = limit(request)?;
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) || request.headers().contains_key("content-encoding") {
        return Err(Problem::unsupported_media_type());
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > limit.bytes_max => Err(Problem::too_large(limit.bytes_max)),
        _ => Ok(limit),
    }
}

/// Whether a media type is `application/json`, in UTF-8 if it names a character set.
fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

async fn read(payload: Payload, limit: BodyLimit) -> Result<Bytes, Problem> {
    let late = |_| Problem::request_timeout(limit.wait_max);
    timeout(limit.wait_max, read_all(payload, limit.bytes_max)).await.map_err(late)?
}

async fn read_all(mut payload: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| unreadable(&error))?;
    let mut body = None;
    while let Some(more) = payload.next().await {
        let body = body.get_or_insert_with(|| BytesMut::from(&first[..]));
        body.extend_from_slice(&more.map_err(|error| unreadable(&error))?);
        if body.len() > bytes_max {
            return Err(Problem::too_large(bytes_max));
        }
    }
    let body = body.map_or(first, BytesMut::freeze);
    if body.len() > bytes_max { Err(Problem::too_large(bytes_max)) } else { Ok(body) }
}

fn unreadable(error: &PayloadError) -> Problem {
    Problem::malformed_json(match error {
        PayloadError::Incomplete(_) => "the body ended early",
        _ => "the body is not sent as it should be",
    })
}

/// The value that a body stands for.
///
/// # Errors
///
/// A problem that tells a body that is not JSON from one with values that can't be, and names their fields.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    check_object(body)?;
    serde_json::from_slice(body).map_err(|error| explain::<T>(body, &error))
}

/// Whether a body that is JSON is an object: serde would take a list of an object's values for one.
///
/// # Errors
///
/// The problem of a body that is something else.
pub fn check_object(body: &[u8]) -> Result<(), Problem> {
    if body.trim_ascii_start().starts_with(b"{") {
        return Ok(());
    }
    Err(no_json(body).unwrap_or_else(|| Problem::invalid_field("", "must be an object")))
}

/// Why these fields are no `T`; none of them is missing its grammar.
pub(crate) fn explain_fields<T: DeserializeOwned>(fields: Map<String, Value>) -> Problem {
    Problem::invalid_request(&errors_of::<T>(fields, b"null"))
}

/// Why the body is no `T`: read once more, slowly, to tell grammar from values and to name the fields.
fn explain<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    if let Some(problem) = no_json(body) {
        return problem;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => Problem::invalid_request(&errors_of::<T>(fields, body)),
        Ok(_) => Problem::invalid_field("", "must be an object"),
        Err(_) => Problem::invalid_request(&[field_error(String::new(), &error.to_string())]),
    }
}

/// The problem of a body that isn't JSON at all.
fn no_json(body: &[u8]) -> Option<Problem> {
    if let Err(error) = std::str::from_utf8(body) {
        return Some(Problem::malformed_json(error.to_string()));
    }
    // It skips values without reading them, so a number that fits no type is well formed all the same.
    let error = serde_json::from_slice::<IgnoredAny>(body).err()?;
    Some(Problem::malformed_json(error.to_string()))
}

/// Why the body is not what was wanted, where one message says it all.
pub(crate) fn explain_once(body: &[u8], error: &serde_json::Error) -> Problem {
    no_json(body).unwrap_or_else(|| Problem::invalid_request(&[field_error(String::new(), &error.to_string())]))
}

/// The errors of all fields, as far as one can be told without the others: each field that is in error is noted and
/// taken out until the rest is in order or only lacks fields, or enough are noted.
fn errors_of<T: DeserializeOwned>(fields: Map<String, Value>, body: &[u8]) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    let mut object = Value::Object(fields);
    if let Some(repeated) = serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_slice(body))
        .err()
        .map(|error| error.inner().to_string())
        .filter(|message| message.starts_with("duplicate field"))
    {
        errors.push(field_error(String::new(), &repeated)); // Gone once the body is a map.
    }
    while errors.len() < ERRORS_MAX
        && let Err(error) = serde_path_to_error::deserialize::<_, T>(&object)
    {
        let path = error.path().to_string();
        let found = field_error(if path == "." { String::new() } else { path }, &error.inner().to_string());
        let is_new = errors.iter().all(|error| error.field != found.field);
        let is_there = object.as_object_mut().is_some_and(|fields| fields.remove(&found.field).is_some());
        if is_new {
            errors.push(found);
        }
        if !is_there {
            break; // A field is missing: the first one that is, or one that was taken out.
        }
    }
    errors
}

/// The message without the text that the client sent: it may be in the wrong field, and is not for whoever reads answers.
fn without_sent_text(message: &str) -> String {
    for (before, after) in [("string \"", "\", expected "), ("unknown variant `", "`, expected ")] {
        if let Some((start, sent)) = message.split_once(before)
            && let Some((_, expected)) = sent.rsplit_once(after)
        {
            return format!("{start}{}, expected {expected}", before.trim_end_matches([' ', '"', '`']));
        }
    }
    message.to_owned()
}

/// Names the field that the message names, where the path doesn't; leaves out the place in the text.
fn field_error(path: String, message: &str) -> FieldError {
    let message = &without_sent_text(message);
    let message = message.split(" at line ").next().unwrap_or(message);
    let named = message.split('`').nth(1).filter(|_| message.contains("field `"));
    let field = if path.is_empty() { named.unwrap_or_default().to_owned() } else { path };
    FieldError { field, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::orders::PlaceOrderRequest;
    use crate::wire::{AddStockRequest, AdjustStockRequest, ReserveStockRequest};

    const ID: &str = "00000000-0000-4000-8000-000000000001";

    #[test]
    fn a_good_body_is_read() {
        let uuids = format!(r#""product_id":"{ID}","store_id":"{ID}""#);
        assert_eq!(check::<AddStockRequest>(&format!(r#"{{{uuids},"quantity":1,"reason":"x"}}"#)), "ok");
        assert_eq!(check::<ReserveStockRequest>(&format!(r#"{{{uuids},"quantity":1,"customer_id":"{ID}"}}"#)), "ok");
        let open = format!(r#"{{{uuids},"quantity":1,"customer_id":"{ID}","ttl_minutes":null,"reservation_id":null}}"#);
        assert_eq!(check::<ReserveStockRequest>(&open), "ok");
        assert_eq!(check::<AdjustStockRequest>(&format!(r#"{{{uuids},"quantity":0,"reason":"x"}}"#)), "ok");
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        for body in ["", "{", "{]", "nul", r#"{"a":1}}"#, "\u{feff}{}", r#"{"quantity":01}"#] {
            assert_eq!(check::<AddStockRequest>(body), "malformed-json", "{body:?}");
        }
        assert_eq!(
            parse::<AddStockRequest>(b"{\"reason\":\"\xff\"}").map_err(|no| no.slug()).err(),
            Some("malformed-json")
        );
    }

    #[test]
    fn every_field_in_error_is_named() {
        let add = |fields: &str| check::<AddStockRequest>(&format!("{{{fields}}}"));
        let uuids = format!(r#""product_id":"{ID}","store_id":"{ID}""#);
        assert_eq!(check::<AddStockRequest>("[]"), "invalid-request: ");
        assert_eq!(check::<AddStockRequest>("{}"), "invalid-request: product_id");
        assert_eq!(add(&format!(r#"{uuids},"quantity":0,"reason":"x""#)), "invalid-request: quantity");
        for quantity in
            ["-1", "1000000001", "1e3", "1.0", "\"1\"", "null", "true", "[]", "99999999999999999999", "1e400"]
        {
            let body = format!(r#"{uuids},"quantity":{quantity},"reason":"x""#);
            let field = if quantity == "1e400" { "" } else { "quantity" };
            assert_eq!(add(&body), format!("invalid-request: {field}"), "{quantity}");
        }
        assert_eq!(add(&format!(r#"{uuids},"quantity":1,"reason":"x","extra":1"#)), "invalid-request: extra");
        assert_eq!(add(&format!(r#"{uuids},"quantity":1,"reason":" ""#)), "invalid-request: reason");
        assert_eq!(add(&format!(r#"{uuids},"quantity":1,"quantity":1,"reason":"x""#)), "invalid-request: quantity");
        let all = r#""product_id":"x","store_id":7,"quantity":-1,"reason":"","colour":"red""#;
        let mut named: Vec<String> = add(all)["invalid-request: ".len()..].split(' ').map(str::to_owned).collect();
        named.sort();
        assert_eq!(named, ["colour", "product_id", "quantity", "reason", "store_id"]);
        let many: Vec<String> = (0..5_000).map(|number| format!(r#""a{number}":1"#)).collect();
        assert_eq!(add(&many.join(",")).split(' ').count(), 1 + ERRORS_MAX, "some of them say enough");
    }

    #[test]
    fn a_list_is_no_object() {
        assert_eq!(check::<AddStockRequest>(&format!(r#"["{ID}","{ID}",5,"x"]"#)), "invalid-request: ");
        let order = |line: &str| check::<PlaceOrderRequest>(&format!(r#"{{"customer_id":"{ID}","lines":[{line}]}}"#));
        assert_eq!(order(&format!(r#"{{"product_id":"{ID}","store_id":"{ID}","quantity":1}}"#)), "ok");
        assert_eq!(order(&format!(r#"["{ID}","{ID}",1]"#)), "invalid-request: lines[0]");
        assert_eq!(order("7"), "invalid-request: lines[0]");
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for given in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; x=y",
        ] {
            assert!(is_json(given), "{given}");
        }
        for given in ["", "text/plain", "application/jsonp", "application/json; charset=latin-1", "text/json"] {
            assert!(!is_json(given), "{given}");
        }
    }

    fn check<T: DeserializeOwned>(body: &str) -> String {
        match parse::<T>(body.as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(problem) => problem.summary(),
        }
    }

    #[test]
    fn a_message_says_what_is_wrong_and_not_what_was_sent() {
        for (message, said) in [
            (
                r#"invalid type: string "my \", expected \" text", expected an integer"#,
                "invalid type: string, expected an integer",
            ),
            (
                r#"invalid type: string " at line 7", expected a map at line 1 column 9"#,
                "invalid type: string, expected a map",
            ),
            ("unknown variant `secret`, expected `add` or `adjust`", "unknown variant, expected `add` or `adjust`"),
            ("invalid type: integer `7`, expected a string", "invalid type: integer `7`, expected a string"),
        ] {
            assert_eq!(field_error("quantity".into(), message).message, said);
        }
    }
}
