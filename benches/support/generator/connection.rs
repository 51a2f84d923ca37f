//! One keep-alive connection: a request goes out, its answer comes in, then the next one.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::answer::{BadAnswer, Head};

/// How much is read at a time.
const READ_BYTES: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    out: Vec<u8>,
    written: usize,
    /// What has come of the answer; `filled` bytes of it count.
    input: Vec<u8>,
    filled: usize,
    head: Option<Head>,
    /// When the request on its way was due, and when it was sent.
    waits: Option<(Instant, Instant)>,
    is_batch: bool,
}

/// An answer, and since when it was waited for.
pub(super) struct Answered {
    pub(super) due: Instant,
    pub(super) sent: Instant,
    pub(super) refusal: Option<String>,
}

/// Why a connection can't go on.
#[derive(Debug)]
pub(super) enum Failure {
    Broken(io::Error),
    BadAnswer(BadAnswer),
}

impl Connection {
    pub(super) fn open(address: SocketAddr, registry: &Registry, token: Token, is_batch: bool) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            stream,
            out: Vec::new(),
            written: 0,
            input: vec![0; READ_BYTES],
            filled: 0,
            head: None,
            waits: None,
            is_batch,
        })
    }

    /// Sends what `write` writes, or as much of it as the socket takes; [`Connection::go_on`] sends the rest.
    pub(super) fn send(&mut self, due: Instant, now: Instant, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.out.clear();
        self.written = 0;
        write(&mut self.out);
        self.waits = Some((due, now));
        self.write()
    }

    /// Goes on where the socket can; returns the answer when it is whole.
    pub(super) fn go_on(&mut self) -> Result<Option<Answered>, Failure> {
        self.write().map_err(Failure::Broken)?;
        let Some((due, sent)) = self.waits else { return Ok(None) };
        loop {
            if self.filled == self.input.len() {
                self.input.resize(self.filled * 2, 0);
            }
            let room = self.input.len() - self.filled;
            let read = match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Err(Failure::Broken(ErrorKind::UnexpectedEof.into())),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Broken(error)),
            };
            self.filled += read;
            let bytes = &self.input[..self.filled];
            if self.head.is_none() {
                self.head = Head::read(bytes).map_err(Failure::BadAnswer)?;
            }
            match self.head {
                Some(head) if head.length < bytes.len() => return Err(Failure::BadAnswer(BadAnswer::TooLong)),
                Some(head) if head.length == bytes.len() => {
                    let refusal = head.refusal(bytes, self.is_batch);
                    self.filled = 0;
                    self.head = None;
                    self.waits = None;
                    return Ok(Some(Answered { due, sent, refusal }));
                }
                // What comes now makes a new event; a full buffer may have left something behind.
                _ if read < room => return Ok(None),
                _ => (),
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
