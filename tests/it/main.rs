//! The whole binary over real sockets, one file for each part of the
//! contract. Ports are the system's, providers are scripted, and every wait
//! is for an event.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail their test"
)]

mod authority;
mod books;
mod house;
mod known;
mod raw;
mod talk;

mod admin;
mod apart;
mod bad_input;
mod billing;
mod bodies;
mod cli;
mod cooling;
mod crowd;
mod cut_off;
mod drain;
mod drills;
mod edits;
mod floods;
mod h2_provider;
mod harmless;
mod headers;
mod hidden;
mod http1;
mod http2;
mod import;
mod keys;
mod killed;
mod last_word;
mod ledger;
mod listeners;
mod limits;
mod live;
mod logs;
mod loops;
mod metrics;
mod mixed;
mod mounted;
mod names;
mod notify;
mod outcomes;
mod page;
mod passthrough;
mod plain;
mod probe;
mod reload;
mod smoke;
mod spans;
mod status;
mod streams;
mod tls;
mod tls_upstream;
mod trouble;
mod upgrade;
mod upstream;
mod usage;
