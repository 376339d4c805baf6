//! The providers, as processes of their own.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};

use standin::mock::{Mock, Refused};

use super::names::GOOD;
use crate::scene::FAULTS;
use crate::stage::Players;

/// A provider in a process of its own.
#[derive(Debug)]
pub(super) struct Provider {
    name: &'static str,
    seed: u64,
    at: SocketAddr,
    /// Nothing while it is dead.
    players: Option<Players>,
    /// Holds the port while nobody listens there.
    _held: Option<Refused>,
}

impl Provider {
    async fn start(name: &'static str, seed: u64) -> Result<Self, String> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let held = Mock::refused_at(any).map_err(|error| format!("{name}: {error}"))?;
        Self::start_at(name, seed, held.addr(), Some(held)).await
    }

    async fn start_at(
        name: &'static str,
        seed: u64,
        at: SocketAddr,
        held: Option<Refused>,
    ) -> Result<Self, String> {
        let mut provider = Self {
            name,
            seed,
            at,
            players: None,
            _held: held,
        };
        provider.revive().await?;
        let players = provider.players.as_ref();
        let url = players.and_then(|players| players.places["providers"][name].as_str());
        let at = url.and_then(|url| {
            url.strip_prefix("http://")?
                .strip_suffix("/v1")?
                .parse()
                .ok()
        });
        provider.at = at.ok_or_else(|| format!("{name} does not say where it is"))?;
        Ok(provider)
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) -> Result<(), String> {
        match self.players.take() {
            Some(players) => players.kill().await,
            None => Ok(()),
        }
    }

    /// Starts it again where it was.
    pub(super) async fn revive(&mut self) -> Result<(), String> {
        let script = format!("{FAULTS}{}", self.name);
        let (host, port) = (self.at.ip().to_string(), self.at.port().to_string());
        let more = ["--host", &host, "--port", &port].map(OsStr::new);
        self.players = Some(Players::start(&script, self.seed, &more).await?);
        Ok(())
    }

    /// From now on it does no harm.
    async fn calm(&mut self) -> Result<(), String> {
        match &mut self.players {
            Some(players) => {
                let told = players.tell(&format!("play {} well", self.name)).await;
                told.map(drop)
            }
            None => self.revive().await,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) mortal: Provider,
    slow: Provider,
    steady: Provider,
    torn: Provider,
    /// At two addresses, on the same port.
    named: [Provider; 2],
}

impl Cast {
    pub(super) async fn start(seed: u64) -> Result<Self, String> {
        let [one, two] = GOOD.map(|address| {
            let address = address.parse::<Ipv4Addr>();
            address.map_err(|error| format!("{GOOD:?}: {error}"))
        });
        let one = Provider::start_at("named", seed, (one?, 0).into(), None).await?;
        let port = one.at.port();
        let two = Provider::start_at("named", seed, (two?, port).into(), None).await?;
        Ok(Self {
            mortal: Provider::start("mortal", seed).await?,
            slow: Provider::start("slow", seed).await?,
            steady: Provider::start("steady", seed).await?,
            torn: Provider::start("torn", seed).await?,
            named: [one, two],
        })
    }

    /// Where they are; the one that goes by names by its first address.
    pub(super) fn homes(&self) -> [(&'static str, SocketAddr); 5] {
        let all = [
            &self.mortal,
            &self.named[0],
            &self.slow,
            &self.steady,
            &self.torn,
        ];
        all.map(|provider| (provider.name, provider.at))
    }

    /// Nobody does any harm any more.
    pub(super) async fn calm(&mut self) -> Result<(), String> {
        for provider in [&mut self.mortal, &mut self.slow, &mut self.torn] {
            provider.calm().await?;
        }
        Ok(())
    }

    /// Kills them all.
    pub(super) async fn end(self) -> Result<(), String> {
        let all = [self.mortal, self.slow, self.steady, self.torn];
        for mut provider in all.into_iter().chain(self.named) {
            provider.kill().await?;
        }
        Ok(())
    }
}
