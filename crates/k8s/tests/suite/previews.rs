//! Namespaces: created once, changed by compare-and-set.

use std::collections::BTreeMap;

use jiff::Timestamp;
use preview_core::objects::Kind;
use preview_core::ownership::{Claim, Owner, keys};
use preview_k8s::NamespaceChange;

use super::stage::{REPOSITORY, Stage, config_map};

fn note(key: &str, value: &str) -> NamespaceChange {
    NamespaceChange::annotate([(key.to_owned(), value.to_owned())])
}

pub(crate) async fn a_namespace_is_created_once(stage: &Stage) {
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
    let made = stage.create().await;
    stage.claimant.owner.check(&made).unwrap();
    assert!(stage.claimant.still_owns(&made));
    assert_eq!(made.finalizers, [keys::FINALIZER]);
    let again = stage.us.create_namespace(stage.manifest()).await.unwrap();
    assert_eq!(again, None, "the second is told, and writes nothing");
    assert_eq!(stage.read().await.uid, made.uid);
    let not_one = config_map("settings", "hello");
    let error = stage.us.create_namespace(not_one).await.unwrap_err();
    insta::assert_snapshot!(error, @"create Namespace/settings: ConfigMap/settings is no Namespace");
}

pub(crate) async fn a_change_of_what_is_not_there_any_more_changes_nothing(stage: &Stage) {
    let read = stage.create().await;
    let (phase, claim) = (note(keys::PHASE, "migrating"), note(keys::CLAIM, "held"));
    let faster = stage.us.change_namespace(&read, &phase).await.unwrap();
    assert_eq!(faster.unwrap().annotations[keys::PHASE], "migrating");
    let slower = stage.us.change_namespace(&read, &claim).await.unwrap();
    assert_eq!(slower, None);
    let now = stage.read().await;
    assert_eq!(now.claim(), None);

    // The same name and version with another uid: one that was made afresh.
    let mut afresh = now;
    afresh.uid = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    let change = stage.us.change_namespace(&afresh, &claim).await.unwrap();
    assert_eq!(change, None);
    assert_eq!(stage.read().await.claim(), None);
}

pub(crate) async fn a_change_leaves_what_it_does_not_name(stage: &Stage) {
    let made = stage.create().await;
    let set = NamespaceChange {
        annotations: BTreeMap::from([
            (keys::PHASE.to_owned(), Some("ready".to_owned())),
            (
                keys::URL.to_owned(),
                Some("https://7.pr.example.com".to_owned()),
            ),
        ]),
        labels: BTreeMap::from([("team".to_owned(), Some("shop".to_owned()))]),
        finalizers: None,
    };
    let changed = stage
        .us
        .change_namespace(&made, &set)
        .await
        .unwrap()
        .unwrap();
    let remove = NamespaceChange {
        annotations: BTreeMap::from([(keys::URL.to_owned(), None)]),
        ..NamespaceChange::default()
    };
    let changed = stage
        .us
        .change_namespace(&changed, &remove)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.annotations[keys::PHASE], "ready");
    assert_eq!(changed.annotations.get(keys::URL), None);
    assert_eq!(changed.labels["team"], "shop");
    assert_eq!(changed.finalizers, made.finalizers);
    assert!(stage.claimant.still_owns(&changed));
}

/// On this rests that no more previews than there are slots get one: who has raised its hand sees every hand that was
/// raised before.
pub(crate) async fn a_claim_is_in_every_list_that_is_read_after_it(stage: &Stage) {
    let mut read = stage.create().await;
    let age = Timestamp::now().duration_since(read.created);
    assert!(
        (-5..60).contains(&age.as_secs()),
        "created {}",
        read.created
    );
    let (created, all) = (read.created, Owner::selector_of_all());
    for claim in [Claim::Claiming, Claim::Queued]
        .into_iter()
        .cycle()
        .take(20)
    {
        let change = note(keys::CLAIM, claim.as_str());
        let changed = stage.us.change_namespace(&read, &change).await.unwrap();
        read = changed.expect("nobody else changes it");
        let listed = stage.us.namespaces(&all).await.unwrap();
        let listed = listed.into_iter().find(|one| one.uid == read.uid).unwrap();
        assert_eq!((listed.claim(), listed.created), (Some(claim), created));
    }
}

pub(crate) async fn namespaces_are_found_by_their_owner(stage: &Stage) {
    let made = stage.create().await;
    let own = stage
        .us
        .namespaces(&stage.claimant.owner.selector())
        .await
        .unwrap();
    let uids = |all: &[preview_core::objects::NamespaceFacts]| -> Vec<_> {
        all.iter().map(|namespace| namespace.uid.clone()).collect()
    };
    assert!(uids(&own).contains(&made.uid));
    let all = Owner::selector_of_repository(REPOSITORY);
    assert!(uids(&stage.us.namespaces(&all).await.unwrap()).contains(&made.uid));
    let others = format!("{}=1", keys::REPOSITORY_ID);
    assert!(!uids(&stage.us.namespaces(&others).await.unwrap()).contains(&made.uid));
    assert_eq!(stage.object(Kind::ConfigMap, "settings").await, None);
}
