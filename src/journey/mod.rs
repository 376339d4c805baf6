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
mod trail;

#[cfg(test)]
mod tests;

use tokio::time::{Instant, timeout_at};

pub use self::ask::{Ask, Candidate, REQUEST_ID};
use self::attempt::Answer;
use self::failure::Failure;
use self::last_word::last_word;
pub use self::plan::{Pass, Skip};
use self::plan::{Plan, Step};
pub use self::receipt::{End, Receipt};
pub use self::trail::{Entry, Trail, Tried};
use crate::config::Config;
use crate::outcome::{Blame, Next, Outcome};
use crate::refusal::Refusal;
use crate::seam::{Client, Exchange, Out};

/// Walks a request's list until one model answers, and gives the client that
/// answer or the last failure. `dice` draws among weighted targets.
///
/// # Errors
/// None of the names is known: the client is given back unanswered.
pub async fn run<O: Out, C: Client>(
    ask: &Ask,
    config: &Config,
    out: &O,
    client: C,
    dice: u64,
) -> Result<Receipt, (C, Refusal)> {
    let Some(plan) = Plan::new(ask, dice) else {
        let first = ask.candidates.first().map(|first| first.name.to_string());
        return Err((client, Refusal::UnknownModel(first.unwrap_or_default())));
    };
    Ok(walk(ask, config, out, client, plan).await)
}

async fn walk<O: Out, C: Client>(
    ask: &Ask,
    config: &Config,
    out: &O,
    mut client: C,
    plan: Plan,
) -> Receipt {
    let started = Instant::now();
    let end = started + plan.total();
    let mut trail = Trail::default();
    let mut last = Failure::bare(Outcome::Connect);
    for step in plan {
        let pass = match step {
            Step::Skip(name, why) => {
                trail.skipped(name, why);
                continue;
            }
            Step::Try(pass) => pass,
        };
        let began = Instant::now();
        let until = began + pass.share(end.saturating_duration_since(began));
        let attempt = attempt_unless_gone(ask, &pass, out, until, &mut client).await;
        let took = began.elapsed();
        match attempt {
            Ok(answer) => {
                trail.answered(pass.clone(), answer.head().status.as_u16(), took);
                return answered(ask, trail, pass, answer, client, started).await;
            }
            Err(failure) => {
                trail.failed(pass, &failure, took);
                let outcome = failure.outcome;
                let status = failure.status();
                last = failure;
                if outcome.next() == Next::Stop || config.return_at_once.holds(outcome, status) {
                    break;
                }
            }
        }
    }
    failed(ask, trail, last, client, started).await
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

async fn answered<X: Exchange, C: Client>(
    ask: &Ask,
    trail: Trail,
    pass: Pass,
    answer: Answer<X>,
    client: C,
    started: Instant,
) -> Receipt {
    let first = started.elapsed();
    let status = answer.head().status;
    let (end, sent) = relay::run(ask, &trail, &pass, answer, client).await;
    Receipt {
        trail,
        answered: Some(pass),
        end,
        status: Some(status),
        first: Some(first),
        took: started.elapsed(),
        sent,
    }
}

async fn failed<C: Client>(
    ask: &Ask,
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
    let (head, body) = last_word(ask, &receipt.trail, last, Instant::now());
    let size = body.iter().map(|piece| piece.len() as u64).sum();
    receipt.status = Some(head.status);
    if client.reply(head, body).await.is_ok() {
        receipt.end = End::Failed;
        receipt.sent = size;
    }
    receipt.took = started.elapsed();
    receipt
}
