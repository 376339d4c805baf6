//! The page of the admin port, and what it is told as it happens.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use standin::mock::{At, Mock, Reply, Script};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::house::{House, providers, soon};
use crate::talk::{Answer, Talk};

/// One who looks at `/-/live`.
struct Viewer {
    talk: Talk,
    /// Come and not taken yet.
    text: String,
}

impl Viewer {
    async fn of(house: &House) -> Self {
        Self::with(house, &[]).await
    }

    async fn with(house: &House, headers: &[&str]) -> Self {
        let mut viewer = Self {
            talk: Talk::to(([127, 0, 0, 1], house.admin.port()).into()).await,
            text: String::new(),
        };
        viewer.talk.request("GET", "/-/live", headers, b"").await;
        let (status, headers) = soon("a head", viewer.talk.head()).await;
        assert_eq!(status, 200, "{headers:?}");
        let media = headers.iter().find(|(name, _)| name == "content-type");
        assert_eq!(media.unwrap().1, "text/event-stream");
        viewer
    }

    /// The next event and what it says; nothing at the end of the stream.
    async fn event(&mut self) -> Option<(String, Value)> {
        let whole = loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                break event;
            }
            let chunk = soon("an event", self.talk.chunk()).await?;
            if chunk.is_empty() {
                return None;
            }
            self.text += std::str::from_utf8(&chunk).unwrap();
        };
        let field = |name: &str| {
            let mut lines = whole.lines();
            lines.find_map(|line| line.strip_prefix(name)).unwrap_or("")
        };
        let data = serde_json::from_str(field("data: ")).unwrap();
        Some((field("event: ").to_owned(), data))
    }

    /// The next one of which this is so.
    async fn until<T>(&mut self, what: &str, is: impl Fn(&Value) -> Option<T>) -> T {
        soon(what, async {
            loop {
                let (_, data) = self.event().await.expect("the stream goes on");
                if let Some(found) = is(&data) {
                    return found;
                }
            }
        })
        .await
    }
}

/// A target's row, where a frame has it.
fn row(frame: &Value, id: &str) -> Option<Value> {
    let rows = frame["targets"].as_array()?;
    rows.iter().find(|row| row["id"] == id).cloned()
}

async fn ask(house: &House, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    let mut talk = Talk::to(([127, 0, 0, 1], house.admin.port()).into()).await;
    talk.request(method, path, lines, body.as_bytes()).await;
    talk.answer().await
}

