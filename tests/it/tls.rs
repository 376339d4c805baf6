//! TLS for clients: the handshake and who is refused in it, both versions of
//! HTTP, certificates that change, and ends that are said.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use standin::mock::{At, Mock, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{HandshakeKind, version};

use crate::authority::{Authority, BOTH};
use crate::house::{Folder, House, providers, soon};
use crate::http2::{H2, taken};
use crate::raw::Raw;
use crate::talk::{Talk, chat};

const CHAT: &str = "/v1/chat/completions";

/// A house whose only door speaks TLS, as `localhost`.
struct Secure {
    house: House,
    authority: Authority,
    folder: Folder,
    /// All of its configuration.
    yaml: String,
}

impl Secure {
    /// With more of the door's `tls`, and more below.
    async fn start(providers: &str, tls: &str, more: &str) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let [key, cert] = authority.signs("localhost").write(&folder, "tls");
        folder.write("ca.crt", &authority.pem);
        let tls = tls.replace("FOLDER", &folder.file("").display().to_string());
        let yaml = format!(
            "listen: {{ address: 127.0.0.1:0, tls: {{ cert_file: {}, key_file: {}{tls} }} }}\n{providers}{more}",
            cert.display(),
            key.display()
        );
        Self {
            house: House::start(&yaml).await,
            authority,
            folder,
            yaml,
        }
    }

    async fn before(mock: &Mock) -> Self {
        Self::start(&providers(&[("p", mock)], ""), "", "").await
    }

    async fn by(&self, client: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        meet(client, self.house.at).await
    }

    /// A connection that speaks HTTP/1.1.
    async fn talk(&self) -> Talk<TlsStream<TcpStream>> {
        let client = self.authority.client(&BOTH, &["http/1.1"], None);
        Talk::over(self.by(&client).await.unwrap(), self.house.at)
    }

    /// A connection that speaks HTTP/2.
    async fn h2(&self) -> H2 {
        let client = self.authority.client(&BOTH, &["h2"], None);
        let stream = self.by(&client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        H2::over(stream, self.house.at).await
    }

    /// The certificate that it shows.
    async fn shows(&self) -> Vec<u8> {
        let any = Arc::clone(self.authority.client(&BOTH, &[], None).config());
        let mut any = (*any).clone();
        any.dangerous()
            .set_certificate_verifier(Arc::new(believer::Believer));
        let stream = self.by(&TlsConnector::from(Arc::new(any))).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap();
        shown[0].to_vec()
    }

    async fn reload(&self) -> (u16, String) {
        let told = Talk::to(self.house.admin).await.post("/-/reload", "").await;
        (told.status, told.text())
    }
}

async fn meet(client: &TlsConnector, at: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(at).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").unwrap();
    soon("a handshake", client.connect(name, tcp)).await
}

/// Takes any certificate: what is shown is what is asked.
mod believer {
    use tokio_rustls::rustls::client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    };
    use tokio_rustls::rustls::crypto::ring::default_provider;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Believer;

    impl ServerCertVerifier for Believer {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_both_of_tls() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    for version in BOTH {
        for (offers, agreed) in [
            (&["http/1.1"][..], Some(&b"http/1.1"[..])),
            (&[], None),
            (&["http/1.1", "h2"], Some(b"h2")),
            (&["h2"], Some(b"h2")),
        ] {
            let client = secure.authority.client(&[version], offers, None);
            let stream = secure.by(&client).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offers:?}");
            if agreed == Some(b"h2") {
                let h2 = H2::over(stream, secure.house.at).await;
                for stream in [false, true] {
                    let answer = h2.chat(&["p/m"], stream).await;
                    assert_eq!((answer.status, answer.walk()), (200, "p/m=200"));
                }
            } else {
                let mut talk = Talk::over(stream, secure.house.at);
                for stream in [false, true, false] {
                    let answer = talk.chat(&["p/m"], stream).await;
                    assert_eq!((answer.status, answer.walk()), (200, "p/m=200"));
                }
            }
        }
    }
    // Nothing that both speak.
    let odd = secure.authority.client(&BOTH, &["spdy/3"], None);
    assert!(secure.by(&odd).await.is_err());
    // Nobody that the client believes.
    let other = Authority::new().client(&BOTH, &[], None);
    assert!(secure.by(&other).await.is_err());
    secure
        .house
        .logged_again("a handshake that failed", 2)
        .await;
    assert!(mock.connections() < 4, "{}", mock.connections());
}

