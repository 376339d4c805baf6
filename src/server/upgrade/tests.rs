//! The two sides alone.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::message::{Word, length, read, write};
use super::place::{Place, find, same_user};
use super::talk::{Lost, Talk};
use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-upgrade-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("upgrade")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// So many listeners, the last of them the admin port's.
fn offer(count: usize) -> (Offer, Vec<SocketAddr>) {
    let bind = |_| TcpListener::bind("127.0.0.1:0").unwrap();
    let all: Vec<TcpListener> = (0..count).map(bind).collect();
    let at: Vec<_> = all.iter().map(|it| it.local_addr().unwrap()).collect();
    let sockets = (1..=count).map(|nth| Socket {
        door: if nth == count {
            Door::Admin
        } else {
            Door::Listen
        },
        configured: SocketAddr::from(([127, 0, 0, 1], 0)),
    });
    let offer = Offer {
        sockets: sockets.collect(),
        descriptors: all.into_iter().map(OwnedFd::from).collect(),
        ledger: None,
        freed: Freed::default(),
    };
    (offer, at)
}

#[tokio::test]
async fn a_thousand_sockets_change_hands_in_order() {
    let folder = Folder::new();
    for count in [1, 2, 250, 251, 501, 1001] {
        let (offer, at) = offer(count);
        let new = async {
            let mut taken = take(&folder.socket()).await.unwrap();
            let mut sockets = std::mem::take(&mut taken.sockets);
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let admin = Inherited::find(&mut sockets, Door::Admin, any).unwrap();
            assert_eq!(admin.local_addr().unwrap(), at[count - 1]);
            let mut got = Vec::new();
            // All but the last are served, as far as there are so many.
            while sockets.len() > 1 {
                let next = Inherited::find(&mut sockets, Door::Listen, any).unwrap();
                got.push(next.local_addr().unwrap());
            }
            assert!(got.iter().all(|it| at.contains(it)));
            assert!(!taken.is_alone());
            taken.ready(sockets, None).await.unwrap();
            taken.serving().await.decided().await.unwrap();
            got.len() + 1
        };
        let (given, got) = tokio::join!(give(folder.socket(), offer), new);
        let successor = given.unwrap();
        assert_eq!(successor.process, std::process::id());
        assert_eq!(successor.kept.len(), got);
        assert!(successor.kept.contains(&(count - 1)));
        assert!(!folder.socket().exists());
    }
}

