//! Fuzz entries for the wire: whatever comes, nothing panics, and what must
//! hold holds.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::base::Endpoint;
use crate::dialect::{ErrorSays, Event, Plain, in_200, verdict};
use crate::wire::rewrite::Rewriter;
use crate::wire::sse::{Frame, Framer};
use crate::wire::{Left, Quota, headers, json, reset};

/// The first byte says how the rest is cut into chunks.
pub(super) fn chunks(data: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let (size, rest) = data.split_first().map_or((1, data), |(first, rest)| {
        (usize::from(*first % 32) + 1, rest)
    });
    (rest, rest.chunks(size))
}

fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        while let Ok(Some(frame)) = framer.next() {
            frames.push(frame);
        }
    }
    frames.extend(framer.finish());
    frames
}

/// Any chunking of a stream gives the same events, and no byte is lost but a
/// byte order mark at its beginning.
pub fn sse_chunks(data: &[u8]) {
    let (rest, cut) = chunks(data);
    let cut = frames(cut);
    let whole = frames(std::iter::once(rest));
    let says = |frames: &[Frame]| -> Vec<_> {
        let events = frames.iter().filter(|frame| frame.data().is_some());
        events
            .map(|frame| {
                let name = frame.event().map(<[u8]>::to_vec);
                (name, frame.data().unwrap_or_default().into_owned())
            })
            .collect()
    };
    assert_eq!(says(&cut), says(&whole), "the same events");
    let joined: Vec<u8> = cut.iter().flat_map(|frame| frame.raw.to_vec()).collect();
    let said = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
    assert_eq!(joined, said, "every byte but a byte order mark");
    for frame in &whole {
        let Some(data) = frame.data() else { continue };
        for endpoint in Endpoint::ALL {
            let Ok(event) = Event::read(endpoint, frame.event(), &data) else {
                continue;
            };
            let Some(at) = event.model else { continue };
            let mut out = BytesMut::new();
            frame.write(&[(at, b"\"m\"")], &mut out);
            let again = Frame::read(out.freeze());
            let data = again.data().unwrap_or_default().into_owned();
            let read = Event::read(endpoint, again.event(), &data);
            assert!(read.is_ok(), "an edited event is one still");
        }
    }
}

/// Reset times, quota and header rules, over lines of `name: value`.
pub fn reset(data: &[u8]) {
    let mut map = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|n| HeaderName::from_bytes(n).ok());
        let value = parts.next().and_then(|v| HeaderValue::from_bytes(v).ok());
        if let (Some(name), Some(value)) = (name, value) {
            map.append(name, value);
        }
    }
    for now in [0, 1_767_225_600, 32_503_680_000] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let wait = reset::wait(&map, None, now);
        assert!(
            wait.is_none_or(|wait| wait <= reset::LONGEST),
            "believed up to a day"
        );
        let empty = emptied(&Quota::read(&map, now));
        let mut windows = map.clone();
        for name in ["retry-after-ms", "x-ms-retry-after-ms", "retry-after"] {
            windows.remove(name);
        }
        assert!(
            reset::wait(&windows, None, now) >= empty,
            "a refusal lasts as long as what an answer says is spent"
        );
    }
    for crossing in [headers::up(&map), headers::down(&map)] {
        for name in ["connection", "transfer-encoding", "x-standin-model"] {
            let name = HeaderName::from_static(name);
            assert!(!crossing.contains(&name), "{name} crosses nothing");
        }
        assert!(crossing.len() <= map.len(), "nothing is made up");
    }
    let _ = (
        headers::media(&map),
        headers::request_id(&map),
        headers::is_coded(&map),
    );
}

/// How long the longest quota lasts of which nothing is left.
fn emptied(quota: &Quota) -> Option<Duration> {
    let all = [quota.requests, quota.tokens].into_iter().flatten();
    let reset = |left: Left| left.reset.filter(|_| left.remaining == 0);
    let longest = all.filter_map(reset).max();
    assert!(longest <= Some(reset::LONGEST), "believed up to a day");
    longest
}

/// What answers say, whatever they are.
pub fn answers(data: &[u8]) {
    let says = ErrorSays::read(data);
    for brings_rights in [false, true] {
        let _ = in_200(&says, brings_rights);
        for status in [200, 302, 400, 402, 403, 404, 422, 429, 503] {
            let _ = verdict(status, &says, brings_rights);
        }
    }
    for endpoint in Endpoint::ALL {
        if let Plain::Answer { model, usage, .. } = Plain::read(endpoint, data, false) {
            if let Some(at) = model {
                assert!(json::value(&data[at]).is_ok(), "`model` has a whole value");
            }
            if let Some(used) = usage {
                let parts = u128::from(used.cached)
                    + u128::from(used.cache_write)
                    + u128::from(used.input_audio);
                assert!(parts <= u128::from(used.input), "parts fit their whole");
                assert!(used.reasoning.max(used.output_audio) <= used.output);
            }
        }
    }
}

/// A document that is valid stays so, whatever its chunking, and only its
/// model changes.
pub fn rewrite(data: &[u8]) {
    let (rest, cut) = chunks(data);
    let rewritten = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        let mut rewriter = Rewriter::new(Bytes::from_static(b"\"m\""));
        let mut out = Vec::new();
        for chunk in chunks {
            rewriter.push(&Bytes::copy_from_slice(chunk), |piece| {
                out.extend_from_slice(&piece)
            });
        }
        (out, rewriter.is_complete())
    };
    let mut cut = cut;
    let mut whole = std::iter::once(rest);
    let (by_pieces, is_complete) = rewritten(&mut cut);
    assert_eq!((by_pieces.clone(), is_complete), rewritten(&mut whole));
    let mut models = 0;
    if json::object(rest, |member| models += usize::from(member.key.is("model"))).is_ok() {
        assert!(is_complete, "a valid object has its end");
        assert!(json::value(&by_pieces).is_ok(), "and is valid still");
        if models == 0 {
            assert_eq!(by_pieces, rest, "nothing else changes");
        }
    }
}
