//! Costs calculated by hand, by another arithmetic, and by their laws.

use super::*;

fn price(text: &str) -> Usd {
    per_million(text).unwrap()
}

fn rates(input: &str, cached: &str, output: &str) -> Rates {
    Rates {
        input: price(input),
        cached_input: Some(price(cached)),
        cache_write: None,
        input_audio: None,
        output: price(output),
        output_audio: None,
    }
}

fn set(rates: Rates) -> PriceSet {
    PriceSet {
        rates,
        long_context: None,
    }
}

fn tokens(input: u64, cached: u64, output: u64) -> Tokens {
    Tokens {
        input,
        cached,
        output,
        ..Tokens::default()
    }
}

#[test]
fn prices_are_read_exactly() {
    for (text, pico) in [
        ("2.50", 2_500_000),
        ("0", 0),
        ("0.00", 0),
        ("0.003625", 3_625),
        ("0.000001", 1),
        ("10", 10_000_000),
        ("1.2500000", 1_250_000),
        ("1000000", 1_000_000_000_000),
    ] {
        assert_eq!(per_million(text), Ok(Usd::from_pico(pico)), "{text}");
    }
    for (text, error) in [
        ("0.0000025", PriceError::Digits),
        ("0.0000000000025", PriceError::Digits),
        ("1000000.000001", PriceError::Dear),
        (
            "99999999999999999999999999999999999999999",
            PriceError::Dear,
        ),
        ("-2.50", PriceError::Negative),
        ("-x", PriceError::Number),
        ("2,50", PriceError::Number),
        ("$2.50", PriceError::Number),
        ("2.5e0", PriceError::Number),
        (".5", PriceError::Number),
        ("", PriceError::Number),
        ("nan", PriceError::Number),
    ] {
        assert_eq!(per_million(text), Err(error), "{text}");
    }
}

#[test]
fn costs_are_what_a_hand_calculates() {
    let gpt_4o = Price::new(set(rates("2.50", "1.25", "10.00")), Vec::new());
    for (tokens, cost) in [
        (tokens(0, 0, 0), "0.00"),
        (tokens(1, 0, 0), "0.0000025"),
        (tokens(1, 1, 0), "0.00000125"),
        (tokens(0, 0, 1), "0.00001"),
        // 1000 × 2.50 + 500 × 1.25 + 200 × 10.00, all of it for a million
        (tokens(1_500, 500, 200), "0.005125"),
        (tokens(1_000_000, 0, 1_000_000), "12.50"),
        // Cached ones are never more than there are.
        (tokens(10, 99, 0), "0.0000125"),
    ] {
        assert_eq!(gpt_4o.cost(&tokens, None).to_string(), cost, "{tokens:?}");
    }
}

#[test]
fn parts_without_a_price_cost_what_their_whole_does() {
    let all = Tokens {
        input: 1_000,
        cached: 100,
        cache_write: 200,
        input_audio: 300,
        output: 50,
        reasoning: 40,
        output_audio: 10,
    };
    let mut rates = rates("3", "0.30", "15");
    // 100 × 0.30 + 900 × 3 + 50 × 15
    assert_eq!(rates.cost(&all).to_string(), "0.00348");
    rates.cache_write = Some(price("3.75"));
    rates.input_audio = Some(price("40"));
    rates.output_audio = Some(price("80"));
    // 100 × 0.30 + 200 × 3.75 + 300 × 40 + 400 × 3 + 40 × 15 + 10 × 80
    assert_eq!(rates.cost(&all).to_string(), "0.01538");
    rates.cached_input = Some(Usd::ZERO);
    assert_eq!(rates.cost(&all).to_string(), "0.01535");
    rates.cached_input = None;
    assert_eq!(rates.cost(&all).to_string(), "0.01565");
}

#[test]
fn a_long_prompt_has_its_own_prices_for_all_of_the_request() {
    let price = Price::new(
        PriceSet {
            rates: rates("2", "0.20", "12"),
            long_context: Some((200_000, rates("4", "0.40", "18"))),
        },
        Vec::new(),
    );
    let at = price.cost(&tokens(200_000, 0, 1_000), None);
    assert_eq!(at.to_string(), "0.412");
    let above = price.cost(&tokens(200_001, 1, 1_000), None);
    assert_eq!(above.to_string(), "0.8180004");
}

