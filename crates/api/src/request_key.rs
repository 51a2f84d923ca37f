//! Which requests are the same: the client's key, and a hash of what was asked.
//!
//! The hash is of the route, the condition and the parsed command with its defaults, so that neither white space nor the order of
//! fields tells two requests apart. It is kept for a day, so what goes into it, and in which order, must not change lightly.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use blake3::Hasher;
use inventory_application::{Condition, RequestKey};
use uuid::Uuid;

use crate::problem::Problem;

/// The header that names a request for repeats.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header that says that an answer is the one that was given before.
pub const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest key, in characters.
const KEY_CHARACTERS_MAX: usize = 255;

/// The keys that are well formed, as a regular expression: bare, or quoted with quotes and backslashes escaped.
pub const KEY_PATTERN: &str = r#"^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#;

/// The lists of entity tags that are well formed, as a regular expression; a condition is one, or `*`.
pub const ENTITY_TAGS_PATTERN: &str = r#"^(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*$"#;

/// Who asks where there is no access control: everybody is the same.
pub const NOBODY_IN_PARTICULAR: &str = "";

/// A client's name for a request: 1 to 255 printable characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key that the headers carry, if they do, bare or as a quoted string (RFC 8941, 3.3.3).
    ///
    /// # Errors
    ///
    /// A problem that names the header when it isn't well formed, or is there twice.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut given = headers.get_all(IDEMPOTENCY_KEY);
        match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::of_header(value).map(Some),
            (Some(_), Some(_)) => Err(Problem::invalid_field("Idempotency-Key", "must be given once")),
        }
    }

    fn of_header(value: &HeaderValue) -> Result<Self, Problem> {
        let text = value.to_str().map_err(|_| malformed())?.trim_matches([' ', '\t']);
        match text.strip_prefix('"') {
            Some(quoted) => Self::new(&unquote(quoted).ok_or_else(malformed)?),
            None => Self::new(text),
        }
    }

    /// The key that is this text.
    ///
    /// # Errors
    ///
    /// A problem that names the header when the text isn't 1 to 255 printable characters.
    pub fn new(text: &str) -> Result<Self, Problem> {
        let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if is_printable && (1..=KEY_CHARACTERS_MAX).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(malformed())
        }
    }

    /// The key of the command at this place of a batch, when this one is the whole batch's.
    #[must_use]
    pub fn of_command(&self, place: usize) -> Self {
        Self(format!("{}/{place}", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This key of this principal, for a request with this hash. A key has no control characters, so the last zero byte tells where it
    /// begins.
    #[must_use]
    pub fn for_request(&self, principal: &str, request_hash: [u8; 16]) -> RequestKey {
        let mut hasher = Hasher::new();
        hasher.update(principal.as_bytes()).update(&[0]).update(self.0.as_bytes());
        RequestKey { append_id: first_half(&hasher), request_hash }
    }
}

fn malformed() -> Problem {
    Problem::invalid_field("Idempotency-Key", "must be 1 to 255 printable characters, bare or quoted")
}

/// What stands between the quotes; only quotes and backslashes are escaped.
fn unquote(quoted: &str) -> Option<String> {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().filter(|escaped| ['"', '\\'].contains(escaped))?,
            '"' => return None,
            other => other,
        });
    }
    Some(text)
}

/// A hash of all that makes two requests the same. Every value has a length of its own or is of a fixed one, so that no two
/// requests run into the same bytes.
pub struct RequestHash(Hasher);

impl RequestHash {
    /// The hash of a request to this route.
    #[must_use]
    pub fn of(route: &str, condition: &Condition) -> Self {
        let mut hash = Self(Hasher::new());
        hash.text(route);
        match condition {
            Condition::None => hash.number(0),
            Condition::Exists => hash.number(1),
            Condition::OneOf(versions) => {
                hash.number(2);
                hash.number(versions.len() as u64);
                versions.iter().for_each(|version| hash.number(*version));
            }
        }
        hash
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    /// An id.
    pub fn id(&mut self, id: Uuid) {
        self.0.update(id.as_bytes());
    }

    /// A value that may be missing.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The hash of what was written.
    #[must_use]
    pub fn finish(&self) -> [u8; 16] {
        first_half(&self.0)
    }
}

fn first_half(hasher: &Hasher) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    half
}

