//! A browser's right to look: it cannot send a bearer header by itself, so it
//! trades the token for a cookie once. The cookie says until when it holds and
//! proves with an HMAC that this process has said so for this token; nothing
//! is stored, and another token or another process ends it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::base::Secret;
use crate::front::{Body, Session};

/// How long a session holds: a working day.
const HOLDS: Duration = Duration::from_hours(12);

/// The longest token that is read, in bytes.
const LONGEST: usize = 4096;

/// How long one may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Guesses at a time, and how long a wrong one takes: together some thirty a
/// second, whatever is asked from how many places. Who is not let in to guess
/// may still have the token, and send it as a bearer header.
const GUESSES: usize = 16;
const WRONG: Duration = Duration::from_millis(500);

/// Sessions of one process.
pub(super) struct Sessions {
    /// Nothing where the system has no random numbers: then there are no
    /// sessions.
    key: Option<hmac::Key>,
    /// Cookies know no ports, and one host may have several Standins.
    name: String,
    began: Instant,
    guesses: Semaphore,
}

/// How a login ends.
pub(super) enum Login {
    /// With this cookie.
    Right(HeaderValue),
    /// The token is another one, or there is none.
    Wrong,
    /// Too many others guess.
    Busy,
}

impl Sessions {
    /// Those of the admin port with this number.
    pub(super) fn new(port: u16) -> Self {
        Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
            name: format!("standin-{port}"),
            began: Instant::now(),
            guesses: Semaphore::new(GUESSES),
        }
    }

    /// Reads the token that a login sends, as it is, and compares it: in the
    /// same time whatever is different about it, and slowly where it is wrong.
    pub(super) async fn login(&self, session: &mut Session<'_>, token: &Secret) -> Login {
        let Some(key) = &self.key else {
            return Login::Wrong;
        };
        let given = match timeout(PATIENCE, body(session)).await {
            Ok(Some(given)) => given,
            Ok(None) | Err(_) => return Login::Wrong,
        };
        let Ok(Ok(_guess)) = timeout(PATIENCE, self.guesses.acquire()).await else {
            return Login::Busy;
        };
        // Of the same length, whatever was sent.
        let tag = hmac::sign(key, &given);
        if hmac::verify(key, token.reveal().as_bytes(), tag.as_ref()).is_err() {
            sleep(WRONG).await;
            return Login::Wrong;
        }
        let until = (self.began.elapsed() + HOLDS).as_secs();
        let proof = hmac::sign(key, &said(until, token));
        let value = format!("{until}.{}", hex(proof.as_ref()));
        HeaderValue::from_str(&self.cookie(&value, HOLDS)).map_or(Login::Wrong, Login::Right)
    }

    /// Whether a request brings a session that this token began.
    pub(super) fn holds(&self, headers: &HeaderMap, token: &Secret) -> bool {
        let Some(key) = &self.key else {
            return false;
        };
        let now = self.began.elapsed().as_secs();
        let lines = headers.get_all(header::COOKIE).iter();
        let cookies = lines.filter_map(|line| line.to_str().ok());
        let mut values = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|cookie| {
                let (name, value) = cookie.trim().split_once('=')?;
                (name == self.name).then_some(value)
            });
        values.any(|value| {
            let Some((until, proof)) = value.split_once('.') else {
                return false;
            };
            let (Ok(until), Some(proof)) = (until.parse(), unhex(proof)) else {
                return false;
            };
            now < until && hmac::verify(key, &said(until, token), &proof).is_ok()
        })
    }

    fn cookie(&self, value: &str, holds: Duration) -> String {
        format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}",
            self.name,
            holds.as_secs()
        )
    }
}

/// What a proof is made of. A bare token is signed too, when tokens are
/// compared: this begins with what none can, since headers cannot carry it.
fn said(until: u64, token: &Secret) -> Vec<u8> {
    let mut said = vec![0];
    said.extend_from_slice(&until.to_be_bytes());
    said.extend_from_slice(token.reveal().as_bytes());
    said
}

/// The whole body, where it is not longer than any token.
async fn body(session: &mut Session<'_>) -> Option<Bytes> {
    let mut whole = Body::default();
    while session.read(&mut whole).await.ok()? {
        if whole.len() > LONGEST {
            return None;
        }
    }
    Some(whole.freeze())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let &[high, low] = pair else {
            return None;
        };
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(sessions: &Sessions, until: u64, token: &Secret) -> HeaderMap {
        let key = sessions.key.as_ref().expect("random numbers");
        let proof = hex(hmac::sign(key, &said(until, token)).as_ref());
        let cookie = format!("a=b; standin-1={until}.{proof}; c");
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_holds_for_its_token_process_and_time() {
        let (sessions, token) = (Sessions::new(1), Secret::from("t0ken"));
        let headers = session(&sessions, 100, &token);
        assert!(sessions.holds(&headers, &token));
        assert!(!sessions.holds(&headers, &Secret::from("other")));
        assert!(!Sessions::new(1).holds(&headers, &token));
        assert!(!Sessions::new(2).holds(&headers, &token));
        assert!(!sessions.holds(&HeaderMap::new(), &token));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(!sessions.holds(&headers, &token));
    }

    #[tokio::test(start_paused = true)]
    async fn no_other_cookie_is_one() {
        let (sessions, token) = (Sessions::new(1), Secret::from("t0ken"));
        for cookie in [
            "",
            "standin-1",
            "standin-1=",
            "standin-1=100",
            "standin-1=100.",
            "standin-1=100.0",
            "standin-1=100.zz",
            "standin-1=18446744073709551615.00",
            "standin-1=100.é",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::COOKIE,
                HeaderValue::from_bytes(cookie.as_bytes()).unwrap(),
            );
            assert!(!sessions.holds(&headers, &token), "{cookie}");
        }
    }
}
