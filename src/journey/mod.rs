//! A request's way: from what is asked to who answered.
//!
//! The only asynchronous logic of the house, and the loop that joins it. It
//! knows no socket: the two [seams](crate::seam) do.

mod account;
mod ask;
mod attempt;
mod drill;
mod failure;
mod last_word;
mod meter;
mod plan;
mod receipt;
mod relay;
mod span;
mod stream;
mod taker;
mod trail;
mod work;

#[cfg(test)]
mod tests;

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use self::account::Account;
pub use self::ask::{Ask, Candidate, REQUEST_ID};
use self::attempt::Answer;
use self::failure::{Failure, wall_clock};
use self::last_word::{cut_off, hands_on_filtered, last_word};
pub use self::plan::Pass;
use self::plan::{Plan, Step};
pub use self::receipt::{Charged, End, Receipt};
pub use self::span::Span;
pub use self::trail::{Entry, Trail, Tried};
pub use self::work::worked;
use crate::access::Entered;
use crate::config::Config;
use crate::health::{Admission, Board, Moment};
use crate::ledger::Ledger;
use crate::outcome::{Blame, Next, Outcome, Skip};
use crate::refusal::Refusal;
use crate::seam::{Client, Exchange, Gone, Out};
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
    /// Where usage is written down, if anywhere.
    pub ledger: Option<&'a Ledger>,
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
/// None of the names is known, or the request's key may use none of them or
/// cannot pay for any: the client is given back unanswered, and the request
/// counts for nothing.
pub async fn run<'a, O: Out, C: Client>(
    ask: &'a Ask,
    means: &Means<'a, O>,
    entered: Option<Entered>,
    client: C,
) -> Result<Receipt, (C, Refusal)> {
    let account = Account::new(ask, means.ledger, means.board, entered);
    match Plan::new(ask, means.board, &account, means.dice) {
        Ok(plan) => walk(ask, means, account, client, plan).await,
        Err(refusal) => {
            account.withdraw();
            Err((client, refusal))
        }
    }
}

async fn walk<'a, O: Out, C: Client>(
    ask: &'a Ask,
    means: &Means<'a, O>,
    mut account: Account<'a>,
    mut client: C,
    mut plan: Plan<'a>,
) -> Result<Receipt, (C, Refusal)> {
    let started = account.started();
    let end = started + plan.total();
    let mut trail = Trail::default();
    let mut refused = None;
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
            Step::Drill(pass, drill) => {
                let failure = drill::failure(drill, ask.brings_rights);
                trail.drilled(pass, &failure);
                failure
            }
            Step::Recall(pass, error) => {
                is_own = false;
                let failure = Failure::recalled(error);
                trail.failed(pass, &failure, None);
                failure
            }
            Step::Try(pass, mut admission) => {
                if let Err(refusal) = account.reserve(&pass.target) {
                    trail.skipped(pass.candidate, Some(pass.target), Skip::NotAllowed);
                    refused = Some(refusal);
                    continue;
                }
                let until = began + pass.share(end.saturating_duration_since(began));
                let ended = {
                    let attempt = attempt_unless_gone(ask, &pass, means.out, until, &mut client);
                    // By reference: each move of it would keep room for one more.
                    let attempt = pin!(attempt);
                    probing(attempt, ask, means, &pass, &mut admission).await
                };
                match ended {
                    Ok(answer) => {
                        let status = answer.head().status.as_u16();
                        trail.answered(pass.clone(), status, began);
                        let place = Place { pass, admission };
                        let way = (answer, client);
                        return Ok(answered(ask, means, account, trail, place, way).await);
                    }
                    Err(failure) => {
                        admission.failed(failure.report(), means.now());
                        account.discards(&pass, &failure);
                        trail.failed(pass, &failure, Some(began));
                        failure
                    }
                }
            }
        };
        let (outcome, status) = (failure.outcome, failure.status());
        last = failure;
        let has_ended = is_own && outcome.next() == Next::Stop;
        if has_ended || client.is_cut_off() || means.config.return_at_once.holds(outcome, status) {
            break;
        }
    }
    match refused {
        // Nothing was tried, because nothing could be paid for.
        Some(refusal) if trail.tried().next().is_none() => {
            account.withdraw();
            Err((client, refusal))
        }
        _ => Ok(failed(ask, means, account, trail, last, client).await),
    }
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
    mut attempt: Pin<&mut impl Future<Output = T>>,
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
        // A client that is gone is seen first: no other attempt is made for it.
        biased;
        gone = client.gone() => Err(Failure::bare(match gone {
            // Its own time has run out, which says nothing of the target.
            Gone::CutOff => Outcome::Timeout(Blame::Request),
            Gone::Left => Outcome::ClientGone,
        })),
        ended = attempt => match ended {
            Ok(ended) => ended,
            Err(_) => Err(Failure::bare(Outcome::Timeout(Blame::Request))),
        },
    }
}

