//! W3C trace context: which trace a request belongs to, as `traceparent` and `tracestate` tell it.

use std::num::{NonZeroU64, NonZeroU128};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that names the trace and the caller's span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header with what tracing systems have to tell one another.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a `traceparent` of version 00 is, in bytes; a later version may go on behind a dash.
const TRACEPARENT_BYTES: usize = 55;

/// The longest `tracestate` that is passed on, in bytes: what the specification asks for.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Members that a `tracestate` may have.
const TRACESTATE_MEMBERS_MAX: usize = 32;

/// The flag of a trace that is recorded, and that of an id of which at least the last 7 bytes are random.
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// The id of a trace: any 16 bytes but zeros.
pub type TraceId = NonZeroU128;

/// The id of a span: any 8 bytes but zeros.
pub type SpanId = NonZeroU64;

/// A place in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Which trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
    /// What is known of the trace.
    pub flags: Flags,
    /// What tracing systems have to tell one another.
    pub state: Option<HeaderValue>,
}

/// What is known of a trace: the flags that have a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.0 & SAMPLED != 0
    }

    /// The same, recorded or not.
    #[must_use]
    pub fn sampled(self, is_sampled: bool) -> Self {
        Self(self.0 & !SAMPLED | u8::from(is_sampled))
    }

    /// Of an id that is random all over.
    #[must_use]
    pub fn of_random_id() -> Self {
        Self(RANDOM)
    }
}

impl TraceContext {
    /// What the caller says; `None` where it says nothing or something that is not well formed, so that a new trace begins.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get(&TRACEPARENT)?;
        if headers.get_all(&TRACEPARENT).nth(1).is_some() {
            return None; // Which of them?
        }
        let (trace_id, span_id, flags) = parse(given.as_bytes())?;
        Some(Self { trace_id, span_id, flags, state: state(headers) })
    }

    /// The `traceparent` that says so.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        let Self { trace_id, span_id, flags, .. } = self;
        let text = format!("00-{trace_id:032x}-{span_id:016x}-{:02x}", flags.0);
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Reads a `traceparent`: version, trace, span and flags, in lower case hexadecimal with dashes between them.
fn parse(given: &[u8]) -> Option<(TraceId, SpanId, Flags)> {
    let (known, more) = given.split_at_checked(TRACEPARENT_BYTES)?;
    let [version, trace_id, span_id, flags] =
        [(0, 2), (3, 35), (36, 52), (53, 55)].map(|(from, to)| hex(&known[from..to]));
    let version = version?;
    let has_dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    let is_of_version = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more[0] == b'-',
    };
    if !has_dashes || !is_of_version {
        return None;
    }
    let flags = u8::try_from(flags?).ok()?;
    Some((
        TraceId::new(trace_id?)?,
        SpanId::new(u64::try_from(span_id?).ok()?)?,
        Flags(flags & (SAMPLED | RANDOM)), // The others have no meaning yet, and are not to be passed on.
    ))
}

fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// All `tracestate` headers as one; nothing where one of them is not well formed or all are too long together.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut given = headers.get_all(&TRACESTATE);
    let first = given.next()?;
    let all = match given.next() {
        None => first.clone(),
        Some(second) => {
            let parts = [first, second].into_iter().chain(given).map(HeaderValue::as_bytes);
            let all = parts.collect::<Vec<_>>().join(&b","[..]);
            HeaderValue::from_bytes(&all).ok()?
        }
    };
    is_state(all.as_bytes()).then_some(all)
}

fn is_state(given: &[u8]) -> bool {
    if given.len() > TRACESTATE_BYTES_MAX {
        return false;
    }
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in given.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
        let (key, value) = (&member[..equals], &member[equals + 1..]);
        if !is_state_key(key) || !is_state_value(value) || keys.contains(&key) || keys.len() == TRACESTATE_MEMBERS_MAX {
            return false;
        }
        keys.push(key);
    }
    !keys.is_empty()
}

/// `key`, or `tenant@system`.
fn is_state_key(key: &[u8]) -> bool {
    let is_rest = |bytes: &[u8]| {
        bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte))
    };
    let is_part = |part: &[u8], length_max: usize, may_begin_with_digit: bool| {
        let Some((first, rest)) = part.split_first() else { return false };
        let begins = first.is_ascii_lowercase() || (may_begin_with_digit && first.is_ascii_digit());
        begins && part.len() <= length_max && is_rest(rest)
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => is_part(key, 256, false),
        Some(at) => is_part(&key[..at], 241, true) && is_part(&key[at + 1..], 14, false),
    }
}

/// Visible ASCII and blanks, without commas and equals signs, not ending with a blank.
fn is_state_value(value: &[u8]) -> bool {
    let is_char = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(is_char) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_well_formed_traceparent_is_taken_and_told_again() {
        for (given, told) in [
            (GOOD, GOOD),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
            ),
            // A later version is read as far as it is known, and answered in ours.
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", GOOD),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", GOOD),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", GOOD),
        ] {
            let context = TraceContext::of(&headers(&[given], &[])).unwrap_or_else(|| panic!("{given}"));
            assert_eq!(context.header(), told, "{given}");
            assert_eq!(context.flags.is_sampled(), told.ends_with(['1', '3']), "{given}");
        }
    }

    #[test]
    fn a_malformed_traceparent_is_as_good_as_none() {
        for given in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0X",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what-comes",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473ä-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::of(&headers(&[given], &[])), None, "{given}");
        }
        assert_eq!(TraceContext::of(&headers(&[], &["a=b"])), None, "no traceparent");
        assert_eq!(TraceContext::of(&headers(&[GOOD, GOOD], &[])), None, "two of them");
    }

    #[test]
    fn a_tracestate_is_passed_on_as_it_is_unless_it_is_malformed() {
        let long = format!("a={}", "x".repeat(256));
        let longest = format!("{long},b={}", "y".repeat(251));
        let many: Vec<String> = (0..33).map(|number| format!("k{number}=v")).collect();
        for (given, passed_on) in [
            (&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"][..], Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")),
            (&["a=b", "c=d"], Some("a=b,c=d")),
            (&["a=b,,\t c=d "], Some("a=b,,\t c=d")),
            (&["0tenant@system=x y"], Some("0tenant@system=x y")),
            (&[&longest], Some(&longest)),
            (&[&format!("{longest}z")], None),
            (&[&format!("{long}x")], None),
            (&[&many[..32].join(",")], Some(&many[..32].join(","))),
            (&[&many.join(",")], None),
            (&["a=b,a=c"], None),
            (&["a=b", "A=c"], None),
            (&["a"], None),
            (&["=b"], None),
            (&["a="], None),
            (&["a=b=c"], None),
            (&["1a=b"], None),
            (&["a@=b"], None),
            (&["a@1b=c"], None),
            (&["ä=b"], None),
            (&["a=ä"], None),
            (&[","], None),
            (&[""], None),
        ] {
            let context = TraceContext::of(&headers(&[GOOD], given)).expect("the traceparent is good");
            let state = context.state.as_ref().map(|state| state.to_str().expect("ASCII"));
            assert_eq!(state, passed_on, "{given:?}");
        }
    }

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(TRACEPARENT, parents), (TRACESTATE, states)] {
            for value in values {
                // As it comes out of a request: without blanks around it.
                headers.append(name.clone(), HeaderValue::from_bytes(value.trim_end().as_bytes()).expect("a value"));
            }
        }
        headers
    }
}
