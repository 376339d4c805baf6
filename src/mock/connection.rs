//! One connection's life: requests and answers in turn, until one side ends
//! it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;

use super::listener::{Guest, Shared};
use super::message::Message;
use super::reply::{Closing, Reading, Reply};
use super::script::{Greeting, Script};
use super::seen::{Arrived, Ask, Seen};
use super::wire::{Came, Played, Wire};

/// What a request that is none gets.
const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Whether a connection takes another request.
enum Then {
    Close,
    GoOn,
}

/// Serves one connection. `guest` counts it as open until this returns or is
/// dropped; the socket closes before that, because arguments are dropped last.
pub(super) async fn serve(guest: Guest, stream: TcpStream) {
    let shared = &guest.shared;
    // A peer that has already gone is noticed at the first read.
    let _ = stream.set_nodelay(true);
    let mut wire = Wire::new(stream);
    match shared.script().greeting(guest.number) {
        Greeting::Close => return,
        Greeting::Ignore => {
            wire.leave_unread();
            return wire.left().await;
        }
        Greeting::Reset => return wire.reset(),
        Greeting::Serve => {}
    }
    let mut answers = 0;
    while wire.next().await {
        let script = shared.script();
        if answers >= script.stale_after {
            return shared.count(|counts| counts.stale += 1);
        }
        match exchange(&mut wire, &script, shared, guest.number).await {
            Then::Close => return,
            Then::GoOn => answers += 1,
        }
        if answers >= script.answers_per_connection {
            return wire.cut().await;
        }
    }
}

/// Reads one request and answers it.
async fn exchange(wire: &mut Wire, script: &Script, shared: &Arc<Shared>, connection: u64) -> Then {
    let mut head = match wire.head(connection).await {
        Came::Whole(head) => head,
        Came::Nothing => return Then::Close,
        Came::Broken(bytes) => {
            shared.saw(headless(shared, connection, bytes, Arrived::Broken));
            return Then::Close;
        }
        Came::Malformed(why, bytes) => {
            shared.saw(headless(shared, connection, bytes, Arrived::Malformed(why)));
            return refuse(wire).await;
        }
    };
    head.number = shared.number();
    let decided = script.by_head(&head);
    if let Some(reply) = &decided
        && reply.reading != Reading::Before
    {
        return answer_early(wire, shared, reply, head).await;
    }
    let expects = head
        .header("expect")
        .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    if expects && !wire.send(b"HTTP/1.1 100 Continue\r\n\r\n").await {
        return Then::Close;
    }
    let (body, arrived) = match wire.body(&head).await {
        Came::Whole(body) => (body, Arrived::Whole),
        Came::Broken(body) => (body, Arrived::Broken),
        Came::Malformed(why, body) => (body, Arrived::Malformed(why)),
        Came::Nothing => (Bytes::new(), Arrived::Broken),
    };
    let seen = shared.saw(head.with_body(body, arrived));
    match arrived {
        Arrived::Broken => return Then::Close,
        Arrived::Malformed(_) => return refuse(wire).await,
        Arrived::Unread | Arrived::Whole => {}
    }
    let reply = decided.unwrap_or_else(|| script.by_body(&seen));
    answer(wire, shared, &reply, &seen).await
}

/// Answers before the body, which is read afterwards or never.
async fn answer_early(wire: &mut Wire, shared: &Arc<Shared>, reply: &Reply, head: Seen) -> Then {
    if reply.reading == Reading::Never {
        wire.leave_unread();
    }
    let seen = shared.saw(head);
    let then = answer(wire, shared, reply, &seen).await;
    if let Then::Close = then {
        return then;
    }
    if reply.reading == Reading::Never {
        wire.cut().await;
        return Then::Close;
    }
    match wire.body(&seen).await {
        Came::Whole(_) => Then::GoOn,
        Came::Broken(_) | Came::Malformed(..) | Came::Nothing => Then::Close,
    }
}

async fn answer(wire: &mut Wire, shared: &Arc<Shared>, reply: &Reply, seen: &Seen) -> Then {
    let message = Message::new(reply, seen);
    let played = wire.play(&message.steps).await;
    shared.count(|counts| match played {
        Played::Closed | Played::Whole => counts.answered += 1,
        Played::Left => counts.cancelled += 1,
    });
    match played {
        Played::Whole if message.closes || reply.closing != Closing::Kept => {
            wire.cut().await;
            Then::Close
        }
        Played::Whole => Then::GoOn,
        Played::Closed | Played::Left => Then::Close,
    }
}

async fn refuse(wire: &mut Wire) -> Then {
    if wire.send(REFUSAL).await {
        wire.cut().await;
    }
    Then::Close
}

/// What stands for a request without a readable head.
fn headless(shared: &Shared, connection: u64, body: Bytes, arrived: Arrived) -> Seen {
    Seen {
        connection,
        number: shared.number(),
        method: String::new(),
        target: String::new(),
        headers: Vec::new(),
        body,
        arrived,
        ask: Ask::default(),
    }
}
