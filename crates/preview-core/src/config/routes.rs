//! How a preview is reached from outside: hosts, paths, and what stands at the front door.

use std::collections::BTreeMap;

use super::error::{ConfigError, Source};
use super::read::{check, value};
use super::{Component, Config, HostTemplate, IngressSettings, Variable, file};
use crate::names::{ComponentName, NamespaceName, is_host};

/// Where a component is reached from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The host, where it is one of the component's own and not the preview's.
    pub host: Option<HostTemplate>,
    /// The path of that host that leads to it, with everything below.
    pub path: String,
}

impl Route {
    /// Whether the route is of `path`: its own, or one below it, by whole elements as both an Ingress and an HTTPRoute
    /// take it.
    #[must_use]
    pub fn leads(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path.trim_end_matches('/'));
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// The Gateway that leads to previews.
/// <https://gateway-api.sigs.k8s.io/reference/spec/#parentreference>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: NamespaceName,
    /// The listener that takes the routes, where it is not every one that would.
    pub section: Option<String>,
}

/// The route of a component: where it has a host of its own, all of that host leads to it unless told.
pub(super) fn route(
    source: &Source<'_>,
    component: &ComponentName,
    host: Option<&str>,
    path: Option<String>,
) -> Result<Option<Route>, ConfigError> {
    let at = |key: &'static str| ["components", component.as_str(), key];
    let host = host
        .map(|host| value(source, &at("host"), host))
        .transpose()?;
    let path = path.or_else(|| host.is_some().then(|| "/".to_owned()));
    let Some(path) = path else {
        return Ok(None);
    };
    check(
        source,
        is_route_path(&path),
        &at("path"),
        "no path of a route; it begins with / and is of letters, digits and -._~!$&'()*+,;=:@, with neither // nor /./ \
         nor /../ in it",
    )?;
    Ok(Some(Route { host, path }))
}

/// What both an Ingress and an HTTPRoute take for a path of type Prefix.
/// <https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/apis/networking/validation/validation.go> (`invalidPathSequences`),
/// <https://gateway-api.sigs.k8s.io/reference/spec/#httppathmatch>
fn is_route_path(path: &str) -> bool {
    let is_unescaped = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
    let mut elements = path.split('/').skip(1).peekable();
    let mut good = path.starts_with('/') && path.bytes().all(is_unescaped);
    while let Some(element) = elements.next() {
        let is_last = elements.peek().is_none();
        good &= !matches!(element, "." | "..") && (is_last || !element.is_empty());
    }
    good
}

pub(super) fn ingress(
    source: &Source<'_>,
    written: file::Ingress,
) -> Result<IngressSettings, ConfigError> {
    check(
        source,
        written.class.as_deref().is_none_or(is_host),
        &["ingress", "class"],
        "no name of a Kubernetes object: a-z, 0-9, - and dots",
    )?;
    for key in written.annotations.keys() {
        let at = ["ingress", "annotations", key];
        check(
            source,
            is_annotation(key),
            &at,
            "no name of an annotation; write it like nginx.ingress.kubernetes.io/auth-type",
        )?;
        check(
            source,
            !is_snippet(key),
            &at,
            "a snippet of the front door's own configuration reaches beyond the preview; there is an annotation for \
             most of what one is written for",
        )?;
    }
    Ok(IngressSettings {
        class: written.class,
        annotations: written.annotations,
    })
}

pub(super) fn gateway(
    source: &Source<'_>,
    written: file::Gateway,
) -> Result<GatewaySettings, ConfigError> {
    let beside = [
        (
            "ingress",
            "a preview is reached through one of the two; leave the other out",
        ),
        (
            "tls",
            "a Gateway's listener has the certificate, and previews need none; leave it out",
        ),
    ];
    for (table, problem) in beside {
        check(
            source,
            source.position(&[table]) == usize::MAX,
            &["gateway"],
            format!("there is [{table}], too, and {problem}"),
        )?;
    }
    let names = [
        ("name", Some(&written.name)),
        ("section", written.section.as_ref()),
    ];
    for (key, name) in names {
        check(
            source,
            name.is_none_or(|name| is_host(name)),
            &["gateway", key],
            "no name of a Kubernetes object: a-z, 0-9, - and dots",
        )?;
    }
    Ok(GatewaySettings {
        name: written.name,
        namespace: written.namespace,
        section: written.section,
    })
}

