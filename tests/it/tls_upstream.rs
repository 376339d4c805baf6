//! TLS towards providers: who vouches for them, what they are shown, and for
//! which name.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use standin::mock::{Mock, Reply};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::HandshakeKind;

use crate::authority::{Authority, Pair};
use crate::h2_provider::{Act, H2Provider};
use crate::house::{Folder, House, providers};
use crate::talk::Talk;

/// TLS in front of a mock, which stays plain behind it.
struct Curtain {
    port: u16,
    /// How each handshake went, and the certificate that was shown in it.
    met: Arc<Mutex<Vec<Met>>>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Met {
    kind: Option<HandshakeKind>,
    shown: Option<Vec<u8>>,
    name: Option<String>,
}

impl Curtain {
    async fn start(tls: TlsAcceptor, mock: &Mock) -> Self {
        Self::at("127.0.0.1:0", tls, mock.addr()).await
    }

    async fn at(address: &str, tls: TlsAcceptor, behind: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let met = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&met);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut tasks = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                tcp.set_nodelay(true).unwrap();
                let (tls, all) = (tls.clone(), Arc::clone(&all));
                tasks.spawn(async move {
                    // Who does not believe it ends it here.
                    let Ok(mut stream) = tls.accept(tcp).await else {
                        return;
                    };
                    let session = stream.get_ref().1;
                    let shown = session.peer_certificates();
                    all.lock().unwrap().push(Met {
                        kind: session.handshake_kind(),
                        shown: shown.map(|chain| chain[0].to_vec()),
                        name: session.server_name().map(str::to_owned),
                    });
                    let mut plain = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut plain).await;
                });
            }
        });
        Self {
            port,
            met,
            _tasks: tasks,
        }
    }

    fn met(&self) -> Vec<Met> {
        self.met.lock().unwrap().clone()
    }
}

async fn walk(house: &House, models: &[&str]) -> String {
    let answer = house.talk().await.chat(models, false).await;
    answer.walk().to_owned()
}

#[tokio::test]
async fn a_provider_is_believed_by_its_own_authority_and_by_no_other() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = folder.write("ca.crt", &authority.pem);
    let other = folder.write("other.crt", &Authority::new().pem);
    let h1 = authority.signs("localhost").server(&["http/1.1"], None);
    let h1 = Curtain::start(h1, &mock).await;
    let h2 = authority.signs("localhost").server(&["h2"], None);
    let h2 = H2Provider::start(|_, _| Act::Answer, Some(h2)).await;
    let mut more = String::new();
    for (name, port) in [("one", h1.port), ("two", h2.at.port())] {
        for (name, tls) in [
            (
                name.to_owned(),
                format!(", tls: {{ ca_file: {} }}", ca.display()),
            ),
            (
                format!("{name}-other"),
                format!(", tls: {{ ca_file: {} }}", other.display()),
            ),
            (format!("{name}-public"), String::new()),
        ] {
            more += &format!("  {name}: {{ base_url: \"https://localhost:{port}/v1\"{tls} }}\n");
        }
    }
    let house = House::start(&providers(&[("good", &mock)], &more)).await;
    for name in ["one", "two"] {
        for _ in 0..3 {
            let good = format!("{name}/m");
            assert_eq!(walk(&house, &[&good]).await, format!("{good}=200"));
        }
        // Though there is an idle connection to the very address.
        for bad in [format!("{name}-other/m"), format!("{name}-public/m")] {
            let walked = walk(&house, &[&bad, "good/m"]).await;
            assert_eq!(walked, format!("{bad}=connect, good/m=200"));
        }
    }
    house.logged_again("TLS: invalid peer certificate", 4).await;
    assert!(
        h1.met().len() < 3 && h2.connections() < 5,
        "some are reused"
    );
    assert_eq!(h1.met()[0].name.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn the_certificate_is_for_the_name_or_the_address() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = folder.write("ca.crt", &authority.pem);
    let mut curtains = Vec::new();
    let mut more = String::new();
    let mut expected = Vec::new();
    for (nth, (listens, host, signed, is_good)) in [
        ("127.0.0.1:0", "127.0.0.1", "127.0.0.1", true),
        ("127.0.0.1:0", "127.0.0.1", "127.0.0.2", false),
        ("127.0.0.1:0", "127.0.0.1", "localhost", false),
        ("127.0.0.1:0", "localhost", "localhost", true),
        ("127.0.0.1:0", "localhost", "127.0.0.1", false),
        ("127.0.0.1:0", "localhost", "example.com", false),
        ("[::1]:0", "[::1]", "::1", true),
        ("[::1]:0", "[::1]", "127.0.0.1", false),
    ]
    .into_iter()
    .enumerate()
    {
        let tls = authority.signs(signed).server(&["http/1.1"], None);
        let curtain = Curtain::at(listens, tls, mock.addr()).await;
        more += &format!(
            "  p{nth}: {{ base_url: \"https://{host}:{}/v1\", tls: {{ ca_file: {} }} }}\n",
            curtain.port,
            ca.display()
        );
        curtains.push(curtain);
        expected.push((listens.replace(":0", ""), signed, is_good));
    }
    let house = House::start(&providers(&[("good", &mock)], &more)).await;
    for (nth, (ip, signed, is_good)) in expected.into_iter().enumerate() {
        let model = format!("p{nth}/m");
        let walked = walk(&house, &[&model, "good/m"]).await;
        if is_good {
            assert_eq!(walked, format!("{model}=200"));
        } else {
            assert_eq!(walked, format!("{model}=connect, good/m=200"));
            let at = format!("{ip}:{}", curtains[nth].port);
            let line = house.logged(&format!("connecting to {at}: TLS: ")).await;
            assert!(
                line.contains("not valid for name") && line.contains(signed),
                "{line}"
            );
        }
    }
    // An address is no name that could be asked for (RFC 6066 section 3).
    assert_eq!(curtains[0].met()[0].name, None);
}

