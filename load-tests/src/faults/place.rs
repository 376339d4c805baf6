//! The configurations, and where they and the ledger are.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::load::name_of;
use super::names::{self, GOOD, LASTING};

/// What configurations are made of.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) homes: [(&'static str, SocketAddr); 5],
    /// Whether host names can be made to change.
    pub(super) has_names: bool,
}

impl Place {
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("standin.yaml")
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.folder.join("usage.db")
    }

    /// Where each provider is for this configuration. `moved` is `named` by
    /// another name.
    fn hosts(&self, number: u64) -> Vec<(&'static str, String)> {
        let [lasting, passing] = match self.has_names {
            true => [LASTING.to_owned(), names::passing(number)],
            false => GOOD.map(str::to_owned),
        };
        let mut hosts = Vec::new();
        for (name, at) in self.homes {
            match name {
                "named" => {
                    let port = at.port();
                    hosts.push(("moved", format!("{passing}:{port}")));
                    hosts.push((name, format!("{lasting}:{port}")));
                }
                _ => hosts.push((name, at.to_string())),
            }
        }
        hosts
    }

    /// The configuration of this number: other names upstream, another host.
    pub(super) fn yaml(&self, number: u64) -> String {
        let mut yaml = format!(
            "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {{ format: text, level: info }}\n\
             shutdown: {{ drain: 30s, upgrade_socket: {:?} }}\n\
             health: {{ failures: 10, failure_ratio: 1.0, cooldown: 100ms, max_cooldown: 1s }}\n\
             failover: {{ connect_timeout: 5s }}\n\
             ledger: {{ path: {:?}, on_error: serve }}\nproviders:\n",
            self.folder.join("upgrade"),
            self.ledger()
        );
        let hosts = self.hosts(number);
        for (name, host) in &hosts {
            let timeouts = match *name {
                "slow" | "torn" => ", timeouts: { first_token: 1s, answer: 1s, idle: 1s }",
                _ => "",
            };
            yaml += &format!(
                "  {name}: {{ base_url: \"http://{host}/v1\", api_key: sk-mock-{name}{timeouts} }}\n"
            );
        }
        yaml += "models:\n";
        for (name, _) in &hosts {
            yaml += &format!("  {name}/m: {{ upstream_model: {} }}\n", name_of(number));
        }
        yaml
    }

    /// One that is wrong, and would be seen if it served.
    pub(super) fn wrong(&self, dice: u64) -> String {
        let yaml = self
            .yaml(0)
            .replace(&format!(": {} }}", name_of(0)), ": wrong }");
        match dice % 5 {
            0 => yaml + "nonsense: 1\n",
            1 => String::new(),
            2 => yaml + "  steady/other: { provider: nobody }\n",
            3 => {
                let part = yaml.chars().take(yaml.len() * 2 / 3);
                part.chain("\n  - [".chars()).collect()
            }
            _ => yaml.replace("cooldown: 100ms", "cooldown: 100"),
        }
    }

    /// Writes a wrong one beside the one that serves; where it is.
    pub(super) fn write_wrong(&self, dice: u64) -> Result<PathBuf, String> {
        let path = self.folder.join("wrong.yaml");
        let written = std::fs::write(&path, self.wrong(dice));
        let told = written.map_err(|error| format!("{}: {error}", path.display()));
        told.map(|()| path)
    }

    /// Writes a configuration where standin looks for it.
    pub(super) fn write(&self, yaml: &str) -> Result<(), String> {
        let path = self.config();
        std::fs::write(&path, yaml).map_err(|error| format!("{}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use standin::config;

    use super::*;

    #[test]
    fn right_configurations_are_right_and_wrong_ones_wrong() {
        let at = SocketAddr::from(([127, 0, 0, 1], 1));
        let place = Place {
            folder: "/tmp".into(),
            homes: ["mortal", "named", "slow", "steady", "torn"].map(|name| (name, at)),
            has_names: true,
        };
        for number in 0..20 {
            let is_right =
                |yaml: String| config::load("x", yaml.as_bytes(), &config::Nothing).is_ok();
            assert!(is_right(place.yaml(number)), "{number}");
            assert!(!is_right(place.wrong(number)), "{number}");
        }
    }
}
