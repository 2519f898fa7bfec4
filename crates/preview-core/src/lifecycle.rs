//! The life of a preview as a state machine.
//!
//! The phase is recomputed from what is observed and mirrored as an annotation for people; it is never the only record
//! of anything.

use std::fmt;
use std::str::FromStr;

use crate::health::Rollout;
use crate::names::NotA;
use crate::objects::{Kind, NamespaceFacts, WorkloadName};
use crate::ownership::{Claim, keys};

/// How far a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// There is none.
    Absent,
    /// Waits for somebody to approve its head.
    AwaitingApproval,
    /// Puts its hand up for a slot.
    Claiming,
    /// Waits for a slot.
    Queued,
    /// Furniture and database come up.
    Provisioning,
    /// `migrate` and `seed` run.
    Migrating,
    /// Components come up.
    RollingOut,
    /// It answers.
    Ready,
    /// It answered, and components of another head come up.
    Updating,
    /// It gave its slot back and kept its database.
    Asleep,
    /// It will not come up.
    Failed,
    /// It is on its way out.
    Destroying,
    /// A newer run owns it: whatever this run wanted, it has ended.
    Superseded,
}

impl Phase {
    /// All phases, in the order in which they are declared.
    pub const ALL: [Self; 13] = [
        Self::Absent,
        Self::AwaitingApproval,
        Self::Claiming,
        Self::Queued,
        Self::Provisioning,
        Self::Migrating,
        Self::RollingOut,
        Self::Ready,
        Self::Updating,
        Self::Asleep,
        Self::Failed,
        Self::Destroying,
        Self::Superseded,
    ];

    /// The value of the annotation [`keys::PHASE`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::AwaitingApproval => "awaiting-approval",
            Self::Claiming => "claiming",
            Self::Queued => "queued",
            Self::Provisioning => "provisioning",
            Self::Migrating => "migrating",
            Self::RollingOut => "rolling-out",
            Self::Ready => "ready",
            Self::Updating => "updating",
            Self::Asleep => "asleep",
            Self::Failed => "failed",
            Self::Destroying => "destroying",
            Self::Superseded => "superseded",
        }
    }

    /// Whether things of the preview run, or are about to: only with a slot.
    #[must_use]
    pub const fn is_provisioned(self) -> bool {
        matches!(
            self,
            Self::Provisioning | Self::Migrating | Self::RollingOut | Self::Ready | Self::Updating
        )
    }

    /// The phase of a preview whose namespace and workloads look like this.
    ///
    /// `rollouts` are those of the newest manifests: the database, Jobs and Deployments that are there. What a cluster
    /// does not know, it does not show: that a head waits for approval, or that a run was superseded.
    #[must_use]
    pub fn observed(
        namespace: Option<&NamespaceFacts>,
        rollouts: &[(WorkloadName, Rollout)],
    ) -> Self {
        let Some(namespace) = namespace else {
            return Self::Absent;
        };
        if namespace.terminating {
            return Self::Destroying;
        }
        match namespace.claim() {
            Some(Claim::Held) => Self::of_rollouts(namespace, rollouts),
            Some(Claim::Claiming) => Self::Claiming,
            Some(Claim::Asleep) => Self::Asleep,
            Some(Claim::Queued) | None => Self::Queued,
        }
    }

    /// The first thing that is not complete says how far it is.
    fn of_rollouts(namespace: &NamespaceFacts, rollouts: &[(WorkloadName, Rollout)]) -> Self {
        let of = |kind: Kind| rollouts.iter().filter(move |(name, _)| name.kind == kind);
        let waits =
            |kind: Kind| of(kind).any(|(_, rollout)| matches!(rollout, Rollout::Waiting { .. }));
        let is_there = |kind: Kind| of(kind).next().is_some();
        let failed = rollouts
            .iter()
            .any(|(_, rollout)| matches!(rollout, Rollout::Failed(_)));
        // Images are noted once they run.
        let ran_before = namespace.annotations.contains_key(keys::IMAGES);
        if failed {
            Self::Failed
        } else if waits(Kind::StatefulSet) {
            Self::Provisioning
        } else if waits(Kind::Job) {
            Self::Migrating
        } else if waits(Kind::Deployment) {
            if ran_before {
                Self::Updating
            } else {
                Self::RollingOut
            }
        } else if is_there(Kind::Deployment) {
            Self::Ready
        } else if is_there(Kind::Job) {
            Self::RollingOut
        } else if is_there(Kind::StatefulSet) {
            Self::Migrating
        } else {
            Self::Provisioning
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = NotA;

    fn from_str(text: &str) -> Result<Self, NotA> {
        Self::ALL
            .into_iter()
            .find(|phase| phase.as_str() == text)
            .ok_or_else(|| NotA::new(text, "a phase of a preview, such as ready"))
    }
}

/// What happens to a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A preview is wanted for a head that somebody must approve first.
    Requested,
    /// Its head may run: it was approved, or needs no approval.
    Approved,
    /// Every slot is taken.
    NoSlot,
    /// A slot is free again.
    SlotFree,
    /// The claim on a slot holds.
    SlotHeld,
    /// Furniture and database are there.
    Provisioned,
    /// `migrate` and `seed` are done.
    Migrated,
    /// All components are ready.
    RolledOut,
    /// What runs was checked, and its record signed.
    Recorded,
    /// Another head is wanted.
    Pushed,
    /// It has been idle.
    Idled,
    /// Somebody wants to look at it again.
    Woken,
    /// Something failed for certain.
    Failed,
    /// A run tries again.
    Retried,
    /// A newer run took over.
    TakenOver,
    /// Its subject has ended, or somebody wants it gone.
    Ended,
    /// Its teardown is proven.
    Gone,
    /// What was recorded goes to a target.
    Promoted,
}

