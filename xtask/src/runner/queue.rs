//! Concurrency groups: one of a group at a time.
//! <https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency>

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::syntax::Queue;

/// Tells a run or a job to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// One that nobody has told yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Tells it.
    pub(crate) fn now(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was told.
    pub(crate) fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it was told.
    pub(crate) async fn told(&self) {
        // The sender lives as long as we do.
        let _ = self.0.subscribe().wait_for(|told| *told).await;
    }
}

/// All groups of a repository.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: Mutex<BTreeMap<String, Group>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Group {
    holder: Option<Ticket>,
    waiting: VecDeque<Ticket>,
}

/// A place in a group's line.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    number: u64,
    group: String,
    stop: Stop,
}

/// Holds a group, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    groups: Arc<Groups>,
    ticket: Ticket,
}

impl Groups {
    /// Groups with nobody in them.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            groups: Mutex::default(),
            changes: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gets into a group's line. Whoever waits there goes, unless all may wait, and whoever is in goes where `cancels`.
    pub(crate) fn line_up(&self, group: &str, queue: Queue, cancels: bool, stop: &Stop) -> Ticket {
        let mut number = 0;
        self.changes.send_modify(|changes| {
            *changes += 1;
            number = *changes;
        });
        let ticket = Ticket {
            number,
            // Names of groups are the same in capitals.
            group: group.to_lowercase(),
            stop: stop.clone(),
        };
        let mut groups = self.lock();
        let group = groups.entry(ticket.group.clone()).or_default();
        if queue == Queue::Single {
            group
                .waiting
                .drain(..)
                .for_each(|waiting| waiting.stop.now());
        }
        if cancels && let Some(holder) = &group.holder {
            holder.stop.now();
        }
        group.waiting.push_back(ticket.clone());
        group.advance();
        ticket
    }

    /// Whether it is not this one's turn yet.
    pub(crate) fn is_waiting(&self, ticket: &Ticket) -> bool {
        let groups = self.lock();
        let holder = groups.get(&ticket.group).and_then(|it| it.holder.as_ref());
        holder.is_none_or(|holder| holder.number != ticket.number)
    }

    /// Waits for its turn; whoever is told to stop before it has come never gets it.
    pub(crate) async fn turn(self: &Arc<Self>, ticket: Ticket) -> Option<Held> {
        let mut changes = self.changes.subscribe();
        let held = Held {
            groups: Arc::clone(self),
            ticket,
        };
        loop {
            changes.mark_unchanged();
            if !self.is_waiting(&held.ticket) {
                return Some(held);
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = held.ticket.stop.told() => return None,
            }
        }
    }

    fn leave(&self, ticket: &Ticket) {
        let mut groups = self.lock();
        if let Some(group) = groups.get_mut(&ticket.group) {
            group.waiting.retain(|other| other.number != ticket.number);
            if group
                .holder
                .as_ref()
                .is_some_and(|it| it.number == ticket.number)
            {
                group.holder = None;
            }
            group.advance();
        }
        drop(groups);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Group {
    fn advance(&mut self) {
        if self.holder.is_none() {
            self.holder = self.waiting.pop_front();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.groups.leave(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        groups: Arc<Groups>,
        tickets: Vec<Ticket>,
        stops: Vec<Stop>,
    }

    /// Three get in line, one after the other.
    fn three(queue: Queue, cancels: bool) -> Line {
        let groups = Groups::new();
        let stops = [Stop::new(), Stop::new(), Stop::new()].to_vec();
        let line_up = |stop| groups.line_up("Deploy", queue, cancels, stop);
        let tickets = stops.iter().map(line_up).collect();
        Line {
            groups,
            tickets,
            stops,
        }
    }

    impl Line {
        fn told(&self) -> Vec<bool> {
            self.stops.iter().map(|stop| *stop.0.borrow()).collect()
        }

        async fn turn(&self, nth: usize) -> Option<Held> {
            self.groups.turn(self.tickets[nth].clone()).await
        }
    }

    #[tokio::test]
    async fn in_a_long_line_each_has_its_turn_and_no_two_have_it_at_once() {
        let line = three(Queue::Max, false);
        assert_eq!(line.told(), [false, false, false]);
        for nth in 0..3 {
            let held = line.turn(nth).await.unwrap();
            let waiting = line.tickets.iter().map(|it| line.groups.is_waiting(it));
            assert_eq!(waiting.filter(|waits| !waits).count(), 1);
            drop(held);
        }
    }

    #[tokio::test]
    async fn in_a_short_one_the_last_takes_the_place_of_whoever_waits() {
        let line = three(Queue::Single, false);
        assert_eq!(line.told(), [false, true, false]);
        assert!(line.turn(1).await.is_none());
        drop(line.turn(0).await.unwrap());
        assert!(line.turn(2).await.is_some());
    }

    #[tokio::test]
    async fn one_that_cancels_ends_whoever_is_in() {
        let line = three(Queue::Single, true);
        assert_eq!(line.told(), [true, true, false]);
        drop(line.turn(0).await.unwrap());
        assert!(line.turn(2).await.is_some());
    }
}