/// Everything that keeps an answer from being misused by other pages.
fn is_guarded(answer: &Answer) {
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_page_comes_whole_and_guarded() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let page = ask(&house, "GET", "/", &[], "").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    is_guarded(&page);
    assert!(page.text().starts_with("<!doctype html>"));
    let mut head = Talk::to(house.admin).await;
    head.request("HEAD", "/", &[], b"").await;
    assert_eq!(soon("a head", head.head()).await.0, 200);
    for (path, status) in [("/status", 200), ("/healthz", 200), ("/nothing", 404)] {
        let answer = ask(&house, "GET", path, &[], "").await;
        assert_eq!(answer.status, status);
        is_guarded(&answer);
    }
    for (method, path) in [("POST", "/"), ("POST", "/-/live"), ("GET", "/-/login")] {
        assert_eq!(
            ask(&house, method, path, &[], "").await.status,
            405,
            "{path}"
        );
    }
    // Only of the admin port.
    let mut proxy = house.talk().await;
    for path in ["/", "/-/live"] {
        assert_eq!(proxy.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn other_pages_and_names_see_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "admin_token: t0ken\n").await;
    for (method, path) in [("GET", "/"), ("GET", "/-/live"), ("POST", "/-/login")] {
        let here = format!("host: {}", house.admin);
        for lines in [
            [here.as_str(), "origin: http://evil.example"],
            [here.as_str(), "origin: null"],
            ["host: evil.example", "accept: */*"],
        ] {
            let mut talk = Talk::to(house.admin).await;
            let [host, more] = lines;
            talk.send(format!(
                "{method} {path} HTTP/1.1\r\n{host}\r\n{more}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
            assert_eq!(talk.answer().await.status, 403, "{path} {lines:?}");
        }
    }
}

#[tokio::test]
async fn a_viewer_is_told_everything_and_then_what_changes() {
    let busy = Mock::start(Script::sequence([
        Reply::answer("Hello"),
        Reply::rate_limited(Some("30")),
    ]));
    let busy = busy.await.unwrap();
    let good = Mock::start(Reply::stream_completion(["Hel", "lo"]))
        .await
        .unwrap();
    let more = "models:\n  a: { provider: busy, upstream_model: m }\n  \
                b: { provider: good, upstream_model: m }\n";
    let house = House::before(&[("busy", &busy), ("good", &good)], more).await;
    let mut viewer = Viewer::of(&house).await;
    let (name, first) = viewer.event().await.unwrap();
    assert_eq!(name, "full");
    let healthy = row(&first, "busy/m").unwrap();
    assert_eq!(healthy["names"], serde_json::json!(["a"]));
    assert_eq!(
        (&healthy["state"], &healthy["answered"]),
        (&"healthy".into(), &0.into())
    );
    assert_eq!(first["walks"], serde_json::json!([]));
    assert_eq!(first["providers"], serde_json::json!([]));

    let mut talk = house.talk().await;
    assert_eq!(talk.chat(&["a", "b"], false).await.status, 200);
    let answered = |frame: &Value| row(frame, "busy/m").filter(|row| row["answered"] == 1);
    viewer.until("the answer", answered).await;

    let hostile = "<img src=x onerror=alert(1)>";
    assert_eq!(talk.chat(&["a", hostile, "b"], true).await.status, 200);
    let (busy, walk) = viewer
        .until("the walk", |frame| {
            let walk = frame["walks"].as_array()?.last()?.clone();
            Some((row(frame, "busy/m"), walk))
        })
        .await;
    let told = walk["steps"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|step| {
            (
                step["model"].as_str().unwrap(),
                step["outcome"].as_str().unwrap(),
                &step["status"],
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("a", "rate_limited", &429.into()),
            (hostile, "skipped", &Value::Null),
            ("b", "answered", &200.into()),
        ]
    );
    assert_eq!(walk["end"], "answered");
    // In the same frame, or in the one after it.
    let busy = match busy {
        Some(row) if row["state"] == "cooling" => row,
        Some(_) | None => {
            let cooling =
                |frame: &Value| row(frame, "busy/m").filter(|row| row["state"] == "cooling");
            viewer.until("the state", cooling).await
        }
    };
    assert_eq!(
        (&busy["why"], &busy["by"]),
        (&"rate_limited".into(), &"target".into())
    );
    assert_eq!((&busy["failed"], &busy["from"]), (&1.into(), &1.into()));
    assert!(busy["until"].as_u64() > busy["since"].as_u64());

    // Who comes later is told the same at once.
    let (_, late) = Viewer::of(&house).await.event().await.unwrap();
    assert_eq!(late["walks"].as_array().unwrap().len(), 2);
    let good = row(&late, "good/m").unwrap();
    assert_eq!((&good["answered"], &good["to"]), (&1.into(), &1.into()));
    assert_eq!(good["firsts"].as_array().unwrap().len(), 1);
    assert_eq!(late["sum"]["answered"], 2);
    assert_eq!(late["sum"]["failed_over"], 1);
    let text = late.to_string();
    for secret in ["sk-test", "Hello", "Hel\""] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_reload_shows_new_targets_and_keeps_what_was_counted() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let with = |models: &str| providers(&[("p", &mock)], &format!("models:\n{models}"));
    let house = House::start(&with("  old: { provider: p, upstream_model: m }\n")).await;
    let mut viewer = Viewer::of(&house).await;
    assert_eq!(house.talk().await.chat(&["old"], false).await.status, 200);
    let answered = |frame: &Value| row(frame, "p/m").filter(|row| row["answered"] == 1);
    viewer.until("the answer", answered).await;
    house.rewrite(&with(
        "  old: { provider: p, upstream_model: m }\n  new: { provider: p, upstream_model: n }\n",
    ));
    assert_eq!(ask(&house, "POST", "/-/reload", &[], "").await.status, 200);
    viewer
        .until("the new target", |frame| row(frame, "p/n"))
        .await;
    let (_, all) = Viewer::of(&house).await.event().await.unwrap();
    assert_eq!(row(&all, "p/m").unwrap()["answered"], 1);
    assert_eq!(all["walks"].as_array().unwrap().len(), 1);

    house.rewrite(&with("  new: { provider: p, upstream_model: n }\n"));
    assert_eq!(ask(&house, "POST", "/-/reload", &[], "").await.status, 200);
    let left = |frame: &Value| {
        frame["gone"]
            .as_array()
            .filter(|gone| gone.contains(&"p/m".into()))
            .map(|_| ())
    };
    // It has answered, so it would stay as a made-up one if its sums did.
    viewer.until("the old one's leaving", left).await;
}

#[tokio::test]
async fn a_target_without_an_entry_is_shown_from_its_first_failure_on() {
    let mock = Mock::start(Reply::unavailable()).await.unwrap();
    let house = House::start(&providers(&[("p", &mock)], "")).await;
    let mut viewer = Viewer::of(&house).await;
    assert_eq!(house.talk().await.chat(&["p/o1"], false).await.status, 503);
    let failed = |frame: &Value| row(frame, "p/o1").filter(|row| row["failed"] == 1);
    let row = viewer.until("the failure", failed).await;
    assert_eq!(
        (&row["state"], &row["failures"]),
        (&"healthy".into(), &1.into())
    );
}

#[tokio::test]
async fn there_are_places_for_so_many_viewers() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "").await;
    let mut viewers = Vec::new();
    for _ in 0..32 {
        viewers.push(Viewer::of(&house).await);
    }
    let answer = ask(&house, "GET", "/-/live", &[], "").await;
    assert_eq!(answer.status, 503);
    drop(viewers.pop());
    soon("a free place", async {
        while ask_head(&house).await != 200 {}
    })
    .await;
}

async fn ask_head(house: &House) -> u16 {
    let mut talk = Talk::to(house.admin).await;
    talk.request("GET", "/-/live", &[], b"").await;
    talk.head().await.0
}

#[tokio::test]
async fn viewers_are_told_goodbye_when_a_drain_begins_and_hold_up_nothing() {
    let held = Mock::start(Reply::stream_completion(["Hel", "lo"]).stall(At::Event(2)));
    let held = held.await.unwrap();
    let mut house = House::before(&[("p", &held)], "shutdown: { drain: 60s }\n").await;
    let mut talk = house.talk().await;
    let body = crate::talk::chat(&["p/m"], true);
    talk.request("POST", "/v1/chat/completions", &[], body.as_bytes())
        .await;
    assert_eq!(soon("a head", talk.head()).await.0, 200);
    let mut viewer = Viewer::of(&house).await;
    assert_eq!(viewer.event().await.unwrap().1["sum"]["in_flight"], 1);
    house.signal("TERM");
    soon("the goodbye", async {
        while viewer.event().await.expect("a goodbye").0 != "bye" {}
    })
    .await;
    assert!(viewer.event().await.is_none(), "nothing follows");
    assert_eq!(ask(&house, "GET", "/-/live", &[], "").await.status, 503);
    drop(talk);
    assert!(house.ended().await.success());
}

#[tokio::test]
async fn who_never_reads_is_dropped_and_nobody_waits() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    // More than a socket takes in: 2.5 MB each time all of them are told.
    let called = |letter: &str| {
        let mut models = "models:\n".to_owned();
        for number in 0..2500 {
            let upstream = format!("{number}-{}", "n".repeat(240));
            let name = format!("{number}-{}", letter.repeat(240));
            models += &format!("  {name}: {{ provider: p, upstream_model: {upstream} }}\n");
        }
        providers(&[("p", &mock)], &models)
    };
    let house = House::start(&called("a")).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let idle = socket.connect(house.admin).await.unwrap();
    let request = format!("GET /-/live HTTP/1.1\r\nhost: {}\r\n\r\n", house.admin);
    idle.writable().await.unwrap();
    assert_eq!(idle.try_write(request.as_bytes()).unwrap(), request.len());
    let mut viewer = Viewer::of(&house).await;
    assert_eq!(viewer.event().await.unwrap().0, "full");
    for letter in ["b", "c"] {
        house.rewrite(&called(letter));
        assert_eq!(ask(&house, "POST", "/-/reload", &[], "").await.status, 200);
        let renamed = |frame: &Value| {
            let first = frame["targets"][0]["names"][0].as_str()?;
            first.ends_with(letter).then_some(())
        };
        viewer.until("the new names", renamed).await;
    }
    house.logged("it reads too slowly").await;
    // Requests and the other viewer have gone on.
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    let walk = |frame: &Value| frame["walks"].as_array().map(|_| ());
    viewer.until("a walk", walk).await;
    drop(idle);
}

#[tokio::test]
async fn it_goes_over_http2_too() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "models: { a: { provider: p } }\n").await;
    let stream = TcpStream::connect(house.admin).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = http::Request::get(format!("http://{}/-/live", house.admin));
    let mut send: h2::client::SendRequest<Bytes> = send.ready().await.unwrap();
    let (answer, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = soon("a head", answer).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut text = Vec::new();
    soon("the first event", async {
        while !text.ends_with(b"\n\n") {
            let piece = body.data().await.expect("a stream").unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            text.extend_from_slice(&piece);
        }
    })
    .await;
    assert!(String::from_utf8(text).unwrap().contains("event: full"));
    house.signal("TERM");
    soon("the end", async {
        while let Some(Ok(_)) = body.data().await {}
    })
    .await;
}

