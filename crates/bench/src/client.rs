//! A small HTTP/1.1 client on one kept-alive connection: it checks answers before they are counted,
//! and costs little where it is the load itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::failure::{Failure, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server on this machine.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// How long head and body are together.
    pub(crate) bytes: usize,
}

impl Answer {
    /// The answer that this is, once it is there as a whole.
    pub(crate) fn read(received: &[u8]) -> Result<Option<Self>> {
        let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let (head, body) = received.split_at(at + 4);
        let Some(body) = body.get(..content_length(head)?) else { return Ok(None) };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = head.get(9..12).and_then(|digits| text(digits).parse().ok());
        Ok(Some(Self {
            status: status.ok_or_else(|| Failure::new("an answer without a status"))?,
            body: text(body),
            bytes: head.len() + body.len(),
        }))
    }
}

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        loop {
            self.read_some()?;
            if let Some(answer) = Answer::read(&self.buffer)? {
                return Ok(answer);
            }
        }
    }

    fn read_some(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err(Failure::new("the server closed the connection")),
            read => {
                self.buffer.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = String::from_utf8_lossy(head);
    let named = head.lines().filter_map(|line| line.split_once(':'));
    let length = named.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length {
        Some((_, value)) => {
            value.trim().parse().map_err(|error| Failure::while_doing("Content-Length", error))
        }
        None => Err(Failure::new(format!("an answer without Content-Length: {head}"))),
    }
}