impl Event {
    /// All events, in the order in which they are declared.
    pub const ALL: [Self; 18] = [
        Self::Requested,
        Self::Approved,
        Self::NoSlot,
        Self::SlotFree,
        Self::SlotHeld,
        Self::Provisioned,
        Self::Migrated,
        Self::RolledOut,
        Self::Recorded,
        Self::Pushed,
        Self::Idled,
        Self::Woken,
        Self::Failed,
        Self::Retried,
        Self::TakenOver,
        Self::Ended,
        Self::Gone,
        Self::Promoted,
    ];
}

/// A preview in its life: how far it is, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// How far it is.
    pub phase: Phase,
    /// Whether it holds a slot.
    pub slot: bool,
    /// Whether there is a signed record of the head that it is of. A record outlives its preview.
    pub record: bool,
}

impl Life {
    /// Before anything happened.
    pub const START: Self = Self {
        phase: Phase::Absent,
        slot: false,
        record: false,
    };

    /// What becomes of it when `event` happens; none where that cannot happen, or must not.
    #[must_use]
    pub fn next(self, event: Event) -> Option<Self> {
        use Phase as P;
        let to = |phase| Some(Self { phase, ..self });
        match (self.phase, event) {
            // A head that was never seen has no record.
            (P::Absent, Event::Requested) => Some(Self {
                phase: P::AwaitingApproval,
                record: false,
                ..self
            }),
            (P::Absent, Event::Approved) => Some(Self {
                phase: P::Claiming,
                record: false,
                ..self
            }),
            (P::AwaitingApproval, Event::Approved)
            | (P::Queued, Event::SlotFree)
            | (P::Asleep, Event::Woken) => to(P::Claiming),
            (P::Claiming, Event::NoSlot) => to(P::Queued),
            (P::Claiming, Event::SlotHeld) => Some(Self {
                phase: P::Provisioning,
                slot: true,
                ..self
            }),
            (P::Provisioning, Event::Provisioned) => to(P::Migrating),
            (P::Migrating, Event::Migrated) => to(P::RollingOut),
            (P::RollingOut | P::Updating, Event::RolledOut) => to(P::Ready),
            (P::Ready, Event::Recorded) => Some(Self {
                record: true,
                ..self
            }),
            (P::Ready, Event::Pushed) => Some(Self {
                phase: P::Updating,
                record: false,
                ..self
            }),
            (P::Ready, Event::Idled) => Some(Self {
                phase: P::Asleep,
                slot: false,
                ..self
            }),
            (P::Failed, Event::Retried) => to(if self.slot {
                P::Provisioning
            } else {
                P::Claiming
            }),
            (
                P::Absent | P::Destroying | P::Superseded | P::Failed,
                Event::Failed | Event::TakenOver,
            ) => None,
            (_, Event::Failed) => to(P::Failed),
            // The slot stays with the preview, which the newer run has now.
            (_, Event::TakenOver) => to(P::Superseded),
            (P::Absent | P::Destroying | P::Superseded, Event::Ended) => None,
            (_, Event::Ended) => to(P::Destroying),
            (P::Destroying, Event::Gone) => Some(Self {
                phase: P::Absent,
                slot: false,
                ..self
            }),
            (_, Event::Promoted) if self.record => Some(self),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