/// The cookie that a login gives.
async fn login(house: &House, token: &str) -> Result<String, u16> {
    let answer = ask(house, "POST", "/-/login", &[], token).await;
    if answer.status != 200 {
        return Err(answer.status);
    }
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(token) && !answer.text().contains(token));
    let (value, _) = cookie.split_once(';').unwrap();
    Ok(format!("cookie: {value}"))
}

#[tokio::test]
async fn a_browser_trades_the_token_for_a_session_that_may_look() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let with = |token: &str| {
        providers(
            &[("p", &mock)],
            &format!("admin: 0.0.0.0:0\nadmin_token: {token}\n"),
        )
    };
    let house = House::start(&with("t0ken-one")).await;
    let page = ask(&house, "GET", "/", &[], "").await;
    assert_eq!(page.status, 401);
    is_guarded(&page);
    assert!(page.text().contains("type=\"password\""));
    for path in ["/-/live", "/status", "/-/usage"] {
        assert_eq!(
            ask(&house, "GET", path, &[], "").await.status,
            401,
            "{path}"
        );
    }
    let long = "x".repeat(5000);
    for wrong in ["", "t0ken", "t0ken-one2", long.as_str()] {
        assert_eq!(login(&house, wrong).await, Err(401), "{wrong}");
    }
    let cookie = login(&house, "t0ken-one").await.unwrap();
    let cookie = cookie.as_str();
    let page = ask(&house, "GET", "/", &[cookie], "").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Latest walks"));
    assert_eq!(
        ask(&house, "GET", "/status", &[cookie], "").await.status,
        200
    );
    let bearer = "authorization: Bearer t0ken-one";
    assert_eq!(ask(&house, "GET", "/", &[bearer], "").await.status, 200);

    let own = format!("origin: http://127.0.0.1:{}", house.admin.port());
    for (more, status) in [
        ("accept: */*", 401),
        ("sec-fetch-site: cross-site", 401),
        ("sec-fetch-site: same-site", 401),
        ("sec-fetch-site: none", 401),
        ("sec-fetch-site: same-origin", 200),
        (own.as_str(), 200),
    ] {
        let answer = ask(&house, "POST", "/-/reload", &[cookie, more], "").await;
        assert_eq!(answer.status, status, "{more}");
    }
    let broken = format!("{cookie}0");
    assert_eq!(ask(&house, "GET", "/", &[&broken], "").await.status, 401);

    // Another token ends the session, and what it looks at.
    let mut viewer = Viewer::with(&house, &[cookie]).await;
    assert_eq!(viewer.event().await.unwrap().0, "full");
    house.rewrite(&with("t0ken-two"));
    house.signal("HUP");
    house.logged("configuration reloaded").await;
    soon("the end of the stream", async {
        while viewer.event().await.is_some() {}
    })
    .await;
    assert_eq!(ask(&house, "GET", "/", &[cookie], "").await.status, 401);
    assert!(!house.log().concat().contains("t0ken"));
}

