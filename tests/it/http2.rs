//! HTTP/2 on both sides.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use serde_json::Value;
use standin::mock::{At, Mock, Reply, Script};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::h2_provider::{Act, Decide, H2Provider};
use crate::house::{Folder, House, providers, soon};
use crate::talk::chat;

const CHAT: &str = "/v1/chat/completions";

/// A client over one HTTP/2 connection.
pub(crate) struct H2 {
    send: SendRequest<Bytes>,
    at: SocketAddr,
    connection: JoinSet<Result<(), h2::Error>>,
}

pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn walk(&self) -> &str {
        self.headers["x-standin-attempts"].to_str().unwrap()
    }
}

impl H2 {
    pub(crate) async fn to(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, at).await
    }

    /// Over a connection that is there.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        at: SocketAddr,
    ) -> Self {
        let (send, connection) = soon("a handshake", h2::client::handshake(stream))
            .await
            .unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        Self {
            send,
            at,
            connection: tasks,
        }
    }

    /// Begins a request whose body follows.
    pub(crate) async fn begin(
        &self,
        path: &str,
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        self.begin_with(path, &[]).await
    }

    /// The same, with these headers.
    pub(crate) async fn begin_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = Request::post(format!("http://{}{path}", self.at));
        let mut request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.unwrap();
        send.send_request(request.body(()).unwrap(), false).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let (answer, mut send) = self.begin(path).await;
        send.send_data(Bytes::copy_from_slice(body.as_bytes()), true)
            .unwrap();
        soon("an answer", taken(answer)).await.unwrap()
    }

    pub(crate) async fn chat(&self, models: &[&str], stream: bool) -> Answer {
        self.post(CHAT, &chat(models, stream)).await
    }

    /// Waits until the other end has said that it takes no more streams.
    pub(crate) async fn refused(&self) {
        let refused = async {
            while self.send.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        soon("a goodbye", refused).await;
        let error = self.send.clone().ready().await.map(drop).unwrap_err();
        assert!(error.is_go_away(), "{error}");
    }

    /// How the connection has ended.
    pub(crate) async fn ended(mut self) -> Result<(), h2::Error> {
        drop(self.send);
        let ended = soon("the connection's end", self.connection.join_next()).await;
        ended.unwrap().unwrap()
    }
}

