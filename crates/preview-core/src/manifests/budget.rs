//! What a preview needs of its quota.

use super::{Preview, furniture};
use crate::names::Uid;
use crate::quota::{Budget, Uncountable};

impl Preview<'_> {
    /// What it needs, and what its own quota allows it; nothing of the cluster is known yet.
    ///
    /// # Errors
    /// When an object cannot be counted: Kubernetes would refuse it, or every pod of it.
    pub fn budget(&self) -> Result<Budget, Uncountable> {
        // The claim's uid is in the Jobs' names, which nobody sees here.
        let jobs = "none-yet"
            .parse::<Uid>()
            .map(|any| self.jobs(&any))
            .unwrap_or_default();
        let furniture = furniture::open(self);
        let lasting = [self.supplies(), self.workloads()].concat();
        Budget::of(&furniture, &self.database(), &jobs, &lasting)
    }
}
