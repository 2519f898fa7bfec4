//! Objects of a preview: applied and pruned through the fence.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use preview_core::objects::{Kind, ObjectName};
use preview_core::ownership::keys;
use preview_k8s::{Change, Error, Fenced};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::stage::{Behaviour, Stage, config_map, deployment, manifest, volume_claim};

pub(crate) async fn what_is_applied_is_created_then_unchanged_then_changed(stage: &Stage) {
    stage.create().await;
    let wave = || vec![config_map("settings", "hello"), config_map("words", "hi")];
    assert_eq!(
        stage.apply(wave()).await,
        [Change::Created, Change::Created]
    );
    let before = stage.object(Kind::ConfigMap, "settings").await.unwrap();
    assert_eq!(before["data"]["greeting"], "hello");
    assert_eq!(before["metadata"]["labels"][keys::FENCE], "100.1");
    for (key, value) in stage.claimant.owner.labels() {
        assert_eq!(before["metadata"]["labels"][key], value);
    }

    assert_eq!(
        stage.apply(wave()).await,
        [Change::Unchanged, Change::Unchanged]
    );
    let same = stage.object(Kind::ConfigMap, "settings").await.unwrap();
    let version = |object: &serde_json::Value| object["metadata"]["resourceVersion"].clone();
    assert_eq!(version(&same), version(&before), "nothing was written");

    let other = vec![
        config_map("settings", "good evening"),
        config_map("words", "hi"),
    ];
    assert_eq!(
        stage.apply(other.clone()).await,
        [Change::Changed, Change::Unchanged]
    );

    let newer = stage.take_over().await;
    let done = stage
        .us
        .apply(&newer, &stage.namespace, other)
        .await
        .unwrap();
    let Fenced::Done(done) = done else {
        panic!("{done:?}")
    };
    let unchanged = |(_, change): &(ObjectName, Change)| *change == Change::Unchanged;
    assert!(
        done.iter().all(unchanged),
        "another run alone changes nothing: {done:?}"
    );
    let after = stage.object(Kind::ConfigMap, "words").await.unwrap();
    assert_eq!(after["metadata"]["labels"][keys::FENCE], "101.1");
}

pub(crate) async fn a_newer_run_is_not_written_over(stage: &Stage) {
    stage.create().await;
    stage.apply(vec![config_map("settings", "hello")]).await;
    let by = Some(stage.take_over().await.fence);
    let late = vec![
        config_map("settings", "too late"),
        config_map("more", "too late"),
    ];
    let outcome = stage.try_apply(late).await.unwrap();
    assert_eq!(outcome, Fenced::Superseded { by });
    let settings = stage.object(Kind::ConfigMap, "settings").await.unwrap();
    assert_eq!(settings["data"]["greeting"], "hello");
    assert_eq!(stage.object(Kind::ConfigMap, "more").await, None);
}

pub(crate) async fn a_namespace_on_its_way_out_takes_nothing(stage: &Stage) {
    let nowhere = stage.try_apply(vec![config_map("settings", "hello")]).await;
    assert_eq!(nowhere.unwrap(), Fenced::Gone, "before it is there");
    let made = stage.create().await;
    assert!(stage.us.delete_namespace(&made).await.unwrap());
    assert!(
        stage.us.delete_namespace(&made).await.unwrap(),
        "it is on its way"
    );
    assert!(stage.read().await.terminating);
    let late = stage.try_apply(vec![config_map("settings", "hello")]).await;
    assert_eq!(late.unwrap(), Fenced::Gone);
}

