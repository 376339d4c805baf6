//! Live state in virtual time: every moment and every chance is written down
//! in the test, and threads meet at a barrier instead of sleeping.

mod house;

mod made_up;
mod interleavings;
mod places;
mod reload;
mod remaining;
mod rules;
mod stress;
mod window;
mod word;
mod word_table;
