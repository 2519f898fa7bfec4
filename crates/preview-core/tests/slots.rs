//! An exhaustive walk: runs that want a slot, each a little state machine, in every interleaving of their requests, with
//! crashes, sweeps and closed pull requests in between. Never more than the capacity have a slot, and none stays free
//! while somebody waits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use preview_core::names::{Fence, RepositoryId, Uid};
use preview_core::objects::NamespaceFacts;
use preview_core::ownership::{Claim, Claimant, Owner, keys};
use preview_core::slots::{Count, Next, Step, count, is_free};

const REPOSITORY: RepositoryId = RepositoryId(1);

/// Where the newest run for a preview is. An older one cannot write any more: the fence sees to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    /// It has read its Namespace, and decides by its claim.
    Begins,
    /// Its hand was up; it reads all claims next.
    Counts,
    /// It writes what it has learnt from the list next.
    Learnt(Count),
    /// It has lowered its hand, and looks once more.
    Looks,
    /// It has ended, with a slot or without.
    Ended,
    /// It died.
    Crashed,
}

/// A preview as the cluster has it, and its newest run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct One {
    /// None once it was destroyed.
    claim: Option<Claim>,
    at: At,
    /// Whether somebody has destroyed it, and not looked yet for those that wait.
    freed: bool,
}

type State = Vec<One>;

/// What may happen besides runs going on.
#[derive(Clone, Copy)]
struct Mishaps {
    /// Runs die, and others take over from them.
    crashes: bool,
    /// The sweep lowers the hands of runs that died, and of such as still live: GitHub's word on a run is late.
    sweeps: bool,
    /// Pull requests with a slot are closed.
    closes: bool,
    /// Whoever counts too many lowers its hand or leaves it up, in no order at all.
    disorder: bool,
}

/// The world of one walk: how many slots, and the previews' order.
struct Walk {
    capacity: u32,
    facts: Vec<NamespaceFacts>,
    mishaps: Mishaps,
    counted: BTreeMap<(Vec<Option<Claim>>, usize), Count>,
}

impl Walk {
    /// `order` has for each preview the second of its creation and its uid.
    fn new(capacity: u32, order: &[(i64, u8)], mishaps: Mishaps) -> Self {
        let facts = order.iter().enumerate();
        Self {
            capacity,
            facts: facts.map(|(n, place)| facts_of(n, *place)).collect(),
            mishaps,
            counted: BTreeMap::new(),
        }
    }

    /// What one consistent list shows.
    fn list(&self, state: &State) -> Vec<NamespaceFacts> {
        let there = self.facts.iter().zip(state);
        let shown = there.filter_map(|(facts, one)| {
            let mut facts = facts.clone();
            let claim = one.claim?.to_string();
            facts.annotations.insert(keys::CLAIM.to_owned(), claim);
            Some(facts)
        });
        shown.collect()
    }

    fn uid(&self, own: usize) -> &Uid {
        &self.facts[own].uid
    }

    fn count(&mut self, state: &State, own: usize) -> Count {
        let key = (state.iter().map(|one| one.claim).collect(), own);
        if let Some(known) = self.counted.get(&key) {
            return *known;
        }
        let counted = count(&self.list(state), self.uid(own), self.capacity);
        self.counted.insert(key, counted);
        counted
    }

    /// Starts a run for everybody whose turn it is.
    fn wake(&self, state: &mut State) {
        for next in Next::in_queue(&self.list(state), REPOSITORY, self.capacity) {
            let woken = self
                .facts
                .iter()
                .position(|f| f.subject().as_ref() == Some(&next.subject));
            state[woken.unwrap()].at = At::Begins;
        }
    }

