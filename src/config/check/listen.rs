//! Addresses to listen on, and who may reach them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::provider::secret;
use super::{Surroundings, one_or_many, tls};
use crate::base::Secret;
use crate::config::keys::LISTENER;
use crate::config::meant::BaseUrl;
use crate::config::node::{Node, What};
use crate::config::problem::{Found, Place};
use crate::config::shape::{Fields, scalar};
use crate::config::tls::Listen;

/// Addresses to listen on; clients come in at 1000 of them at the most.
pub(super) struct Listening {
    pub(super) listen: Vec<Listen>,
    pub(super) admin: SocketAddr,
    pub(super) admin_token: Option<Secret>,
}

impl Listening {
    pub(super) fn read(fields: &Fields<'_>, around: &dyn Surroundings, found: &mut Found) -> Self {
        let anonymous = fields.boolean("allow_anonymous", found).unwrap_or(true);
        let keyed = fields.node("keys").is_some();
        let admin_node = fields.node("admin");
        let admin = match admin_node {
            Some(node) => address(node, "admin", found).map(|(address, _)| address),
            None => fields.default("admin").and_then(|text| text.parse().ok()),
        };
        let listen = match fields.node("listen") {
            Some(node) => addresses(node, around, found),
            None => {
                let address = fields.default("listen").map(str::parse);
                address
                    .into_iter()
                    .flatten()
                    .map(|address| (Listen { address, tls: None }, fields.place))
                    .collect()
            }
        };
        for (at, (entry, place)) in listen.iter().enumerate() {
            let address = entry.address;
            let tls = entry.tls.as_ref();
            let asks = keyed || tls.is_some_and(|tls| tls.client_ca_file.is_some());
            if !anonymous && !asks && !address.ip().to_canonical().is_loopback() {
                found.add(*place, "clients need no key here, so everyone who can reach this address could spend the providers' credit: give them `keys`, listen on 127.0.0.1, or set `allow_anonymous: true`");
            }
            if listen[..at]
                .iter()
                .any(|(other, _)| clash(address, other.address))
            {
                found.add(*place, "this address is already listened on: leave it out");
            }
            if admin.is_some_and(|admin| clash(address, admin)) {
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
            listen: listen.into_iter().map(|(entry, _)| entry).collect(),
            // What stands in for an unreadable one is never listened on.
            admin: admin.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            admin_token,
        }
    }
}

fn addresses(node: &Node, around: &dyn Surroundings, found: &mut Found) -> Vec<(Listen, Place)> {
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
        .filter_map(|node| entry(node, around, found))
        .collect()
}

/// An address alone, or a mapping that says more of it.
fn entry(node: &Node, around: &dyn Surroundings, found: &mut Found) -> Option<(Listen, Place)> {
    if !matches!(node.what, What::Map(_)) {
        let (address, place) = address(node, "listen", found)?;
        return Some((Listen { address, tls: None }, place));
    }
    let fields = Fields::of(node, &LISTENER, found);
    let tls = fields.node("tls").is_some();
    let tls = tls.then(|| tls::server(&fields.section("tls", found), around, found));
    let (address, place) = address(fields.node("address")?, "address", found)?;
    // What stands in for one that is wrong is never listened on.
    let tls = tls.flatten();
    Some((Listen { address, tls }, place))
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

/// Whether a provider's address leads to one that is listened on, as far as
/// that can be told without asking anybody.
pub(super) fn leads_to(url: &BaseUrl, own: SocketAddr) -> bool {
    let is_home =
        |ip: IpAddr| ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST;
    let ip = own.ip().to_canonical();
    let there = match url.host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(there) => {
            there == ip
                || (ip.is_unspecified() && there.is_loopback())
                || (there.is_unspecified() && is_home(ip))
        }
        Err(_) => url.host == "localhost" && is_home(ip),
    };
    there && url.port == own.port()
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
