//! What is asked: requests with distinct credentials, ready to be sent, and what each answer must say.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::client::Client;
use crate::failure::{Failure, Result};

/// One request, and a text that its right answer has and no other answer.
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    pub(crate) marker: String,
}

impl Request {
    pub(crate) fn get(path: &str, headers: &[(&str, &str)], marker: String) -> Self {
        Self { bytes: format!("GET {path} HTTP/1.1\r\n{}\r\n", lines(headers)).into_bytes(), marker }
    }

    pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str, marker: String) -> Self {
        let (headers, length) = (lines(headers), body.len());
        let text = format!("POST {path} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        Self { bytes: text.into_bytes(), marker }
    }
}

fn lines(headers: &[(&str, &str)]) -> String {
    let headers = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    format!("Host: 127.0.0.1\r\n{}", headers.collect::<String>())
}

/// A working set: what one row asks, each request once before any comes again.
pub(crate) struct WorkingSet {
    pub(crate) requests: Vec<Request>,
    /// The same as a file that the load generator reads.
    pub(crate) file: PathBuf,
}

/// How many bytes answers had.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl WorkingSet {
    /// Writes the requests to a file of this folder.
    pub(crate) fn new(folder: &Path, name: &str, requests: Vec<Request>) -> Result<Self> {
        let file = folder.join(format!("{name}.requests"));
        let mut out = BufWriter::new(File::create(&file)?);
        for request in &requests {
            writeln!(out, "{}", request.bytes.len())?;
            out.write_all(&request.bytes)?;
        }
        out.flush()?;
        Ok(Self { requests, file })
    }

    /// Sends these requests, at most `most` of them, and looks at every answer. What has a cache has
    /// them in it afterwards, where there is room.
    pub(crate) fn check(&self, port: u16, most: usize, expected: Expected) -> Result<Sizes> {
        let mut client = Client::connect(port)?;
        let mut sizes = Sizes { least: usize::MAX, most: 0 };
        let step = self.requests.len().div_ceil(most.max(1)).max(1);
        for Request { bytes, marker } in self.requests.iter().step_by(step) {
            let answer = client.ask(bytes)?;
            if answer.status != 200 || (expected == Expected::Marker && !answer.body.contains(marker)) {
                return Err(Failure::new(format!(
                    "expected 200 with {marker}, and got {} with {}",
                    answer.status, answer.body
                )));
            }
            sizes = Sizes { least: sizes.least.min(answer.bytes), most: sizes.most.max(answer.bytes) };
        }
        Ok(sizes)
    }
}

/// What an answer must have to be right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The status 200: a bare handler without a database answers everybody alike.
    Status,
    /// The status 200, and the text that only this request's answer has.
    Marker,
}