async fn answered<O, X: Exchange, C: Client>(
    ask: &Ask,
    means: &Means<'_, O>,
    account: Account<'_>,
    trail: Trail,
    place: Place<'_>,
    (answer, client): (Answer<X>, C),
) -> Receipt {
    let started = account.started();
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
    let key = account.holder();
    let streamed = matches!(answer, Answer::Stream(..));
    let mut bill = account.bill(&trail, &pass, &answer.head().headers, Some(first));
    let relayed = relay::run(ask, &trail, &pass, answer, client, &mut bill).await;
    let charged = bill.charged();
    drop(bill);
    match relayed.end {
        End::Answered => admission.finished(means.now()),
        End::Cut if !relayed.is_ours => {
            admission.failed(Failure::bare(Outcome::Cut).report(), means.now());
        }
        // Says nothing of the target.
        End::ClientGone | End::Cut | End::Failed => drop(admission),
    }
    Receipt {
        endpoint: ask.endpoint,
        key,
        trail,
        answered: Some(pass),
        streamed,
        charged,
        end: relayed.end,
        status: Some(status),
        first: Some(first),
        started,
        took: started.elapsed(),
        worked: Duration::ZERO,
        sent: relayed.sent,
    }
}

async fn failed<O, C: Client>(
    ask: &Ask,
    means: &Means<'_, O>,
    account: Account<'_>,
    trail: Trail,
    last: Failure,
    client: C,
) -> Receipt {
    let started = account.started();
    let mut receipt = Receipt {
        endpoint: ask.endpoint,
        key: account.holder(),
        answered: None,
        streamed: false,
        charged: None,
        end: End::ClientGone,
        status: None,
        first: None,
        started,
        took: started.elapsed(),
        worked: Duration::ZERO,
        sent: 0,
        trail,
    };
    if last.outcome == Outcome::ClientGone {
        return receipt;
    }
    let is_cut_off = client.is_cut_off();
    let filtered = (!is_cut_off && hands_on_filtered(&last))
        .then(|| last.head.clone())
        .flatten();
    let (head, body) = if is_cut_off {
        cut_off(ask, &receipt.trail)
    } else {
        let back = back(ask, &account, means.board, means.now());
        last_word(ask, &receipt.trail, last, back, Instant::now())
    };
    let size = body.iter().map(|piece| piece.len() as u64).sum();
    receipt.status = Some(head.status);
    if let (Some(from), Some(tried)) = (filtered, receipt.trail.tried().last()) {
        // An answer after all, which costs nothing.
        let bill = account.bill(&receipt.trail, &tried.pass, &from.headers, None);
        receipt.charged = bill.close_filtered();
    }
    match client.reply(head, body).await {
        Ok(()) => {
            receipt.end = End::Failed;
            receipt.sent = size;
        }
        Err(Gone::CutOff) => receipt.end = End::Failed,
        Err(Gone::Left) => {}
    }
    receipt.took = started.elapsed();
    receipt
}

/// How long it takes until one of the candidates that the request's key may
/// use may be back, where that is known.
fn back(ask: &Ask, account: &Account<'_>, board: &Board, now: Moment) -> Option<Duration> {
    let known = ask.candidates.iter();
    let known = known.filter_map(|c| Some((&c.name, c.model.as_ref()?)));
    known
        .flat_map(|(name, model)| model.targets.iter().map(move |target| (name, target)))
        .filter(|(name, target)| account.may(name, target))
        .filter_map(|(_, target)| board.back_at(target, ask.endpoint, now))
        .map(|moment| moment.from(now))
        .min()
}
