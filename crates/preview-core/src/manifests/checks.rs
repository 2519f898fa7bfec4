//! What must be seen of a preview before it is ready.

use super::Preview;
use crate::checks::{PageCheck, Way};
use crate::config::{Check, Component, Through};
use crate::objects::{Kind, ObjectName};

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
            workload: ObjectName::new(Kind::Deployment, component.name.as_str()),
            route: host.map(|host| Way {
                host: host.clone(),
                object: self.route_object(component),
            }),
            port: component.port,
            path: check.path.clone(),
            status: check.status,
            deadline: check.deadline,
        }
    }

    /// The object that leads to `component`.
    fn route_object(&self, component: &Component) -> ObjectName {
        let kind = match self.config.gateway {
            Some(_) => Kind::HttpRoute,
            None => Kind::Ingress,
        };
        ObjectName::new(kind, component.name.as_str())
    }
}
