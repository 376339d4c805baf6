//! Places under many threads, and as one sees them alone.

use super::*;

#[test]
fn no_more_are_given_than_there_are_and_what_is_given_back_can_be_taken_again() {
    let places = Places::default();
    let (one, two) = (places.take(1, 2), places.take(1, 2));
    assert!(one.is_some() && two.is_some());
    assert!(places.take(1, 2).is_none());
    assert_eq!(places.taken(), 2);
    drop(one);
    let three = places.take(1, 2);
    assert!(three.is_some());
    // A bound that has become smaller lets nobody in, and throws nobody
    // out.
    assert!(places.take(1, 1).is_none());
    drop((two, three));
    assert_eq!(places.taken(), 0);
}

#[test]
fn a_place_grows_as_far_as_there_is_room_and_keeps_what_it_has() {
    let places = Places::default();
    let mut one = places.take(0, 100).unwrap();
    assert!(one.grow(60, 100));
    assert!(one.grow(60, 100));
    let mut two = places.take(40, 100).unwrap();
    assert!(!one.grow(61, 100));
    assert!(!two.grow(usize::MAX, usize::MAX));
    assert_eq!(places.taken(), 100);
    drop(two);
    assert!(one.grow(100, 100));
    assert_eq!(places.taken(), 100);
    drop(one);
    assert_eq!(places.taken(), 0);
}

#[test]
fn threads_that_take_all_at_once_never_hold_more_than_there_are() {
    let (places, held) = (Places::default(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    if let Some(place) = places.take(1, 3) {
                        assert!(held.fetch_add(1, Ordering::SeqCst) < 3);
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                }
            });
        }
    });
    assert_eq!(places.taken(), 0);
}
