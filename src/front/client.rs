//! The way back to a client: whole answers, answers that go on, refusals.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use super::connection::Kept;
use super::drain::Drain;
use super::session::Session;
use crate::journey::REQUEST_ID;
use crate::refusal::Refusal;
use crate::seam::{Client, Committed, Gone, Head};
use crate::wire::Lines;

/// How long a client that is cut off may take for what is still to be written.
/// The process waits longer, so that this can be told of.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A client whose request has been read. `kept` says afterwards whether its
/// connection can serve another.
pub(crate) struct Guest<'a> {
    session: Session<'a>,
    kept: &'a mut Kept,
    /// Once it has begun, an answer says that no other follows; and it ends.
    drain: Option<&'a Drain>,
    /// Runs for a client that is cut off and lets us wait.
    last_words: Option<Pin<Box<Sleep>>>,
}

impl<'a> Guest<'a> {
    /// `kept` is [`Kept::Close`] until an answer has been given to its end.
    pub(crate) fn new(session: &'a mut Session<'_>, kept: &'a mut Kept) -> Self {
        *kept = Kept::Close;
        Self {
            session: session.lend(),
            kept,
            drain: None,
            last_words: None,
        }
    }

    /// Its answer tells of a drain that has begun, and ends with it. The task
    /// must keep [`Drain::until_cut_off`].
    pub(crate) fn until(mut self, drain: &'a Drain) -> Self {
        self.drain = Some(drain);
        self
    }

    fn say_goodbye(&mut self) {
        if self.drain.is_some_and(Drain::is_draining) {
            self.session.close_after();
        }
    }

    fn is_cut_off(&self) -> bool {
        self.drain.is_some_and(Drain::is_cut_off)
    }

    async fn gone(&mut self) -> Gone {
        let drain = self.drain;
        let mut left = pin!(self.session.gone());
        poll_fn(|context| {
            if drain.is_some_and(Drain::is_cut_off) {
                return Poll::Ready(Gone::CutOff);
            }
            left.as_mut().poll(context).map(|()| Gone::Left)
        })
        .await
    }
}

/// Waits for something to be written, but not for long where that client is
/// cut off.
async fn written<T>(
    drain: Option<&Drain>,
    last_words: &mut Option<Pin<Box<Sleep>>>,
    writing: impl Future<Output = Result<T, Gone>>,
) -> Result<T, Gone> {
    let mut writing = pin!(writing);
    poll_fn(|context| {
        if let Poll::Ready(written) = writing.as_mut().poll(context) {
            return Poll::Ready(written);
        }
        if !drain.is_some_and(Drain::is_cut_off) {
            return Poll::Pending;
        }
        let over = last_words.get_or_insert_with(|| Box::pin(sleep(LAST_WORDS)));
        over.as_mut().poll(context).map(|()| Err(Gone::CutOff))
    })
    .await
}

impl<'a> Client for Guest<'a> {
    type Committed = Seated<'a>;

    async fn gone(&mut self) -> Gone {
        Guest::gone(self).await
    }

    fn is_cut_off(&self) -> bool {
        Guest::is_cut_off(self)
    }

    async fn commit(mut self, head: Head<Lines>) -> Result<Seated<'a>, Gone> {
        self.say_goodbye();
        let begun = self.session.begin(head);
        written(self.drain, &mut self.last_words, begun).await?;
        Ok(Seated(self))
    }

    async fn reply(mut self, head: Head<Lines>, body: Vec<Bytes>) -> Result<(), Gone> {
        self.say_goodbye();
        let replied = self.session.reply(head, body);
        written(self.drain, &mut self.last_words, replied).await?;
        *self.kept = Kept::Keep;
        Ok(())
    }
}

/// A client whose answer has begun.
pub(crate) struct Seated<'a>(Guest<'a>);

impl Committed for Seated<'_> {
    async fn gone(&mut self) -> Gone {
        self.0.gone().await
    }

    fn is_cut_off(&self) -> bool {
        self.0.is_cut_off()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Gone> {
        let guest = &mut self.0;
        let writing = guest.session.write(bytes);
        written(guest.drain, &mut guest.last_words, writing).await
    }

    async fn end(mut self) -> Result<(), Gone> {
        let guest = &mut self.0;
        let ending = guest.session.end();
        written(guest.drain, &mut guest.last_words, ending).await?;
        *self.0.kept = Kept::Keep;
        Ok(())
    }

    async fn break_off(mut self) {
        let guest = &mut self.0;
        let breaking = async {
            guest.session.break_off().await;
            Ok(())
        };
        // Who is cut off sees the connection's end all the same.
        let _ = written(guest.drain, &mut guest.last_words, breaking).await;
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Says no. The connection is closed where the refusal or an unread body
/// asks for it.
pub(crate) async fn refuse(session: &mut Session<'_>, refusal: &Refusal, id: HeaderValue) -> Kept {
    let mut headers = Lines::default();
    headers.push(REQUEST_ID, id);
    if let Refusal::MethodNotAllowed(takes) = *refusal {
        headers.push(header::ALLOW, HeaderValue::from_static(takes));
    }
    if refusal.status() == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        headers.push(header::WWW_AUTHENTICATE, scheme);
    }
    if let Some(seconds) = refusal.retry_after() {
        headers.push(header::RETRY_AFTER, seconds.into());
    } else if matches!(
        refusal.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::LOOP_DETECTED
    ) {
        // SDKs would try it again at once, and it will never fit or get out.
        headers.push(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    answer(
        session,
        refusal.status(),
        headers,
        refusal.body(),
        refusal.closes(),
    )
    .await
}

/// Answers with a document of our own.
pub(crate) async fn answer_json(
    session: &mut Session<'_>,
    status: StatusCode,
    id: HeaderValue,
    body: &Value,
) -> Kept {
    let mut headers = Lines::default();
    headers.push(REQUEST_ID, id);
    answer_text(session, status, headers, body.to_string()).await
}

/// The same, of any kind, with these headers.
pub(crate) async fn answer_text(
    session: &mut Session<'_>,
    status: StatusCode,
    headers: Lines,
    body: String,
) -> Kept {
    // HTTP/1.1 keeps it back by itself, and tells its length.
    let is_left_out = session.is_http2() && session.is_bodiless();
    let body = if is_left_out {
        Bytes::new()
    } else {
        body.into()
    };
    answer(session, status, headers, body, false).await
}

async fn answer(
    session: &mut Session<'_>,
    status: StatusCode,
    mut headers: Lines,
    body: Bytes,
    closes: bool,
) -> Kept {
    if !headers.contains(&header::CONTENT_TYPE) {
        headers.push(header::CONTENT_TYPE, JSON);
    }
    // A client that is still sending would have its body taken for its next
    // request.
    let closes = closes || session.is_body_in_the_way();
    if closes {
        session.close_after();
    }
    let mut kept = Kept::Close;
    let reply = Guest::new(session, &mut kept).reply(Head { status, headers }, vec![body]);
    // On the heap: every connection's task has room for what may happen in it,
    // and this seldom does.
    let replied = Box::pin(reply).await;
    if closes && replied.is_ok() {
        Kept::Linger
    } else {
        kept
    }
}