#[test]
fn a_tier_has_its_own_prices_and_one_without_costs_the_standard() {
    let tiers = vec![
        ("flex", set(rates("1.25", "0.625", "5"))),
        ("priority", set(rates("4.25", "2.125", "17"))),
    ];
    let price = Price::new(set(rates("2.50", "1.25", "10")), tiers);
    let used = tokens(1_000_000, 0, 1_000_000);
    for (tier, cost) in [
        (None, "12.50"),
        (Some("default"), "12.50"),
        (Some("batch"), "12.50"),
        (Some("flex"), "6.25"),
        (Some("priority"), "21.25"),
    ] {
        assert_eq!(price.cost(&used, tier).to_string(), cost, "{tier:?}");
    }
}

#[test]
fn the_row_shows_the_prices_as_providers_write_them() {
    let mut standard = set(rates("2.50", "0.003625", "10"));
    standard.long_context = Some((272_000, rates("5", "0", "22.5")));
    let price = Price::new(standard, vec![("flex", set(rates("1.25", "0.625", "5")))]);
    assert_eq!(
        price.json(),
        r#"{"input":"2.50","cached_input":"0.003625","output":"10.00","long_context":{"above":272000,"input":"5.00","cached_input":"0.00","output":"22.50"},"tiers":{"flex":{"input":"1.25","cached_input":"0.625","output":"5.00"}}}"#
    );
    assert!(serde_json::from_str::<serde_json::Value>(price.json()).is_ok());
}

/// A small generator, so that a failure can be had again by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }

    /// A price's text, and the same as a fraction of millionths.
    fn price(&mut self) -> (String, i128) {
        let millionths = self.below(200_000_000);
        let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
        (text, millionths.into())
    }

    /// Parts that are together no more than their whole.
    fn tokens(&mut self) -> Tokens {
        let (cached, cache_write, input_audio) =
            (self.below(9_000), self.below(9_000), self.below(9_000));
        let output_audio = self.below(9_000);
        Tokens {
            input: cached + cache_write + input_audio + self.below(90_000),
            cached,
            cache_write,
            input_audio,
            output: output_audio + self.below(90_000),
            reasoning: 0,
            output_audio,
        }
    }
}

#[test]
fn costs_add_up_and_another_arithmetic_agrees_to_the_last_digit() {
    for seed in 1..=3_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let prices: Vec<(String, i128)> = (0..6).map(|_| random.price()).collect();
        let rate = |at: usize| per_million(&prices[at].0).unwrap();
        let there = [0, 1, 2, 3].map(|_| random.below(2) == 0);
        let rates = Rates {
            input: rate(0),
            cached_input: there[0].then(|| rate(1)),
            cache_write: there[1].then(|| rate(2)),
            input_audio: there[2].then(|| rate(3)),
            output: rate(4),
            output_audio: there[3].then(|| rate(5)),
        };
        let price = Price::new(set(rates), Vec::new());
        let (a, b) = (random.tokens(), random.tokens());
        let sum = price.cost(&a, None) + price.cost(&b, None);
        assert_eq!(price.cost(&(a + b), None), sum, "seed {seed}");

        // In fractions over 10¹², which a millionth of a millionth is.
        let of =
            |at: usize, whole: usize, is_there: bool| prices[if is_there { at } else { whole }].1;
        let rest = a.input - a.cached - a.cache_write - a.input_audio;
        let fraction: i128 = i128::from(a.cached) * of(1, 0, there[0])
            + i128::from(a.cache_write) * of(2, 0, there[1])
            + i128::from(a.input_audio) * of(3, 0, there[2])
            + i128::from(rest) * prices[0].1
            + i128::from(a.output - a.output_audio) * prices[4].1
            + i128::from(a.output_audio) * of(5, 4, there[3]);
        let (whole, parts) = (fraction / 1_000_000_000_000, fraction % 1_000_000_000_000);
        let written: Usd = format!("{whole}.{parts:012}").parse().unwrap();
        assert_eq!(price.cost(&a, None), written, "seed {seed}");
    }
}

#[test]
fn the_most_there_can_be_still_has_a_cost() {
    let dear = set(rates("1000000", "1000000", "1000000"));
    let most = tokens(u64::MAX, 0, u64::MAX);
    let cost = Price::new(dear, Vec::new()).cost(&most, None);
    assert_eq!(cost.pico(), u128::from(u64::MAX) * 2 * 1_000_000_000_000);
}