fn client_tls(folder: &Folder, ca: &str, name: &str) -> String {
    let file = |name: &str| folder.file(name).display().to_string();
    format!(
        "tls: {{ ca_file: {}, cert_file: {}, key_file: {} }}",
        file(ca),
        file(&format!("{name}.crt")),
        file(&format!("{name}.key"))
    )
}

#[tokio::test]
async fn a_provider_may_ask_who_comes() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    folder.write("ca.crt", &authority.pem);
    let known = authority.signs("client");
    known.write(&folder, "known");
    Authority::new().signs("client").write(&folder, "unknown");
    let server = |protocols: &[&str]| {
        authority
            .signs("localhost")
            .server(protocols, Some(&authority))
    };
    let h1 = Curtain::start(server(&["http/1.1"]), &mock).await;
    let h2 = H2Provider::start(|_, _| Act::Answer, Some(server(&["h2", "http/1.1"]))).await;
    let mut more = String::new();
    let ca = format!("tls: {{ ca_file: {} }}", folder.file("ca.crt").display());
    for (name, port) in [("one", h1.port), ("two", h2.at.port())] {
        for (which, tls) in [
            ("known", client_tls(&folder, "ca.crt", "known")),
            ("unknown", client_tls(&folder, "ca.crt", "unknown")),
            ("none", ca.clone()),
        ] {
            more += &format!(
                "  {name}-{which}: {{ base_url: \"https://localhost:{port}/v1\", {tls} }}\n"
            );
        }
    }
    let house = House::start(&providers(&[("good", &mock)], &more)).await;
    for name in ["one", "two"] {
        let known = format!("{name}-known/m");
        assert_eq!(walk(&house, &[&known]).await, format!("{known}=200"));
        for which in ["unknown", "none"] {
            let bad = format!("{name}-{which}/m");
            // With TLS 1.3 it is refused behind our own handshake.
            let walked = walk(&house, &[&bad, "good/m"]).await;
            let (connect, reset) = (
                format!("{bad}=connect, good/m=200"),
                format!("{bad}=reset, good/m=200"),
            );
            assert!(walked == connect || walked == reset, "{walked}");
        }
    }
    assert!(
        h1.met()
            .iter()
            .all(|met| known.is(met.shown.as_ref().unwrap()))
    );
    assert_eq!(h2.arrived().len(), 1);
    let log = house.log().join("\n");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

