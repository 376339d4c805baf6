//! Whole journeys on a paused clock.
