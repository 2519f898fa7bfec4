//! How a preview is reached from outside: an Ingress, or an HTTPRoute, for each component that has a route.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Preview, labels, snapshot};
use crate::config::{Component, Config, GatewaySettings, Route, Seed};
use crate::names::{ComponentName, Host, NotA, Subject};
use crate::objects::{Kind, Manifest};

/// Hosts of a preview of `subject`: those of its components that have one of their own.
pub(super) fn own_hosts(
    config: &Config,
    subject: &Subject,
) -> Result<BTreeMap<ComponentName, Host>, NotA> {
    let mut hosts = BTreeMap::new();
    for component in &config.components {
        let host = component
            .route
            .as_ref()
            .and_then(|route| route.host.as_ref());
        if let Some(host) = host {
            hosts.insert(component.name.clone(), host.render(subject)?);
        }
    }
    Ok(hosts)
}

impl Preview<'_> {
    /// Every host that is this preview's, its own and those of components: what a route may name, and what a
    /// certificate must cover.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<Host> {
        let of_components = self.own_hosts.values();
        of_components.chain([&self.host]).cloned().collect()
    }

    /// Kinds of its objects that a cluster has only where somebody installed them.
    #[must_use]
    pub fn custom_kinds(&self) -> BTreeSet<Kind> {
        let kinds = self.all_names(None).into_iter().map(|object| object.kind);
        let of_snapshots = match self
            .config
            .database
            .as_ref()
            .and_then(|db| db.seed.as_ref())
        {
            Some(Seed::Snapshot { .. }) => snapshot::KINDS.as_slice(),
            _ => &[],
        };
        let kinds = kinds.chain(of_snapshots.iter().copied());
        kinds.filter(|kind| kind.is_custom()).collect()
    }

    /// The host of a component; none where it is not reached from outside.
    #[must_use]
    pub fn host_of(&self, component: &ComponentName) -> Option<&Host> {
        self.config.component(component)?.route.as_ref()?;
        Some(self.own_hosts.get(component).unwrap_or(&self.host))
    }

    /// Where a component answers, such as `https://7-api.pr.example.com` or `https://7.pr.example.com/api`; none where
    /// it is not reached from outside.
    #[must_use]
    pub fn url_of(&self, component: &ComponentName) -> Option<String> {
        let host = self.host_of(component)?;
        let route = self.config.component(component)?.route.as_ref()?;
        let path = route.path.trim_end_matches('/');
        Some(format!("https://{host}{path}"))
    }

    /// Where each component answers that has a host of its own, in the file's order.
    #[must_use]
    pub fn urls_of_own_hosts(&self) -> Vec<(ComponentName, String)> {
        let names = self
            .config
            .components
            .iter()
            .map(|component| &component.name);
        let own = names.filter(|name| self.own_hosts.contains_key(*name));
        own.filter_map(|name| Some((name.clone(), self.url_of(name)?)))
            .collect()
    }
}

/// The Ingress or HTTPRoute of `component`, where it has a route.
pub(super) fn manifest(preview: &Preview<'_>, component: &Component) -> Option<Manifest> {
    let route = component.route.as_ref()?;
    let host = preview.host_of(&component.name)?;
    let (kind, spec) = match &preview.config.gateway {
        Some(gateway) => (Kind::HttpRoute, http_route(gateway, component, route, host)),
        None => (Kind::Ingress, ingress(preview, component, route, host)),
    };
    let name = component.name.as_str();
    let manifest = Manifest::new(kind, name, &labels(name, name), json!({ "spec": spec }));
    // A Gateway has none: the configuration refuses one beside `[ingress]`.
    Some(manifest.annotated(preview.config.ingress.annotations.clone()))
}

fn ingress(preview: &Preview<'_>, component: &Component, route: &Route, host: &Host) -> Value {
    let path = json!({
        "path": route.path,
        "pathType": "Prefix",
        "backend": { "service": { "name": component.name, "port": { "name": "http" } } },
    });
    let mut spec = json!({ "rules": [{ "host": host, "http": { "paths": [path] } }] });
    let settings = &preview.config.ingress;
    if let Some(class) = &settings.class {
        spec["ingressClassName"] = json!(class);
    }
    if let Some(tls) = &preview.config.tls {
        spec["tls"] = json!([{ "hosts": [host], "secretName": tls.secret }]);
    }
    spec
}

/// TLS ends at the Gateway's listener, which has the certificate.
/// <https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec>
fn http_route(
    gateway: &GatewaySettings,
    component: &Component,
    route: &Route,
    host: &Host,
) -> Value {
    let mut parent = json!({ "name": gateway.name, "namespace": gateway.namespace });
    if let Some(section) = &gateway.section {
        parent["sectionName"] = json!(section);
    }
    json!({
        "parentRefs": [parent],
        "hostnames": [host],
        "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": route.path } }],
            "backendRefs": [{ "name": component.name, "port": component.port }],
        }],
    })
}
