//! Whole journeys on a paused clock: no socket, scripted providers, a client
//! that notes what it is given.

mod fakes;
mod journey;
mod play;

mod after_commit;
mod billing;
mod blame;
mod counting;
mod cut_off;
mod drills;
mod last_resort;
mod leaving;
mod made_up;
mod opening;
mod order;
mod others;
mod outcomes;
mod plain;
mod sim;
mod skipping;
mod time;
mod words;
