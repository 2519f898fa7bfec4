//! What must be seen of a preview before it is ready.

use super::Preview;
use crate::checks::{PageCheck, Way};
use crate::config::{Check, Component, Through};
use crate::names::Host;
use crate::objects::{Kind, Manifest, ObjectName};

impl Preview<'_> {
    /// The pages that must answer, in the file's order.
    #[must_use]
    pub fn checks(&self) -> Vec<PageCheck> {
        let components = self.config.components.iter();
        components
            .filter_map(|component| Some(self.page_check(component, component.check.as_ref()?)))
            .collect()
    }

    fn page_check(&self, component: &Component, check: &Check) -> PageCheck {
        let host = self
            .host_of(&component.name)
            .filter(|_| check.through == Through::Route);
        PageCheck {
            component: component.name.clone(),
            workload: self.workload_of(component),
            route: host.map(|host| Way {
                host: host.clone(),
                object: self.route_of(component, host),
            }),
            port: component.port,
            path: check.path.clone(),
            status: check.status,
            deadline: check.deadline,
        }
    }

    fn workload_of(&self, component: &Component) -> ObjectName {
        let mut shown = self.shown_workloads().into_iter();
        let of_component = shown.find(|shown| shown.component.as_ref() == Some(&component.name));
        of_component.map_or_else(
            || ObjectName::new(Kind::Deployment, component.name.as_str()),
            |shown| shown.object,
        )
    }

    /// The object that leads from `host` to `component`: of several, the one of its name. Manifests that somebody wrote
    /// may have none; then the component's workload is all there is to look at.
    fn route_of(&self, component: &Component, host: &Host) -> ObjectName {
        let routes = self.routes().into_iter();
        let of_host: Vec<ObjectName> = routes
            .filter(|route| leads_from(route, host))
            .map(|route| route.object().clone())
            .collect();
        let of_name = of_host.iter().find(|o| o.name == component.name.as_str());
        let any = of_name.or(of_host.first()).cloned();
        any.unwrap_or_else(|| self.workload_of(component))
    }
}

/// Whether an Ingress or HTTPRoute is of `host`.
fn leads_from(route: &Manifest, host: &Host) -> bool {
    let spec = &route.body()["spec"];
    let listed = |key: &str| spec[key].as_array().into_iter().flatten();
    let of_rules = listed("rules").map(|rule| &rule["host"]);
    let mut hosts = of_rules.chain(listed("hostnames"));
    hosts.any(|named| named == host.as_str())
}
