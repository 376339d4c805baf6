//! What a request is let do and charged for: its key's permissions, limits and
//! budget on the way in, its row in the ledger on the way out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use tokio::time::Instant;

use super::ask::{Ask, REQUEST_ID};
use super::failure::{Failure, wall_clock};
use super::meter::Meter;
use super::plan::Pass;
use super::receipt::{Charged, End};
use super::trail::Trail;
use crate::access::Entered;
use crate::base::ModelName;
use crate::config::Target;
use crate::health::{Board, Moment};
use crate::ledger::{Discarded, Ended, Entry, Ledger, Record};
use crate::outcome::Outcome;
use crate::refusal::Refusal;
use crate::usage::{Tokens, Usd};

/// What a request is let do and charged for.
#[derive(Debug)]
pub(super) struct Account<'a> {
    ask: &'a Ask,
    ledger: Option<&'a Ledger>,
    board: &'a Board,
    /// Its place under its key; nothing where clients need none.
    entered: Option<Entered>,
    started: Instant,
}

impl<'a> Account<'a> {
    pub(super) fn new(
        ask: &'a Ask,
        ledger: Option<&'a Ledger>,
        board: &'a Board,
        entered: Option<Entered>,
    ) -> Self {
        Self {
            ask,
            ledger,
            board,
            entered,
            started: Instant::now(),
        }
    }

    /// When the request began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Whether the request's key may use this target of a candidate.
    pub(super) fn may(&self, candidate: &ModelName, target: &Target) -> bool {
        let denied = |entered: &Entered| entered.may(candidate, target.price.is_some());
        self.entered.as_ref().and_then(denied).is_none()
    }

    /// Reserves what an attempt may cost.
    ///
    /// # Errors
    /// The key's budget has no room for it.
    pub(super) fn reserve(&mut self, target: &Target) -> Result<(), Refusal> {
        let (Some(entered), Some(price)) = (&mut self.entered, &target.price) else {
            return Ok(());
        };
        let guess = Tokens {
            input: self.ask.tokens(),
            output: self.ask.answer_tokens(),
            ..Tokens::default()
        };
        entered.reserve(price.cost(&guess, None), wall_clock())
    }

    /// The request was refused after all: it counts for nothing.
    pub(super) fn withdraw(self) {
        if let Some(entered) = self.entered {
            entered.withdraw();
        }
    }

    /// Writes down an attempt that a provider may charge for and nobody has an
    /// answer of.
    pub(super) fn discards(&self, pass: &Pass, failure: &Failure) {
        let Some(ledger) = self.ledger.filter(|_| may_be_charged(failure)) else {
            return;
        };
        let head = failure.head.as_ref();
        let entry = Entry::Discarded(Discarded {
            time: wall_clock(),
            request_id: self.request_id().into(),
            key: self.key().map(Into::into),
            model: pass.candidate.as_str().into(),
            provider: pass.target.provider.name.as_str().into(),
            upstream_model: (&*pass.target.upstream_model).into(),
            outcome: failure.outcome.label().into(),
            status: head.map(|head| head.status.as_u16()),
            tokens: failure.usage,
            upstream_request_id: head.and_then(|head| id_in(&head.headers)).map(Into::into),
        });
        // The ledger tells of its own trouble; the request goes on.
        let _ = ledger.append(&entry);
    }

    /// The bill for an answer that has begun.
    pub(super) fn bill<'b>(
        self,
        trail: &'b Trail,
        pass: &'b Pass,
        head: &HeaderMap,
        first: Option<Duration>,
    ) -> Bill<'b>
    where
        'a: 'b,
    {
        Bill {
            trail,
            pass,
            upstream_request_id: id_in(head).map(Into::into),
            first,
            meter: Meter::default(),
            account: Some(self),
            charged: None,
        }
    }

    fn request_id(&self) -> &'a str {
        self.ask.id.to_str().unwrap_or_default()
    }

    /// The name of the key that asks.
    pub(super) fn holder(&self) -> Option<Arc<str>> {
        let entered = self.entered.as_ref()?;
        Some(Arc::clone(entered.holder().name()))
    }

    fn key(&self) -> Option<&str> {
        let entered = self.entered.as_ref()?;
        Some(entered.holder().name())
    }

    /// The key's tags, as a JSON object.
    fn tags(&self) -> &str {
        let holder = self.entered.as_ref().map(Entered::holder);
        holder.map_or("{}", |holder| holder.tags())
    }

    fn moment(&self) -> Moment {
        self.board.moment(Instant::now().into_std())
    }
}