#[tokio::test]
async fn guessing_is_slow_and_does_not_keep_out_who_knows() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "admin_token: t0ken\n").await;
    let began = Instant::now();
    let guess = async {
        for _ in 0..3 {
            assert_eq!(login(&house, "guess").await, Err(401));
        }
    };
    let (known, ()) = tokio::join!(login(&house, "t0ken"), guess);
    assert!(known.is_ok());
    // A lower bound: each guess waits for half a second.
    assert!(began.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn beyond_this_machine_there_is_no_page_without_a_token() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let house = House::before(&[("p", &mock)], "admin: 0.0.0.0:0\n").await;
    for path in ["/", "/-/live", "/status"] {
        let answer = ask(&house, "GET", path, &[], "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            answer.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("admin_token")
        );
    }
    assert_eq!(ask(&house, "POST", "/-/login", &[], "x").await.status, 404);
}

#[tokio::test]
async fn a_drill_is_shown_as_one_and_counts_for_nobody() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let more = "drills: true\nmodels: { one: { provider: p, upstream_model: a }, two: { provider: p, upstream_model: b } }\n";
    let house = House::before(&[("p", &mock)], more).await;
    let mut viewer = Viewer::of(&house).await;
    let mut talk = house.talk().await;
    let body = crate::talk::chat(&["one", "two"], false);
    let lines = ["x-standin-fail: one=503"];
    let answer = talk.post_with("/v1/chat/completions", &lines, &body).await;
    assert_eq!(answer.walk(), "one=drill:503, two=200");
    let walk = viewer
        .until("the walk", |data| data["walks"][0].as_object().cloned())
        .await;
    let steps = &walk["steps"];
    assert_eq!(
        (&steps[0]["outcome"], &steps[0]["drill"]),
        (&"unavailable".into(), &true.into())
    );
    assert_eq!(steps[1]["drill"], false);
    let (_, all) = Viewer::of(&house).await.event().await.unwrap();
    let (one, two) = (row(&all, "p/a").unwrap(), row(&all, "p/b").unwrap());
    for (row, answered) in [(&one, 0), (&two, 1)] {
        let counts = ["answered", "failed", "from", "to"].map(|name| row[name].as_u64().unwrap());
        assert_eq!(counts, [answered, 0, 0, 0], "{row}");
    }
    assert_eq!(all["sum"]["failed_over"], 0);
}
