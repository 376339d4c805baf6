//! What stands in a frame: the fields of one entry, in the order of its
//! struct. Pure bytes, and none of them is `0xFF`, with which frames begin.
//!
//! - A number: groups of six bits, the lowest first, a byte for each; `0x40`
//!   is set where another one follows.
//! - A text: how many bytes it has, as a number, then these, in UTF-8.
//! - Times and periods: numbers of milliseconds; money in parts of 10⁻¹²
//!   dollars.
//! - What may be missing: 0, or 1 and then what it is. A list: its length,
//!   then its members.
//!
//! Nothing of it is JSON, though some texts are: each answer pays for what is
//! written here, and again when it is read.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::record::{Discarded, Ended, Entry, Record, millis, of_row, row};
use crate::usage::{Tokens, Usd};

const USAGE: u128 = 1;
const DISCARDED: u128 = 2;

const SIX_BITS: u8 = 0x3F;
const MORE: u8 = 0x40;

/// Appends an entry.
pub(super) fn write(entry: &Entry<'_>, to: &mut Vec<u8>) {
    let mut to = Writer(to);
    match entry {
        Entry::Usage(it) => {
            to.number(USAGE);
            to.time(it.time);
            to.text(&it.request_id);
            to.maybe_text(it.key.as_deref());
            to.text(&it.tags);
            to.number(it.requested.len() as u128);
            for name in &it.requested {
                to.text(name);
            }
            to.text(&it.model);
            to.text(&it.provider);
            to.text(&it.upstream_model);
            to.maybe_text(it.reported_model.as_deref());
            to.maybe_text(it.upstream_request_id.as_deref());
            to.text(&it.endpoint);
            to.tokens(&it.tokens);
            to.number(it.estimated.into());
            to.maybe_text(it.service_tier.as_deref());
            to.maybe_number(it.cost.map(Usd::pico));
            to.maybe_text(it.prices.as_deref());
            to.text(&it.trail);
            to.maybe_number(it.first_token.map(|period| period.as_millis()));
            to.maybe_number(it.duration.map(|period| period.as_millis()));
            to.number(it.streamed.into());
            to.number(it.ended as u128);
        }
        Entry::Discarded(it) => {
            to.number(DISCARDED);
            to.time(it.time);
            to.text(&it.request_id);
            to.maybe_text(it.key.as_deref());
            to.text(&it.model);
            to.text(&it.provider);
            to.text(&it.upstream_model);
            to.text(&it.outcome);
            to.maybe_number(it.status.map(Into::into));
            to.number(it.tokens.is_some().into());
            if let Some(tokens) = &it.tokens {
                to.tokens(tokens);
            }
            to.maybe_text(it.upstream_request_id.as_deref());
        }
    }
}

/// Reads an entry; nothing where the bytes are not one, all of them.
pub(super) fn read(from: &[u8]) -> Option<Entry<'_>> {
    let mut from = Reader(from);
    let entry = match from.number()? {
        USAGE => Entry::Usage(Record {
            time: from.time()?,
            request_id: from.text()?,
            key: from.maybe_text()?,
            tags: from.text()?,
            requested: from.texts()?,
            model: from.text()?,
            provider: from.text()?,
            upstream_model: from.text()?,
            reported_model: from.maybe_text()?,
            upstream_request_id: from.maybe_text()?,
            endpoint: from.text()?,
            tokens: from.tokens()?,
            estimated: from.bit()?,
            service_tier: from.maybe_text()?,
            cost: from.maybe_number()?.map(Usd::from_pico),
            prices: from.maybe_text()?,
            trail: from.text()?,
            first_token: from.maybe_period()?,
            duration: from.maybe_period()?,
            streamed: from.bit()?,
            ended: from.ended()?,
        }),
        DISCARDED => Entry::Discarded(Discarded {
            time: from.time()?,
            request_id: from.text()?,
            key: from.maybe_text()?,
            model: from.text()?,
            provider: from.text()?,
            upstream_model: from.text()?,
            outcome: from.text()?,
            status: match from.maybe_number()? {
                Some(status) => Some(u16::try_from(status).ok()?),
                None => None,
            },
            tokens: match from.bit()? {
                true => Some(from.tokens()?),
                false => None,
            },
            upstream_request_id: from.maybe_text()?,
        }),
        _ => return None,
    };
    from.0.is_empty().then_some(entry)
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn number(&mut self, mut number: u128) {
        loop {
            let low = number as u8 & SIX_BITS;
            number >>= 6;
            if number == 0 {
                return self.0.push(low);
            }
            self.0.push(low | MORE);
        }
    }

    fn time(&mut self, time: SystemTime) {
        self.number(millis::of(time).unsigned_abs().into());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u128);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.number(text.is_some().into());
        if let Some(text) = text {
            self.text(text);
        }
    }

    fn maybe_number(&mut self, number: Option<u128>) {
        self.number(number.is_some().into());
        if let Some(number) = number {
            self.number(number);
        }
    }

    fn tokens(&mut self, tokens: &Tokens) {
        for count in row(tokens) {
            self.number(count.into());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u128> {
        let mut number = 0_u128;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u128::from(byte & SIX_BITS);
            // What does not come back was shifted out at the top.
            let placed = bits.checked_shl(shift).filter(|it| it >> shift == bits)?;
            number |= placed;
            match byte & !SIX_BITS {
                0 => return Some(number),
                MORE => shift += 6,
                _ => return None,
            }
        }
    }

    fn count(&mut self) -> Option<u64> {
        self.number()?.try_into().ok()
    }

    fn bit(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.count()?))
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let length = self.number()?.try_into().ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Cow::Borrowed)
    }

    fn texts(&mut self) -> Option<Vec<Cow<'a, str>>> {
        let count = self.count()?;
        // Grows as they come: a count alone reserves nothing.
        (0..count).map(|_| self.text()).collect()
    }

    fn maybe_number(&mut self) -> Option<Option<u128>> {
        match self.bit()? {
            true => self.number().map(Some),
            false => Some(None),
        }
    }

    fn maybe_text(&mut self) -> Option<Option<Cow<'a, str>>> {
        match self.bit()? {
            true => self.text().map(Some),
            false => Some(None),
        }
    }

    fn maybe_period(&mut self) -> Option<Option<Duration>> {
        match self.bit()? {
            true => self.count().map(Duration::from_millis).map(Some),
            false => Some(None),
        }
    }

    fn tokens(&mut self) -> Option<Tokens> {
        let mut row = [0; 7];
        for count in &mut row {
            *count = self.count()?;
        }
        Some(of_row(row))
    }

    fn ended(&mut self) -> Option<Ended> {
        let number = self.number()?;
        Ended::ALL.into_iter().find(|it| *it as u128 == number)
    }
}
