//! Drills: candidates that fail on purpose, for one request, so that people see
//! that the next one takes over before they need it to.
//!
//! A drilled candidate is sent nothing and asked nothing of: it takes no place
//! of a probe and no part of a budget, and nobody is told of its failure but
//! who asked for it.

use http::{HeaderMap, StatusCode};

use super::ask::Ask;
use super::failure::Failure;
use crate::access::Holder;
use crate::config::Config;
use crate::dialect::{ErrorSays, verdict};
use crate::outcome::{Blame, Outcome, Says};
use crate::refusal::{Refusal, drilled};
use crate::seam::Head;
use crate::wire::drill::{Drill, DrillError, FAIL, drills, shown};

impl Ask {
    /// Takes over what `x-standin-fail` asks for, where whoever asks may ask for
    /// it; else the header is nobody's business.
    ///
    /// # Errors
    /// It cannot be carried out as it stands, to the last entry: what is not
    /// drilled must not look as if it were.
    pub fn drill(
        &mut self,
        from: &HeaderMap,
        config: &Config,
        holder: Option<&Holder>,
    ) -> Result<(), Refusal> {
        if !config.drills && !holder.is_some_and(Holder::may_drill) || !from.contains_key(FAIL) {
            return Ok(());
        }
        let mut is_empty = true;
        for entry in drills(from) {
            let (name, drill) = entry.map_err(Refusal::BadDrill)?;
            let mut listed = self.candidates.iter_mut();
            let wrong = match listed.find(|c| c.name.as_str().as_bytes() == &*name) {
                None => DrillError::NotListed,
                Some(candidate) if candidate.model.is_none() => DrillError::Unknown,
                Some(candidate) if candidate.drill.is_some() => DrillError::Twice,
                Some(candidate) => {
                    candidate.drill = Some(drill);
                    is_empty = false;
                    continue;
                }
            };
            return Err(Refusal::BadDrill(wrong(shown(&name))));
        }
        if is_empty {
            return Err(Refusal::BadDrill(DrillError::Empty));
        }
        Ok(())
    }
}

/// A candidate's failure as its provider would have brought it about; an error
/// has nothing in its body but that it was asked for.
pub(super) fn failure(drill: Drill, brings_rights: bool) -> Failure {
    match drill {
        Drill::BadAnswer => Failure::bare(Outcome::BadAnswer(Says::Broken)),
        Drill::Connect => Failure::bare(Outcome::Connect),
        Drill::Reset => Failure::bare(Outcome::Reset(Blame::Target)),
        Drill::Status(status) => {
            // A drill's statuses are an HTTP status each.
            let http = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let head = Head {
                status: http,
                headers: HeaderMap::new(),
            };
            Failure {
                body: drilled(http),
                is_whole: true,
                ..Failure::with_head(verdict(status, &ErrorSays::default(), brings_rights), head)
            }
        }
        Drill::Timeout => Failure::bare(Outcome::Timeout(Blame::Target)),
    }
}