/// An answer's bill. Closed once: before the client can see the answer's end.
/// Dropped open, it is that of a client who left.
#[derive(Debug)]
pub(super) struct Bill<'b> {
    account: Option<Account<'b>>,
    trail: &'b Trail,
    pass: &'b Pass,
    upstream_request_id: Option<Box<str>>,
    first: Option<Duration>,
    /// What is known so far.
    pub(super) meter: Meter,
    charged: Option<Charged>,
}

impl Bill<'_> {
    /// Charges for the answer and writes it down. When this returns, the
    /// record survives the process.
    pub(super) fn close(&mut self, ended: Ended) {
        let Some(account) = self.account.take() else {
            return;
        };
        let now = wall_clock();
        let (tokens, estimated) = if ended == Ended::Filtered {
            (Tokens::default(), false)
        } else {
            self.meter.tokens(|| account.ask.tokens())
        };
        let price = self.pass.target.price.as_ref();
        let cost = if ended == Ended::Filtered {
            Some(Usd::ZERO)
        } else {
            price.map(|price| price.cost(&tokens, self.meter.tier))
        };
        if let Some(ledger) = account.ledger {
            let record = self.record(&account, ended, (tokens, estimated), cost, now);
            // The ledger tells of its own trouble, and keeps what it can.
            let _ = ledger.append(&Entry::Usage(record));
        }
        self.charged = Some(Charged {
            tokens,
            estimated,
            cost,
            after: account.started.elapsed(),
        });
        let moment = account.moment();
        if let Some(entered) = account.entered {
            entered.settle(&tokens, cost, moment, now);
        }
    }

    /// Writes down an answer of which only the filter's word is left: it costs
    /// nothing.
    pub(super) fn close_filtered(mut self) -> Option<Charged> {
        self.close(Ended::Filtered);
        self.charged
    }

    /// What was charged, when it is closed.
    pub(super) fn charged(&self) -> Option<Charged> {
        self.charged
    }

    fn record<'r>(
        &'r self,
        account: &'r Account<'_>,
        ended: Ended,
        (tokens, estimated): (Tokens, bool),
        cost: Option<Usd>,
        now: SystemTime,
    ) -> Record<'r> {
        let (pass, ask) = (self.pass, account.ask);
        let names = ask.candidates.iter().map(|c| c.name.as_str().into());
        Record {
            time: now,
            request_id: account.request_id().into(),
            key: account.key().map(Into::into),
            tags: account.tags().into(),
            requested: names.collect(),
            model: pass.candidate.as_str().into(),
            provider: pass.target.provider.name.as_str().into(),
            upstream_model: (&*pass.target.upstream_model).into(),
            reported_model: self.meter.model.as_deref().map(Into::into),
            upstream_request_id: self.upstream_request_id.as_deref().map(Into::into),
            endpoint: ask.endpoint.route().into(),
            tokens,
            estimated,
            service_tier: self.meter.tier.map(Into::into),
            cost,
            prices: pass.target.price.as_ref().map(|price| price.json().into()),
            trail: self.trail.json().into(),
            first_token: self.first,
            duration: Some(account.started.elapsed()),
            streamed: ask.stream,
            ended,
        }
    }
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        self.close(Ended::ClientGone);
    }
}

impl End {
    /// How the ledger tells it.
    pub(super) fn ended(self) -> Ended {
        match self {
            Self::Answered => Ended::Answered,
            Self::ClientGone | Self::Failed => Ended::ClientGone,
            Self::Cut => Ended::Cut,
        }
    }
}

/// The upstream's own id of the request.
fn id_in(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

/// Whether an attempt may have made a provider work: it took the request and
/// did not refuse it.
fn may_be_charged(failure: &Failure) -> bool {
    match failure.outcome {
        Outcome::BadAnswer(_)
        | Outcome::ClientGone
        | Outcome::Cut
        | Outcome::Reset(_)
        | Outcome::Timeout(_) => true,
        // A filtered answer; an error refuses the prompt before any work.
        Outcome::Moderated => failure.status().is_none(),
        Outcome::Auth(_)
        | Outcome::Connect
        | Outcome::ContextLength
        | Outcome::Forbidden(_)
        | Outcome::NotFound(_)
        | Outcome::RateLimited(_)
        | Outcome::Rejected
        | Outcome::Unavailable => false,
    }
}
