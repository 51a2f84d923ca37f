//! A listener of Server-Sent Events: a raw connection, so that a test sees every byte and every cut.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long the next block may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    connection: BufReader<TcpStream>,
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What has come and is no whole block yet.
    rest: String,
    /// The last id that has come, as a browser would keep it.
    pub last_id: Option<u64>,
}

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Its `id`.
    pub id: Option<u64>,
    /// Its `event`.
    pub event: Option<String>,
    /// Its `data`.
    pub data: Option<Value>,
    /// Its `retry`.
    pub retry: Option<u64>,
}

impl EventStream {
    /// Asks for this path with these headers, and reads the answer's head.
    ///
    /// # Panics
    ///
    /// When there is no answer.
    #[must_use]
    pub fn open(url: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let address = url.trim_start_matches("http://");
        let mut connection = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        let patient = connection.set_read_timeout(Some(PATIENCE));
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{}\r\n", headers.concat());
        patient
            .and_then(|()| connection.write_all(request.as_bytes()))
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut connection = BufReader::new(connection);
        let mut head = Vec::new();
        while head.last().is_none_or(|line| !String::is_empty(line)) {
            head.push(line(&mut connection).unwrap_or_else(|| panic!("{path}: cut off in {head:?}")));
        }
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let headers = head[1..].iter().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Self { connection, status, headers, rest: String::new(), last_id: None }
    }

    /// The header with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The next block; `None` when the stream has ended, or was cut.
    ///
    /// # Panics
    ///
    /// When nothing comes, or something that is no block.
    pub fn next_block(&mut self) -> Option<Block> {
        loop {
            if let Some(end) = self.rest.find("\n\n") {
                let text: String = self.rest.drain(..end + 2).collect();
                let block = Block::read(&text);
                self.last_id = block.id.or(self.last_id);
                return Some(block);
            }
            let chunk = self.chunk()?;
            self.rest.push_str(&chunk);
        }
    }

    /// The next block with data.
    pub fn next_event(&mut self) -> Option<Block> {
        loop {
            let block = self.next_block()?;
            if block.data.is_some() {
                return Some(block);
            }
        }
    }

    /// The events up to the one with this position, or the heartbeat that says that it was passed.
    ///
    /// # Panics
    ///
    /// When the stream ends before.
    pub fn events_until(&mut self, position: u64) -> Vec<Block> {
        let mut events = Vec::new();
        while self.last_id.is_none_or(|last| last < position) {
            let block = self.next_block().unwrap_or_else(|| panic!("it ended at {:?}", self.last_id));
            events.extend(Some(block).filter(|block| block.data.is_some()));
        }
        events
    }

    fn chunk(&mut self) -> Option<String> {
        let size = usize::from_str_radix(&line(&mut self.connection)?, 16).expect("the size of a chunk");
        let mut chunk = vec![0; size + 2];
        self.connection.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(String::from_utf8(chunk).expect("it is UTF-8")).filter(|_| size > 0)
    }
}

impl Block {
    fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.trim_end().lines().filter(|line| !line.starts_with(':')) {
            let (field, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
            match field {
                "id" => block.id = value.parse().ok(),
                "event" => block.event = Some(value.to_owned()),
                "data" => block.data = serde_json::from_str(value).ok(),
                "retry" => block.retry = value.parse().ok(),
                _ => panic!("{line}"),
            }
        }
        block
    }
}

/// The next line, without its end; `None` when the connection has ended. Waiting in vain is a failure of the test.
fn line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match connection.read_line(&mut line) {
        Ok(0) => None,
        Ok(_) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing comes"),
        Err(_) => None, // It was reset.
    }
}
