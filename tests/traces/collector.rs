//! A collector: an HTTP server that takes what OTLP brings, and shows it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector that listens until the test ends.
pub(crate) struct Collector {
    address: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    exports: Vec<Export>,
    spans: Vec<Span>,
    /// What it answers; 200 when it is 0.
    status: u16,
}

/// One export as it came.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// A span, with what was said of who made it.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) state: String,
    pub(crate) nanos: std::ops::Range<u64>,
    pub(crate) is_error: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
}

impl Collector {
    /// Starts one that takes everything.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&shared);
                thread::spawn(move || serve(&connection, &seen));
            }
        });
        Self { address, seen }
    }

    /// Where it listens: a base address as the setting has it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Answers with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.seen.lock().expect("no panic").status = status;
    }

    /// The exports that came.
    pub(crate) fn exports(&self) -> Vec<Export> {
        self.seen.lock().expect("no panic").exports.clone()
    }

    /// The spans that came and were taken.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.seen.lock().expect("no panic").spans.clone()
    }

    /// Waits until the trace has this many spans, and shows them in the order of their beginnings.
    #[track_caller]
    pub(crate) fn wait_for(&self, trace_id: &str, count: usize) -> Vec<Span> {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut spans: Vec<Span> = self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect();
            if spans.len() >= count {
                spans.sort_by_key(|span| span.nanos.start);
                return spans;
            }
            assert!(Instant::now() < end, "{} of {count} spans of {trace_id}: {spans:#?}", spans.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn serve(connection: &TcpStream, seen: &Mutex<Seen>) {
    let mut input = BufReader::new(connection);
    while let Some((path, headers, body)) = request(&mut input) {
        let export = ExportTraceServiceRequest::decode(&body[..]).expect("an ExportTraceServiceRequest");
        let spans = spans(export);
        let mut seen = seen.lock().expect("no panic");
        seen.exports.push(Export { path, headers });
        let status = if seen.status == 0 { 200 } else { seen.status };
        if status == 200 {
            seen.spans.extend(spans);
        }
        drop(seen);
        let answer =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
        let mut output = connection;
        if output.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(input: &mut BufReader<&TcpStream>) -> Option<(String, BTreeMap<String, String>, Vec<u8>)> {
    let mut line = || {
        let mut line = String::new();
        (input.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').expect("a header");
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers["content-length"].parse().expect("a length")];
    input.read_exact(&mut body).ok()?;
    Some((first.split(' ').nth(1)?.to_owned(), headers, body))
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in export.resource_spans {
        let resource = attributes(of_resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
            spans.push(Span {
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                name: span.name,
                kind: span.kind,
                state: span.trace_state,
                nanos: span.start_time_unix_nano..span.end_time_unix_nano,
                is_error: span.status.is_some_and(|status| status.code == 2),
                attributes: attributes(span.attributes),
                resource: resource.clone(),
            });
        }
    }
    spans
}

fn attributes(given: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    given.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
