//! A client that says exactly what a test wants said, byte by byte.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::soon;

/// One HTTP/1.1 connection.
pub(crate) struct Talk<S = TcpStream> {
    pub stream: S,
    host: SocketAddr,
    /// Read and not taken yet.
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its chunks joined.
    pub body: Vec<u8>,
    /// The body came to the end that its framing announced.
    pub whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(key, _)| key == name);
        let first = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} came twice");
        first
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The `data` of each event, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text()
            .split("\n\n")
            .filter_map(|event| Some(event.split_once("data: ")?.1.to_owned()))
            .collect()
    }

    /// The walk that `x-standin-attempts` tells.
    pub(crate) fn walk(&self) -> &str {
        self.header("x-standin-attempts").unwrap_or("")
    }

    /// `error.code`
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    }
}

impl Talk {
    pub(crate) async fn to(at: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(at)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, at)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    /// Over a connection that is there.
    pub(crate) fn over(stream: S, host: SocketAddr) -> Self {
        Self {
            stream,
            host,
            buffer: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends a request; `headers` are lines without their ends.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for line in headers {
            head += line;
            head += "\r\n";
        }
        if method != "GET" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes).await;
    }

    /// Posts JSON and takes the whole answer.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[], body).await
    }

    pub(crate) async fn post_with(&mut self, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut lines = vec!["content-type: application/json"];
        lines.extend(headers);
        self.request("POST", path, &lines, body.as_bytes()).await;
        self.answer().await
    }

    /// Posts a chat request for these models.
    pub(crate) async fn chat(&mut self, models: &[&str], stream: bool) -> Answer {
        self.post("/v1/chat/completions", &chat(models, stream))
            .await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[], b"").await;
        self.answer().await
    }

    /// Takes a whole answer; interim ones are passed over.
    pub(crate) async fn answer(&mut self) -> Answer {
        soon("an answer", async {
            loop {
                let (status, headers) = self.head().await;
                if status >= 200 {
                    return self.body(status, headers).await;
                }
            }
        })
        .await
    }

    /// Takes the head of an answer.
    pub(crate) async fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            let come = self.more().await;
            assert!(
                come,
                "closed within a head: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        (status, headers)
    }

    async fn body(&mut self, status: u16, headers: Vec<(String, String)>) -> Answer {
        let mut answer = Answer {
            status,
            headers,
            body: Vec::new(),
            whole: true,
        };
        if answer.header("transfer-encoding").is_some() {
            loop {
                match self.chunk().await {
                    None => {
                        answer.whole = false;
                        break;
                    }
                    Some(chunk) if chunk.is_empty() => break,
                    Some(chunk) => answer.body.extend_from_slice(&chunk),
                }
            }
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length && self.more().await {}
            answer.whole = self.buffer.len() >= length;
            let length = length.min(self.buffer.len());
            answer.body = self.buffer.drain(..length).collect();
        } else {
            while self.more().await {}
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    /// Takes the next chunk: an empty one at the end, nothing where the
    /// connection ends first.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = loop {
            if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let size = std::str::from_utf8(&self.buffer[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        while self.buffer.len() < line + 2 + size + 2 {
            if !self.more().await {
                return None;
            }
        }
        let chunk = self.buffer[line + 2..line + 2 + size].to_vec();
        self.buffer.drain(..line + 2 + size + 2);
        Some(chunk)
    }

    /// Waits until the other side has closed; panics if it says anything.
    pub(crate) async fn closed(&mut self) {
        soon("the connection's end", async { while self.more().await {} }).await;
        assert!(
            self.buffer.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&self.buffer)
        );
    }

    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer).await;
        matches!(read, Ok(1..))
    }
}

/// A chat request for these models: the first in `model`, the rest in
/// `models`.
pub(crate) fn chat(models: &[&str], stream: bool) -> String {
    let mut body = serde_json::json!({
        "model": models[0],
        "messages": [{"role": "user", "content": "Hello"}],
    });
    if models.len() > 1 {
        body["models"] = models[1..].into();
    }
    if stream {
        body["stream"] = true.into();
    }
    body.to_string()
}
