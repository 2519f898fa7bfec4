//! One failure, with the object that shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FailureClass;
use crate::names::NamespaceName;
use crate::objects::{Kind, ObjectName};
use crate::redaction::Redaction;

/// A failure that is certain, with the object that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// The workload that did not come up.
    pub workload: ObjectName,
    /// The pod, where one shows the failure.
    pub pod: Option<String>,
    /// The container within the pod.
    pub container: Option<String>,
    /// What Kubernetes said, or how the container ended.
    pub message: String,
    /// The last lines the container printed, oldest first; filled in by whoever can read logs. Of a page that answers
    /// with something else, the first lines of that.
    #[serde(default)]
    pub log: Vec<String>,
    /// What Kubernetes noted of the object last, oldest first; filled in where there is no log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.workload, self.class)?;
        if let Some(pod) = &self.pod {
            write!(f, " (pod {pod}")?;
            if let Some(container) = &self.container {
                write!(f, ", container {container}")?;
            }
            f.write_str(")")?;
        }
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}

impl Failure {
    /// Of the workload as a whole, with nothing but the message.
    #[must_use]
    pub fn new(class: FailureClass, workload: &ObjectName, message: impl Into<String>) -> Self {
        Self {
            class,
            workload: workload.clone(),
            pod: None,
            container: None,
            message: message.into(),
            log: Vec::new(),
            events: Vec::new(),
        }
    }

    /// The same failure without the secrets of `redaction` in what others wrote of it.
    #[must_use]
    pub fn redacted(self, redaction: &Redaction) -> Self {
        let clean = |lines: Vec<String>| lines.iter().map(|line| redaction.clean(line)).collect();
        Self {
            message: redaction.clean(&self.message),
            log: clean(self.log),
            events: clean(self.events),
            ..self
        }
    }

    /// The command that shows more of it.
    #[must_use]
    pub fn next_command(&self, namespace: &NamespaceName) -> String {
        let kubectl = format!("kubectl -n {namespace}");
        let workload = &self.workload;
        match (self.class, &self.pod) {
            (FailureClass::Quota, _) => format!("{kubectl} describe resourcequota,limitrange"),
            (FailureClass::Timeout, None) => {
                format!("{kubectl} get pods,events --sort-by=.metadata.creationTimestamp")
            }
            (
                FailureClass::Image
                | FailureClass::Configuration
                | FailureClass::Scheduling
                | FailureClass::Volume
                | FailureClass::Cluster
                | FailureClass::Timeout,
                Some(pod),
            ) => format!("{kubectl} describe pod {pod}"),
            (FailureClass::Crash | FailureClass::OutOfMemory, Some(pod))
                if workload.kind != Kind::Job =>
            {
                format!("{kubectl} logs {pod}{} --previous", self.of_container())
            }
            (_, Some(pod)) => format!("{kubectl} logs {pod}{}", self.of_container()),
            (FailureClass::Migration | FailureClass::Check, None) => {
                format!("{kubectl} logs {workload} --all-containers")
            }
            (_, None) => format!("{kubectl} describe {workload}"),
        }
    }

    fn of_container(&self) -> String {
        let container = self.container.as_ref();
        container.map_or_else(String::new, |container| format!(" -c {container}"))
    }
}