/// What `If-Match` asks for (RFC 9110, 13.1.1): strong comparison, so a weak tag matches nothing.
///
/// # Errors
///
/// A problem that names the header when it isn't a list of entity tags.
pub fn if_match(headers: &HeaderMap) -> Result<Condition, Problem> {
    let malformed = || Problem::invalid_field("If-Match", "must be * or a list of quoted versions, as in ETag");
    let mut versions = None;
    for value in headers.get_all(actix_web::http::header::IF_MATCH) {
        let text = value.to_str().map_err(|_| malformed())?.trim();
        if text == "*" {
            return Ok(Condition::Exists);
        }
        let versions = versions.get_or_insert_with(Vec::new);
        for (is_weak, tag) in entity_tags(text).ok_or_else(malformed)? {
            // A tag that is none of ours is well formed, and matches nothing.
            versions.extend(tag.parse::<u64>().ok().filter(|version| !is_weak && version.to_string() == tag));
        }
    }
    Ok(versions.map_or(Condition::None, Condition::OneOf))
}

/// The tags of a list of at least one, and whether each is weak; `None` where it is no such list. A comma may stand in a tag.
fn entity_tags(list: &str) -> Option<Vec<(bool, &str)>> {
    let is_of_tag = |byte: u8| byte == b'!' || (b'#'..=b'~').contains(&byte);
    let (mut tags, mut rest) = (Vec::new(), list);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(tags).filter(|tags| !tags.is_empty());
        }
        let (is_weak, opaque) = rest.strip_prefix("W/").map_or((false, rest), |opaque| (true, opaque));
        let (tag, behind) = opaque.strip_prefix('"')?.split_once('"')?;
        rest = behind.trim_start_matches([' ', '\t']);
        if !tag.bytes().all(is_of_tag) || !(rest.is_empty() || rest.starts_with(',')) {
            return None;
        }
        tags.push((is_weak, tag));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bare_or_quoted() {
        for (given, key) in [
            ("abc", "abc"),
            (" abc ", "abc"),
            ("\"abc\"", "abc"),
            ("\"a \\\"b\\\\\"", "a \"b\\"),
            ("a\"b", "a\"b"),
            (&"x".repeat(255), &"x".repeat(255)),
        ] {
            assert_eq!(key_of(given).unwrap().unwrap().as_str(), key, "{given:?}");
        }
        for given in ["", "\"\"", "\"abc", "\"a\\b\"", "\"a\"b\"", "ä", &"x".repeat(256)] {
            assert!(key_of(given).is_err(), "{given:?}");
        }
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn a_condition_is_a_list_of_strong_tags() {
        for (given, condition) in [
            ("*", Condition::Exists),
            ("\"3\"", Condition::OneOf(vec![3])),
            ("\"3\", \"4\"", Condition::OneOf(vec![3, 4])),
            ("W/\"3\"", Condition::OneOf(vec![])),
            ("\"03\", \"x\", \"\"", Condition::OneOf(vec![])),
            (", \"3\",, \"a,4\",", Condition::OneOf(vec![3])),
        ] {
            assert_eq!(if_match(&headers("if-match", given)).unwrap(), condition, "{given}");
        }
        for given in ["", ",", "3", "\"3", "\"3\" \"4\"", "\"3\"4", "\"a b\"", "W/3", "*, \"3\"", "ä"] {
            assert!(if_match(&headers("if-match", given)).is_err(), "{given}");
        }
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), Condition::None);
    }

    #[test]
    fn no_two_requests_run_into_the_same_bytes() {
        let hash = |texts: &[&str]| {
            let mut hash = RequestHash::of("/x", &Condition::None);
            texts.iter().for_each(|text| hash.text(text));
            hash.finish()
        };
        assert_eq!(hash(&["ab", "c"]), hash(&["ab", "c"]));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_ne!(
            RequestHash::of("/x", &Condition::None).finish(),
            RequestHash::of("/x", &Condition::Exists).finish()
        );
        let key = IdempotencyKey::new("K").unwrap();
        let append_id = |principal, key: &IdempotencyKey| key.for_request(principal, [0; 16]).append_id;
        assert_ne!(append_id("", &key), append_id("", &key.of_command(0)));
        assert_ne!(append_id("", &key), append_id("key:till", &key));
        assert_ne!(append_id("key:till", &key), append_id("token:till", &key));
        assert_eq!(append_id("key:till", &key), append_id("key:till", &IdempotencyKey::new("K").unwrap()));
    }

    fn key_of(given: &str) -> Result<Option<IdempotencyKey>, Problem> {
        IdempotencyKey::of(&headers("idempotency-key", given))
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        headers
    }
}
