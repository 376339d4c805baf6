//! The mock over real sockets, its peer a bare `TcpStream`.

mod answers;
mod requests;
mod scripts;
mod transport;

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Within this every test step has happened, or never will.
async fn soon<T>(step: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), step)
        .await
        .expect("nothing happened for 20 s")
}

/// One connection to a mock.
struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A whole answer, its chunks joined.
struct Answer {
    head: String,
    body: String,
    /// The sizes of the chunks, empty for another framing.
    chunks: Vec<usize>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The `data` of each event.
    fn data(&self) -> Vec<&str> {
        self.body
            .split_terminator("\n\n")
            .map(|event| event.split_once("data: ").map_or(event, |(_, data)| data))
            .collect()
    }

    /// The same, parsed; without `[DONE]`.
    fn events(&self) -> Vec<Value> {
        self.data()
            .into_iter()
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

impl Peer {
    async fn to(mock: &Mock) -> Self {
        Self {
            stream: soon(TcpStream::connect(mock.addr())).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    async fn post(&mut self, path: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: mock\r\nx-test-id: t1\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// Asks for a chat completion, streamed or not.
    async fn chat(&mut self, stream: bool) {
        self.post(
            "/v1/chat/completions",
            &format!(r#"{{"model":"gpt-4o","messages":[],"stream":{stream}}}"#),
        )
        .await;
    }

    async fn ask(&mut self, path: &str, body: &str) -> Answer {
        self.post(path, body).await;
        self.answer().await
    }

    async fn more(&mut self) -> io::Result<usize> {
        soon(self.stream.read_buf(&mut self.buffer)).await
    }

    /// Reads up to and with these bytes.
    async fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self
                .buffer
                .windows(mark.len())
                .position(|bytes| bytes == mark.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            assert!(self.more().await.unwrap() > 0, "ended before {mark:?}");
        }
    }

    async fn exactly(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            assert!(self.more().await.unwrap() > 0, "ended too early");
        }
        let rest = self.buffer.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap()
    }

    /// Reads an answer that is framed as it should be.
    async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let (mut body, mut chunks) = (String::new(), Vec::new());
        if let Some((_, rest)) = head.split_once("content-length: ") {
            let length = rest.split("\r\n").next().unwrap().parse().unwrap();
            body = self.exactly(length).await;
        } else if head.contains("transfer-encoding: chunked") {
            loop {
                let line = self.until("\r\n").await;
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                body += &self.exactly(size).await;
                assert_eq!(self.exactly(2).await, "\r\n");
                if size == 0 {
                    break;
                }
                chunks.push(size);
            }
        }
        Answer { head, body, chunks }
    }

    /// Everything until the connection ends, and how it ends.
    async fn rest(&mut self) -> (String, Result<(), io::ErrorKind>) {
        let end = loop {
            match self.more().await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error.kind()),
            }
        };
        let text = String::from_utf8(std::mem::take(&mut self.buffer)).unwrap();
        (text, end)
    }
}
