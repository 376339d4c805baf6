//! A ledger that cannot be written: what is answered all the same, who is
//! told, and that nothing acknowledged is lost.

use rusqlite::Connection;
use serde_json::json;
use standin::mock::{Mock, Reply};
use tokio::process::Command;

use crate::books::{Books, close};
use crate::house::{House, providers};
use crate::talk::{Answer, Talk};

/// Some tens of its rows fill the files that [`full`] allows.
async fn ask(house: &House, id: &str) -> Answer {
    let long: Vec<String> = (10..24)
        .map(|n| format!("p/{}", n.to_string().repeat(120)))
        .collect();
    let body = json!({"model": "p/m", "models": long, "messages": []}).to_string();
    let id = format!("x-request-id: {id}");
    let mut talk = house.talk().await;
    talk.post_with("/v1/chat/completions", &[&id], &body).await
}

async fn ready(house: &House) -> (u16, String) {
    let answer = Talk::to(house.admin).await.get("/readyz").await;
    let status = answer.json()["status"].as_str().unwrap().to_owned();
    (answer.status, status)
}

/// The same command, none of whose files may grow beyond 160 or 320 KiB: by
/// the shell.
fn full(command: &mut Command) {
    // The signal that comes with it is the process's own affair.
    let script = "ulimit -S -f 320; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    let plain = command.as_std();
    shell.args(["-c", script]).arg(plain.get_program());
    shell.args(plain.get_args()).kill_on_drop(true);
    shell.stderr(std::process::Stdio::piped());
    *command = shell;
}

/// The disk has room again.
fn mend(house: &House) {
    let pid = house.pid().to_string();
    let mut prlimit = std::process::Command::new("prlimit");
    let done = prlimit.args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(done.unwrap().success());
}

/// Asks until a record cannot be written: the ids of what was answered.
async fn fill(house: &House) -> Vec<String> {
    let mut answered = Vec::new();
    let is_full = |house: &House| {
        let log = house.log();
        log.iter()
            .any(|line| line.contains("records cannot be written"))
    };
    while !is_full(house) {
        let id = format!("r{}", answered.len());
        let answer = ask(house, &id).await;
        if answer.status == 503 {
            // The log's line is on its way.
            house.logged("records cannot be written").await;
            break;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        answered.push(id);
        assert!(answered.len() < 2000, "the disk has no end");
    }
    answered
}

fn ids(books: &Books) -> Vec<String> {
    let rows = books.rows();
    let ids = rows.iter().map(|row| row["request_id"].as_str().unwrap());
    ids.map(ToOwned::to_owned).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_served_over_and_loses_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let books = Books::new();
    let yaml = providers(&[("p", &mock)], &books.yaml("serve"));
    let house = House::start_with(&yaml, full).await;
    let mut answered = fill(&house).await;
    for n in 0..10 {
        let id = format!("over{n}");
        assert_eq!(ask(&house, &id).await.status, 200);
        answered.push(id);
    }
    assert_eq!(ready(&house).await, (200, "ready".to_owned()));
    let have = ids(&books);
    assert!(have.len() + 10 <= answered.len(), "some of them wait");
    assert_eq!(have[..], answered[..have.len()]);
    mend(&house);
    house.logged("records are written again").await;
    assert_eq!(ask(&house, "after").await.status, 200);
    answered.push("after".to_owned());
    assert_eq!(ids(&books), answered);
    close(house).await;
    assert_eq!(ids(&books), answered);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_refused_over_where_that_is_wanted() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let books = Books::new();
    let yaml = providers(&[("p", &mock)], &books.yaml("refuse"));
    let house = House::start_with(&yaml, full).await;
    let mut answered = fill(&house).await;
    let asked = mock.counts().seen;
    for _ in 0..3 {
        let refused = ask(&house, "refused").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "ledger_unavailable")
        );
        assert_eq!(refused.json()["error"]["type"], "server_error");
    }
    assert_eq!(mock.counts().seen, asked);
    let unready = (503, "ledger_unavailable".to_owned());
    assert_eq!(ready(&house).await, unready);
    mend(&house);
    house.logged("records are written again").await;
    assert_eq!(ready(&house).await, (200, "ready".to_owned()));
    assert_eq!(ask(&house, "after").await.status, 200);
    answered.push("after".to_owned());
    assert_eq!(ids(&books), answered);
    close(house).await;
    assert_eq!(ids(&books), answered);
}

#[tokio::test]
async fn a_database_that_another_holds_delays_and_loses_nothing() {
    let mock = Mock::start(Reply::answer("Hello")).await.unwrap();
    let books = Books::new();
    let yaml = providers(&[("p", &mock)], &books.yaml("refuse"));
    let house = House::start(&yaml).await;
    let path = books.folder.file("usage.db");
    let other = Connection::open(&path).unwrap();
    other.busy_timeout(crate::house::PATIENCE).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut answered = Vec::new();
    for n in 0..20 {
        let id = format!("r{n}");
        assert_eq!(ask(&house, &id).await.status, 200);
        answered.push(id);
        assert_eq!(ids(&books), answered, "the journal has it");
    }
    house.logged("the database takes no records").await;
    assert_eq!(ask(&house, "told").await.status, 200);
    answered.push("told".to_owned());
    assert_eq!(ready(&house).await, (200, "ready".to_owned()));
    let count = |other: &Connection| -> i64 {
        let sql = "SELECT count(*) FROM usage";
        other.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(&other), 0);
    other.execute_batch("ROLLBACK").unwrap();
    house.logged("the database takes records again").await;
    assert!(count(&other) >= 20, "the last one may be on its way");
    assert_eq!(ids(&books), answered);
    close(house).await;
    assert_eq!(count(&other), 21);
}