/// A ClientHello of a version (RFC 5246 section 7.4.1.2).
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]);
    // No session; AES in two old ways; no compression; P-256 for all.
    hello.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    hello.extend([0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 0x17]);
    let size = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, size + 4, 1, 0, 0, size];
    record.extend(hello);
    record
}

#[tokio::test]
async fn what_is_too_old_or_no_handshake_is_refused() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    let too_old = Some(70); // protocol_version, RFC 8446 section 6
    for (nth, (bad, alert)) in [
        (hello([3, 2]), too_old),
        (hello([3, 1]), too_old),
        (hello([3, 0]), too_old),
        // Ciphers that nobody should speak any more.
        (hello([3, 3]), Some(40)),
        // A record that is too long, and one of nonsense.
        (vec![0x16, 3, 1, 0xff, 0xff, 1], None),
        ([&[0x16, 3, 1, 0, 40][..], &[0xee; 40]].concat(), None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut tcp = TcpStream::connect(secure.house.at).await.unwrap();
        tcp.write_all(&bad).await.unwrap();
        let mut said = Vec::new();
        let _ = soon("its end", tcp.read_to_end(&mut said)).await;
        if alert.is_some() {
            let [0x15, _, _, 0, 2, 2, why] = said[..] else {
                panic!("{nth}: {said:x?} is no alert");
            };
            assert_eq!(Some(why), alert, "{nth}");
        }
        let house = &secure.house;
        house.logged_again("a handshake that failed", nth + 1).await;
    }
    assert_eq!(secure.talk().await.chat(&["p/m"], false).await.status, 200);
    let metrics = Talk::to(secure.house.admin).await.get("/metrics").await;
    let count = "\nstandin_tls_handshakes_failed_total 6\n";
    assert!(metrics.text().contains(count), "{}", metrics.text());
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_what_is_spoken() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    let mut talk = secure.house.talk().await;
    let told = talk.chat(&["p/m"], false).await;
    assert_eq!((told.status, &*told.code()), (400, "speaks_tls"));
    assert_eq!(told.json()["error"]["type"], "invalid_request_error");
    assert_eq!(told.header("connection"), Some("close"));
    assert!(told.header("x-request-id").is_some());
    talk.closed().await;
    let mut talk = secure.house.talk().await;
    talk.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(talk.answer().await.code(), "speaks_tls");
    // The admin port stays plain.
    let mut admin = Talk::to(secure.house.admin).await;
    assert_eq!(admin.get("/healthz").await.status, 200);
    assert_eq!(mock.connections(), 0);
}

#[tokio::test]
async fn a_handshake_and_the_first_head_have_one_time() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let limits = "limits: { header_timeout: 700ms, connections: 1 }\n";
    let secure = Secure::start(&providers(&[("p", &mock)], limits), "", "").await;
    // Nothing at all; half of a ClientHello; a whole one and no more.
    for (nth, said) in [&[][..], &hello([3, 3])[..20], &[0x16]]
        .into_iter()
        .enumerate()
    {
        let mut stalls = secure.house.talk().await;
        stalls.send(said).await;
        stalls.closed().await;
        let late = "a handshake that took too long";
        secure.house.logged_again(late, nth + 1).await;
    }
    // The only place has come back.
    let mut half = secure.talk().await;
    half.send("POST /v1/chat/completions HTTP/1.1\r\nhost")
        .await;
    let told = half.answer().await;
    assert_eq!((told.status, &*told.code()), (408, "request_timeout"));
    drop(half);
    // It counts from before the handshake: one that has said nothing takes it.
    let full = loop {
        let mut silent = secure.house.talk().await;
        let client = secure.authority.client(&BOTH, &[], None);
        let Ok(stream) = secure.by(&client).await else {
            continue;
        };
        let mut talk = Talk::over(stream, secure.house.at);
        let told = talk.get("/v1/models").await;
        silent.send([0x16]).await;
        if told.status != 200 {
            break told;
        }
    };
    assert_eq!((full.status, &*full.code()), (503, "overloaded"));
}

