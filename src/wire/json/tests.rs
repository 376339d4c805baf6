//! The scanner against serde_json, and against itself.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::grow::Seed;
use super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::masks::{Blocks, Masks};
use super::scan::Memory;
use super::words::Words;
use super::*;

const SAMPLE: &str = r#" {"model" : "a\/b", "messages":[{"role":"user","content":"a line\nand \"one\" \u00e9 more — of them, long enough to fill a block of bytes"}, {}, []],
    "n":-1.5e+3,"stream":true,"stop":null,"f":false,"tools":[1, 0, "", {"a":{"b":[[]]}}]} "#;

/// What serde_json says, which does not look at the UTF-8 of what it ignores.
fn reference(doc: &[u8]) -> bool {
    std::str::from_utf8(doc).is_ok() && serde_json::from_slice::<IgnoredAny>(doc).is_ok()
}

fn portable(doc: &[u8]) -> Result<usize, Syntax> {
    scan::value(doc, scan::blank(doc, 0), 0, &mut Memory::new(), Words)
}

fn chosen(doc: &[u8]) -> Result<usize, Syntax> {
    Best::detect().value(doc, scan::blank(doc, 0), 0)
}

/// Judges `doc` in every way there is, and by serde_json.
fn check(doc: &[u8]) {
    let shown = String::from_utf8_lossy(doc);
    assert_eq!(value(doc).is_ok(), reference(doc), "{shown}");
    assert_eq!(chosen(doc), portable(doc), "{shown}");
    if let Err(syntax) = value(doc) {
        assert!(syntax.at <= doc.len(), "{syntax:?} in {shown}");
    }
    let mut seen = Vec::new();
    let found = object(doc, |m| {
        seen.push((m.key.decode().into_owned(), doc[m.value_at].to_vec()));
    });
    assert_eq!(found.is_ok(), value(doc) == Ok(Kind::Object), "{shown}");
    let walked: Vec<_> = members(doc)
        .map(|m| (m.key.decode().into_owned(), doc[m.value_at].to_vec()))
        .collect();
    if found.is_ok() {
        assert_eq!(seen, walked, "{shown}");
        if let Ok(map) = serde_json::from_slice::<HashMap<String, &RawValue>>(doc) {
            let last: HashMap<_, _> = seen.into_iter().collect();
            assert_eq!(last.len(), map.len(), "{shown}");
            for (key, raw) in map {
                assert_eq!(last[&key], raw.get().as_bytes(), "{shown}");
            }
        }
    }
    // Whatever it is, a walk over it ends.
    elements(doc).for_each(drop);
}

/// That `doc`, JSON as far as its bytes below 0x80 go, is judged by its UTF-8.
fn check_utf8(doc: &[u8]) {
    let good = std::str::from_utf8(doc).is_ok();
    assert_eq!(value(doc).is_ok(), good, "{doc:x?}");
    assert_eq!(portable(doc).is_ok(), good, "{doc:x?}");
}

fn fault_of(doc: impl AsRef<[u8]>) -> Fault {
    value(doc.as_ref()).unwrap_err().fault
}

#[test]
fn random_documents_are_judged_as_serde_json_does() {
    let mut seed = Seed(1);
    for _ in 0..3_000 {
        let mut text = String::new();
        seed.blank(&mut text);
        seed.value(&mut text, 5);
        seed.blank(&mut text);
        check(text.as_bytes());
        assert!(value(text.as_bytes()).is_ok(), "{text}");
        for _ in 0..6 {
            check(&seed.spoil(&text));
        }
    }
}

#[test]
fn any_few_bytes_are_judged_as_serde_json_does() {
    const BYTES: &[u8] = b"\"\\{}[]:,019.eE+-truefalsn \n\x01\x80\xc3\xa9u";
    let mut seed = Seed(2);
    for _ in 0..60_000 {
        let doc: Vec<u8> = (0..seed.below(9))
            .map(|_| BYTES[seed.below(BYTES.len())])
            .collect();
        check(&doc);
    }
}

