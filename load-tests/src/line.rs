//! A client's connection. It takes nothing that is not HTTP/1.1 to the
//! letter, because a lenient client would not notice a broken answer.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer heads than Standin's answers have.
const MAX_HEAD: usize = 64 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    buffer: BytesMut,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The header of that name, which must not come twice.
    pub(crate) fn header(&self, name: &str) -> Result<&str, String> {
        let mut all = self.headers.iter().filter(|(have, _)| have == name);
        match (all.next(), all.next()) {
            (Some((_, value)), None) => Ok(value),
            (None, _) => Err(format!("no header {name}")),
            (Some(_), Some(_)) => Err(format!("header {name} twice")),
        }
    }

    /// Whether the connection ends with this answer.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection")
            .is_ok_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Line {
    pub(crate) async fn to(at: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(at).await;
        let stream = stream.map_err(|error| format!("connecting: {error}"))?;
        let set = stream.set_nodelay(true);
        set.map_err(|error| format!("connecting: {error}"))?;
        Ok(Self {
            stream,
            buffer: BytesMut::new(),
        })
    }

    /// Whether the other end has closed it, as far as can be seen.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.stream.try_read(&mut [0]), Ok(0))
    }

    /// Sends a request and takes its whole answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        match self.receive(request).await? {
            (answer, None) => Ok(answer),
            (_, Some(why)) => Err(why),
        }
    }

    /// Sends a request and takes what there is of its answer; beside one whose
    /// body broke off stands why.
    pub(crate) async fn receive(
        &mut self,
        request: &[u8],
    ) -> Result<(Answer, Option<String>), String> {
        if !self.buffer.is_empty() {
            return Err(format!("bytes behind the last answer: {:?}", self.buffer));
        }
        let sent = self.stream.write_all(request).await;
        sent.map_err(|error| format!("sending: {error}"))?;
        let (status, headers) = self.head().await?;
        let mut answer = Answer {
            status,
            headers,
            body: Bytes::new(),
        };
        let has = |name| answer.headers.iter().any(|(have, _)| have == name);
        let mut body = BytesMut::new();
        let read = match (has("content-length"), has("transfer-encoding")) {
            (true, false) => {
                let length = answer.header("content-length")?.parse();
                let length = length.map_err(|_| "bad content-length")?;
                let read = self.take(length).await;
                let all = read.as_ref().unwrap_or(&self.buffer);
                body.extend_from_slice(all);
                read.map(drop)
            }
            (false, true) if answer.header("transfer-encoding")? == "chunked" => {
                self.chunks(&mut body).await
            }
            _ => return Err(format!("in doubt how long: {:?}", answer.headers)),
        };
        answer.body = body.freeze();
        Ok((answer, read.err()))
    }

    async fn head(&mut self) -> Result<(u16, Vec<(String, String)>), String> {
        let end = self.find(b"\r\n\r\n").await?;
        let head = self.buffer.split_to(end + 4);
        let head = std::str::from_utf8(&head).map_err(|_| "a head that is not text")?;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("no status line: {status:?}"))?;
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .ok_or_else(|| format!("no header line: {line:?}"))?;
                Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Result<_, String>>()?;
        Ok((status, headers))
    }

    async fn chunks(&mut self, body: &mut BytesMut) -> Result<(), String> {
        loop {
            let end = self.find(b"\r\n").await?;
            let line = self.buffer.split_to(end + 2);
            let size = std::str::from_utf8(&line[..end]).unwrap_or_default();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| format!("no chunk size: {size:?}"))?;
            let chunk = self.take(size + 2).await?;
            if &chunk[size..] != b"\r\n" {
                return Err("a chunk without its end".to_owned());
            }
            if size == 0 {
                return Ok(());
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    async fn find(&mut self, what: &[u8]) -> Result<usize, String> {
        loop {
            let found = self.buffer.windows(what.len()).position(|w| w == what);
            if let Some(at) = found {
                return Ok(at);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err("a head or chunk size without end".to_owned());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<BytesMut, String> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.split_to(length))
    }

    async fn more(&mut self) -> Result<(), String> {
        self.buffer.reserve(16 << 10);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(format!(
                "the connection ended within an answer, after {:?}",
                String::from_utf8_lossy(&self.buffer)
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("reading: {error}")),
        }
    }
}
