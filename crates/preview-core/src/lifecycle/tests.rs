use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::health::{Failure, FailureClass};
use crate::objects::ObjectName;

/// Every life after at most `depth` events, with the events that led there first.
fn walk(depth: usize) -> Vec<(Vec<Event>, Life)> {
    let mut seen = BTreeSet::from([Life::START]);
    let mut all = vec![(Vec::new(), Life::START)];
    let mut edge = all.clone();
    for _ in 0..depth {
        let mut next = Vec::new();
        for (path, life) in edge {
            for event in Event::ALL {
                if let Some(after) = life.next(event).filter(|after| seen.insert(*after)) {
                    next.push(([&path[..], &[event]].concat(), after));
                }
            }
        }
        all.extend(next.iter().cloned());
        edge = next;
    }
    all
}

#[test]
fn nothing_is_provisioned_without_a_claim() {
    for (path, life) in walk(6) {
        if life.phase.is_provisioned() {
            assert!(life.slot, "{life:?} after {path:?}");
        }
        if matches!(life.phase, Phase::Absent | Phase::Queued | Phase::Asleep) {
            assert!(!life.slot, "{life:?} after {path:?}");
        }
    }
}

#[test]
fn nothing_is_promoted_without_a_record_and_nothing_is_recorded_that_was_not_ready() {
    for (path, life) in walk(6) {
        assert_eq!(
            life.next(Event::Promoted).is_some(),
            life.record,
            "{life:?} after {path:?}"
        );
        let recorded = life.next(Event::Recorded).is_some();
        assert_eq!(
            recorded,
            life.phase == Phase::Ready,
            "{life:?} after {path:?}"
        );
        // Another head has no record, whatever the last one had.
        for event in [Event::Pushed, Event::Requested, Event::Approved] {
            let from_absent = life.phase == Phase::Absent || event == Event::Pushed;
            if let Some(after) = life.next(event).filter(|_| from_absent) {
                assert!(!after.record, "{after:?} after {path:?} and {event:?}");
            }
        }
    }
}

/// The same without leaving out what was seen: every path of six events, so that no life hides behind another.
#[test]
fn every_path_of_six_events_keeps_the_rules() {
    fn go(life: Life, held: bool, recorded: bool, depth: usize, paths: &mut usize) {
        *paths += 1;
        if life.phase.is_provisioned() {
            assert!(held, "{life:?} without a claim");
        }
        if depth == 0 {
            return;
        }
        for event in Event::ALL {
            let Some(after) = life.next(event) else {
                continue;
            };
            assert!(
                event != Event::Promoted || recorded,
                "{life:?} promoted without a record"
            );
            // What was claimed and recorded, by the events alone.
            let held = match event {
                Event::SlotHeld => true,
                Event::Idled | Event::Gone => false,
                _ => held,
            };
            let recorded = match event {
                Event::Recorded => true,
                Event::Pushed => false,
                _ if life.phase == Phase::Absent && after.phase != Phase::Absent => false,
                _ => recorded,
            };
            go(after, held, recorded, depth - 1, paths);
        }
    }
    let mut paths = 0;
    go(Life::START, false, false, 6, &mut paths);
    // From further on, too: what is ready is six events away from the start.
    let ready = Life {
        phase: Phase::Ready,
        slot: true,
        record: false,
    };
    go(ready, true, false, 6, &mut paths);
    assert!(paths > 1000, "{paths}");
}

#[test]
fn every_phase_can_be_reached_and_left() {
    let reached: BTreeSet<Phase> = walk(12).into_iter().map(|(_, life)| life.phase).collect();
    assert_eq!(reached, BTreeSet::from(Phase::ALL));
    for (path, life) in walk(12) {
        let ends = Event::ALL.iter().all(|event| {
            life.next(*event)
                .is_none_or(|after| after.phase == life.phase)
        });
        assert_eq!(
            ends,
            life.phase == Phase::Superseded,
            "{life:?} after {path:?}"
        );
    }
}

#[test]
fn a_failure_without_a_slot_claims_again() {
    let life = |slot| Life {
        phase: Phase::Failed,
        slot,
        record: false,
    };
    assert_eq!(
        life(true).next(Event::Retried).unwrap().phase,
        Phase::Provisioning
    );
    assert_eq!(
        life(false).next(Event::Retried).unwrap().phase,
        Phase::Claiming
    );
}