#[tokio::test]
async fn a_client_may_have_to_show_who_it_is() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = ", client_ca_file: FOLDERca.crt";
    let secure = Secure::start(&providers(&[("p", &mock)], ""), more, "").await;
    let known = secure.authority.signs("client");
    let unknown = Authority::new().signs("client");
    for version in BOTH {
        for (shows, is_let_in) in [(Some(&known), true), (None, false), (Some(&unknown), false)] {
            let client = secure.authority.client(&[version], &["http/1.1"], shows);
            let met = secure.by(&client).await;
            if is_let_in {
                let mut talk = Talk::over(met.unwrap(), secure.house.at);
                assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
                continue;
            }
            // With TLS 1.3 the client hears of it behind its own handshake.
            if let Ok(mut stream) = met {
                let _ = stream
                    .write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
                    .await;
                let mut come = Vec::new();
                let end = soon("its end", stream.read_to_end(&mut come)).await;
                assert!(end.is_err() && come.is_empty(), "{end:?} {come:?}");
            }
        }
    }
    secure
        .house
        .logged_again("a handshake that failed", 4)
        .await;
    // By then such a door needs no key, wherever it is.
    let public = secure.yaml.replace("127.0.0.1:0", "0.0.0.0:0");
    secure.house.rewrite(&public);
    assert_eq!(secure.reload().await.0, 200);
    // And one that asks nobody does.
    let ca = secure.folder.file("ca.crt").display().to_string();
    let anybody = public.replace(&format!(", client_ca_file: {ca}"), "");
    assert_ne!(anybody, public);
    secure.house.rewrite(&anybody);
    assert_eq!(secure.reload().await.0, 422);
}

#[tokio::test]
async fn who_has_to_show_a_certificate_shows_it_each_time() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = ", client_ca_file: FOLDERca.crt";
    let secure = Secure::start(&providers(&[("p", &mock)], ""), more, "").await;
    let known = secure.authority.signs("client");
    for version in BOTH {
        let client = secure
            .authority
            .client(&[version], &["http/1.1"], Some(&known));
        for _ in 0..3 {
            let mut talk = Talk::over(secure.by(&client).await.unwrap(), secure.house.at);
            assert_eq!(talk.get("/v1/models").await.status, 200);
            // A resumed one would not be asked whether it is still valid.
            let kind = talk.stream.get_ref().1.handshake_kind();
            assert_ne!(kind, Some(HandshakeKind::Resumed), "{version:?}");
        }
    }
}

#[tokio::test]
async fn who_came_before_certificates_were_asked_for_has_to_come_anew() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    let (mut talk, h2) = (secure.talk().await, secure.h2().await);
    assert_eq!(talk.get("/v1/models").await.status, 200);
    assert_eq!(h2.chat(&["p/m"], false).await.status, 200);
    let ca = secure.folder.file("ca.crt").display().to_string();
    let asks = secure
        .yaml
        .replace(" } }\n", &format!(", client_ca_file: {ca} }} }}\n"));
    assert_ne!(asks, secure.yaml);
    secure.house.rewrite(&asks);
    assert_eq!(secure.reload().await.0, 200);
    let refused = talk.chat(&["p/m"], false).await;
    assert_eq!((refused.status, &*refused.code()), (400, "speaks_tls"));
    assert_eq!(h2.chat(&["p/m"], false).await.status, 400);
    assert_eq!(mock.seen().len(), 1);
    let known = secure.authority.signs("client");
    let client = secure.authority.client(&BOTH, &["http/1.1"], Some(&known));
    let mut talk = Talk::over(secure.by(&client).await.unwrap(), secure.house.at);
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    // Whoever has shown one is served on.
    assert_eq!(secure.reload().await.0, 200);
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
}

