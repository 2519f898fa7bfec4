//! The rules, as they are said to people.

use std::fmt;

use crate::objects::{Kind, ObjectName};

/// Kinds of what a preview may have beside what every preview has: workloads, configuration, Services and routes.
const ALLOWED: [Kind; 11] = [
    Kind::ConfigMap,
    Kind::Secret,
    Kind::PersistentVolumeClaim,
    Kind::Service,
    Kind::StatefulSet,
    Kind::Deployment,
    Kind::DaemonSet,
    Kind::CronJob,
    Kind::Job,
    Kind::Ingress,
    Kind::HttpRoute,
];

/// The kind that is written so, if a preview may have it.
pub(super) fn allowed(kind: &str) -> Option<Kind> {
    ALLOWED.into_iter().find(|known| known.as_str() == kind)
}

/// A rule for what a preview may be made of, as it is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is of a kind that a preview does not have.
    Kind(String),
    /// It is of a known kind in another version than the one that we write.
    Version(Kind),
    /// It has no name, or none that can be.
    Name,
    /// It is a Job whose name leaves no room for the hash of its template.
    JobName,
    /// It has the name of something that every preview has.
    Ours(ObjectName),
    /// It is there twice.
    Twice,
    /// Something that has to be one kind of value is another.
    Shape(&'static str),
    /// Its metadata say what only the server says, or what would hold or move it.
    Metadata,
    /// A label or an annotation that says whose a preview is.
    OurKey,
    /// It is, or reaches, in a namespace that is not the preview's.
    ForeignNamespace(String),
    /// A host that is not the preview's.
    ForeignHost {
        /// The host.
        host: String,
        /// The preview's.
        ours: String,
    },
    /// A route for every host there is.
    EveryHost,
    /// Text for an ingress controller's own configuration.
    Snippet,
    /// A Service that is reached from outside the cluster, or is something outside it.
    ServiceType(String),
    /// Addresses or names from outside the cluster.
    External,
    /// A token for the API server, as a Secret.
    TokenSecret,
    /// A token for the API server, as a file.
    TokenVolume,
    /// A volume of a kind that leads out of the preview.
    Volume(String),
    /// A folder of the node.
    HostPath,
    /// A volume that is there already, and may be anybody's.
    ExistingVolume,
    /// A namespace of the node's kernel.
    HostNamespace,
    /// A port of the node.
    HostPort,
    /// A container that may do everything that the node may.
    Privileged,
    /// A capability beyond those that containers have.
    Capability(String),
    /// Another thing that Pod Security's level `baseline` refuses.
    Baseline,
    /// A node that is chosen past the scheduler.
    NodeName,
    /// A priority before which other pods have to give way.
    Priority(String),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => kind_refused(kind, f),
            Self::Version(kind) => write!(
                f,
                "a {kind} is written as {}; write it so",
                kind.api_version()
            ),
            Self::Ours(object) => write!(
                f,
                "{object} is made by preview-deploy for every preview; leave it out, or call yours something else"
            ),
            Self::Shape(what) => write!(f, "this has to be {what}"),
            Self::ForeignNamespace(namespace) => write!(
                f,
                "{namespace:?} is not the preview's namespace; leave it out, or write ${{NAMESPACE}}"
            ),
            Self::ForeignHost { host, ours } => write!(
                f,
                "{host:?} is no host of this preview; it has {ours}, and ${{HOST_<COMPONENT>}} stands for a component's"
            ),
            Self::ServiceType(kind) => write!(
                f,
                "a preview is reached through its routes alone, and {kind:?} is another way; leave the type out"
            ),
            Self::Volume(kind) => write!(
                f,
                "{kind:?} is no volume of a preview: there are emptyDir, configMap, secret, projected, downwardAPI and \
                 persistentVolumeClaim"
            ),
            Self::Capability(name) => write!(
                f,
                "{name:?} is beyond the capabilities that Pod Security's level baseline allows; leave it out"
            ),
            Self::Priority(class) => write!(
                f,
                "with priority {class:?} it would drive other pods from the node; leave it out"
            ),
            fixed => f.write_str(fixed.text()),
        }
    }
}

impl Rule {
    /// What is said where nothing of what was written is quoted.
    const fn text(&self) -> &'static str {
        match self {
            Self::Name => {
                "no name that an object can have: lower-case letters, digits, - and dots; give it one"
            }
            Self::JobName => {
                "too long: a Job's name is completed by the hash of its template; use at most 52 characters"
            }
            Self::Twice => "it is there twice; leave one of them out",
            Self::Metadata => "an object of a preview does not say this; leave it out",
            Self::OurKey => "only preview-deploy says whose a preview is; leave it out",
            Self::EveryHost => {
                "it would answer for every host that nobody else answers for; name the preview's, as \
                 ${HOST_<COMPONENT>}"
            }
            Self::Snippet => {
                "a snippet becomes part of the ingress controller's configuration, which serves others too; leave it out"
            }
            Self::External => {
                "a Service of a preview leads to its own pods and to nothing outside; leave it out"
            }
            Self::TokenSecret | Self::TokenVolume => {
                "nothing in a preview speaks to the API server, so nothing has a token for it; leave it out"
            }
            Self::HostPath => {
                "a preview sees no folder of its node; use emptyDir or a PersistentVolumeClaim"
            }
            Self::ExistingVolume => {
                "a preview takes no volume that is there already, and may be anybody's; let the StorageClass make one"
            }
            Self::HostNamespace => "a preview stays out of its node's namespaces; leave it out",
            Self::HostPort => "a preview takes no port of its node; use a Service",
            Self::Privileged => "a privileged container may do all that its node may; leave it out",
            Self::Baseline => {
                "Pod Security's level baseline, which is enforced in every preview, refuses this; leave it out"
            }
            Self::NodeName => "a preview's pods go where the scheduler puts them; leave it out",
            _ => "it cannot be in a preview",
        }
    }
}

/// Why a kind is not among those of a preview, and what to do.
fn kind_refused(kind: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let why = match kind {
        "" => return f.write_str("this has to be the kind of a Kubernetes object"),
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => "it gives rights",
        "NetworkPolicy" | "ResourceQuota" | "LimitRange" | "ServiceAccount" | "Namespace" => {
            "preview-deploy furnishes every preview with its own"
        }
        _ => "workloads, configuration, Services and routes are all it may have",
    };
    write!(
        f,
        "a preview has no {kind:?} from manifests: {why}; take it out in the overlay (a patch with `$patch: delete`)"
    )
}