    /// What may follow when the run of `own` goes on by one request.
    fn goes_on(&mut self, state: &State, own: usize) -> Vec<State> {
        let to = |at: At, claim: Option<Claim>| {
            let mut next = state.clone();
            next[own] = One {
                at,
                claim,
                ..next[own]
            };
            next
        };
        let claim = state[own].claim;
        match state[own].at {
            At::Begins => vec![match Step::after(claim) {
                Step::Go => to(At::Ended, claim),
                Step::RaiseHand => to(At::Counts, Some(Claim::Claiming)),
                Step::Count => to(At::Counts, claim),
            }],
            At::Counts => {
                let learnt = self.count(state, own);
                let either = [Count::Again, Count::Lower];
                let all: &[Count] = match learnt {
                    Count::Again | Count::Lower if self.mishaps.disorder => &either,
                    _ => &[learnt],
                };
                all.iter()
                    .map(|learnt| to(At::Learnt(*learnt), claim))
                    .collect()
            }
            At::Learnt(Count::Again) => vec![to(At::Counts, claim)],
            // By compare-and-set: what the sweep has lowered is not held.
            At::Learnt(Count::Hold) if claim == Some(Claim::Claiming) => {
                vec![to(At::Ended, Some(Claim::Held))]
            }
            At::Learnt(Count::Hold) => vec![to(At::Begins, claim)],
            At::Learnt(Count::Lower) => vec![to(At::Looks, Some(Claim::Queued))],
            At::Looks if is_free(&self.list(state), self.uid(own), self.capacity) => {
                vec![to(At::Begins, claim)]
            }
            At::Looks => vec![to(At::Ended, claim)],
            At::Ended | At::Crashed => Vec::new(),
        }
    }

    /// What else may happen to a preview.
    fn mishaps(&self, state: &State, own: usize) -> Vec<State> {
        let Mishaps {
            crashes,
            sweeps,
            closes,
            ..
        } = self.mishaps;
        let One { claim, at, freed } = state[own];
        let mut all = Vec::new();
        let mut may = |one: One| {
            let mut next = state.clone();
            next[own] = one;
            all.push(next);
        };
        let lives = !matches!(at, At::Ended | At::Crashed);
        if crashes && lives {
            may(One {
                claim,
                at: At::Crashed,
                freed,
            });
        }
        if crashes && at == At::Crashed && claim.is_some() {
            may(One {
                claim,
                at: At::Begins,
                freed,
            });
        }
        if sweeps && claim == Some(Claim::Claiming) {
            may(One {
                claim: Some(Claim::Queued),
                at,
                freed,
            });
        }
        if closes && claim == Some(Claim::Held) && !lives {
            may(One {
                claim: None,
                at: At::Ended,
                freed: true,
            });
        }
        if freed {
            let mut next = state.clone();
            next[own].freed = false;
            self.wake(&mut next);
            all.push(next);
        }
        all
    }

    fn held(state: &State) -> usize {
        let holds = |one: &&One| one.claim == Some(Claim::Held);
        state.iter().filter(holds).count()
    }

    /// Every state that can be reached, each with those that may follow.
    fn reachable(&mut self) -> BTreeMap<State, Vec<State>> {
        let start = One {
            claim: Some(Claim::Queued),
            at: At::Begins,
            freed: false,
        };
        let mut known = BTreeMap::new();
        let mut open = vec![vec![start; self.facts.len()]];
        while let Some(state) = open.pop() {
            if known.contains_key(&state) {
                continue;
            }
            let held = Self::held(&state);
            assert!(
                held <= self.capacity as usize,
                "{held} slots are held in {state:?}"
            );
            let mut next = Vec::new();
            for own in 0..state.len() {
                next.extend(self.goes_on(&state, own));
                next.extend(self.mishaps(&state, own));
            }
            open.extend(
                next.iter()
                    .filter(|next| !known.contains_key(*next))
                    .cloned(),
            );
            known.insert(state, next);
        }
        known
    }

    /// Whether no slot is free while somebody waits.
    fn is_served(&self, state: &State) -> bool {
        let there = state.iter().filter(|one| one.claim.is_some()).count();
        Self::held(state) == there.min(self.capacity as usize)
    }

    /// What becomes of a state once nothing more goes wrong: runs end, the sweep lowers the hands of the dead and starts
    /// whose turn it is.
    fn settled(&mut self, state: &State) -> State {
        let mut state = state.clone();
        for _ in 0..=state.len() {
            for own in 0..state.len() {
                // Alone, a run ends within a few requests.
                for _ in 0..8 {
                    if let Some(next) = self.goes_on(&state, own).pop() {
                        state = next;
                    }
                }
            }
            let dead = |one: &&mut One| one.at == At::Crashed && one.claim == Some(Claim::Claiming);
            state
                .iter_mut()
                .filter(dead)
                .for_each(|one| one.claim = Some(Claim::Queued));
            self.wake(&mut state);
        }
        state
    }
}

