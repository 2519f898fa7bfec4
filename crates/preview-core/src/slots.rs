//! Slots: how many previews there may be at once, who has them, and who waits.
//!
//! There is no lock. A run writes `claiming` on its own Namespace (it raises its hand) by compare-and-set, and then reads
//! all claims in one consistent list. It takes a slot only where hands and holders together, its own included, are at
//! most as many as there are slots: of several runs the last to raise its hand sees all others, so the capacity holds in
//! every interleaving, whatever the clocks say. Who sees too many lowers its hand, unless it is first in the queue's
//! order among as many hands as there are free slots: that one counts again, and the others make room for it.
//!
//! Whoever frees a slot looks for those that wait only afterwards, and whoever has lowered its hand looks once more for a
//! free slot only afterwards: one of the two sees the other, so no free slot is overlooked.
//!
//! `tests/slots.rs` walks through every interleaving.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::config::CapacityOf;
use crate::names::{CommitSha, RepositoryId, RepositorySlug, Subject, Uid};
use crate::objects::NamespaceFacts;
use crate::ownership::{Claim, Owner};

/// The label selector that finds every Namespace that the capacity is about.
#[must_use]
pub fn selector(of: CapacityOf, repository: RepositoryId) -> String {
    match of {
        CapacityOf::Repository => Owner::selector_of_repository(repository),
        CapacityOf::Cluster => Owner::selector_of_all(),
    }
}

/// What a run does next for its slot, by the claim on its own Namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has a slot.
    Go,
    /// Write `claiming`.
    RaiseHand,
    /// Read all claims, and [`count`] them: the hand is up. One that an earlier run left up will do.
    Count,
}

impl Step {
    /// What follows from the claim.
    #[must_use]
    pub const fn after(claim: Option<Claim>) -> Self {
        match claim {
            Some(Claim::Held) => Self::Go,
            Some(Claim::Claiming) => Self::Count,
            Some(Claim::Queued | Claim::Asleep) | None => Self::RaiseHand,
        }
    }
}

/// What a run whose hand is up learns from a list that was read since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Write `held`, if the claim is still `claiming`: if the sweep has lowered the hand meanwhile, others have not
    /// counted it.
    Hold,
    /// Leave the hand up, and count again: others make room.
    Again,
    /// Write `queued`, and look once more whether a slot [`is_free`].
    Lower,
}

/// Counts the claims of `all`, which is one consistent list of every Namespace that the capacity is about, read after
/// the hand of the one with the uid `own` was up.
#[must_use]
pub fn count(all: &[NamespaceFacts], own: &Uid, capacity: u32) -> Count {
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    let held = with(all, Claim::Held).count();
    let mut hands: Vec<_> = with(all, Claim::Claiming).collect();
    if held + hands.len() <= capacity {
        return Count::Hold;
    }
    hands.sort_by_key(|&hand| order(hand));
    let first = hands.iter().take(capacity.saturating_sub(held));
    if first.into_iter().any(|hand| hand.uid == *own) {
        Count::Again
    } else {
        Count::Lower
    }
}

/// Whether there is a slot for the preview with the uid `own`, which has none, beside all holders and hands.
#[must_use]
pub fn is_free(all: &[NamespaceFacts], own: &Uid, capacity: u32) -> bool {
    let others = all.iter().filter(|other| other.uid != *own);
    free(others, capacity) > 0
}

/// Whether somebody is about to get a slot, or to give up.
#[must_use]
pub fn any_hand_is_up(all: &[NamespaceFacts]) -> bool {
    with(all, Claim::Claiming).next().is_some()
}

fn free<'a>(all: impl Iterator<Item = &'a NamespaceFacts>, capacity: u32) -> usize {
    let taken = all.filter(|one| one.claim().is_some_and(Claim::counts));
    let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
    capacity.saturating_sub(taken.count())
}

fn with(all: &[NamespaceFacts], claim: Claim) -> impl Iterator<Item = &NamespaceFacts> {
    all.iter().filter(move |one| one.claim() == Some(claim))
}

/// The order of the queue. Whole seconds of several servers' clocks do not order claims; uids make it the same for
/// everybody.
fn order(namespace: &NamespaceFacts) -> (Timestamp, &Uid) {
    (namespace.created, &namespace.uid)
}

