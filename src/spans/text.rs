//! The JSON of attributes, ids and times, as OTLP has it: protobuf's mapping,
//! but ids in hexadecimal; 64-bit integers as strings
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use std::io::Write as _;

use crate::wire::json;

/// A list of attributes, written as they come.
#[derive(Debug)]
pub(super) struct Attributes<'b> {
    out: &'b mut Vec<u8>,
    is_first: bool,
}

impl<'b> Attributes<'b> {
    /// Begins the member `attributes`.
    pub(super) fn begin(out: &'b mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\"attributes\":[");
        Self {
            out,
            is_first: true,
        }
    }

    fn key(&mut self, key: &str, form: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"key\":");
        json::write_string(self.out, key);
        self.out.extend_from_slice(b",\"value\":{\"");
        self.out.extend_from_slice(form.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key, "stringValue");
        json::write_string(self.out, value);
        self.out.extend_from_slice(b"}}");
    }

    pub(super) fn whole(&mut self, key: &str, value: u64) {
        self.key(key, "intValue");
        // Writing to memory cannot fail, here and below.
        let _ = write!(self.out, "\"{value}\"}}}}");
    }

    /// A finite number.
    pub(super) fn real(&mut self, key: &str, value: f64) {
        self.key(key, "doubleValue");
        let _ = write!(self.out, "{value}}}}}");
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.key(key, "boolValue");
        let _ = write!(self.out, "{value}}}}}");
    }

    /// Ends the list.
    pub(super) fn end(self) {
        self.out.push(b']');
    }
}

/// `"name":"…"` of an id in so many hexadecimal digits, and a comma.
pub(super) fn id(out: &mut Vec<u8>, name: &str, id: u128, digits: usize) {
    let _ = write!(out, "\"{name}\":\"{id:0digits$x}\",");
}

/// `"name":"…"` of a time in nanoseconds since 1970, and a comma.
pub(super) fn time(out: &mut Vec<u8>, name: &str, nanos: u64) {
    let _ = write!(out, "\"{name}\":\"{nanos}\",");
}