pub(crate) async fn taken(answer: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

#[tokio::test]
async fn a_client_may_speak_http_2() {
    let mock = Mock::start(Reply::answer("Hello you")).await.unwrap();
    let house = House::before(&[("p", &mock)], "limits: { request_body: 8MiB }\n").await;
    let client = H2::to(house.at).await;
    let plain = client.chat(&["p/m"], false).await;
    assert_eq!((plain.status, &plain.json()["model"]), (200, &"p/m".into()));
    assert!(!plain.headers.contains_key("connection"));
    assert!(!plain.headers.contains_key("transfer-encoding"));
    let stream = client.chat(&["p/m"], true).await;
    assert!(stream.body.ends_with(b"data: [DONE]\n\n"));
    let large = chat(&["p/m"], false).replace("Hello", &"x".repeat(7 << 20));
    assert_eq!(client.post(CHAT, &large).await.status, 200);
    assert_eq!(mock.last().unwrap().body.len(), large.len() - 2);
    for (path, body, status, code) in [
        ("/none", "", 404, "not_found"),
        (CHAT, "{", 400, "bad_json"),
        (CHAT, "", 400, "bad_json"),
        ("/v1/models", "", 405, "method_not_allowed"),
    ] {
        let answer = client.post(path, body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["code"], code);
        assert!(answer.headers.contains_key("x-request-id"));
    }
    let larger = "x".repeat((8 << 20) + 1);
    let (answer, mut send) = client.begin(CHAT).await;
    // The stream may be refused before all of it is taken.
    let _ = send.send_data(larger.into(), true);
    assert_eq!(soon("an answer", taken(answer)).await.unwrap().status, 413);
    assert_eq!(client.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn streams_do_not_wait_for_each_other() {
    let mock = Mock::start(Script::by_model([
        ("m", Reply::answer("Hello you")),
        ("slow", Reply::answer("Hello you").stall(At::Event(2))),
    ]));
    let mock = mock.await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let client = H2::to(house.at).await;
    let (slow, mut send) = client.begin(CHAT).await;
    send.send_data(chat(&["p/slow"], true).into(), true)
        .unwrap();
    let slow = soon("a head", slow).await.unwrap();
    let mut answers = JoinSet::new();
    for turn in 0..50 {
        let is_stream = turn % 2 == 0;
        let (answer, mut send) = client.begin(CHAT).await;
        send.send_data(chat(&["p/m"], is_stream).into(), true)
            .unwrap();
        answers.spawn(taken(answer));
    }
    while let Some(answer) = soon("an answer", answers.join_next()).await {
        assert_eq!(answer.unwrap().unwrap().status, 200);
    }
    assert_eq!(mock.cancelled(), 0);
    // One that is reset cancels its own upstream and nobody else's.
    send.send_reset(Reason::CANCEL);
    drop(slow);
    soon("the cancel", mock.wait_cancelled(1)).await;
    assert_eq!(client.chat(&["p/m"], true).await.status, 200);
}

#[tokio::test]
async fn a_drain_says_goodbye_and_lets_streams_finish() {
    let mock = Mock::start(Script::by_model([(
        "slow",
        Reply::answer("Hello").stall(At::Start),
    )]));
    let mock = mock.await.unwrap();
    let times = "failover: { answer_timeout: 500ms }\n";
    let good = Mock::start(Reply::answer(&"word ".repeat(20_000)))
        .await
        .unwrap();
    let mut house = House::before(&[("p", &mock), ("good", &good)], times).await;
    let idle = H2::to(house.at).await;
    assert_eq!(idle.chat(&["good/m"], false).await.status, 200);
    let client = H2::to(house.at).await;
    let (answer, mut send) = client.begin(CHAT).await;
    send.send_data(chat(&["p/slow", "good/m"], false).into(), true)
        .unwrap();
    soon("the request", mock.wait_for(1)).await;
    house.signal("TERM");
    house.logged("draining: 1").await;
    idle.ended().await.unwrap();
    let answer = soon("the answer", taken(answer)).await.unwrap();
    assert_eq!(answer.walk(), "p/slow=timeout, good/m=200");
    assert_eq!(answer.json()["model"], "good/m");
    client.ended().await.unwrap();
    assert_eq!(house.ended().await.code(), Some(0));
}

async fn before(provider: &H2Provider, good: &Mock) -> House {
    let more = format!(
        "  h2: {{ base_url: \"http://{}/v1\", http: 2, api_key: k }}\n",
        provider.at
    );
    let times = "failover: { answer_timeout: 500ms }\n";
    House::start(&providers(&[("good", good)], &format!("{more}{times}"))).await
}

#[tokio::test]
async fn a_provider_may_speak_http_2() {
    let provider = H2Provider::start(|_, _| Act::Answer, None).await;
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = before(&provider, &good).await;
    let large = chat(&["h2/m"], false).replace("Hello", &"x".repeat(7 << 20));
    for body in [&chat(&["h2/m"], false), &large] {
        let answer = house.talk().await.post(CHAT, body).await;
        assert_eq!(answer.walk(), "h2/m=200", "{}", answer.text());
        let arrived = provider.arrived().pop().unwrap();
        assert_eq!(arrived.body, body.len() - 3);
        assert_eq!(arrived.request.uri().path(), CHAT);
        assert_eq!(
            arrived.request.uri().authority().unwrap().as_str(),
            provider.at.to_string()
        );
        assert_eq!(arrived.request.headers()["authorization"], "Bearer k");
        assert!(!arrived.request.headers().contains_key("host"));
    }
    let client = H2::to(house.at).await;
    assert_eq!(client.chat(&["h2/m"], false).await.status, 200);
    assert_eq!(provider.connections(), 1);
}

#[tokio::test]
async fn an_http_2_provider_that_breaks_falls_over() {
    let cases: [(Decide, &str); 3] = [
        (|_, _| Act::Reset(Reason::INTERNAL_ERROR), "reset"),
        (|_, _| Act::Stall, "timeout"),
        (|_, _| Act::EarlyBusy, "429"),
    ];
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    for (act, outcome) in cases {
        let provider = H2Provider::start(act, None).await;
        let house = before(&provider, &good).await;
        let (small, large) = ("Hello".to_owned(), "x".repeat(7 << 20));
        // A body that nobody takes runs into the request's own time.
        let says = match act(&Request::new(()), 0) {
            Act::Stall => vec![&small, &small],
            Act::Answer | Act::EarlyBusy | Act::GoAway | Act::Reset(_) => {
                vec![&small, &large, &large]
            }
        };
        for (nth, said) in says.into_iter().enumerate() {
            // Another model each time: of none of them is anything remembered.
            let model = format!("h2/m{nth}");
            let body = chat(&[&model, "good/m"], false).replace("Hello", said);
            let answer = house.talk().await.post(CHAT, &body).await;
            assert_eq!(answer.walk(), format!("{model}={outcome}, good/m=200"));
        }
        assert_eq!(provider.connections(), 1, "{outcome}");
    }
}

#[tokio::test]
async fn a_goodbye_before_the_answer_is_no_failure() {
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    for act in [
        (|_, n| if n % 3 == 1 { Act::GoAway } else { Act::Answer }) as Decide,
        |_, n| {
            if n % 3 == 1 {
                Act::Reset(Reason::REFUSED_STREAM)
            } else {
                Act::Answer
            }
        },
    ] {
        let provider = H2Provider::start(act, None).await;
        let house = before(&provider, &good).await;
        for _ in 0..6 {
            let answer = house.talk().await.chat(&["h2/m"], false).await;
            assert_eq!(answer.walk(), "h2/m=200", "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_stream_only() {
    let act = |request: &Request<()>, _| match request.headers().contains_key("x-stall") {
        true => Act::Stall,
        false => Act::Answer,
    };
    let provider = H2Provider::start(act, None).await;
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = format!(
        "  h2: {{ base_url: \"http://{}/v1\", http: 2 }}\n",
        provider.at
    );
    let house = House::start(&providers(&[("good", &good)], &more)).await;
    for turn in 1..=3 {
        let mut talk = house.talk().await;
        let body = chat(&["h2/m"], false);
        talk.request("POST", CHAT, &["x-stall: 1"], body.as_bytes())
            .await;
        provider.wait_begun(2 * turn - 1).await;
        drop(talk);
        provider.wait_cancelled(turn).await;
        assert_eq!(house.talk().await.chat(&["h2/m"], false).await.status, 200);
    }
    assert_eq!(provider.connections(), 1);
}

/// A certificate for `localhost` of a CA whose certificate is in the file.
fn certified(folder: &Folder, protocols: &[&str]) -> (TlsAcceptor, std::path::PathBuf) {
    let authority = Authority::new();
    let path = folder.write("ca.pem", &authority.pem);
    (authority.signs("localhost").server(protocols, None), path)
}

#[tokio::test]
async fn a_provider_over_tls_is_asked_in_the_best_http_it_speaks() {
    for (protocols, http, speaks_h2) in [
        (&["h2", "http/1.1"][..], "", true),
        (&["http/1.1"], "", false),
        (&["h2", "http/1.1"], ", http: 1", false),
        (&[], "", false),
    ] {
        let folder = Folder::new();
        let (tls, ca) = certified(&folder, protocols);
        let provider = H2Provider::start(|_, _| Act::Answer, Some(tls)).await;
        let port = provider.at.port();
        let yaml =
            format!("providers:\n  p: {{ base_url: \"https://localhost:{port}/v1\"{http} }}\n");
        let house = House::start_with(&yaml, |command| {
            command.env("SSL_CERT_FILE", &ca);
        });
        let house = house.await;
        for _ in 0..3 {
            let answer = house.talk().await.chat(&["p/m"], false).await;
            assert_eq!(answer.walk(), "p/m=200", "{protocols:?} {}", answer.text());
        }
        assert_eq!(provider.arrived().len(), if speaks_h2 { 3 } else { 0 });
        assert!(provider.connections() < 3, "{protocols:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_connect() {
    let folder = Folder::new();
    let (tls, ca) = certified(&folder, &["h2"]);
    let provider = H2Provider::start(|_, _| Act::Answer, Some(tls)).await;
    let good = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = format!(
        "  other: {{ base_url: \"https://{}/v1\" }}\n  unknown: {{ base_url: \"https://localhost:{}/v1\" }}\n",
        provider.at,
        provider.at.port()
    );
    let yaml = providers(&[("good", &good)], &more);
    // The name does not fit; and nobody known has signed it.
    for (env, models) in [
        (Some(&ca), ["other/m", "good/m"]),
        (None, ["unknown/m", "good/m"]),
    ] {
        let house = House::start_with(&yaml, |command| {
            if let Some(ca) = env {
                command.env("SSL_CERT_FILE", ca);
            }
        });
        let answer = house.await.talk().await.chat(&models, false).await;
        assert_eq!(answer.walk(), format!("{}=connect, good/m=200", models[0]));
    }
    assert!(provider.arrived().is_empty());
}