#[test]
fn a_whole_life() {
    use Event as E;
    let events = [
        E::Requested,
        E::Approved,
        E::NoSlot,
        E::SlotFree,
        E::SlotHeld,
        E::Provisioned,
        E::Migrated,
        E::RolledOut,
        E::Recorded,
        E::Pushed,
        E::RolledOut,
        E::Recorded,
        E::Ended,
        E::Gone,
        E::Promoted,
    ];
    let mut life = Life::START;
    let phases: Vec<&str> = events
        .into_iter()
        .map(|event| {
            life = life.next(event).unwrap();
            life.phase.as_str()
        })
        .collect();
    insta::assert_snapshot!(phases.join(" "), @"awaiting-approval claiming queued claiming provisioning migrating rolling-out ready ready updating ready ready destroying absent absent");
}

#[test]
fn phases_survive_their_annotation() {
    for phase in Phase::ALL {
        assert_eq!(phase.to_string().parse(), Ok(phase));
    }
    assert!("Ready".parse::<Phase>().is_err());
}

fn namespace(claim: Option<Claim>) -> NamespaceFacts {
    let claim = claim.map(|claim| (keys::CLAIM.to_owned(), claim.to_string()));
    NamespaceFacts {
        name: "preview-pr-7".parse().unwrap(),
        uid: "u-1".parse().unwrap(),
        resource_version: "1".into(),
        created: jiff::Timestamp::UNIX_EPOCH,
        labels: BTreeMap::new(),
        annotations: claim.into_iter().collect(),
        finalizers: Vec::new(),
        terminating: false,
        blockers: Vec::new(),
    }
}

#[test]
fn the_namespace_says_how_far_a_preview_without_a_slot_is() {
    assert_eq!(Phase::observed(None, &[]), Phase::Absent);
    for (claim, phase) in [
        (None, Phase::Queued),
        (Some(Claim::Queued), Phase::Queued),
        (Some(Claim::Claiming), Phase::Claiming),
        (Some(Claim::Asleep), Phase::Asleep),
        (Some(Claim::Held), Phase::Provisioning),
    ] {
        assert_eq!(Phase::observed(Some(&namespace(claim)), &[]), phase);
        let mut ending = namespace(claim);
        ending.terminating = true;
        assert_eq!(Phase::observed(Some(&ending), &[]), Phase::Destroying);
    }
}

#[test]
fn the_first_thing_that_is_not_complete_says_how_far_a_preview_is() {
    let waiting = || Rollout::Waiting {
        ready: 0,
        desired: 1,
    };
    let complete = || Rollout::Complete {
        ready: 1,
        desired: 1,
    };
    let failed = || {
        let web = ObjectName::new(Kind::Deployment, "web");
        Rollout::Failed(Failure::new(FailureClass::Crash, &web, ""))
    };
    let phase = |rollouts: Vec<(Kind, Rollout)>, ran_before: bool| {
        let mut namespace = namespace(Some(Claim::Held));
        if ran_before {
            namespace
                .annotations
                .insert(keys::IMAGES.to_owned(), String::new());
        }
        let named = rollouts
            .into_iter()
            .map(|(kind, rollout)| (ObjectName::new(kind, "x"), rollout));
        Phase::observed(Some(&namespace), &named.collect::<Vec<_>>())
    };
    use Kind::{Deployment, Job, StatefulSet};
    let table = [
        (vec![(StatefulSet, waiting())], Phase::Provisioning),
        (vec![(StatefulSet, complete())], Phase::Migrating),
        (
            vec![(StatefulSet, complete()), (Job, waiting())],
            Phase::Migrating,
        ),
        (
            vec![(StatefulSet, complete()), (Job, complete())],
            Phase::RollingOut,
        ),
        (
            vec![
                (Job, complete()),
                (Deployment, waiting()),
                (Deployment, complete()),
            ],
            Phase::RollingOut,
        ),
        (
            vec![(StatefulSet, waiting()), (Deployment, complete())],
            Phase::Provisioning,
        ),
        (
            vec![(StatefulSet, complete()), (Deployment, complete())],
            Phase::Ready,
        ),
        (vec![(Deployment, complete())], Phase::Ready),
        (
            vec![(StatefulSet, waiting()), (Deployment, failed())],
            Phase::Failed,
        ),
    ];
    for (rollouts, expected) in table {
        assert_eq!(phase(rollouts.clone(), false), expected, "{rollouts:?}");
    }
    assert_eq!(phase(vec![(Deployment, waiting())], true), Phase::Updating);
}