#[tokio::test]
async fn a_certificate_changes_under_a_stream() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let secure = Secure::start(&yaml, "", "").await;
    let mut talk = secure.talk().await;
    talk.request("POST", CHAT, &[], chat(&["p/m"], true).as_bytes())
        .await;
    let mut wire = raw.accept().await;
    wire.request().await;
    wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        .await;
    let event = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    wire.send(event("one")).await;
    assert_eq!(talk.head().await.0, 200);
    assert!(
        String::from_utf8(talk.chunk().await.unwrap())
            .unwrap()
            .contains("one")
    );
    // By another file, which the process finds by itself.
    let second = secure.authority.signs("localhost");
    second.write(&secure.folder, "tls");
    secure.house.logged("read again").await;
    assert!(second.is(&secure.shows().await));
    // A bad one is told once, and the old one stays.
    std::fs::write(secure.folder.file("tls.crt"), "nonsense").unwrap();
    secure
        .house
        .logged("CERTIFICATE-----`; the old one stays")
        .await;
    assert!(second.is(&secure.shows().await));
    let (status, why) = secure.reload().await;
    assert_eq!(status, 422);
    assert!(why.contains("tls.crt` holds no certificate"), "{why}");
    // Half of a pair is as bad.
    let third = secure.authority.signs("localhost");
    std::fs::write(secure.folder.file("tls.crt"), &third.certificate).unwrap();
    secure
        .house
        .logged("does not belong to the certificate")
        .await;
    let (status, why) = secure.reload().await;
    assert!(status == 422 && why.contains("does not belong"), "{why}");
    assert!(second.is(&secure.shows().await));
    std::fs::write(secure.folder.file("tls.key"), &third.key).unwrap();
    secure.house.logged_again("read again", 2).await;
    assert!(third.is(&secure.shows().await));
    // And by a reload, to other files.
    let fourth = secure.authority.signs("localhost");
    fourth.write(&secure.folder, "other");
    let moved = secure
        .yaml
        .replace("tls.crt", "other.crt")
        .replace("tls.key", "other.key");
    secure.house.rewrite(&moved);
    assert_eq!(secure.reload().await.0, 200);
    assert!(fourth.is(&secure.shows().await));
    // All the while the stream is there.
    wire.send(event("two")).await;
    assert!(
        String::from_utf8(talk.chunk().await.unwrap())
            .unwrap()
            .contains("two")
    );
    let log = secure.house.log().join("\n");
    assert_eq!(
        log.matches("CERTIFICATE-----`; the old one stays").count(),
        1
    );
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[tokio::test]
async fn tls_comes_and_goes_at_an_address_that_stays_open() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    let (tls, at) = (secure.yaml.clone(), secure.house.at);
    let plain = providers(&[("p", &mock)], "listen: 127.0.0.1:0\n");
    let mut old = secure.talk().await;
    for _ in 0..3 {
        secure.house.rewrite(&plain);
        assert_eq!(secure.reload().await.0, 200);
        assert_eq!(Talk::to(at).await.chat(&["p/m"], false).await.status, 200);
        secure.house.rewrite(&tls);
        assert_eq!(secure.reload().await.0, 200);
        assert_eq!(secure.talk().await.chat(&["p/m"], false).await.status, 200);
        assert_eq!(Talk::to(at).await.chat(&["p/m"], false).await.status, 400);
        assert_eq!(old.chat(&["p/m"], false).await.status, 200);
    }
    // Both beside each other, told apart by their order.
    let both = tls
        .replace("listen: {", "listen: [127.0.0.1:0, {")
        .replace(" } }\n", " } }]\n");
    secure.house.rewrite(&both);
    assert_eq!(secure.reload().await.0, 200);
    let second = secure.house.logged_again("listening on ", 2).await;
    let second: SocketAddr = second
        .split("listening on ")
        .nth(1)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert_eq!(Talk::to(at).await.chat(&["p/m"], false).await.status, 200);
    let client = secure.authority.client(&BOTH, &[], None);
    let mut talk = Talk::over(meet(&client, second).await.unwrap(), second);
    assert_eq!(talk.chat(&["p/m"], false).await.status, 200);
    let log = secure.house.log().join("\n");
    assert!(!log.contains("no more listening"), "{log}");
}