/// Those that wait for a slot, in the queue's order. One that is on its way out waits for nothing.
fn queue(all: &[NamespaceFacts]) -> Vec<&NamespaceFacts> {
    let mut waiting: Vec<_> = all
        .iter()
        .filter(|one| matches!(one.claim(), Some(Claim::Queued | Claim::Claiming)))
        .filter(|one| !one.terminating)
        .collect();
    waiting.sort_by_key(|&one| order(one));
    waiting
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub number: usize,
    /// How many wait.
    pub of: usize,
}

/// A preview that has a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which of this repository's; none for another repository's, which may be nobody's business here.
    pub subject: Option<Subject>,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

/// Why a preview waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many slots there are.
    pub capacity: u32,
    /// Where in the queue it is.
    pub place: Option<Place>,
    /// Who has the slots, the longest first.
    pub holders: Vec<Holder>,
}

impl Waiting {
    /// Why the preview of `repository` with the uid `own` waits, by a list of every Namespace that the capacity is about.
    #[must_use]
    pub fn new(all: &[NamespaceFacts], own: &Uid, repository: RepositoryId, capacity: u32) -> Self {
        let queue = queue(all);
        let place = queue.iter().position(|waiting| waiting.uid == *own);
        let mut holding: Vec<_> = with(all, Claim::Held).collect();
        holding.sort_by_key(|&holder| (holder.held_since().unwrap_or(holder.created), &holder.uid));
        let holder = |holding: &NamespaceFacts| Holder {
            subject: holding
                .subject()
                .filter(|_| holding.repository() == Some(repository)),
            since: holding.held_since(),
        };
        Self {
            capacity,
            place: place.map(|index| Place {
                number: index + 1,
                of: queue.len(),
            }),
            holders: holding.into_iter().map(holder).collect(),
        }
    }
}

/// A preview whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which.
    pub subject: Subject,
    /// The commit H whose approval stands.
    pub head: CommitSha,
}

impl Next {
    /// The previews of `repository` to start because slots are free: as many as there are, the oldest first. `all` is a
    /// list of every Namespace that the capacity is about, read after the slot was freed.
    ///
    /// It is not the oldest alone: whoever freed a slot at the same time has started that one too. Two runs for one
    /// preview are harmless, a free slot that nobody is told of is not. Whose head was pushed since it was approved waits
    /// for the run of that head.
    #[must_use]
    pub fn in_queue(all: &[NamespaceFacts], repository: RepositoryId, capacity: u32) -> Vec<Self> {
        Self::of(queue(all).into_iter(), all, repository, capacity)
    }

    /// The previews to start behind the one with the uid `own`, which was started because a slot is free, and does not
    /// take it: a rule says no by now, or its head was pushed. Those before it have had their turn.
    #[must_use]
    pub fn behind(
        own: &Uid,
        all: &[NamespaceFacts],
        repository: RepositoryId,
        capacity: u32,
    ) -> Vec<Self> {
        let queue = queue(all).into_iter();
        let behind = queue.skip_while(|waiting| waiting.uid != *own).skip(1);
        Self::of(behind, all, repository, capacity)
    }

    fn of<'a>(
        queue: impl Iterator<Item = &'a NamespaceFacts>,
        all: &[NamespaceFacts],
        repository: RepositoryId,
        capacity: u32,
    ) -> Vec<Self> {
        let own = queue.filter(|waiting| {
            waiting.repository() == Some(repository) && waiting.claim() == Some(Claim::Queued)
        });
        let approved = own.filter_map(|waiting| {
            let head = waiting.approved()?;
            (waiting.head().as_ref() == Some(&head)).then_some(Self {
                subject: waiting.subject()?,
                head,
            })
        });
        approved.take(free(all.iter(), capacity)).collect()
    }

    /// The inputs of the workflow that deploys it.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<String, String> {
        let inputs = match &self.subject {
            Subject::Pr(number) => vec![("pr", number.to_string()), ("sha", self.head.to_string())],
            Subject::Commit(commit) => vec![("commit", commit.to_string())],
        };
        let inputs = inputs.into_iter();
        inputs
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The command that starts the workflow by hand.
    #[must_use]
    pub fn command(&self, repository: &RepositorySlug, workflow: &str, branch: &str) -> String {
        let mut command = format!("gh workflow run {workflow} --repo {repository} --ref {branch}");
        for (name, value) in self.inputs() {
            command += &format!(" -f {name}={value}");
        }
        command
    }
}

#[cfg(test)]
mod tests;