#[tokio::test]
async fn sessions_are_resumed_with_an_own_authority_too() {
    let mock = Mock::start(Reply::answer("Hello").header("connection", "close"))
        .await
        .unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = folder.write("ca.crt", &authority.pem);
    let tls = authority.signs("localhost").server(&["http/1.1"], None);
    let curtain = Curtain::start(tls, &mock).await;
    let yaml = format!(
        "providers:\n  p: {{ base_url: \"https://localhost:{}/v1\", tls: {{ ca_file: {} }} }}\n",
        curtain.port,
        ca.display()
    );
    let house = House::start(&yaml).await;
    for _ in 0..3 {
        assert_eq!(walk(&house, &["p/m"]).await, "p/m=200");
        let told = Talk::to(house.admin).await.post("/-/reload", "").await;
        assert_eq!(told.status, 200);
    }
    let kinds: Vec<_> = curtain.met().iter().map(|met| met.kind).collect();
    let (full, again) = (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed));
    assert_eq!(kinds, [full, again, again]);
}

#[tokio::test]
async fn what_is_shown_changes_with_its_files() {
    for protocols in [&["http/1.1"][..], &["h2"]] {
        let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
        let h2 = H2Provider::start(|_, _| Act::Answer, None).await;
        let (folder, authority) = (Folder::new(), Authority::new());
        folder.write("ca.crt", &authority.pem);
        let pairs: [Pair; 3] = [(), (), ()].map(|()| authority.signs("client"));
        pairs[0].write(&folder, "client");
        let tls = authority
            .signs("localhost")
            .server(protocols, Some(&authority));
        let behind = if protocols == ["h2"] {
            h2.at
        } else {
            mock.addr()
        };
        let curtain = Curtain::at("127.0.0.1:0", tls, behind).await;
        let yaml = |name: &str| {
            let (port, tls) = (curtain.port, client_tls(&folder, "ca.crt", name));
            format!("providers:\n  p: {{ base_url: \"https://localhost:{port}/v1\", {tls} }}\n")
        };
        let house = House::start(&yaml("client")).await;
        // Asks some times, and says who was shown, by the end, how often.
        let shown = async || {
            for _ in 0..4 {
                assert_eq!(walk(&house, &["p/m"]).await, "p/m=200");
            }
            let met = curtain.met();
            let is = |pair: &Pair| {
                let shown = met.iter().filter_map(|met| met.shown.as_ref());
                shown.filter(|shown| pair.is(shown)).count()
            };
            [is(&pairs[0]), is(&pairs[1]), is(&pairs[2])]
        };
        let reload = async || Talk::to(house.admin).await.post("/-/reload", "").await;
        let first = shown().await;
        assert!((1..4).contains(&first[0]), "{first:?}: some are reused");
        // Nobody asks with the old one any more, though it is still good.
        pairs[1].write(&folder, "client");
        house.logged("certificates for localhost read again").await;
        let second = shown().await;
        assert!(second[0] == first[0] && second[1] > 0, "{second:?}");
        // A bad one changes nothing, nor does a reload that has it.
        std::fs::write(folder.file("client.key"), "nonsense").unwrap();
        house.logged("the old ones stay").await;
        let told = reload().await;
        let why = told.text();
        assert!(
            told.status == 422 && why.contains("holds no private key"),
            "{why}"
        );
        let third = shown().await;
        assert!(third[0] == first[0] && third[2] == 0, "{third:?}");
        // A reload to other files; and one that leaves all as it is.
        pairs[2].write(&folder, "third");
        house.rewrite(&yaml("third"));
        assert_eq!(reload().await.status, 200);
        let fourth = shown().await;
        assert!(fourth[..2] == third[..2] && fourth[2] > 0, "{fourth:?}");
        assert_eq!(reload().await.status, 200);
        let fifth = shown().await;
        assert!(
            fifth[..2] == third[..2] && fifth[2] < fourth[2] + 4,
            "{fifth:?}"
        );
    }
}
