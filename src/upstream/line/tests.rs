//! Addresses that change while connections are open.

use std::net::{Ipv4Addr, TcpListener};

use crate::config::{self, Nothing};
use crate::upstream::place::Connection;

use super::*;

fn line(pool: &Pool) -> Line {
    let yaml = "providers:\n  p: { base_url: \"http://p.test/v1\" }\n";
    let config = config::load("t.yaml", yaml.as_bytes(), &Nothing);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    Line::new(&config.providers[0], pool, None).unwrap()
}

/// An address that takes connections, for as long as the process lives.
fn takes(last: u8) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let all: Vec<_> = listener.incoming().collect();
        drop(all);
    });
    address
}

/// Evenly distributed, by these two alone.
fn roll(seed: u64, turn: u64) -> u64 {
    let z = (seed << 32 | turn)
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

/// Some of them in some order, always with one that answers.
fn drawn(good: &[SocketAddr], bad: &[SocketAddr], dice: u64) -> Vec<SocketAddr> {
    let all = good.iter().chain(bad);
    let some = all.enumerate().filter(|(nth, _)| dice >> nth & 1 == 1);
    let mut found: Vec<_> = some.map(|(_, address)| *address).collect();
    if !good.iter().any(|address| found.contains(address)) {
        found.push(good[(dice >> 8 & 1) as usize]);
    }
    let turn = (dice >> 16) as usize % found.len();
    found.rotate_left(turn);
    if dice >> 32 & 1 == 1 {
        found.reverse();
    }
    found
}

#[tokio::test]
async fn whatever_its_addresses_become_one_that_answers_is_found_and_what_stays_is_kept() {
    let good = [takes(2), takes(3)];
    // Nobody listens there.
    let bad = [4, 5].map(|last| SocketAddr::from(([127, 0, 0, last], good[0].port())));
    let pool = Pool::new().unwrap();
    let longest = Duration::from_secs(20);
    let mut reused = 0;
    for seed in 0..20 {
        let line = line(&pool);
        let mut before = Arc::new(Vec::new());
        for turn in 0..40 {
            let found = drawn(&good, &bad, roll(seed, turn));
            line.is_at(&found);
            let now = line.peers.load_full().unwrap();
            let context = format!("seed {seed}, turn {turn}: {found:?}");
            assert_eq!(now.len(), found.len(), "{context}");
            for address in &found {
                let of =
                    |peers: &Peers| peers.iter().find(|one| one.address() == *address).cloned();
                let kept = of(&now).expect("it has every address that was found");
                if let Some(known) = of(&before) {
                    assert!(Arc::ptr_eq(&known, &kept), "{context}");
                }
            }
            let opened = line.open(&pool.connector, longest, false).await;
            let opened = opened.unwrap_or_else(|broken| panic!("{context}: {broken:?}"));
            assert!(
                good.iter()
                    .any(|address| opened.place.address() == *address),
                "{context}"
            );
            assert!(
                now.iter().any(|one| Arc::ptr_eq(one, &opened.place)),
                "{context}"
            );
            reused += u32::from(opened.reused);
            // For the next request, also one that comes when others have gone.
            if let Connection::Http1(transport) = opened.connection {
                opened.place.idle.put(transport);
            }
            before = now;
        }
    }
    assert!(reused > 200, "connections outlive changes: {reused} of 800");
}
