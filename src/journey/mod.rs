//! A request's way: from what is asked to who answered.
//!
//! The only asynchronous logic of the house, and the loop that joins it. It
//! knows no socket: the two [seams](crate::seam) do.

mod ask;
mod attempt;
mod failure;
mod last_word;
mod plan;
mod receipt;
mod relay;
mod stream;
mod taker;
mod trail;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

pub use self::ask::{Ask, Candidate, REQUEST_ID};
use self::attempt::Answer;
use self::failure::{Failure, wall_clock};
use self::last_word::last_word;
pub use self::plan::Pass;
use self::plan::{Plan, Step};
pub use self::receipt::{End, Receipt};
pub use self::trail::{Entry, Trail, Tried};
use crate::config::Config;
use crate::health::{Admission, Board, Moment};
use crate::outcome::{Blame, Next, Outcome};
use crate::refusal::Refusal;
use crate::seam::{Client, Exchange, Out};
use crate::wire::Quota;

/// What a journey needs beside the request.
#[derive(Debug)]
pub struct Means<'a, O> {
    /// The configuration that the request came in under.
    pub config: &'a Config,
    /// What is known of its targets.
    pub board: &'a Board,
    /// The way to them.
    pub out: &'a O,
    /// 64 random bits: they draw among weighted targets and spread probes.
    pub dice: u64,
}

impl<O> Means<'_, O> {
    fn now(&self) -> Moment {
        self.board.moment(Instant::now().into_std())
    }
}

/// Walks a request's list until one model answers, and gives the client that
/// answer or the last failure.
///
/// # Errors
/// None of the names is known: the client is given back unanswered.
pub async fn run<O: Out, C: Client>(
    ask: &Ask,
    means: &Means<'_, O>,
    client: C,
) -> Result<Receipt, (C, Refusal)> {
    let Some(plan) = Plan::new(ask, means.board, means.dice) else {
        let first = ask.candidates.first().map(|first| first.name.to_string());
        return Err((client, Refusal::UnknownModel(first.unwrap_or_default())));
    };
    Ok(walk(ask, means, client, plan).await)
}

async fn walk<'a, O: Out, C: Client>(
    ask: &'a Ask,
    means: &Means<'a, O>,
    mut client: C,
    mut plan: Plan<'a>,
) -> Receipt {
    let started = Instant::now();
    let end = started + plan.total();
    let mut trail = Trail::default();
    let mut last = Failure::bare(Outcome::Connect);
    while let Some(step) = plan.next(means.now()) {
        let began = Instant::now();
        // What others have failed with ends no request but theirs.
        let mut is_own = true;
        let failure = match step {
            Step::Skip(name, target, why) => {
                trail.skipped(name, target, why);
                continue;
            }
            Step::Recall(pass, error) => {
                is_own = false;
                let failure = Failure::recalled(error);
                trail.failed(pass, &failure, Duration::ZERO);
                failure
            }
            Step::Try(pass, mut admission) => {
                let until = began + pass.share(end.saturating_duration_since(began));
                let attempt = attempt_unless_gone(ask, &pass, means.out, until, &mut client);
                let attempt = probing(attempt, ask, means, &pass, &mut admission);
                match attempt.await {
                    Ok(answer) => {
                        let status = answer.head().status.as_u16();
                        trail.answered(pass.clone(), status, began.elapsed());
                        let place = Place { pass, admission };
                        return answered(ask, means, trail, place, answer, client, started).await;
                    }
                    Err(failure) => {
                        admission.failed(failure.report(), means.now());
                        trail.failed(pass, &failure, began.elapsed());
                        failure
                    }
                }
            }
        };
        let (outcome, status) = (failure.outcome, failure.status());
        last = failure;
        let has_ended = is_own && outcome.next() == Next::Stop;
        if has_ended || means.config.return_at_once.holds(outcome, status) {
            break;
        }
    }
    failed(ask, means, trail, last, client, started).await
}

/// Who answers, and what is to be told of it.
struct Place<'a> {
    pass: Pass,
    admission: Admission<'a>,
}

