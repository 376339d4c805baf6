//! Random documents for tests: the same seed grows the same one.

/// A small generator of numbers (splitmix64).
#[derive(Clone, Debug)]
pub(in crate::wire) struct Seed(pub(in crate::wire) u64);

impl Seed {
    pub(in crate::wire) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(in crate::wire) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(in crate::wire) fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    pub(in crate::wire) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// White space, mostly little.
    pub(in crate::wire) fn blank(&mut self, out: &mut String) {
        if self.one_in(3) {
            for _ in 0..self.below(4) {
                out.push_str(self.pick(&[" ", "\n", "\t", "\r\n", "          "]));
            }
        }
    }

    /// A string with its quotes, up to a few blocks long.
    pub(in crate::wire) fn string(&mut self, out: &mut String) {
        const PIECES: [&str; 20] = [
            "a",
            "plain words ",
            "model",
            "0123456789abcdef",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\t",
            "\\b\\f\\r",
            "\\u0041",
            "\\ud83d\\ude00",
            "é",
            "日本語",
            "🦀",
            "{",
            "]",
            ",",
            ":",
            "\u{7f}",
        ];
        out.push('"');
        let longest = [3, 12, 60][self.below(3)];
        for _ in 0..self.below(longest) {
            out.push_str(self.pick(&PIECES));
        }
        out.push('"');
    }

    /// Any value, at most `depth` levels deep.
    pub(in crate::wire) fn value(&mut self, out: &mut String, depth: usize) {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => out.push_str(self.pick(&["true", "false", "null"])),
            1 => out.push_str(self.pick(&["0", "-0", "12", "-3.25", "1e9", "1E-7", "0.5e+3"])),
            2 | 3 => self.string(out),
            4 | 5 => self.object(out, depth - 1),
            _ => {
                out.push('[');
                self.blank(out);
                for place in 0..self.below(5) {
                    if place > 0 {
                        out.push(',');
                        self.blank(out);
                    }
                    self.value(out, depth - 1);
                    self.blank(out);
                }
                out.push(']');
            }
        }
    }

    /// An object with keys of its own place each, so that none is there twice.
    pub(in crate::wire) fn object(&mut self, out: &mut String, depth: usize) {
        out.push('{');
        self.blank(out);
        for place in 0..self.below(6) {
            if place > 0 {
                out.push(',');
                self.blank(out);
            }
            let key = self.pick(&["model", "models", "k\\u0065y", "ключ", "stream", ""]);
            out.push_str(&format!("\"{key}{place}\""));
            self.blank(out);
            out.push(':');
            self.blank(out);
            self.value(out, depth);
            self.blank(out);
        }
        out.push('}');
    }

    /// `text` with a few bytes changed, left out, doubled or cut off.
    pub(in crate::wire) fn spoil(&mut self, text: &str) -> Vec<u8> {
        const BYTES: &[u8] = b"\"\\{}[],:0123456789.eE+-tfnu \n\t\0\x1f\x80\xc3\xff/ABb";
        let mut doc = text.as_bytes().to_vec();
        for _ in 0..=self.below(2) {
            if doc.is_empty() {
                break;
            }
            let at = self.below(doc.len());
            let byte = BYTES[self.below(BYTES.len())];
            match self.below(5) {
                0 => doc[at] = byte,
                1 => doc.insert(at, byte),
                2 => drop(doc.remove(at)),
                3 => doc.truncate(at),
                _ => doc.swap(at, 0),
            }
        }
        doc
    }
}
