//! The whole binary over real sockets, one file for each part of the
//! contract. Ports are the system's, providers are scripted, and every wait
//! is for an event.

mod house;
mod talk;

mod smoke;
