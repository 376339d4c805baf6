//! What a scenario works with: those that are compared, the load, and the
//! sheet on which figures are noted.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::sync::oneshot;

use super::load::{self, Expected, Pace, Plan, Taken};
use super::machine;
use super::sheet::Sheet;
use super::subject::{Subject, memory, processor};
use crate::line::{Answer, Line};
use crate::rounds::count;

/// What was looked at before and after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) processor: Duration,
    /// Resident, in KiB.
    pub(super) memory: u64,
}

/// A kind of request, and how its answers are known to be right.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) requests: Vec<Vec<u8>>,
    pub(super) expected: Expected,
}

/// The subjects, and how long what is done with them.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) subjects: Vec<Subject>,
    pub(super) sheet: Sheet,
    pub(super) rounds: usize,
    pub(super) connections: usize,
    /// Of each measurement.
    pub(super) warm: Duration,
    pub(super) measure: Duration,
    /// Where the load runs; everywhere, where none is said.
    pub(super) cores: Option<Range<usize>>,
    /// Open at the same time, where their memory is measured.
    pub(super) streams: usize,
    /// Of the soak.
    pub(super) minutes: u64,
    /// Of temporary files, logs among them.
    pub(super) folder: PathBuf,
}

impl Bench {
    pub(super) fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.name == name)
    }

    /// Sends on a thread of its own, while this one drives processes.
    pub(super) async fn load(
        &self,
        subject: &Subject,
        kind: &Kind,
        pace: Pace,
        connections: usize,
        (warm, measure): (Duration, Duration),
    ) -> Result<Taken<Look>, String> {
        self.empty_logs();
        let plan = Plan {
            at: subject.at,
            connections,
            requests: kind.requests.clone(),
            pace,
            warm,
            measure,
            gap: GAP,
            expected: kind.expected.clone(),
        };
        let processes = subject.processes();
        let cores = self.cores.clone();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("load".to_owned());
        let spawned = thread.spawn(move || {
            let bound = cores.map_or(Ok(()), machine::keep_to);
            let taken = bound.and_then(|()| {
                load::run(&plan, || {
                    let processor = processor(&processes)?;
                    let memory = memory(&processes)?;
                    Ok(Look { processor, memory })
                })
            });
            // Nobody listens where the run was broken off.
            let _ = tell.send(taken);
        });
        spawned.map_err(|error| format!("load: {error}"))?;
        let taken = told.await.map_err(|_| "the load's thread has ended")?;
        taken.map_err(|why| format!("{}: {why}", subject.name))
    }

    /// One request, whose answer is looked at in all its parts; what the load
    /// has to expect of those that follow.
    pub(super) async fn first(
        &self,
        subject: &Subject,
        request: Vec<u8>,
    ) -> Result<(Kind, Answer), String> {
        let failed = |why: &str| format!("{}: {why}", subject.name);
        let mut line = Line::to(subject.at).await.map_err(|why| failed(&why))?;
        let answer = line.exchange(&request).await.map_err(|why| failed(&why))?;
        if answer.status != 200 {
            return Err(failed(&format!("{answer:?}")));
        }
        let is_stream = answer.body.starts_with(b"data: ");
        let expected = match is_stream {
            true => Expected {
                events: Some(memchr::memmem::find_iter(&answer.body, b"\n\n").count() as u64),
                ..Expected::default()
            },
            false => Expected {
                length: Some(answer.body.len() as u64),
                ..Expected::default()
            },
        };
        let kind = Kind {
            requests: vec![request],
            expected,
        };
        Ok((kind, answer))
    }

    /// Logs are files that nobody reads.
    fn empty_logs(&self) {
        for subject in &self.subjects {
            let log = self.folder.join(format!("{}.log", subject.name));
            let opened = std::fs::OpenOptions::new().write(true).open(log);
            // Where it cannot be emptied it grows, and nothing else.
            let _ = opened.and_then(|log| log.set_len(0));
        }
    }
}

/// A gap between two events is long above this.
pub(super) const GAP: Duration = Duration::from_millis(50);

impl Taken<Look> {
    /// Microseconds of processor time for each of so many.
    pub(super) fn processor_each(&self, of: u64) -> f64 {
        let used = self.after.processor.saturating_sub(self.before.processor);
        used.as_secs_f64() * 1e6 / count(of)
    }

    /// In a second.
    pub(super) fn rate(&self, of: u64) -> f64 {
        count(of) / self.wall.as_secs_f64()
    }

    /// How much of one core the subject has used.
    pub(super) fn busy(&self) -> f64 {
        let used = self.after.processor.saturating_sub(self.before.processor);
        used.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// That percentile, in microseconds.
pub(super) fn percentile(times: &Histogram<u64>, percent: f64) -> f64 {
    count(times.value_at_percentile(percent)) / 1e3
}
