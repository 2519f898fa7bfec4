//! Who has a slot, who waits, and whose turn it is.

use super::*;
use crate::names::Fence;
use crate::ownership::{Claimant, Owner, keys};

/// A preview of pull request `number` of the repository `repository`, created at `second`.
fn preview(repository: u64, number: u64, claim: Claim, second: i64) -> NamespaceFacts {
    let owner = Owner {
        repository: RepositoryId(repository),
        subject: format!("pr-{number}").parse().unwrap(),
    };
    let claimant = Claimant {
        owner: owner.clone(),
        repository: "acme/shop".parse().unwrap(),
        head: format!("{number:040x}").parse().unwrap(),
        fence: Fence { run: 1, attempt: 1 },
    };
    let mut annotations = claimant.annotations();
    annotations.insert(keys::CLAIM.into(), claim.to_string());
    if claim == Claim::Held {
        annotations.insert(keys::HELD_SINCE.into(), "2026-11-28T09:00:00Z".into());
    }
    NamespaceFacts {
        name: format!("preview-pr-{number}").parse().unwrap(),
        uid: uid(number),
        resource_version: "1".into(),
        created: Timestamp::from_second(second).unwrap(),
        labels: owner.labels(),
        annotations,
        finalizers: Vec::new(),
        terminating: false,
        blockers: Vec::new(),
    }
}

fn uid(number: u64) -> Uid {
    format!("u-{number}").parse().unwrap()
}

fn numbers(next: &[Next]) -> Vec<String> {
    next.iter().map(|next| next.subject.to_string()).collect()
}

#[test]
fn hands_and_holders_count_those_that_wait_or_sleep_do_not() {
    let all = [
        preview(1, 1, Claim::Held, 0),
        preview(1, 2, Claim::Claiming, 0),
        preview(1, 3, Claim::Queued, 0),
        preview(1, 4, Claim::Asleep, 0),
    ];
    assert_eq!(count(&all, &uid(2), 2), Count::Hold);
    assert_eq!(count(&all, &uid(2), 1), Count::Lower);
    assert!(is_free(&all, &uid(3), 3));
    assert!(!is_free(&all, &uid(3), 2));
    // Its own does not stand in its way.
    assert!(is_free(&all, &uid(2), 2));
}

#[test]
fn a_preview_on_its_way_out_has_its_slot_until_it_is_gone_and_waits_for_nothing() {
    let mut held = preview(1, 1, Claim::Held, 0);
    held.terminating = true;
    let mut queued = preview(1, 2, Claim::Queued, 0);
    queued.terminating = true;
    let all = [held, queued, preview(1, 3, Claim::Queued, 1)];
    assert!(!is_free(&all, &uid(3), 1));
    assert_eq!(
        numbers(&Next::in_queue(&all[1..], RepositoryId(1), 1)),
        ["pr-3"]
    );
}

#[test]
fn of_too_many_hands_the_oldest_stay_up_and_the_uid_decides_between_equal_seconds() {
    let all = [
        preview(1, 1, Claim::Held, 9),
        preview(1, 4, Claim::Claiming, 5),
        preview(1, 3, Claim::Claiming, 5),
        preview(1, 2, Claim::Claiming, 7),
    ];
    let of = |number| count(&all, &uid(number), 2);
    assert_eq!(
        [of(3), of(4), of(2)],
        [Count::Again, Count::Lower, Count::Lower]
    );
    let of = |number| count(&all, &uid(number), 3);
    assert_eq!(
        [of(3), of(4), of(2)],
        [Count::Again, Count::Again, Count::Lower]
    );
}

#[test]
fn as_many_are_started_as_slots_are_free_the_oldest_first_and_only_our_own() {
    let mut pushed = preview(1, 3, Claim::Queued, 2);
    pushed.annotations.insert(keys::HEAD.into(), "f".repeat(40));
    let all = [
        preview(2, 1, Claim::Held, 0),
        preview(2, 2, Claim::Queued, 1),
        pushed,
        preview(1, 5, Claim::Queued, 4),
        preview(1, 4, Claim::Queued, 3),
        preview(1, 6, Claim::Queued, 5),
    ];
    let started = |capacity| numbers(&Next::in_queue(&all, RepositoryId(1), capacity));
    assert_eq!(started(1), Vec::<String>::new());
    assert_eq!(started(2), ["pr-4"]);
    assert_eq!(started(3), ["pr-4", "pr-5"]);
    assert_eq!(started(99), ["pr-4", "pr-5", "pr-6"]);
}

#[test]
fn who_does_not_take_its_turn_hands_it_to_those_behind() {
    let all = [
        preview(1, 1, Claim::Held, 0),
        preview(1, 2, Claim::Queued, 1),
        preview(1, 3, Claim::Queued, 2),
        preview(2, 4, Claim::Queued, 3),
        preview(1, 5, Claim::Queued, 4),
    ];
    let behind = |own| numbers(&Next::behind(&uid(own), &all, RepositoryId(1), 2));
    assert_eq!(behind(2), ["pr-3"]);
    // Nobody before it is started once more, so it comes to an end.
    assert_eq!(behind(3), ["pr-5"]);
    assert_eq!(behind(5), Vec::<String>::new());
    assert_eq!(behind(9), Vec::<String>::new());
}

#[test]
fn who_waits_is_told_its_place_and_who_has_the_slots() {
    let all = [
        preview(1, 1, Claim::Held, 0),
        preview(2, 2, Claim::Held, 0),
        preview(1, 4, Claim::Queued, 3),
        preview(1, 3, Claim::Queued, 2),
    ];
    let waiting = Waiting::new(&all, &uid(4), RepositoryId(1), 2);
    let place = waiting.place.unwrap();
    assert_eq!((place.number, place.of), (2, 2));
    let holders: Vec<_> = waiting.holders.iter().map(|h| h.subject.clone()).collect();
    assert_eq!(holders, [Some("pr-1".parse().unwrap()), None]);
    assert!(waiting.holders.iter().all(|holder| holder.since.is_some()));
}

#[test]
fn the_command_that_starts_a_preview_by_hand_names_what_was_approved() {
    let repository = "acme/shop".parse().unwrap();
    let command = |subject: &str| {
        let next = Next {
            subject: subject.parse().unwrap(),
            head: "a".repeat(40).parse().unwrap(),
        };
        next.command(&repository, "preview-deploy.yml", "main")
    };
    insta::assert_snapshot!(command("pr-7"), @"gh workflow run preview-deploy.yml --repo acme/shop --ref main -f pr=7 -f sha=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    let commit = format!("commit-{}", "b".repeat(40));
    insta::assert_snapshot!(command(&commit), @"gh workflow run preview-deploy.yml --repo acme/shop --ref main -f commit=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
}