#[tokio::test]
async fn sessions_are_resumed_also_after_a_reload() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    for version in BOTH {
        let client = secure.authority.client(&[version], &["http/1.1"], None);
        for wanted in [false, true, true] {
            let stream = secure.by(&client).await.unwrap();
            let mut talk = Talk::over(stream, secure.house.at);
            // Tickets come with the answer.
            assert_eq!(talk.get("/v1/models").await.status, 200);
            let kind = talk.stream.get_ref().1.handshake_kind();
            assert_eq!(kind == Some(HandshakeKind::Resumed), wanted, "{version:?}");
            assert_eq!(secure.reload().await.0, 200);
        }
    }
}

#[tokio::test]
async fn a_connection_ends_with_a_word() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    for lines in [
        &["connection: close"][..],
        &["content-type: text/plain", "connection: close"],
    ] {
        let mut talk = secure.talk().await;
        talk.request("POST", CHAT, lines, chat(&["p/m"], false).as_bytes())
            .await;
        talk.answer().await;
        let read = soon("its end", talk.stream.read(&mut [0])).await;
        assert!(matches!(read, Ok(0)), "{read:?}");
    }
    // A head that is none.
    let mut talk = secure.talk().await;
    talk.send("nonsense\r\n\r\n").await;
    assert_eq!(talk.answer().await.status, 400);
    assert!(matches!(
        soon("its end", talk.stream.read(&mut [0])).await,
        Ok(0)
    ));
}

#[tokio::test]
async fn an_answer_that_only_ends_with_its_connection_is_cut_without_a_word() {
    // Too large to be held until its end.
    let reply = Reply::completion(&"x".repeat(3 << 20)).cut(At::Byte(2 << 20));
    let mock = Mock::start(reply).await.unwrap();
    let secure = Secure::before(&mock).await;
    let client = secure.authority.client(&BOTH, &["http/1.1"], None);
    let mut stream = secure.by(&client).await.unwrap();
    let body = chat(&["p/m"], false);
    let head = format!(
        "POST {CHAT} HTTP/1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut come = Vec::new();
    let end = soon("its end", stream.read_to_end(&mut come)).await;
    assert!(come.starts_with(b"HTTP/1.1 200"));
    assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn who_leaves_or_raves_in_the_middle_harms_nobody() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let secure = Secure::before(&mock).await;
    let mut other = secure.talk().await;
    // Half a body, and gone without a word.
    let mut talk = secure.talk().await;
    talk.send(format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{{"
    ))
    .await;
    drop(talk.stream.into_inner().0);
    secure.house.logged("client_gone").await;
    // What no key has sealed.
    let mut talk = secure.talk().await;
    assert_eq!(talk.get("/v1/models").await.status, 200);
    let (mut tcp, _) = talk.stream.into_inner();
    tcp.write_all(&[0x17, 3, 3, 0, 20]).await.unwrap();
    tcp.write_all(&[0xaa; 20]).await.unwrap();
    let mut said = Vec::new();
    soon("its end", tcp.read_to_end(&mut said)).await.unwrap();
    assert_eq!(other.chat(&["p/m"], false).await.status, 200);
    assert_eq!(mock.counts().seen, 1);
}

/// Counts the records of a client's TLS 1.2 that carry what is said.
struct Counting {
    tcp: TcpStream,
    records: Arc<AtomicUsize>,
    head: Vec<u8>,
    left: usize,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, into);
        for byte in &into.filled()[before..] {
            if self.left > 0 {
                self.left -= 1;
                continue;
            }
            self.head.push(*byte);
            if let [kind, _, _, high, low] = self.head[..] {
                self.left = usize::from(high) << 8 | usize::from(low);
                self.records
                    .fetch_add(usize::from(kind == 0x17), Ordering::Relaxed);
                self.head.clear();
            }
        }
        read
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

#[tokio::test]
async fn an_answer_is_one_record_and_each_event_is_one_when_it_comes() {
    let raw = Raw::start().await;
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let secure = Secure::start(&yaml, "", "").await;
    let records = Arc::new(AtomicUsize::new(0));
    let came = || records.swap(0, Ordering::Relaxed);
    let counting = Counting {
        tcp: TcpStream::connect(secure.house.at).await.unwrap(),
        records: Arc::clone(&records),
        head: Vec::new(),
        left: 0,
    };
    let client = secure
        .authority
        .client(&[&version::TLS12], &["http/1.1"], None);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = client.connect(name, counting).await.unwrap();
    let mut talk = Talk::over(stream, secure.house.at);
    // Head and body, whose pieces are not copied together, in one.
    let ask = |stream| chat(&["p/m"], stream);
    talk.request("POST", CHAT, &[], ask(false).as_bytes()).await;
    let mut wire = raw.accept().await;
    wire.request().await;
    wire.answer(200, &crate::raw::said("m", &"x".repeat(8 << 10)))
        .await;
    assert_eq!(talk.answer().await.status, 200);
    assert_eq!(came(), 1);
    talk.request("POST", CHAT, &[], ask(true).as_bytes()).await;
    wire.request().await;
    wire.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        .await;
    for nth in 0..20 {
        let event = format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{nth} \"}}}}]}}\n\n"
        );
        // The next one is sent only when this one has come.
        wire.send(&event).await;
        if nth == 0 {
            assert_eq!(talk.head().await.0, 200);
        }
        let chunk = talk.chunk().await.unwrap();
        assert!(
            String::from_utf8(chunk)
                .unwrap()
                .contains(&format!("\"{nth} \""))
        );
        assert_eq!(came(), 1, "{nth}");
    }
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let text = "y".repeat(8 << 20);
    let mock = Mock::start(Reply::completion(&text)).await.unwrap();
    let secure = Secure::before(&mock).await;
    let body = serde_json::json!({
        "model": "p/m", "messages": [{"role": "user", "content": "z".repeat(8 << 20)}],
    });
    let body = body.to_string();
    let mut talk = secure.talk().await;
    let answer = talk.post(CHAT, &body).await;
    assert!(answer.whole && answer.status == 200);
    assert!(answer.text().contains(&text));
    let h2 = secure.h2().await;
    let (answer, mut send) = h2.begin(CHAT).await;
    send.send_data(body.clone().into(), true).unwrap();
    let answer = soon("an answer", taken(answer)).await.unwrap();
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        text.as_str()
    );
    let sizes: Vec<usize> = mock.seen().iter().map(|seen| seen.body.len()).collect();
    assert!(sizes.iter().all(|size| *size > 8 << 20), "{sizes:?}");
}