/// An attempt that may be a probe. The last of a plan may take longer than its
/// target's own timeouts; the others cannot wait for that to learn whether the
/// target is back.
async fn probing<O, T>(
    attempt: impl Future<Output = T>,
    ask: &Ask,
    means: &Means<'_, O>,
    pass: &Pass,
    admission: &mut Admission<'_>,
) -> T {
    if !(pass.is_last() && admission.is_probe()) {
        return attempt.await;
    }
    let timeouts = &pass.target.timeouts;
    let own = if ask.stream {
        timeouts.first_token
    } else {
        timeouts.answer
    };
    tokio::pin!(attempt);
    if let Ok(ended) = timeout(timeouts.connect + own, &mut attempt).await {
        return ended;
    }
    admission.probes_no_longer(means.now());
    attempt.await
}

/// One attempt, until its share of the time runs out or the client leaves:
/// then it is dropped, which cuts its connection.
async fn attempt_unless_gone<O: Out, C: Client>(
    ask: &Ask,
    pass: &Pass,
    out: &O,
    until: Instant,
    client: &mut C,
) -> Result<Answer<O::Exchange>, Failure> {
    let attempt = timeout_at(until, attempt::run(ask, pass, out));
    tokio::select! {
        // A client that has left is seen first: no other attempt is made for it.
        biased;
        () = client.gone() => Err(Failure::bare(Outcome::ClientGone)),
        ended = attempt => match ended {
            Ok(ended) => ended,
            Err(_) => Err(Failure::bare(Outcome::Timeout(Blame::Request))),
        },
    }
}

async fn answered<O, X: Exchange, C: Client>(
    ask: &Ask,
    means: &Means<'_, O>,
    trail: Trail,
    place: Place<'_>,
    answer: Answer<X>,
    client: C,
    started: Instant,
) -> Receipt {
    let Place {
        pass,
        mut admission,
    } = place;
    let first = started.elapsed();
    let status = answer.head().status;
    let quota = if ask.brings_rights {
        // It may be another one's.
        Quota::default()
    } else {
        Quota::read(&answer.head().headers, wall_clock())
    };
    admission.headed(&quota, means.now());
    admission.said(means.now());
    let relayed = relay::run(ask, &trail, &pass, answer, client).await;
    match relayed.end {
        End::Answered => admission.finished(means.now()),
        End::Cut if !relayed.kept_waiting => {
            admission.failed(Failure::bare(Outcome::Cut).report(), means.now());
        }
        // Says nothing of the target.
        End::ClientGone | End::Cut | End::Failed => drop(admission),
    }
    Receipt {
        trail,
        answered: Some(pass),
        end: relayed.end,
        status: Some(status),
        first: Some(first),
        took: started.elapsed(),
        sent: relayed.sent,
    }
}

async fn failed<O, C: Client>(
    ask: &Ask,
    means: &Means<'_, O>,
    trail: Trail,
    last: Failure,
    client: C,
    started: Instant,
) -> Receipt {
    let mut receipt = Receipt {
        answered: None,
        end: End::ClientGone,
        status: None,
        first: None,
        took: started.elapsed(),
        sent: 0,
        trail,
    };
    if last.outcome == Outcome::ClientGone {
        return receipt;
    }
    let back = back(ask, means.board, means.now());
    let (head, body) = last_word(ask, &receipt.trail, last, back, Instant::now());
    let size = body.iter().map(|piece| piece.len() as u64).sum();
    receipt.status = Some(head.status);
    if client.reply(head, body).await.is_ok() {
        receipt.end = End::Failed;
        receipt.sent = size;
    }
    receipt.took = started.elapsed();
    receipt
}

/// How long it takes until one of the candidates may be back, where that is
/// known.
fn back(ask: &Ask, board: &Board, now: Moment) -> Option<Duration> {
    let models = ask.candidates.iter().filter_map(|c| c.model.as_ref());
    models
        .flat_map(|model| &model.targets)
        .filter_map(|target| board.back_at(target, ask.endpoint, now))
        .map(|moment| moment.from(now))
        .min()
}
