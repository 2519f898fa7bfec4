//! What manifests that somebody wrote may hold: an allow-list, and everything that would lead out of the preview.
//!
//! The cluster is asked to hold the same lines (Pod Security, quota, network policies, admission). This is said before
//! anything is applied, with the file and the field, on the pull request.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::field::Field;
use super::source::ORIGIN;
use crate::names::{Host, NamespaceName, is_host};
use crate::objects::{Kind, ObjectName};

mod pods;
mod rule;

pub(super) use pods::template_of;
pub use rule::Rule;

/// Prefix of the keys that say whose a preview is.
const OUR_PREFIX: &str = "preview-environments/";

/// Keys of `metadata` that may be written. The rest are the server's, or would hold or move the object.
const METADATA: [&str; 5] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
];

/// Annotations that give a route more hosts, of ingress-nginx and external-dns, by what they end with.
const HOST_ANNOTATIONS: [&str; 2] = ["/server-alias", "external-dns.alpha.kubernetes.io/hostname"];

/// Why an object cannot be in a preview: where, which, which field, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file, or the line of what was rendered.
    pub place: String,
    /// Kind and name, as they were written.
    pub object: String,
    /// The path of the field.
    pub field: String,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            object,
            field,
            rule,
        } = self;
        write!(f, "{place}: {object}: {field}: {rule}")
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) field: String,
    pub(super) rule: Rule,
}

impl Fault {
    pub(super) fn at(field: &Field<'_>, rule: Rule) -> Self {
        Self {
            field: field.path.clone(),
            rule,
        }
    }
}

/// The preview that objects are judged for.
pub(super) struct Policy<'a> {
    pub(super) namespace: &'a NamespaceName,
    pub(super) hosts: &'a BTreeSet<Host>,
    /// What every preview is made of anyway, or may come to have.
    pub(super) ours: &'a BTreeSet<ObjectName>,
}

/// Which object this is, if it is of a kind and version that a preview may have.
pub(super) fn identity(body: &Value) -> Result<ObjectName, Fault> {
    let body = Field::whole(body);
    let kind = body.get("kind");
    let written = kind.text().unwrap_or_default();
    let Some(known) = rule::allowed(written) else {
        return Err(Fault::at(&kind, Rule::Kind(written.to_owned())));
    };
    let version = body.get("apiVersion");
    if version.text() != Some(known.api_version()) {
        return Err(Fault::at(&version, Rule::Version(known)));
    }
    let name = body.get("metadata").get("name");
    match name.text().filter(|text| is_host(text)) {
        Some(text) => Ok(ObjectName::new(known, text)),
        None => Err(Fault::at(&name, Rule::Name)),
    }
}