#[tokio::test]
async fn a_drain_finishes_what_is_begun_and_says_goodbye() {
    let mock = Mock::start(Reply::answer("Hello you").stall(At::Event(2)))
        .await
        .unwrap();
    let raw = Raw::start().await;
    let more = format!("  q: {{ base_url: \"{}\" }}\n", raw.base_url());
    let mut secure = Secure::start(&providers(&[("p", &mock)], &more), "", "").await;
    let mut idle = secure.talk().await;
    assert_eq!(idle.get("/v1/models").await.status, 200);
    let silent = secure.talk().await;
    let h2 = secure.h2().await;
    let (answer, mut send) = h2.begin(CHAT).await;
    send.send_data(chat(&["q/m"], false).into(), true).unwrap();
    let mut wire = raw.accept().await;
    wire.request().await;
    let mut talk = secure.talk().await;
    talk.request("POST", CHAT, &[], chat(&["q/m"], false).as_bytes())
        .await;
    let mut second = raw.accept().await;
    second.request().await;
    secure.house.signal("TERM");
    secure.house.logged("draining: 2 requests in flight").await;
    assert!(matches!(
        soon("its end", idle.stream.read(&mut [0])).await,
        Ok(0)
    ));
    drop(silent);
    wire.answer(200, &crate::raw::said("m", "Hello")).await;
    assert_eq!(soon("an answer", taken(answer)).await.unwrap().status, 200);
    h2.refused().await;
    second.answer(200, &crate::raw::said("m", "Hello")).await;
    let last = talk.answer().await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert!(matches!(
        soon("its end", talk.stream.read(&mut [0])).await,
        Ok(0)
    ));
    assert_eq!(secure.house.ended().await.code(), Some(0));
}
