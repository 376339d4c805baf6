//! What the service manager is told.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use standin::mock::{Mock, Reply};
use tokio::net::UnixDatagram as Socket;

use crate::house::{Folder, House, PATIENCE, providers, soon};
use crate::raw::Raw;
use crate::talk::{Talk, chat};

/// A service manager's end of the socket.
struct Manager {
    socket: Socket,
    path: PathBuf,
    _folder: Folder,
}

impl Manager {
    fn new() -> Self {
        let folder = Folder::new();
        let path = folder.file("notify");
        Self {
            socket: Socket::bind(&path).unwrap(),
            path,
            _folder: folder,
        }
    }

    async fn start(&self, yaml: &str) -> House {
        House::start_with(yaml, |command| {
            command.env("NOTIFY_SOCKET", &self.path);
        })
        .await
    }

    /// The next message's lines.
    async fn told(&self) -> Vec<String> {
        let mut bytes = [0; 512];
        let size = soon("a message", self.socket.recv(&mut bytes)).await;
        let text = str::from_utf8(&bytes[..size.unwrap()]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn has_no_more(&self) -> bool {
        self.socket.try_recv(&mut [0; 512]).is_err()
    }
}

#[tokio::test]
async fn is_told_of_the_start_when_both_ports_answer() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let manager = Manager::new();
    let yaml = providers(&[("p", &mock)], "");
    let house = manager.start(&yaml).await;
    assert_eq!(manager.told().await, ["READY=1", "STATUS=serving"]);
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.get("/readyz").await.status, 200);
    let answer = house.talk().await.chat(&["p/m"], false).await;
    assert_eq!(answer.status, 200);
    assert!(manager.has_no_more());
}

#[tokio::test]
async fn is_told_of_each_reload_and_of_its_end() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let manager = Manager::new();
    let yaml = providers(&[("p", &mock)], "");
    let house = manager.start(&yaml).await;
    manager.told().await;

    house.signal("HUP");
    let reloading = manager.told().await;
    assert_eq!(reloading[0], "RELOADING=1");
    let began = reloading[1].strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(began.parse::<u64>().unwrap() > 0);
    assert_eq!(manager.told().await, ["READY=1", "STATUS=serving"]);

    // A rejected one ends too, or the unit would be reloading for ever.
    house.rewrite("nonsense: sk-secret-value\n");
    let mut admin = Talk::to(house.admin).await;
    assert_eq!(admin.post("/-/reload", "").await.status, 422);
    assert_eq!(manager.told().await[0], "RELOADING=1");
    let after = manager.told().await;
    assert_eq!(after[0], "READY=1");
    assert!(after[1].contains("rejected"), "{after:?}");
    assert!(!after[1].contains("nonsense"), "{after:?}");
}

#[tokio::test]
async fn is_told_of_the_stop_before_the_drain_ends() {
    let raw = Raw::start().await;
    let manager = Manager::new();
    let yaml = format!("providers:\n  p: {{ base_url: \"{}\" }}\n", raw.base_url());
    let mut house = manager.start(&yaml).await;
    manager.told().await;
    let mut talk = house.talk().await;
    talk.request(
        "POST",
        "/v1/chat/completions",
        &[],
        chat(&["p/m"], false).as_bytes(),
    )
    .await;
    let mut wire = raw.accept().await;
    wire.request().await;

    house.signal("TERM");
    let stopping = ["STOPPING=1", "STATUS=draining: 1 requests in flight"];
    assert_eq!(manager.told().await, stopping);
    let answer = "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}";
    let size = answer.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    );
    wire.send(head + answer).await;
    assert_eq!(talk.head().await.0, 200);
    assert_eq!(house.ended().await.code(), Some(0));
    assert!(manager.has_no_more());
}

/// Sends as much as one sender can; how many it were.
fn fill(path: &Path) -> usize {
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    let sent = std::iter::from_fn(|| sender.send_to(b"X=1", path).ok());
    sent.count()
}

#[tokio::test]
async fn a_manager_that_is_gone_or_does_not_read_stops_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let yaml = providers(&[("p", &mock)], "");
    for place in ["/none/such", "nonsense"] {
        let house = House::start_with(&yaml, |command| {
            command.env("NOTIFY_SOCKET", place);
        })
        .await;
        house
            .logged(if place == "nonsense" {
                "NOTIFY_SOCKET"
            } else {
                "could not be told"
            })
            .await;
        assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    }

    // Full before the process begins: its own message finds no room.
    let folder = Folder::new();
    let path = folder.file("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    // Each sender has room of its own for what it has sent: it is full when one
    // cannot even begin. systemd makes such queues fifty times as long.
    while fill(&path) > 0 {}
    let began = tokio::time::Instant::now();
    let house = House::start_with(&yaml, |command| {
        command.env("NOTIFY_SOCKET", &path);
    })
    .await;
    house.logged("could not be told").await;
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(house.talk().await.chat(&["p/m"], false).await.status, 200);
    drop(manager);
}