impl Policy<'_> {
    /// Everything that is wrong with the object.
    pub(super) fn faults(&self, object: &ObjectName, body: &Value) -> Vec<Fault> {
        let body = Field::whole(body);
        let mut faults = Vec::new();
        if self.ours.contains(object) {
            faults.push(Fault::at(
                &body.get("metadata").get("name"),
                Rule::Ours(object.clone()),
            ));
        }
        self.metadata(&body.get("metadata"), &mut faults);
        match object.kind {
            Kind::Service => service(&body.get("spec"), &mut faults),
            Kind::Secret => secret(&body, &mut faults),
            Kind::PersistentVolumeClaim => claim(&body.get("spec"), &mut faults),
            Kind::StatefulSet => {
                for template in body.get("spec").get("volumeClaimTemplates").elements() {
                    claim(&template.get("spec"), &mut faults);
                }
            }
            Kind::Ingress => self.ingress(&body.get("spec"), &mut faults),
            Kind::HttpRoute => self.http_route(&body.get("spec"), &mut faults),
            _ => {}
        }
        if let Some(pointer) = template_of(object.kind) {
            pods::template(&body.pointer(pointer), &mut faults);
        }
        faults
    }

    fn metadata(&self, metadata: &Field<'_>, faults: &mut Vec<Fault>) {
        for field in metadata.fields() {
            if !METADATA.contains(&field.key()) {
                faults.push(Fault::at(&field, Rule::Metadata));
            }
        }
        let namespace = metadata.get("namespace");
        if namespace.is_set() && namespace.text() != Some(self.namespace.as_str()) {
            let rule = Rule::ForeignNamespace(namespace.shown());
            faults.push(Fault::at(&namespace, rule));
        }
        for map in ["labels", "annotations"].map(|key| metadata.get(key)) {
            if map.is_set() && !map.value.is_object() {
                faults.push(Fault::at(&map, Rule::Shape("a map of texts")));
            }
            for field in map.fields() {
                if field.key().starts_with(OUR_PREFIX) {
                    faults.push(Fault::at(&field, Rule::OurKey));
                }
            }
        }
        for annotation in metadata.get("annotations").fields() {
            self.annotation(&annotation, faults);
        }
    }

    fn annotation(&self, annotation: &Field<'_>, faults: &mut Vec<Fault>) {
        let key = annotation.key();
        if is_snippet(key) {
            faults.push(Fault::at(annotation, Rule::Snippet));
        }
        if key == "kubernetes.io/service-account.name" {
            faults.push(Fault::at(annotation, Rule::TokenSecret));
        }
        let text = annotation.text().unwrap_or_default();
        if HOST_ANNOTATIONS.iter().any(|ending| key.ends_with(ending)) {
            let hosts = text.split([',', ' ']).filter(|host| !host.is_empty());
            for host in hosts.filter(|host| !self.has(host)) {
                faults.push(Fault::at(annotation, self.foreign_host(host)));
            }
        }
        // A controller that is asked to would read them there: `auth-secret: other/users`.
        let is_reference =
            key != ORIGIN && (key.ends_with("-secret") || key.ends_with("-configmap"));
        if let Some((namespace, _)) = text.split_once('/').filter(|_| is_reference)
            && namespace != self.namespace.as_str()
        {
            let rule = Rule::ForeignNamespace(namespace.to_owned());
            faults.push(Fault::at(annotation, rule));
        }
    }

    fn ingress(&self, spec: &Field<'_>, faults: &mut Vec<Fault>) {
        let default = spec.get("defaultBackend");
        if default.is_set() {
            faults.push(Fault::at(&default, Rule::EveryHost));
        }
        for rule in spec.get("rules").elements() {
            self.host(&rule.get("host"), faults);
        }
        for tls in spec.get("tls").elements() {
            for host in tls.get("hosts").elements() {
                self.host(&host, faults);
            }
        }
    }

    fn http_route(&self, spec: &Field<'_>, faults: &mut Vec<Fault>) {
        let hosts = spec.get("hostnames");
        if hosts.elements().is_empty() {
            faults.push(Fault::at(&hosts, Rule::EveryHost));
        }
        for host in hosts.elements() {
            self.host(&host, faults);
        }
        for namespace in spec.get("rules").all("namespace") {
            if namespace.text() != Some(self.namespace.as_str()) {
                let rule = Rule::ForeignNamespace(namespace.shown());
                faults.push(Fault::at(&namespace, rule));
            }
        }
    }

    fn host(&self, host: &Field<'_>, faults: &mut Vec<Fault>) {
        match host.text().filter(|text| !text.is_empty()) {
            None => faults.push(Fault::at(host, Rule::EveryHost)),
            Some(text) if self.has(text) => {}
            Some(text) => faults.push(Fault::at(host, self.foreign_host(text))),
        }
    }

    fn has(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours.as_str() == host)
    }

    fn foreign_host(&self, host: &str) -> Rule {
        let ours: Vec<&str> = self.hosts.iter().map(Host::as_str).collect();
        Rule::ForeignHost {
            host: host.to_owned(),
            ours: ours.join(", "),
        }
    }
}

/// Whether the annotation puts text into an ingress controller's own configuration, which serves everybody.
/// <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/>
pub(crate) fn is_snippet(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.ends_with("snippet") || name.ends_with("snippets")
}

fn service(spec: &Field<'_>, faults: &mut Vec<Fault>) {
    let kind = spec.get("type");
    if kind.is_set() && kind.text() != Some("ClusterIP") {
        faults.push(Fault::at(&kind, Rule::ServiceType(kind.shown())));
    }
    for key in ["externalIPs", "externalName"] {
        let field = spec.get(key);
        if field.is_set() {
            faults.push(Fault::at(&field, Rule::External));
        }
    }
}

fn secret(body: &Field<'_>, faults: &mut Vec<Fault>) {
    let kind = body.get("type");
    if kind.text() == Some("kubernetes.io/service-account-token") {
        faults.push(Fault::at(&kind, Rule::TokenSecret));
    }
}

/// A claim of a volume: of a new one, not of one that is somebody's.
fn claim(spec: &Field<'_>, faults: &mut Vec<Fault>) {
    for key in ["volumeName", "selector"] {
        let field = spec.get(key);
        if field.is_set() {
            faults.push(Fault::at(&field, Rule::ExistingVolume));
        }
    }
    let namespace = spec.get("dataSourceRef").get("namespace");
    if namespace.is_set() {
        let rule = Rule::ForeignNamespace(namespace.shown());
        faults.push(Fault::at(&namespace, rule));
    }
}

#[cfg(test)]
mod tests;