#[tokio::test(start_paused = true)]
async fn each_waits_ten_seconds_for_the_other() {
    let folder = Folder::new();
    let began = Instant::now();
    let why = give(folder.socket(), offer(1).0).await.unwrap_err();
    assert_eq!(why, "no new process came within 10s");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(!folder.socket().exists());
    let Err(why) = take(&folder.socket()).await else {
        panic!("there is nobody");
    };
    assert!(
        why.contains("within 10s: it is asked for that by SIGQUIT"),
        "{why}"
    );
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn what_a_dead_process_left_is_replaced_and_nothing_else_is() {
    let folder = Folder::new();
    let path = folder.socket();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let place = Place::open(&path).await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let why = Place::open(&path).await.err().unwrap();
    assert!(
        why.contains("another process is already waiting at"),
        "{why}"
    );
    drop(place);
    fs::write(&path, "mine").unwrap();
    let why = Place::open(&path).await.err().unwrap();
    assert!(why.contains("is no socket"), "{why}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    // Where anybody could put another one in its place.
    let open = folder.0.join("open");
    fs::create_dir(&open).unwrap();
    for (mode, is_good) in [(0o777, false), (0o1777, true), (0o775, true)] {
        fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            Place::open(&open.join("x")).await.is_ok(),
            is_good,
            "{mode:o}"
        );
    }
    assert!(Place::open(&folder.0.join("none/x")).await.is_err());
}

#[tokio::test]
async fn another_user_is_turned_away_on_both_sides() {
    let (one, _other) = UnixStream::pair().unwrap();
    let own = geteuid().as_raw();
    same_user(&one, own).unwrap();
    let why = same_user(&one, own + 1).unwrap_err();
    assert_eq!(
        why,
        format!(
            "the other process is of user {own}, and this one of user {}",
            own + 1
        )
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nonsense_or_nothing_is_not_waited_for() {
    let folder = Folder::new();
    let path = folder.socket();
    let began = Instant::now();
    let new = async {
        let mut wire = find(&path).await.unwrap();
        wire.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // And one who only looks.
        drop(find(&path).await.unwrap());
        let silent = find(&path).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(silent);
    };
    let (given, ()) = tokio::join!(give(path.clone(), offer(1).0), new);
    assert_eq!(given.unwrap_err(), "no new process came within 10s");
    assert!(began.elapsed() < Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn one_who_says_nothing_leaves_time_for_another() {
    let folder = Folder::new();
    let path = folder.socket();
    let new = async {
        let _silent = [find(&path).await.unwrap(), find(&path).await.unwrap()];
        let mut taken = take(&path).await.unwrap();
        let left = std::mem::take(&mut taken.sockets);
        taken.ready(left, None).await.unwrap();
        taken.serving().await.decided().await.unwrap();
    };
    let (given, ()) = tokio::join!(give(path.clone(), offer(1).0), new);
    assert_eq!(given.unwrap().kept, Vec::<usize>::new());
}

#[tokio::test(start_paused = true)]
async fn each_step_has_an_end_and_the_other_one_is_told() {
    let folder = Folder::new();
    let path = folder.socket();
    for (steps, longest) in [(0, WORK), (1, WORK)] {
        let new = async {
            let mut talk = Talk::new(find(&path).await.unwrap());
            let hello = Word::Hello {
                process: 7,
                version: "x".to_owned(),
            };
            talk.say(&hello).await.unwrap();
            assert!(matches!(talk.hear(WORK).await, Ok(Word::Sockets(_))));
            drop(talk.receive(1).await.unwrap());
            if steps == 1 {
                let ready = Word::Ready {
                    kept: vec![0],
                    ledger: None,
                };
                talk.say(&ready).await.unwrap();
                assert_eq!(talk.hear(WORK).await, Ok(Word::Go));
            }
            talk.hear(WORK * 3).await
        };
        let began = Instant::now();
        let (given, heard) = tokio::join!(give(path.clone(), offer(1).0), new);
        let why = given.unwrap_err();
        assert!(why.contains("says nothing for 60s"), "{why}");
        assert_eq!(began.elapsed().as_secs(), longest.as_secs());
        assert_eq!(heard, Err(Lost::Failed(why)));
    }
    // Dropped in the middle of it, as by a signal.
    let new = async {
        let mut talk = Talk::new(find(&path).await.unwrap());
        let hello = Word::Hello {
            process: 7,
            version: "x".to_owned(),
        };
        talk.say(&hello).await.unwrap();
        assert!(matches!(talk.hear(WORK).await, Ok(Word::Sockets(_))));
        drop(talk.receive(1).await.unwrap());
        talk
    };
    let mut talk = {
        let mut old = Box::pin(give(path.clone(), offer(1).0));
        tokio::select! {
            talk = new => talk,
            given = &mut old => panic!("{given:?}"),
        }
    };
    assert!(matches!(talk.hear(WORK).await, Err(Lost::Failed(_))));
}

#[test]
fn a_message_is_read_as_it_was_written_or_not_at_all() {
    let socket = Socket {
        door: Door::Admin,
        configured: SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    for word in [
        Word::Failed("why \"so\"".to_owned()),
        Word::Go,
        Word::Hello {
            process: 1,
            version: "0.1.0".to_owned(),
        },
        Word::Leaving,
        Word::Ready {
            kept: vec![0, 3],
            ledger: Some(PathBuf::from("/x/y.journal")),
        },
        Word::Serving,
        Word::Sockets(vec![socket; 1001]),
    ] {
        let bytes = write(&word);
        let (head, text) = bytes.split_first_chunk().unwrap();
        assert_eq!(length(*head), Ok(text.len()));
        assert_eq!(read(text), Ok(word));
        for cut in 0..text.len().min(50) {
            assert!(read(&text[..cut]).is_err());
        }
    }
    assert!(length([0xFF; 4]).is_err());
    // Of a later version nothing else is known.
    let why = read(br#"{"standin":2,"say":{"greetings":[]}}"#).unwrap_err();
    assert!(
        why.contains("in version 2, and this process in version 1"),
        "{why}"
    );
}
