//! All that a connection brings, for tests and fuzz targets: the way of
//! [`Gate`](crate::front::Gate) through it, without answers.

use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Http1;
use crate::front::body::{Body, Lost};

/// What a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A request, its body, and whether another may follow.
    Request(String, Vec<u8>, bool),
    /// A body without an end.
    Lost(Lost),
    /// No request.
    Refused,
}

/// Reads one request after the other, even after one that should have been the
/// last, until none can follow. Looks at each head once, and at how many bytes lie
/// unread each time that something has been read.
pub(crate) async fn all<T: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Http1<T>,
    mut look: impl FnMut(Option<&Parts>, usize),
) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let head = connection.read_head().await;
        look(Some(connection.head()), connection.come().len());
        match head {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => {
                all.push(Seen::Refused);
                break;
            }
        }
        let head = connection.head();
        let text = format!("{} {} {:?}", head.method, head.uri, head.version);
        let mut body = Body::default();
        let lost = loop {
            let read = connection.read(&mut body).await;
            look(None, connection.come().len());
            match read {
                Ok(true) => {}
                Ok(false) => break None,
                Err(lost) => break Some(lost),
            }
        };
        if let Some(lost) = lost {
            all.push(Seen::Lost(lost));
            break;
        }
        assert!(connection.is_body_done(), "it has been read to its end");
        let body = body.freeze().to_vec();
        all.push(Seen::Request(text, body, connection.is_kept()));
    }
    all
}
