//! Addresses to listen on, and who may reach them.

use std::net::SocketAddr;

use super::one_or_many;
use super::provider::secret;
use crate::base::Secret;
use crate::config::node::Node;
use crate::config::problem::{Found, Place};
use crate::config::shape::{Fields, scalar};

/// Addresses to listen on; clients come in at 1000 of them at the most.
pub(super) struct Listening {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) admin: SocketAddr,
    pub(super) admin_token: Option<Secret>,
}

impl Listening {
    pub(super) fn read(fields: &Fields<'_>, found: &mut Found) -> Self {
        let anonymous = fields.boolean("allow_anonymous", found).unwrap_or(true);
        let keyed = fields.node("keys").is_some();
        let admin_node = fields.node("admin");
        let admin = match admin_node {
            Some(node) => address(node, "admin", found).map(|(address, _)| address),
            None => fields.default("admin").and_then(|text| text.parse().ok()),
        };
        let listen = match fields.node("listen") {
            Some(node) => addresses(node, found),
            None => {
                let address = fields.default("listen").map(str::parse);
                address
                    .into_iter()
                    .flatten()
                    .map(|address| (address, fields.place))
                    .collect()
            }
        };
        for (at, (address, place)) in listen.iter().enumerate() {
            if !anonymous && !keyed && !address.ip().to_canonical().is_loopback() {
                found.add(*place, "clients need no key here, so everyone who can reach this address could spend the providers' credit: give them `keys`, listen on 127.0.0.1, or set `allow_anonymous: true`");
            }
            if listen[..at]
                .iter()
                .any(|(other, _)| clash(*address, *other))
            {
                found.add(*place, "this address is already listened on: leave it out");
            }
            if admin.is_some_and(|admin| clash(*address, admin)) {
                // Reported where something is written that can be changed.
                let place = if fields.node("listen").is_some() {
                    *place
                } else {
                    admin_node.map_or(*place, |node| node.place)
                };
                found.add(
                    place,
                    "`listen` and `admin` would both take this address: give them different ports",
                );
            }
        }
        let admin_token = fields
            .text("admin_token", found)
            .and_then(|(token, place)| {
                secret(&token.text)
                    .map_err(|why| found.add(place, format!("`admin_token` {why}")))
                    .ok()
            });
        Self {
            listen: listen.into_iter().map(|(address, _)| address).collect(),
            // What stands in for an unreadable one is never listened on.
            admin: admin.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            admin_token,
        }
    }
}

fn addresses(node: &Node, found: &mut Found) -> Vec<(SocketAddr, Place)> {
    let nodes = one_or_many(node);
    if nodes.is_empty() || nodes.len() > 1000 {
        found.add(
            node.place,
            "`listen` names at least one address, and 1000 at the most: `127.0.0.1:8080`",
        );
        return Vec::new();
    }
    nodes
        .iter()
        .filter_map(|node| address(node, "listen", found))
        .collect()
}

fn address(node: &Node, name: &str, found: &mut Found) -> Option<(SocketAddr, Place)> {
    let scalar = scalar(node, &format!("`{name}`"), found)?;
    let Ok(address) = scalar.text.trim().parse() else {
        let shown = scalar.shown();
        let why = format!(
            "`{name}` takes an IP address and a port, not {shown}: \
             `127.0.0.1:8080`, `[::1]:8080`, or `0.0.0.0:8080` for every address"
        );
        found.add(node.place, why);
        return None;
    };
    Some((address, node.place))
}

/// Whether the system would refuse to listen on both.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let every =
        |address: SocketAddr| address.ip().is_unspecified() && address.is_ipv4() == other.is_ipv4();
    let same = one.ip() == other.ip();
    one.port() != 0
        && one.port() == other.port()
        && (same || every(one) || (other.ip().is_unspecified() && one.is_ipv4() == other.is_ipv4()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_listeners_need_two_addresses() {
        let clash = |a: &str, b: &str| clash(a.parse().unwrap(), b.parse().unwrap());
        assert!(clash("127.0.0.1:80", "127.0.0.1:80"));
        assert!(clash("0.0.0.0:80", "127.0.0.1:80"));
        assert!(clash("[::1]:80", "[::]:80"));
        assert!(!clash("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!clash("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!clash("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!clash("[::]:80", "127.0.0.1:80"));
    }
}
