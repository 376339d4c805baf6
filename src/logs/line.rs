//! One line of the log: written straight into its bytes, as a JSON object or
//! as text that shows the same.

use std::io::Write;

use log::Level;

use crate::config::LogFormat;
use crate::usage::Usd;

/// Rows after the first of what is said in several, so that none of them can
/// pass for a line of its own.
const CONTINUED: &[u8] = b"\n    ";

/// A line that is being written.
pub(super) struct Line<'a> {
    to: &'a mut Vec<u8>,
    format: LogFormat,
}

impl<'a> Line<'a> {
    /// Begins one.
    pub(super) fn begin(
        to: &'a mut Vec<u8>,
        format: LogFormat,
        time: &[u8],
        level: Level,
        message: &str,
    ) -> Self {
        let mut line = Self { to, format };
        match format {
            LogFormat::Json => {
                line.add(b"{\"time\":\"");
                line.add(time);
                line.add(b"\",\"level\":\"");
                line.add(level.as_str().as_bytes());
                line.add(b"\",\"message\":");
                line.string(message);
            }
            LogFormat::Text => {
                line.add(time);
                line.add(match level {
                    Level::Error => b" ERROR ",
                    Level::Warn => b" WARN  ",
                    Level::Info => b" INFO  ",
                    Level::Debug => b" DEBUG ",
                    Level::Trace => b" TRACE ",
                });
                line.sentence(message);
            }
        }
        line
    }

    /// Ends it.
    pub(super) fn end(self) {
        match self.format {
            LogFormat::Json => self.to.extend_from_slice(b"}\n"),
            LogFormat::Text => self.to.push(b'\n'),
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == LogFormat::Json
    }

    /// A field of any text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.value(value);
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.digits(value);
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.add(if value { b"true" } else { b"false" });
    }

    /// Money: exact, so in JSON a string.
    pub(super) fn money(&mut self, name: &str, value: Usd) {
        self.name(name);
        let mark: &[u8] = if self.is_json() { b"\"" } else { b"" };
        self.add(mark);
        // Writing to memory cannot fail.
        let _ = write!(self.to, "{value}");
        self.add(mark);
    }

    /// So many digits of base 16.
    pub(super) fn hex(&mut self, name: &str, value: u128, digits: u32) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.name(name);
        let mark: &[u8] = if self.is_json() { b"\"" } else { b"" };
        self.add(mark);
        for place in (0..digits).rev() {
            let digit = (value >> (4 * place)) & 15;
            self.to.push(DIGITS[usize::try_from(digit).unwrap_or(0)]);
        }
        self.add(mark);
    }

    /// A field's name and what stands before its value.
    pub(super) fn name(&mut self, name: &str) {
        match self.format {
            LogFormat::Json => {
                self.add(b",\"");
                self.add(name.as_bytes());
                self.add(b"\":");
            }
            LogFormat::Text => {
                self.add(b" ");
                self.add(name.as_bytes());
                self.add(b"=");
            }
        }
    }

    /// Any text as a value.
    pub(super) fn value(&mut self, value: &str) {
        match self.format {
            LogFormat::Json => self.string(value),
            LogFormat::Text if is_plain(value) => self.add(value.as_bytes()),
            LogFormat::Text => {
                // Escapes what no terminal should see, and what would end it.
                let _ = write!(self.to, "{value:?}");
            }
        }
    }

    /// Bytes as they are.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.to.extend_from_slice(bytes);
    }

    /// A whole number as a value.
    pub(super) fn digits(&mut self, mut value: u64) {
        // As many as the largest has.
        let mut digits = [b'0'; 20];
        let mut from = digits.len();
        for place in digits.iter_mut().rev() {
            *place += u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
            from -= 1;
            if value == 0 {
                break;
            }
        }
        self.to.extend_from_slice(&digits[from..]);
    }

    /// What is said in the house's own words, of which some rows may follow.
    fn sentence(&mut self, text: &str) {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.add(text.as_bytes());
            return;
        }
        for c in text.chars() {
            match c {
                '\n' => self.add(CONTINUED),
                c if is_shown(c) => self.char(c),
                c => {
                    let _ = write!(self.to, "{}", c.escape_default());
                }
            }
        }
    }

    /// A JSON string. What JSON allows and terminals obey is escaped as well.
    fn string(&mut self, text: &str) {
        self.to.push(b'"');
        let stands = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.bytes().all(stands) {
            self.add(text.as_bytes());
        } else {
            for c in text.chars() {
                match c {
                    '"' => self.add(b"\\\""),
                    '\\' => self.add(b"\\\\"),
                    '\n' => self.add(b"\\n"),
                    c if is_shown(c) => self.char(c),
                    c => {
                        for unit in c.encode_utf16(&mut [0; 2]) {
                            let _ = write!(self.to, "\\u{unit:04x}");
                        }
                    }
                }
            }
        }
        self.to.push(b'"');
    }

    fn char(&mut self, c: char) {
        self.add(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// What stands in text without quotes: nothing that could pass for a field's
/// end, or for another field.
fn is_plain(value: &str) -> bool {
    let stands = |byte: u8| byte.is_ascii_graphic() && !b"\"',=@[]\\".contains(&byte);
    !value.is_empty() && value.bytes().all(stands)
}

/// Whether a character only shows itself: it neither moves a terminal's cursor
/// nor turns the direction of what stands around it.
fn is_shown(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !turns
}
