//! One request and its answer on a stream of pingora's HTTP/2 client.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_error::{Error, RetryType};
use pingora_http::RequestHeader;
use tokio::time::timeout;

use super::http1::{LAST_LOOK, PIECE, WRITE};
use crate::seam::{Broken, Head};
use crate::wire::Body;

/// A stream while it serves one request.
pub(super) struct Streamed {
    session: Http2Session,
    /// Its connection has served before, so it may have died since.
    reused: bool,
    /// The whole request has been written.
    sent: bool,
    /// The answer's head has come.
    answered: bool,
}

impl Streamed {
    pub(super) fn new(mut session: Http2Session, reused: bool) -> Self {
        session.write_timeout = Some(WRITE);
        Self {
            session,
            reused,
            sent: false,
            answered: false,
        }
    }

    /// Sends a request. Returns early where the answer's head comes before
    /// all is written.
    pub(super) async fn send(&mut self, head: RequestHeader, body: &Body) -> Result<(), Broken> {
        if let Err(error) = self.session.write_request_header(Box::new(head), false) {
            let broken = self.broken(&error);
            return Err(if self.reused { Broken::Stale } else { broken });
        }
        let mut left = body.len();
        let whole;
        let parts = if left > PIECE {
            body.parts()
        } else {
            whole = [body.parts().concat().into()];
            &whole
        };
        for part in parts {
            let mut part = part.clone();
            while !part.is_empty() {
                let piece = part.split_to(part.len().min(PIECE));
                left -= piece.len();
                let written = self.session.write_request_body(piece, left == 0).await;
                if written.is_err() {
                    return self.last_look().await;
                }
                if left > 0 && self.has_answer()? {
                    return Ok(());
                }
            }
        }
        if self.session.finish_request_body().is_err() {
            return self.last_look().await;
        }
        self.sent = true;
        Ok(())
    }

    /// Sends a request's head; its body follows, unless that is all.
    pub(super) fn begin(&mut self, head: RequestHeader, is_whole: bool) -> Result<(), Broken> {
        let written = self.session.write_request_header(Box::new(head), is_whole);
        if let Err(error) = written {
            let broken = self.broken(&error);
            return Err(if self.reused { Broken::Stale } else { broken });
        }
        self.sent = is_whole;
        Ok(())
    }

    /// Sends more of its body; says whether the rest is wanted.
    pub(super) async fn push(&mut self, mut piece: Bytes) -> Result<bool, Broken> {
        while !piece.is_empty() {
            let some = piece.split_to(piece.len().min(PIECE));
            if self.session.write_request_body(some, false).await.is_err() {
                return self.last_look().await.map(|()| false);
            }
        }
        Ok(!self.has_answer()?)
    }

    /// Sends the body's end.
    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        if self.session.finish_request_body().is_err() {
            return self.last_look().await;
        }
        self.sent = true;
        Ok(())
    }

    /// A write has failed: the provider may have answered all the same.
    async fn last_look(&mut self) -> Result<(), Broken> {
        match timeout(LAST_LOOK, self.read_head()).await {
            Ok(come) => come,
            Err(_) if self.reused => Err(Broken::Stale),
            Err(_) => Err(Broken::Reset),
        }
    }

    /// Whether the answer's head is there before the request is out.
    fn has_answer(&mut self) -> Result<bool, Broken> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.read_head()).poll(&mut context) {
            Poll::Ready(come) => come.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    /// May be dropped and taken up again, but not after an error.
    async fn read_head(&mut self) -> Result<(), Broken> {
        if !self.answered {
            let read = self.session.read_response_header().await;
            read.map_err(|error| self.broken(&error))?;
            self.answered = true;
        }
        Ok(())
    }

    /// The answer's head; interim ones are passed over below.
    pub(super) async fn head(&mut self) -> Result<Head, Broken> {
        self.read_head().await?;
        let head = self.session.response_header().ok_or(Broken::Reset)?;
        if head.status.is_informational() {
            return Err(Broken::Reset);
        }
        Ok(Head {
            status: head.status,
            headers: head.headers.clone(),
        })
    }

    /// The next piece of the answer's body; nothing at its end.
    pub(super) async fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.session.read_response_body().await {
                Ok(Some(piece)) if piece.is_empty() => {}
                Ok(piece) => return Ok(piece),
                Err(error) => {
                    log::debug!("upstream: {}", error.etype().as_str());
                    return Err(Broken::Reset);
                }
            }
        }
    }

    /// The stream, to be handed back, and whether it came to its end.
    pub(super) fn into_inner(self) -> (Http2Session, bool) {
        (self.session, self.sent)
    }

    /// How it broke, where no head has come yet. No more of the error is told:
    /// it quotes what the provider sent.
    fn broken(&self, error: &Error) -> Broken {
        log::debug!("upstream: {}", error.etype().as_str());
        let again = match error.retry {
            RetryType::Decided(again) => again,
            RetryType::ReusedOnly => self.reused,
        };
        if again && !self.answered {
            Broken::Stale
        } else {
            Broken::Reset
        }
    }
}
