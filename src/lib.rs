//! Standin: one request, an ordered list of models, one answer.
//!
//! A reverse proxy for LLM traffic. A client sends one OpenAI-style request
//! with an ordered list of models; Standin walks the list from the top until
//! one answers, streams that answer and says in `model` who it was.
//!
//! # Words
//!
//! - **candidate**: one name of the request's list.
//! - **target**: where a candidate is sent: a provider plus that provider's
//!   own name for the model.
//! - **provider**: base URL, wire format, credential, timeouts.
//! - **attempt**: one request to one target.
//! - **commit**: the moment the answer starts going to the client. Before it
//!   everything can fall over; after it nothing can.
//! - **skip**: a candidate passed over without an attempt.
//! - **trail**: what happened to each candidate, in order.
//!
//! # The house
//!
//! The order of the modules is the order of the house: each uses only those
//! above it, and a test holds it so. `pingora` is named only where sockets
//! are: in `transport`, `upstream`, `front`, `admin` and `server`.

// Ground floor: what things are. No clock, no socket.
pub mod base;
pub mod wire;
pub mod outcome;
pub mod refusal;
pub mod usage;
pub mod dialect;
pub mod tls;
pub mod config;

// First floor: what is remembered. Time is an argument.
pub mod health;
pub mod access;
pub mod ledger;
pub mod metrics;

// Second floor: the journey.
pub mod patience;
pub mod seam;
pub mod transport;
pub mod upstream;
pub mod journey;
pub mod logs;
pub mod spans;
pub mod walks;
pub mod house;

// Third floor: doors.
pub mod front;
pub mod admin;
pub mod mock;

// Roof.
pub mod server;
pub mod cli;

#[doc(hidden)]
pub mod fuzzing;
