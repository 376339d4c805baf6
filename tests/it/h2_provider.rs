//! A provider over HTTP/2, plain or over TLS; where a client does not offer
//! `h2` it is answered over HTTP/1.1.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::house::soon;
use crate::raw::said;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// A plain 200.
    Answer,
    /// A 429 before the body is read; the rest of it is refused.
    EarlyBusy,
    /// The connection says goodbye and ends, unanswered.
    GoAway,
    /// The stream is reset.
    Reset(Reason),
    /// Nothing, until it is cancelled.
    Stall,
}

/// What has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub request: Request<()>,
    pub body: usize,
}

#[derive(Clone, Default)]
struct Shared {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    connections: Arc<Mutex<usize>>,
    cancelled: Arc<watch::Sender<usize>>,
    begun: Arc<watch::Sender<usize>>,
}

pub(crate) struct H2Provider {
    pub at: SocketAddr,
    shared: Shared,
    _tasks: JoinSet<()>,
}

pub(crate) type Decide = fn(&Request<()>, usize) -> Act;

impl H2Provider {
    /// `act` decides by the request and its number, from 0.
    pub(crate) async fn start(act: Decide, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let shared = Shared::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, act, tls, shared.clone()));
        Self {
            at,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    pub(crate) async fn wait_begun(&self, requests: usize) {
        let mut begun = self.shared.begun.subscribe();
        let _ = soon("a request", begun.wait_for(|have| *have >= requests)).await;
    }

    pub(crate) async fn wait_cancelled(&self, requests: usize) {
        let mut cancelled = self.shared.cancelled.subscribe();
        let _ = soon("a cancel", cancelled.wait_for(|have| *have >= requests)).await;
    }
}

async fn accept(listener: TcpListener, act: Decide, tls: Option<TlsAcceptor>, shared: Shared) {
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        *shared.connections.lock().unwrap() += 1;
        tasks.spawn(connected(stream, act, tls.clone(), shared.clone()));
    }
}

async fn connected(stream: TcpStream, act: Decide, tls: Option<TlsAcceptor>, shared: Shared) {
    let Some(tls) = tls else {
        return serve(stream, act, shared).await;
    };
    // A client that does not believe the certificate ends it here.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        serve(stream, act, shared).await;
    } else {
        serve_h1(stream, shared).await;
    }
}

async fn serve_h1(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Shared) {
    let mut buffer = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        // The tests' requests are small, and one after the other.
        if buffer.ends_with(b"}") {
            buffer.clear();
            shared.begun.send_modify(|begun| *begun += 1);
            let body = said("m", "Hello");
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    act: Decide,
    shared: Shared,
) {
    let Ok(mut h2) = h2::server::handshake(io).await else {
        return;
    };
    let mut tasks = JoinSet::new();
    while let Some(Ok((request, mut respond))) = h2.accept().await {
        let number = *shared.begun.borrow();
        let (parts, mut body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let act = act(&request, number);
        shared.begun.send_modify(|begun| *begun += 1);
        match act {
            Act::GoAway => {
                // The request counts as not processed: it is retried.
                h2.abrupt_shutdown(Reason::NO_ERROR);
            }
            Act::Reset(reason) => respond.send_reset(reason),
            Act::EarlyBusy => {
                let head = Response::builder().status(429).header("retry-after", "1");
                let head = head.body(()).unwrap();
                let mut send = respond.send_response(head, false).unwrap();
                send.send_data(Bytes::from_static(b"{\"error\":{}}"), true)
                    .unwrap();
            }
            Act::Stall => {
                let shared = shared.clone();
                tasks.spawn(async move {
                    let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                    shared.cancelled.send_modify(|cancelled| *cancelled += 1);
                });
            }
            Act::Answer => {
                let shared = shared.clone();
                tasks.spawn(async move {
                    let mut size = 0;
                    while let Some(Ok(data)) = body.data().await {
                        size += data.len();
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    shared.arrived.lock().unwrap().push(Arrived {
                        request,
                        body: size,
                    });
                    let head = Response::builder().header("content-type", "application/json");
                    let head = head.body(()).unwrap();
                    if let Ok(mut send) = respond.send_response(head, false) {
                        let _ = send.send_data(said("m", "Hello").into(), true);
                    }
                });
            }
        }
    }
}
