//! What a provider charges for a token.

use std::fmt;

use super::{Tokens, Usd, UsdError};

#[cfg(test)]
mod tests;

/// Tokens that a price is for, and the digits after its point that make the
/// price of one token a whole number of the parts that [`Usd`] counts.
const MILLION: u128 = 1_000_000;
const DIGITS: usize = 6;

/// The dearest price that is believed, in USD for a million tokens: a dollar
/// for one. It keeps the cost of any count that fits within [`Usd`] too.
const DEAREST: u128 = 1_000_000;

/// What kinds of tokens cost, each in USD for one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of the input, what has no price of its own.
    pub input: Usd,
    /// Read from the provider's cache; without it as `input`.
    pub cached_input: Option<Usd>,
    /// Written into the provider's cache; without it as `input`.
    pub cache_write: Option<Usd>,
    /// Sound in the prompt; without it as `input`.
    pub input_audio: Option<Usd>,
    /// Of the output, what has no price of its own.
    pub output: Usd,
    /// Sound in the answer; without it as `output`.
    pub output_audio: Option<Usd>,
}

/// Prices of one service tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceSet {
    /// What holds for most requests.
    pub rates: Rates,
    /// Above so many input tokens all tokens of the request, the answer's as
    /// well, cost this instead. Nothing is taken over from `rates`.
    pub long_context: Option<(u64, Rates)>,
}

/// What a target charges.
#[derive(Clone, PartialEq, Eq)]
pub struct Price {
    standard: PriceSet,
    /// By the tier's name, as an answer's `service_tier` has it.
    tiers: Vec<(&'static str, PriceSet)>,
    /// See [`Price::json`].
    json: Box<str>,
}

/// Why a price could not be read. The text says what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceError {
    /// Too dear to be meant.
    Dear,
    /// More digits after the point than a token can be counted with.
    Digits,
    /// Below nothing.
    Negative,
    /// It is no decimal number.
    Number,
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dear => {
                "is above 1000000: a price is in USD for a million tokens, as providers write it"
            }
            Self::Digits => {
                "has more than 6 digits after the point: a price is in USD for a million tokens, \
                 not for one"
            }
            Self::Negative => "is below zero, which nothing costs",
            Self::Number => "is a price in USD for a million tokens: a decimal number such as 2.50",
        })
    }
}

impl std::error::Error for PriceError {}

/// Reads a price in USD for a million tokens, and gives that of one.
///
/// # Errors
/// What is no decimal number, has more than six digits after the point, or is
/// above a million.
pub fn per_million(text: &str) -> Result<Usd, PriceError> {
    if let Some(rest) = text.strip_prefix('-')
        && rest.parse::<Usd>().is_ok()
    {
        return Err(PriceError::Negative);
    }
    let usd: Usd = text.parse().map_err(|error| match error {
        UsdError::Fraction => PriceError::Digits,
        UsdError::Number => PriceError::Number,
        UsdError::TooLarge => PriceError::Dear,
    })?;
    if usd > Usd::from_pico(DEAREST * 10_u128.pow(12)) {
        return Err(PriceError::Dear);
    }
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.trim_end_matches('0').len() > DIGITS {
        return Err(PriceError::Digits);
    }
    Ok(Usd::from_pico(usd.pico() / MILLION))
}

impl Rates {
    /// What these tokens cost. Parts that together are more than their whole
    /// are cut to it: cached first, then written, then sound.
    pub fn cost(&self, tokens: &Tokens) -> Usd {
        let mut input = tokens.input;
        let mut of_input = |part: u64| {
            let part = part.min(input);
            input -= part;
            part
        };
        let cached = of_input(tokens.cached);
        let written = of_input(tokens.cache_write);
        let heard = of_input(tokens.input_audio);
        let spoken = tokens.output_audio.min(tokens.output);
        [
            self.cached_input.unwrap_or(self.input).times(cached),
            self.cache_write.unwrap_or(self.input).times(written),
            self.input_audio.unwrap_or(self.input).times(heard),
            self.input.times(input),
            self.output_audio.unwrap_or(self.output).times(spoken),
            self.output.times(tokens.output - spoken),
        ]
        .into_iter()
        .sum()
    }

    /// The members of a JSON object, in USD for a million tokens.
    fn members(&self, out: &mut String) {
        for (name, rate) in [
            ("input", Some(self.input)),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("input_audio", self.input_audio),
            ("output", Some(self.output)),
            ("output_audio", self.output_audio),
        ] {
            if let Some(rate) = rate {
                let million = Usd::from_pico(rate.pico().saturating_mul(MILLION));
                let comma = if out.ends_with('{') { "" } else { "," };
                *out += &format!("{comma}\"{name}\":\"{million}\"");
            }
        }
    }
}

impl PriceSet {
    /// What holds for a prompt of so many tokens.
    fn rates(&self, input: u64) -> &Rates {
        match &self.long_context {
            Some((above, rates)) if input > *above => rates,
            Some(_) | None => &self.rates,
        }
    }

    fn members(&self, out: &mut String) {
        self.rates.members(out);
        if let Some((above, rates)) = &self.long_context {
            *out += &format!(",\"long_context\":{{\"above\":{above}");
            rates.members(out);
            out.push('}');
        }
    }
}

impl Price {
    /// Service tiers that have prices of their own, as OpenAI calls them in
    /// `service_tier` (platform.openai.com/docs/api-reference/chat/object).
    pub const TIERS: [&'static str; 3] = ["batch", "flex", "priority"];

    /// `tiers` are those with prices of their own, by their names.
    pub fn new(standard: PriceSet, tiers: Vec<(&'static str, PriceSet)>) -> Self {
        let mut json = "{".to_owned();
        standard.members(&mut json);
        if !tiers.is_empty() {
            json += ",\"tiers\":{";
            for (at, (name, set)) in tiers.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                json += &format!("{comma}\"{name}\":{{");
                set.members(&mut json);
                json.push('}');
            }
            json.push('}');
        }
        json.push('}');
        Self {
            standard,
            tiers,
            json: json.into(),
        }
    }

    /// What these tokens cost in a service tier; one without prices of its own
    /// costs what the standard tier does.
    pub fn cost(&self, tokens: &Tokens, tier: Option<&str>) -> Usd {
        let own = self.tiers.iter().find(|(name, _)| Some(*name) == tier);
        let set = own.map_or(&self.standard, |(_, set)| set);
        set.rates(tokens.input).cost(tokens)
    }

    /// All of it as a JSON object, in USD for a million tokens as decimal
    /// strings: what stands in the ledger as the prices used.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl fmt::Debug for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Price({})", self.json)
    }
}