fn facts_of(number: usize, (second, uid): (i64, u8)) -> NamespaceFacts {
    let owner = Owner {
        repository: REPOSITORY,
        subject: format!("pr-{}", number + 1).parse().unwrap(),
    };
    let claimant = Claimant {
        owner: owner.clone(),
        repository: "acme/shop".parse().unwrap(),
        head: "1".repeat(40).parse().unwrap(),
        fence: Fence { run: 1, attempt: 1 },
    };
    NamespaceFacts {
        name: format!("preview-pr-{}", number + 1).parse().unwrap(),
        uid: format!("u-{uid}").parse().unwrap(),
        resource_version: "1".into(),
        created: Timestamp::from_second(second).unwrap(),
        labels: owner.labels(),
        annotations: claimant.annotations(),
        finalizers: Vec::new(),
        terminating: false,
        blockers: Vec::new(),
    }
}

/// Every order of `n` uids, once with equal seconds of creation and once with clocks that disagree with the uids.
fn orders(n: u8) -> Vec<Vec<(i64, u8)>> {
    let mut permutations: Vec<Vec<u8>> = vec![Vec::new()];
    for next in 0..n {
        let longer = permutations.iter().flat_map(|p| {
            (0..=p.len()).map(move |at| {
                let mut p = p.clone();
                p.insert(at, next);
                p
            })
        });
        permutations = longer.collect();
    }
    let both = permutations.into_iter().flat_map(|uids| {
        let equal = uids.iter().map(|uid| (0, *uid)).collect();
        let skewed = uids
            .iter()
            .map(|uid| (-i64::from(*uid) / 2, *uid))
            .collect();
        [equal, skewed]
    });
    both.collect()
}

#[test]
fn never_more_than_the_capacity_have_a_slot_whatever_happens() {
    let mishaps = Mishaps {
        crashes: true,
        sweeps: true,
        closes: true,
        disorder: true,
    };
    let mut states = BTreeMap::new();
    for (runs, capacity) in [(2, 1), (3, 1), (3, 2)] {
        let order: Vec<_> = (0..runs).map(|n| (0, n)).collect();
        let walked = Walk::new(capacity, &order, mishaps).reachable();
        states.insert((runs, capacity), walked.len());
    }
    // A walk that has become short does not walk any more.
    assert!(states.values().all(|count| *count > 200), "{states:?}");
}

#[test]
fn no_slot_stays_free_while_somebody_waits() {
    let mishaps = Mishaps {
        crashes: false,
        sweeps: false,
        closes: true,
        disorder: false,
    };
    for capacity in [1, 2] {
        for order in orders(3) {
            let mut walk = Walk::new(capacity, &order, mishaps);
            let known = walk.reachable();
            let rests = |state: &State| state.iter().all(|one| one.at == At::Ended && !one.freed);
            let resting: BTreeSet<&State> = known.keys().filter(|state| rests(state)).collect();
            for state in &resting {
                assert!(
                    walk.is_served(state),
                    "capacity {capacity}, {order:?}: {state:?}"
                );
            }
            // And there is a way to rest from everywhere: nobody waits for each other in a circle.
            let mut ways: BTreeMap<&State, Vec<&State>> = BTreeMap::new();
            for (from, next) in &known {
                next.iter()
                    .for_each(|to| ways.entry(to).or_default().push(from));
            }
            let mut reaches = resting.clone();
            let mut open: Vec<&State> = resting.into_iter().collect();
            while let Some(state) = open.pop() {
                let before = ways.get(state).into_iter().flatten();
                open.extend(before.filter(|from| reaches.insert(*from)));
            }
            assert_eq!(reaches.len(), known.len(), "capacity {capacity}, {order:?}");
        }
    }
}

#[test]
fn after_crashes_the_sweep_and_the_next_runs_fill_every_slot() {
    let mishaps = Mishaps {
        crashes: true,
        sweeps: false,
        closes: true,
        disorder: false,
    };
    for order in orders(3) {
        let mut walk = Walk::new(1, &order, mishaps);
        let states: Vec<State> = walk.reachable().into_keys().collect();
        for state in &states {
            let settled = walk.settled(state);
            assert!(
                walk.is_served(&settled),
                "{order:?}: {state:?} became {settled:?}"
            );
        }
    }
}