pub(crate) async fn a_namespace_of_somebody_else_is_refused(stage: &Stage) {
    stage.create().await;
    let mut other = stage.claimant.clone();
    other.owner.subject = "pr-4711".parse().unwrap();
    let wave = vec![config_map("settings", "hello")];
    let applied = stage.us.apply(&other, &stage.namespace, wave).await;
    assert!(matches!(applied, Err(Error::Foreign(_))), "{applied:?}");
    let pruned = stage
        .us
        .prune(&other, &stage.namespace, &BTreeSet::new())
        .await;
    assert!(matches!(pruned, Err(Error::Foreign(_))), "{pruned:?}");
    assert_eq!(stage.object(Kind::ConfigMap, "settings").await, None);
}

pub(crate) async fn a_namespace_cannot_be_applied(stage: &Stage) {
    let error = stage.try_apply(vec![stage.manifest()]).await.unwrap_err();
    insta::assert_snapshot!(stage.told(error), @"apply Namespace/NAMESPACE in NAMESPACE: a Namespace is created and changed by compare-and-set, not applied");
}

pub(crate) async fn a_job_that_exists_is_left_alone(stage: &Stage) {
    stage.create().await;
    let job = || stage.job("migrate", Behaviour::Succeeds);
    assert_eq!(stage.apply(vec![job()]).await, [Change::Created]);
    let labelled = job().labelled("again", "yes");
    assert_eq!(stage.apply(vec![labelled]).await, [Change::Unchanged]);
    let job = stage.object(Kind::Job, "migrate").await.unwrap();
    assert_eq!(job["metadata"]["labels"].get("again"), None);
}

pub(crate) async fn a_misspelt_field_is_refused_by_name(stage: &Stage) {
    stage.create().await;
    let mut body = stage.deployment("web", Behaviour::Runs).into_body();
    body["spec"]["replcas"] = json!(2);
    let spec = json!({ "spec": body["spec"] });
    let misspelt = manifest(Kind::Deployment, "web", spec);
    let error = stage.try_apply(vec![misspelt]).await.unwrap_err();
    let (text, refused) = (stage.told(&error), matches!(error, Error::Refused { .. }));
    assert!(refused, "{text}");
    assert!(
        text.starts_with("apply Deployment/web in NAMESPACE: "),
        "{text}"
    );
    assert!(text.contains("replcas"), "{text}");
    assert_eq!(stage.object(Kind::Deployment, "web").await, None);
}

pub(crate) async fn what_is_not_wanted_any_more_is_removed(stage: &Stage) {
    stage.create().await;
    let wave = vec![
        config_map("settings", "hello"),
        config_map("old", "bye"),
        manifest(
            Kind::Service,
            "old",
            json!({ "spec": { "ports": [{ "port": 80 }] } }),
        ),
        volume_claim("data"),
    ];
    stage.apply(wave).await;
    let theirs = Api::<ConfigMap>::namespaced(stage.person.clone(), stage.namespace.as_str());
    let mut by_hand = ConfigMap::default();
    by_hand.metadata.name = Some("by-hand".to_owned());
    theirs
        .create(&PostParams::default(), &by_hand)
        .await
        .unwrap();

    let keep = BTreeSet::from([ObjectName::new(Kind::ConfigMap, "settings")]);
    let removed = stage
        .us
        .prune(&stage.claimant, &stage.namespace, &keep)
        .await
        .unwrap();
    let expected = [Kind::ConfigMap, Kind::Service].map(|kind| ObjectName::new(kind, "old"));
    assert_eq!(removed, Fenced::Done(expected.to_vec()));
    for name in ["settings", "by-hand"] {
        assert!(
            stage.object(Kind::ConfigMap, name).await.is_some(),
            "{name} stays"
        );
    }
    assert!(
        stage
            .object(Kind::PersistentVolumeClaim, "data")
            .await
            .is_some()
    );
    assert_eq!(stage.object(Kind::ConfigMap, "old").await, None);
    let again = stage
        .us
        .prune(&stage.claimant, &stage.namespace, &keep)
        .await
        .unwrap();
    assert_eq!(again, Fenced::Done(Vec::new()));
}