#[test]
fn every_cut_of_a_document_is_found_truncated() {
    assert_eq!(value(SAMPLE.as_bytes()), Ok(Kind::Object));
    let whole = SAMPLE.trim_end().len();
    for cut in 0..whole {
        let doc = &SAMPLE.as_bytes()[..cut];
        let wanted = Syntax {
            at: cut,
            fault: Fault::Truncated,
        };
        assert_eq!(object(doc, |_| ()), Err(wanted), "cut after {cut}");
        assert_eq!(portable(doc), Err(wanted), "cut after {cut}");
    }
}

#[test]
fn strings_may_cross_blocks_anywhere() {
    let pieces = [
        "\\n", "\\\\", "\\\"", "\\u00e9", "é", "日", "🦀", "\\x", "\\u12g4", "\x01", "\\\x01",
        "\\\\\"", "\\\\\\", "\\u00", "\u{7f}",
    ];
    for length in 0..200 {
        for piece in pieces {
            let mut doc = format!("\"{}{piece}\"", "x".repeat(length));
            check(doc.as_bytes());
            doc.insert(0, '[');
            doc.push_str(&format!(",\"{}\"]", "y".repeat(70)));
            check(doc.as_bytes());
        }
        check(format!("\"{}\"", "\\".repeat(length)).as_bytes());
        check(format!("[\"a{}\"]{}", "\\".repeat(length), " ".repeat(64)).as_bytes());
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_anywhere_in_a_long_string() {
    let long = "é€🦀z".repeat(40);
    let good = format!("[\"{long}\"]").into_bytes();
    check(&good);
    for at in 2..good.len() - 2 {
        let mut bad = good.clone();
        bad[at] = 0xFF;
        assert_eq!(fault_of(&bad), Fault::NotUtf8);
        check(&bad);
    }
    for cut in [
        b"\"\xC3\"".as_slice(),
        b"\"\xF0\x9F\xA6\"",
        b"\"\xED\xA0\x80\"",
        b"\"\xC0\xAF\"",
    ] {
        assert_eq!(fault_of(cut), Fault::NotUtf8);
    }
    // A character that only the chunk's end makes incomplete is none the worse.
    for before in 50..70 {
        check(format!("\"{}{}\"", "x".repeat(before), "🦀é".repeat(50)).as_bytes());
    }
    // Every pair of first bytes, at every place about a block's end.
    for pair in 0..=u16::MAX {
        let [lead, second] = pair.to_be_bytes();
        if lead < 0xC0 {
            continue;
        }
        let before = 58 + usize::from(pair % 7);
        let mut doc = format!("\"{}", "x".repeat(before)).into_bytes();
        let rest = [1, 2, 2, 3][usize::from(lead >> 4 & 3)].min(3);
        doc.extend([lead, second]);
        doc.extend([&[0x80, 0xBF][..rest - 1], &[b'y'; 70], b"\""].concat());
        check_utf8(&doc);
    }
    let endless = [b"\"".as_slice(), &[0x80; 20_000], b"\""].concat();
    assert_eq!(fault_of(endless), Fault::NotUtf8);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn masks_show_what_is_there() {
    let mut seed = Seed(3);
    for round in 0..20_000 {
        let mut bytes = [0; 64];
        for byte in &mut bytes {
            *byte = match round % 3 {
                0 => seed.next() as u8,
                1 => b"\"\\nutr/fb\x1f\x20\x7f\x80aq"[seed.below(15)],
                _ if seed.one_in(30) => b"\"\\\x1f\xe9"[seed.below(4)],
                _ => b'x',
            };
        }
        if let Some(lanes) = vector::Avx2::detect() {
            compare(lanes, &bytes);
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn compare(lanes: impl Blocks, bytes: &[u8; 64]) {
    let mask = |is: &dyn Fn(u8) -> bool| {
        let bits = bytes.iter().enumerate();
        bits.fold(0, |mask, (at, byte)| mask | u64::from(is(*byte)) << at)
    };
    let masks = lanes.block(bytes);
    let wide = mask(&|byte| byte >= 0x80);
    let wanted = Masks {
        stops: mask(&|byte| byte < 0x20 || byte == b'"'),
        backslashes: mask(&|byte| byte == b'\\'),
        tame: mask(&|byte| b"\"/fnt".contains(&byte)),
        wide: masks.wide,
    };
    assert_eq!(masks, wanted);
    assert_eq!(masks.wide != 0, wide != 0);
    let bits = lanes.wide(bytes);
    assert_eq!(bits.bit7, wide);
    assert_eq!(bits.bit6, mask(&|byte| byte & 0x40 != 0));
    assert_eq!(bits.bit5, mask(&|byte| byte & 0x20 != 0));
    assert_eq!(bits.bit4, mask(&|byte| byte & 0x10 != 0));
    let delicate = [0xC0, 0xC1, 0xE0, 0xED];
    assert_eq!(bits.delicate, mask(&|byte| delicate.contains(&byte)));
    let mut escaped = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(63) {
        if *byte == b'\\' && escaped >> at & 1 == 0 {
            escaped |= 2 << at;
        }
    }
    assert_eq!(masks.escaped(), escaped);
}

#[test]
fn all_lanes_tell_how_much_is_alike() {
    let mut seed = Seed(5);
    for _ in 0..5_000 {
        let one: [u8; 64] = std::array::from_fn(|_| seed.next() as u8);
        let mut other = one;
        for _ in 0..seed.below(3) {
            other[seed.below(64)] ^= 1 << seed.below(8);
        }
        let wanted = one.iter().zip(other).take_while(|(a, b)| *a == b).count();
        assert_eq!(Words.alike(&one, &other), wanted);
        #[cfg(target_arch = "x86_64")]
        if let Some(lanes) = vector::Avx2::detect() {
            assert_eq!(lanes.alike(&one, &other), wanted);
        }
    }
}

/// What closes a document that ends within a string.
fn closing(doc: &str) -> String {
    let mut open = Vec::new();
    for outside in doc.replace("\\n", "").split('"').step_by(2) {
        for byte in outside.bytes() {
            match byte {
                b'[' => open.push(']'),
                b'{' => open.push('}'),
                b']' | b'}' => drop(open.pop()),
                _ => {}
            }
        }
    }
    open.push('"');
    open.iter().rev().collect()
}

/// Documents of long strings with the same few gaps between them, wherever
/// they fit and wherever they do not.
#[test]
fn a_gap_counts_only_where_it_is_open_to_the_same() {
    const GAPS: [&str; 16] = [
        "\",\"",
        "\",\"b\":\"",
        "\"},{\"b\":\"",
        "\"},{\"role\":\"user\",\"content\":\"",
        "\"},{\"role\":\"assistant\",\"content\":\"",
        "\",\"role\":\"user\"},{\"content\":\"",
        "\"],[\"",
        "\",[[]],\"",
        "\",[{\"a\":\"",
        "\"}],\"",
        "\"}]},{\"c\":[{\"t\":\"",
        "\" , \n\t  \"",
        "\",12,\"",
        "\",\"\u{e9}\":\"",
        "\"]}],[{\"k\":[\"",
        "\",\"a\\nb\":1.5e-3,\"b\":\"",
    ];
    const OPENS: [&str; 6] = [
        "[\"",
        "{\"a\":\"",
        "[{\"a\":\"",
        "[[\"",
        "{\"m\":[{\"c\":\"",
        "{\"model\":\"a\",\"m\":[[{\"c\":\"",
    ];
    const CLOSES: [&str; 8] = ["\"]", "\"}", "\"}]", "\"]]", "\"}]}", "\"}]]}", "\"", ""];
    let mut seed = Seed(6);
    let mut valid = 0;
    for _ in 0..8_000 {
        let few = 1 + seed.below(3);
        let mine: Vec<&str> = (0..few).map(|_| seed.pick(&GAPS)).collect();
        let mut doc = seed.pick(&OPENS).to_owned();
        for turn in 0..seed.below(9) {
            if turn > 0 {
                let gap = if seed.one_in(12) {
                    seed.pick(&GAPS)
                } else {
                    mine[turn % few]
                };
                doc.push_str(gap);
            }
            let text = seed.pick(&["x", "a line\\n", "caf\u{e9} ", "\u{65e5}\u{672c}"]);
            let longest = [0, 40, 200][seed.below(3)];
            doc.push_str(&text.repeat(seed.below(1 + longest) / text.len()));
        }
        let close = if seed.one_in(4) {
            seed.pick(&CLOSES).to_owned()
        } else {
            closing(&doc)
        };
        for doc in [
            format!("{doc}{close}"),
            format!("{doc}{close}{}", " ".repeat(70)),
        ] {
            check(doc.as_bytes());
            valid += usize::from(value(doc.as_bytes()).is_ok());
            let spoilt = seed.spoil(&doc);
            check(&spoilt);
            let cut = seed.below(doc.len() + 1);
            check(&doc.as_bytes()[..cut]);
        }
    }
    assert!(valid > 4_000, "only {valid} documents were valid");
}

#[test]
fn a_gap_is_no_way_past_the_limit_of_nesting() {
    // The same bytes, one level deeper each time.
    let deeper = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",[\"";
    for levels in [60, 62, 63, 64, 126, 127, 511, 512, 513, 600] {
        let doc = format!("[\"{}x\"{}", deeper.repeat(levels - 1), "]".repeat(levels));
        check_depth(doc.as_bytes(), levels);
        let inner = "[\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"],";
        let doc = format!(
            "{}{}1{}",
            "[".repeat(levels),
            inner.repeat(20),
            "]".repeat(levels)
        );
        check_depth(doc.as_bytes(), levels + 1);
        let pair = "{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"b\":[[]]},";
        let doc = format!(
            "{}{}1{}",
            "[".repeat(levels),
            pair.repeat(20),
            "]".repeat(levels)
        );
        check_depth(doc.as_bytes(), levels + 3);
    }
}

fn check_depth(doc: &[u8], levels: usize) {
    assert_eq!(value(doc).is_ok(), levels <= MAX_DEPTH, "{levels} levels");
    assert_eq!(chosen(doc), portable(doc), "{levels} levels");
}

/// Many blocks whose UTF-8 is left for later, with one fault somewhere.
#[test]
fn utf8_that_is_checked_later_is_checked() {
    const CHARACTERS: [&str; 10] = [
        "plain ",
        "word\\n",
        "\u{e9}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
        "\u{65e5}",
    ];
    let mut seed = Seed(7);
    for round in 0..1_000 {
        let mut doc = String::from("{\"a\":[\"");
        for _ in 0..seed.below(6) {
            let rare = 1 + seed.below(40);
            for _ in 0..seed.below(400) {
                let any = seed.one_in(rare);
                doc.push_str(if any {
                    seed.pick(&CHARACTERS)
                } else {
                    "a few words "
                });
            }
            doc.push_str("\",\"");
        }
        doc.push_str("\"]}");
        if seed.one_in(2) {
            doc.push_str(&" ".repeat(seed.below(80)));
        }
        assert!(value(doc.as_bytes()).is_ok());
        let mut doc = doc.into_bytes();
        assert_eq!(chosen(&doc), portable(&doc));
        for _ in 0..4 {
            let at = seed.below(doc.len());
            let kept = doc[at];
            doc[at] = match round % 3 {
                0 => seed.next() as u8,
                1 => 0x80 | seed.next() as u8,
                _ => kept ^ (0x80 >> seed.below(8)),
            };
            assert_eq!(
                chosen(&doc),
                portable(&doc),
                "{kept:#x} at {at} is now {:#x}, of {}",
                doc[at],
                doc.len()
            );
            assert_eq!(
                value(&doc).is_ok(),
                reference(&doc),
                "{kept:#x} at {at} is now {:#x}: {:?}",
                doc[at],
                serde_json::from_slice::<IgnoredAny>(&doc)
            );
            doc[at] = kept;
        }
    }
}

#[test]
fn every_pair_and_every_four_bytes_are_judged_by_their_utf8_in_a_long_string() {
    const SECONDS: [u8; 12] = [
        0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE0, 0xF0, 0xFF,
    ];
    let mut seed = Seed(8);
    let mut doc = [b"[\"".as_slice(), &[b'x'; 450], b"\"]"].concat();
    for lead in 0x80..=0xFF {
        for second in SECONDS {
            for third in SECONDS {
                for fourth in [0x20, 0x80, 0xC2] {
                    let at = 2 + seed.below(400);
                    doc[at..at + 4].copy_from_slice(&[lead, second, third, fourth]);
                    assert_eq!(
                        value(&doc).is_ok(),
                        std::str::from_utf8(&doc).is_ok(),
                        "{lead:x} {second:x} {third:x} {fourth:x}"
                    );
                    doc[at..at + 4].fill(b'x');
                }
            }
        }
    }
    // Cut by the end of a block, by the string's end and by an escape.
    for cut in ["\u{10ffff}", "\u{ffff}", "\u{e9}"] {
        for at in 2..200 {
            for length in 1..=cut.len() {
                for after in [&b"x"[..], b"\"", b"\\u00e9", b"\\n", b"\\\\"] {
                    let mut doc = [b"[\"".as_slice(), &[b'x'; 300]].concat();
                    doc.truncate(at);
                    doc.extend(&cut.as_bytes()[..length]);
                    doc.extend(after);
                    doc.extend(if after == b"\"" { &b", 1"[..] } else { b"xx\"" });
                    doc.extend([b"]".as_slice(), &[b' '; 200]].concat());
                    assert_eq!(value(&doc).is_ok(), length == cut.len());
                    assert_eq!(chosen(&doc), portable(&doc));
                }
            }
        }
    }
}

#[test]
fn nesting_ends_at_its_limit_and_never_in_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize, inner: &str| {
            [&open.repeat(levels), inner, &close.repeat(levels)].concat()
        };
        assert!(value(nested(MAX_DEPTH, "1").as_bytes()).is_ok());
        assert!(value(nested(MAX_DEPTH - 1, "{}").as_bytes()).is_ok());
        assert_eq!(fault_of(nested(MAX_DEPTH, "[]")), Fault::TooDeep);
        assert_eq!(fault_of(nested(MAX_DEPTH, "{}")), Fault::TooDeep);
        assert_eq!(fault_of(nested(MAX_DEPTH + 1, "1")), Fault::TooDeep);
        assert_eq!(fault_of(nested(100_000, "1")), Fault::TooDeep);
        let member = |levels| format!("{{\"a\":{}}}", nested(levels, "1"));
        assert!(object(member(MAX_DEPTH - 1).as_bytes(), |_| ()).is_ok());
        let deep = object(member(MAX_DEPTH).as_bytes(), |_| ()).unwrap_err();
        assert_eq!(deep.fault, Fault::TooDeep);
    }
    let mixed = format!("{}1{}", "[{\"a\":".repeat(200), "}]".repeat(200));
    check(mixed.as_bytes());
    check(mixed.replace("}]", "]}").as_bytes());
}

#[test]
fn a_fault_says_what_and_where() {
    for (doc, at, fault) in [
        ("", 0, Fault::Truncated),
        ("  ", 2, Fault::Truncated),
        ("\u{feff}{}", 0, Fault::ByteOrderMark),
        ("{} x", 3, Fault::Trailing),
        ("[1,]", 3, Fault::Unexpected),
        ("[1 2]", 3, Fault::Unexpected),
        ("{\"a\":1,}", 7, Fault::Unexpected),
        ("[01]", 2, Fault::Unexpected),
        ("01", 1, Fault::Trailing),
        ("-", 1, Fault::Truncated),
        ("[1.]", 3, Fault::Unexpected),
        ("[truE]", 4, Fault::Unexpected),
        ("\"\\x\"", 2, Fault::Unexpected),
        ("\"\\u00g0\"", 5, Fault::Unexpected),
        ("\"a\nb\"", 2, Fault::ControlCharacter),
        ("[}", 1, Fault::Unexpected),
        ("'a'", 0, Fault::Unexpected),
        ("NaN", 0, Fault::Unexpected),
        ("[1]/**/", 3, Fault::Trailing),
    ] {
        assert_eq!(value(doc.as_bytes()), Err(Syntax { at, fault }), "{doc}");
        let said = Syntax { at, fault }.to_string();
        assert!(said.starts_with(char::is_lowercase) && !said.ends_with('.'));
    }
    let seen = |doc: &str| object(doc.as_bytes(), |_| ()).unwrap_err().fault;
    assert_eq!(seen(" [1]"), Fault::NotAnObject);
    assert_eq!(seen("null"), Fault::NotAnObject);
    assert_eq!(seen("[1"), Fault::Truncated);
    assert_eq!(seen("{]"), Fault::Unexpected);
}

#[test]
fn members_and_elements_are_walked_in_order() {
    let doc = br#" { "a" : [ 1 , "x,]" , {} ] , "b":{"a":null} } "#;
    let all: Vec<_> = members(doc).collect();
    assert_eq!(all.len(), 2);
    assert!(all[0].key.is("a") && all[1].key.is("b"));
    assert_eq!(&doc[all[0].key_at.clone()], b"\"a\"");
    let list = &doc[all[0].value_at.clone()];
    let items: Vec<_> = elements(list).map(|at| &list[at]).collect();
    assert_eq!(items, [b"1".as_slice(), b"\"x,]\"", b"{}"]);
    assert_eq!(kind(&doc[all[1].value_at.clone()]), Some(Kind::Object));
    assert_eq!(members(b"{}").count(), 0);
    assert_eq!(elements(b"[ ]").count(), 0);
    for odd in [
        "", "{", "[", "{\"a\"", "{\"a\":", "[1", "[1,", "x", "{,}", "{1:2}", "\"",
    ] {
        members(odd.as_bytes()).for_each(drop);
        elements(odd.as_bytes()).for_each(drop);
    }
}

#[test]
fn names_are_compared_as_they_are_meant() {
    let is = |raw: &str, name: &str| {
        let doc = format!("{{\"{raw}\":0}}");
        members(doc.as_bytes()).next().unwrap().key.is(name)
    };
    assert!(is("model", "model"));
    assert!(is("mod\\u0065l", "model"));
    assert!(is("\\u006dode\\u006C", "model"));
    assert!(is("a\\/b\\\\", "a/b\\"));
    assert!(is("\\ud83e\\udd80", "🦀"));
    assert!(is("", ""));
    for other in [
        "mode",
        "models",
        "Model",
        "mod\\u0066l",
        "\\ud83e",
        "model\\n",
        "\\nodel",
    ] {
        assert!(!is(other, "model"), "{other}");
    }
    assert!(!is("\\u0061", "\\u0061"));
    assert!(!is("\\ud83e\\ud83e", "🦀"));
}

#[test]
fn strings_are_decoded_as_serde_json_does() {
    let mut seed = Seed(4);
    for _ in 0..3_000 {
        let mut text = String::new();
        seed.string(&mut text);
        if seed.one_in(4) {
            text = text.replace(
                "\\ude00",
                seed.pick(&["", "\\ud83d", "x", "\\n", "\\u0041"]),
            );
        }
        let wanted = serde_json::from_str::<String>(&text).ok();
        assert_eq!(
            string(text.as_bytes()).map(Cow::into_owned),
            wanted,
            "{text}"
        );
        assert_eq!(is_text(text.as_bytes()), wanted.is_some(), "{text}");
        if let Some(wanted) = wanted {
            let doc = format!("{{{text}:0}}");
            let key = members(doc.as_bytes()).next().unwrap().key;
            assert!(key.is(&wanted), "{text}");
            assert_eq!(key.decode(), wanted);
            let mut written = Vec::new();
            write_string(&mut written, &wanted);
            assert_eq!(serde_json::from_slice::<String>(&written).unwrap(), wanted);
        }
    }
    for odd in ["", "\"", "1", "\"a\"b", "\"\\\"", "\"\\ud800\""] {
        assert_eq!(string(odd.as_bytes()), None, "{odd}");
        assert!(!is_text(odd.as_bytes()));
    }
}

#[test]
fn every_control_character_is_written_escaped() {
    let all: String = (0..0x80).map(char::from).collect();
    let mut out = b"[".to_vec();
    write_string(&mut out, &all);
    out.push(b']');
    assert_eq!(value(&out), Ok(Kind::Array));
    let read: Vec<String> = serde_json::from_slice(&out).unwrap();
    assert_eq!(read, [all]);
}
