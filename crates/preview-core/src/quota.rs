//! Quota before anything is applied: what a preview needs, as Kubernetes counts it, against what its ResourceQuota allows.
//!
//! Counted is what the quota controller of Kubernetes 1.34 and later counts: containers, init containers and sidecars
//! with the LimitRange's defaults, volumes, and the surge of an update. What goes by itself is not held against anybody:
//! pods that end in their grace and finished or finishing Jobs free what they use, and whoever is rejected meanwhile waits.
//! <https://kubernetes.io/docs/concepts/policy/resource-quotas/>

use crate::health::{Classified, FailureClass};
use crate::objects::ObjectName;

mod amount;
mod count;
mod filled;
mod fit;
mod table;

pub use amount::{Amount, Resource, Usage};
pub use count::{Need, Rules};
pub use filled::Filled;
pub use fit::{Budget, Left, Moment, Overdraft, Running, Update, has_room, in_place, update};
pub use table::{Line, Table};

/// The name of the ResourceQuota, and of the LimitRange, of every preview.
pub const NAME: &str = "preview";

/// Why it cannot be said what an object needs: Kubernetes would refuse the object, or every pod of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncountable {
    /// What should be an amount is none.
    #[error(
        "{object}: {place} is {written:?}, which is no amount; write one such as \"250m\" or \"512Mi\""
    )]
    NoAmount {
        /// The object.
        object: ObjectName,
        /// Where in it.
        place: String,
        /// What stands there.
        written: String,
    },
    /// A container reserves more than it may use.
    #[error(
        "{object}: container {container} has {request} and {limit}, so Kubernetes refuses its pods; raise the limit, \
         which is the namespace's default where the container has none of its own"
    )]
    BeyondItsLimit {
        /// The object.
        object: ObjectName,
        /// The container.
        container: String,
        /// What it reserves.
        request: String,
        /// What it may use.
        limit: String,
    },
}

impl Classified for Uncountable {
    fn class(&self) -> FailureClass {
        FailureClass::Cluster
    }
}

#[cfg(test)]
mod tests;
