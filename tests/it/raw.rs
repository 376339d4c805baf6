//! A provider by hand, for what no script of the mock says: the test reads
//! and writes its connections itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::house::soon;

/// Listens; the test accepts.
pub(crate) struct Raw {
    listener: TcpListener,
    at: SocketAddr,
}

/// One of its connections.
pub(crate) struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        Self { listener, at }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.at)
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire {
        let (stream, _) = soon("a connection", self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire {
            stream,
            buffer: Vec::new(),
        }
    }
}

impl Wire {
    async fn more(&mut self) {
        let read = soon("a request", self.stream.read_buf(&mut self.buffer)).await;
        assert!(read.unwrap() > 0, "the proxy has closed");
    }

    /// The head of a request, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.buffer.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap().to_lowercase();
            }
            self.more().await;
        }
    }

    /// So many bytes of a body.
    pub(crate) async fn body(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.more().await;
        }
        self.buffer.drain(..length).collect()
    }

    /// A whole request: its head and its body.
    pub(crate) async fn request(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let body = self.body(length).await;
        (head, body)
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// A whole plain answer.
    pub(crate) async fn answer(&mut self, status: u16, body: &str) {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.send(head + body).await;
    }

    /// Waits until the proxy has closed.
    pub(crate) async fn closed(&mut self) {
        let mut sink = vec![0; 64 << 10];
        let end = async { while matches!(self.stream.read(&mut sink).await, Ok(1..)) {} };
        soon("the connection's end", end).await;
    }
}

/// What a chat model says, plain.
pub(crate) fn said(model: &str, text: &str) -> String {
    serde_json::json!({
        "id": "x", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text}}],
    })
    .to_string()
}
