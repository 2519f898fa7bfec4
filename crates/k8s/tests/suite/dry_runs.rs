//! What applying would change, and what pruning would remove.

use std::collections::BTreeSet;

use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_k8s::{Change, DryRun, Error};
use serde_json::json;

use super::stage::{Behaviour, Stage, config_map, manifest};

/// What applying would do to each object.
async fn dry_run(stage: &Stage, wave: Vec<Manifest>) -> String {
    // Another run than the one that applied.
    let newer = stage.newer();
    let answers = stage.us.dry_run(&newer, &stage.namespace, wave).await;
    let lines = answers.into_iter().map(|(object, answer)| {
        let DryRun { change, fields } = answer.unwrap();
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        format!("{change:?} {object} {}", fields.join(" "))
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) async fn a_dry_run_tells_what_would_change_and_changes_nothing(stage: &Stage) {
    stage.create().await;
    let web = |replicas: u32| {
        let web = stage.deployment("web", Behaviour::Runs);
        web.with("spec", "replicas", json!(replicas))
    };
    let ports = json!({ "spec": { "ports": [{ "port": 80 }] } });
    let service = || manifest(Kind::Service, "web", ports.clone());
    let settings = || config_map("settings", "hello");
    let job = || stage.job("migrate", Behaviour::Succeeds);
    let all = || vec![settings(), service(), job(), web(0)];
    insta::assert_snapshot!(dry_run(stage, all()).await, @r"
    Created ConfigMap/settings
    Created Service/web
    Created Job/migrate
    Created Deployment/web
    ");
    for (kind, name) in [(Kind::ConfigMap, "settings"), (Kind::Deployment, "web")] {
        assert_eq!(stage.object(kind, name).await, None, "{kind}");
    }

    let created = stage.apply(all()).await;
    assert_eq!(created, [Change::Created; 4]);
    insta::assert_snapshot!(dry_run(stage, all()).await, @r"
    Unchanged ConfigMap/settings
    Unchanged Service/web
    Unchanged Job/migrate
    Unchanged Deployment/web
    ");
    let before = stage.object(Kind::ConfigMap, "settings").await;
    let wave = vec![
        config_map("settings", "good evening"),
        service().labelled("team", "shop"),
        web(2),
    ];
    insta::assert_snapshot!(dry_run(stage, wave).await, @r"
    Changed ConfigMap/settings data.greeting
    Changed Service/web metadata.labels.team
    Changed Deployment/web spec.replicas
    ");
    let after = stage.object(Kind::ConfigMap, "settings").await;
    assert_eq!(after, before, "nothing was written");
}

pub(crate) async fn a_dry_run_is_refused_as_the_real_thing_would_be(stage: &Stage) {
    let wave = || vec![config_map("settings", "hello")];
    let (us, namespace) = (&stage.us, &stage.namespace);
    let nowhere = us.dry_run(&stage.claimant, namespace, wave()).await;
    assert!(
        matches!(nowhere.as_slice(), [(_, Err(Error::Absent { .. }))]),
        "{nowhere:?}"
    );
    stage.create().await;
    let web = stage.deployment("web", Behaviour::Runs);
    stage.apply(vec![web.clone()]).await;
    let other = json!({ "matchLabels": { "app": "other" } });
    let moved = web.with("spec", "selector", other);
    let wave = vec![moved, config_map("settings", "hello")];
    let answers = us.dry_run(&stage.claimant, namespace, wave).await;
    let [(_, Err(refused)), (_, Ok(_))] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    let told = stage.told(refused);
    assert!(
        told.starts_with("dry-run Deployment/web in NAMESPACE: "),
        "{told}"
    );
}

pub(crate) async fn what_would_be_pruned_is_told(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![
            config_map("settings", "hello"),
            config_map("old", "bye"),
        ])
        .await;
    let keep = BTreeSet::from([ObjectName::new(Kind::ConfigMap, "settings")]);
    let (owner, namespace) = (&stage.claimant.owner, &stage.namespace);
    let found = stage.us.prunable(owner, namespace, &keep).await.unwrap();
    let old = ObjectName::new(Kind::ConfigMap, "old");
    assert_eq!(found, BTreeSet::from([old]));
    assert!(stage.object(Kind::ConfigMap, "old").await.is_some());
}