/// Whether an annotation puts text of its value into the configuration of the front door, which all previews share.
///
/// As of ingress-nginx (`…/configuration-snippet`, `…/server-snippet`, `…/auth-snippet`, …), of F5's NGINX controller
/// (`nginx.org/server-snippets`, …) and of HAProxy's (`haproxy.org/backend-config-snippet`, …).
/// <https://github.com/kubernetes/ingress-nginx/blob/main/docs/user-guide/nginx-configuration/annotations.md>
#[must_use]
pub fn is_snippet(annotation: &str) -> bool {
    let name = annotation.rsplit('/').next().unwrap_or_default();
    name.contains("snippet")
}

/// A name with an optional prefix that is a host's.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>
fn is_annotation(key: &str) -> bool {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let at_an_end = |c: char| c.is_ascii_alphanumeric();
    prefix.is_none_or(is_host)
        && name.len() <= 63
        && name.starts_with(at_an_end)
        && name.ends_with(at_an_end)
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// What is right of each route and wrong of all of them: hosts that no certificate covers, that could be another
/// preview's, or of which one path leads to two components.
pub(super) fn check_routes(source: &Source<'_>, config: &Config) -> Result<(), ConfigError> {
    let mut taken: BTreeMap<(&str, &str), &ComponentName> = BTreeMap::new();
    for component in &config.components {
        let Some(route) = &component.route else {
            continue;
        };
        let name = component.name.as_str();
        if let Some(host) = &route.host {
            check_host(source, config, &component.name, host)?;
        }
        let host = route.host.as_ref().unwrap_or(&config.host);
        // A path that ends in a slash is the one without it: both controllers and Gateways match whole elements.
        let path = match route.path.trim_end_matches('/') {
            "" => "/",
            path => path,
        };
        if let Some(other) = taken.insert((host.as_str(), path), &component.name) {
            let problem = format!(
                "{} leads to component {other} already; give each its own path",
                route.path
            );
            return Err(source.wrong(&["components", name, "path"], problem));
        }
    }
    Ok(())
}

fn check_host(
    source: &Source<'_>,
    config: &Config,
    component: &ComponentName,
    host: &HostTemplate,
) -> Result<(), ConfigError> {
    let key = ["components", component.as_str(), "host"];
    let domain = config.host.domain();
    check(
        source,
        host.domain() == domain,
        &key,
        format!(
            "not one label below {domain}, as `host` is, which is all that a wildcard certificate covers; \
             write it like {{pr}}-{component}.{domain}"
        ),
    )?;
    let others = config.components.iter().filter_map(|other| {
        let host = other.route.as_ref()?.host.as_ref()?;
        Some((host, format!("that of component {}", other.name)))
    });
    let others = others.chain([(&config.host, "the preview's own".to_owned())]);
    for (other, whose) in others {
        check(
            source,
            host == other || !host.may_be_mistaken_for(other),
            &key,
            format!(
                "another preview's host could be the same: {other}, {whose}; set its parts off by dashes, \
                 like {{pr}}-{component}.{domain}"
            ),
        )?;
    }
    Ok(())
}

/// `HOST_…` stands for something only where the component is reached from outside, and is then set for all of them.
pub(super) fn check_variables(
    source: &Source<'_>,
    config: &Config,
    component: &Component,
) -> Result<(), ConfigError> {
    let has_host = |name: &ComponentName| {
        let component = config.component(name);
        component.is_some_and(|component| component.route.is_some())
    };
    for (variable, text) in &component.env {
        let key = ["components", component.name.as_str(), "env", variable];
        let set = matches!(Variable::named(variable), Some(Variable::Host(of)) if has_host(&of));
        check(
            source,
            !set,
            &key,
            "set for every component already; choose another name",
        )?;
        for named in text.variables() {
            let Variable::Host(of) = named else {
                continue;
            };
            let problem = match config.component(of) {
                Some(_) => format!("component {of} has neither host nor path"),
                None => format!("there is no component {of}"),
            };
            check(
                source,
                has_host(of),
                &key,
                format!("${{{}}} stands for nothing: {problem}", named.name()),
            )?;
        }
    }
    Ok(())
}

/// What components find in their environment, beyond [`Variable::FIXED`]: the host of each that is reached from outside.
pub(crate) fn host_variables(config: &Config) -> impl Iterator<Item = Variable> {
    let reached = config.components.iter().filter(|c| c.route.is_some());
    reached.map(|component| Variable::Host(component.name.clone()))
}
