//! How a component is seen to answer, once it runs.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::error::{ConfigError, Source};
use super::read::{check, duration, value};
use super::routes::Route;
use super::{Config, file};
use crate::names::{ComponentName, NotA, is_host};

/// What must be seen of a component before its preview is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The path that is asked for.
    pub path: String,
    /// The HTTP status that it must answer with.
    pub status: u16,
    /// How long it may take until it does, after everything runs.
    pub deadline: Duration,
    /// Which way it is asked.
    pub through: Through,
}

/// Which way a component is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Through {
    /// As a visitor would: over TLS, by its host.
    Route,
    /// Through the API server, which asks its Service.
    Cluster,
}

/// What all checks have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChecksSettings {
    /// Where the front door is, where the names of hosts do not lead to it from here.
    pub connect_to: Option<Address>,
}

/// Something to connect to: a host's name or an IP address, and a port.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// As it is written: `203.0.113.7:443`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        let names_a_host = text.rsplit_once(':').is_some_and(|(host, port)| {
            is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        let is_numeric = text.parse::<SocketAddr>().is_ok_and(|at| at.port() > 0);
        if names_a_host || is_numeric {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotA::new(
                text,
                "an address with a port, such as 203.0.113.7:443",
            ))
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

pub(super) fn settings(
    source: &Source<'_>,
    written: &file::Checks,
) -> Result<ChecksSettings, ConfigError> {
    let connect_to = written.connect_to.as_deref();
    let key = ["checks", "connect_to"];
    Ok(ChecksSettings {
        connect_to: connect_to
            .map(|text| value(source, &key, text))
            .transpose()?,
    })
}

/// The check of `component`, which is asked through its route where it has one and nothing else is told.
pub(super) fn of_component(
    source: &Source<'_>,
    component: &ComponentName,
    route: Option<&Route>,
    written: file::Check,
) -> Result<Check, ConfigError> {
    let table = ["components", component.as_str(), "check"];
    let at = |key: &'static str| [&table[..], &[key]].concat();
    let by_default = route.map_or(Through::Cluster, |_| Through::Route);
    let through = written.through.unwrap_or(by_default);
    let route = route.filter(|_| through == Through::Route);
    check(
        source,
        route.is_some() || through == Through::Cluster,
        &at("through"),
        "there is no route: the component has neither host nor path; write \"cluster\"",
    )?;
    let path = written
        .path
        .unwrap_or_else(|| route.map_or("/", |route| &route.path).to_owned());
    check(
        source,
        is_asked_for(&path),
        &at("path"),
        "no path; it begins with / and is of letters, digits, % and -._~!$&'()*+,;=:@",
    )?;
    if let Some(route) = route {
        let problem = format!(
            "a path that does not lead to {component}, whose route is {0}; begin it with {0}",
            route.path
        );
        check(source, route.leads(&path), &at("path"), problem)?;
    }
    check(
        source,
        (100..=599).contains(&written.status),
        &at("status"),
        "no HTTP status; write 100 to 599",
    )?;
    let hour = Duration::from_secs(3600);
    let deadline = duration(&written.deadline)
        .filter(|long| (Duration::from_secs(1)..=hour).contains(long))
        .ok_or_else(|| {
            let problem = format!(
                "{:?} is no duration of at least 1s and at most 1h; write it like 60s or 2m",
                written.deadline
            );
            source.wrong(&at("deadline"), problem)
        })?;
    Ok(Check {
        path,
        status: written.status,
        deadline,
        through,
    })
}

pub(super) fn is_asked_for(path: &str) -> bool {
    path.starts_with('/')
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b))
}

/// A check is of its own component, and what no check would look at is not configured.
pub(super) fn check_together(source: &Source<'_>, config: &Config) -> Result<(), ConfigError> {
    let mut through_a_route = false;
    for component in &config.components {
        let through = component.check.as_ref().map(|check| check.through);
        let (Some(Through::Route), Some(route), Some(of)) =
            (through, &component.route, &component.check)
        else {
            continue;
        };
        through_a_route = true;
        let host = |route: &Route| route.host.clone().unwrap_or_else(|| config.host.clone());
        let routes = config
            .components
            .iter()
            .filter_map(|other| Some((&other.name, other.route.as_ref()?)));
        // Of several routes that lead, the longest does.
        let leads = routes
            .filter(|(_, other)| host(other) == host(route) && other.leads(&of.path))
            .max_by_key(|(_, other)| other.path.trim_end_matches('/').len());
        if let Some((other, _)) = leads.filter(|(other, _)| **other != component.name) {
            let key = ["components", component.name.as_str(), "check", "path"];
            let problem = format!(
                "{} leads to component {other}, whose route is more exact; choose another",
                of.path
            );
            return Err(source.wrong(&key, problem));
        }
    }
    check(
        source,
        config.checks.connect_to.is_none() || through_a_route,
        &["checks", "connect_to"],
        "no component has a check through its route; describe one as [components.<name>.check]",
    )
}