pub(crate) async fn a_newer_run_is_not_pruned(stage: &Stage) {
    stage.create().await;
    stage.apply(vec![config_map("settings", "hello")]).await;
    let by = Some(stage.take_over().await.fence);
    let none = BTreeSet::new();
    let outcome = stage
        .us
        .prune(&stage.claimant, &stage.namespace, &none)
        .await;
    assert_eq!(outcome.unwrap(), Fenced::Superseded { by });
    assert!(stage.object(Kind::ConfigMap, "settings").await.is_some());
}

pub(crate) async fn what_an_older_run_left_is_removed_and_what_it_had_to_leave_stays(
    stage: &Stage,
) {
    stage.create().await;
    let older = vec![
        config_map("late", "bye"),
        config_map("settings", "hello"),
        manifest(
            Kind::Secret,
            "app-secret",
            json!({ "stringData": { "DATABASE_PASSWORD": "correct-horse" } }),
        ),
        volume_claim("data"),
    ];
    stage.apply(older).await;
    let newer = stage.take_over().await;
    let wave = vec![config_map("settings", "hello")];
    let applied = stage.us.apply(&newer, &stage.namespace, wave).await;
    assert!(matches!(applied.unwrap(), Fenced::Done(_)));

    let selector = newer.owner.selector();
    let with_leftovers = async |fence| {
        let previews = BTreeMap::from([(stage.namespace.clone(), fence)]);
        let found = stage.us.with_leftovers(&selector, &previews).await;
        found.unwrap().contains(&stage.namespace)
    };
    assert!(!with_leftovers(stage.claimant.fence).await);
    assert!(with_leftovers(newer.fence).await);
    // Who has lost the preview removes nothing from it.
    let by = Some(newer.fence);
    let lost = stage.us.prune_leftovers(&stage.claimant, &stage.namespace);
    assert_eq!(lost.await.unwrap(), Fenced::Superseded { by });

    let removed = stage.us.prune_leftovers(&newer, &stage.namespace);
    let late = ObjectName::new(Kind::ConfigMap, "late");
    assert_eq!(removed.await.unwrap(), Fenced::Done(vec![late]));
    for (kind, name) in [
        (Kind::ConfigMap, "settings"),
        (Kind::Secret, "app-secret"),
        (Kind::PersistentVolumeClaim, "data"),
    ] {
        assert!(stage.object(kind, name).await.is_some(), "{name} stays");
    }
    assert!(!with_leftovers(newer.fence).await);
}

pub(crate) async fn a_secret_is_read_and_not_shown(stage: &Stage) {
    stage.create().await;
    let data = json!({ "stringData": { "DATABASE_PASSWORD": "correct-horse" } });
    stage
        .apply(vec![manifest(Kind::Secret, "app-secret", data)])
        .await;
    let read =
        |name: &'static str, key: &'static str| stage.us.secret_value(&stage.namespace, name, key);
    let password = read("app-secret", "DATABASE_PASSWORD")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(password.expose_secret(), "correct-horse");
    assert!(!format!("{password:?}").contains("correct"));
    assert!(read("app-secret", "OTHER").await.unwrap().is_none());
    assert!(read("other", "DATABASE_PASSWORD").await.unwrap().is_none());
}

pub(crate) async fn a_probe_of_another_kind_takes_the_place_of_the_one_before(stage: &Stage) {
    stage.create().await;
    for asks in [
        json!({ "httpGet": { "path": "/ready", "port": 8080 } }),
        json!({ "tcpSocket": { "port": 8080 } }),
    ] {
        let mut container = stage.container(Behaviour::Runs);
        container["readinessProbe"] = asks;
        stage.apply(vec![deployment("web", container)]).await;
    }
    let web = stage.object(Kind::Deployment, "web").await.unwrap();
    let probe = &web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    assert_eq!(probe.get("httpGet"), None, "{probe}");
    assert_eq!(probe["tcpSocket"]["port"], 8080, "{probe}");
}
