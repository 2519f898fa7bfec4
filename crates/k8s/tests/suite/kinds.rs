//! Kinds that a cluster serves where their definition is installed.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::keys;
use preview_k8s::{Change, Fenced};
use serde_json::{Value, json};

use super::stage::{Stage, manifest};

pub(crate) async fn every_kind_that_we_write_is_served_where_its_definition_is_installed(
    stage: &Stage,
) {
    let missing = stage.us.missing_kinds(&Kind::ALL).await.unwrap();
    assert_eq!(missing, []);
}

fn route(backend: Value) -> Manifest {
    let spec = json!({
        "parentRefs": [{ "name": "public", "namespace": "gateways", "sectionName": "https" }],
        "hostnames": ["pr-7.pr.example.com"],
        "rules": [{
            "matches": [{ "path": { "type": "PathPrefix", "value": "/api" } }],
            "backendRefs": [backend],
        }],
    });
    manifest(Kind::HttpRoute, "api", json!({ "spec": spec }))
}

pub(crate) async fn a_route_over_a_gateway_is_applied_as_any_other_object(stage: &Stage) {
    stage.create().await;
    let api = || route(json!({ "name": "api", "port": 80 }));
    assert_eq!(stage.apply(vec![api()]).await, [Change::Created]);
    let made = stage.object(Kind::HttpRoute, "api").await.unwrap();
    assert_snapshot!(made["spec"], @r#"{"hostnames":["pr-7.pr.example.com"],"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"public","namespace":"gateways","sectionName":"https"}],"rules":[{"backendRefs":[{"group":"","kind":"Service","name":"api","port":80,"weight":1}],"matches":[{"path":{"type":"PathPrefix","value":"/api"}}]}]}"#);
    assert_eq!(stage.apply(vec![api()]).await, [Change::Unchanged]);
    let same = stage.object(Kind::HttpRoute, "api").await.unwrap();
    assert_eq!(same, made);

    let other = route(json!({ "name": "api", "port": 8080 }));
    assert_eq!(stage.apply(vec![other]).await, [Change::Changed]);
    let after = stage.object(Kind::HttpRoute, "api").await.unwrap();
    assert_eq!(after["spec"]["rules"][0]["backendRefs"][0]["port"], 8080);
    assert_eq!(after["metadata"]["generation"], 2);

    let keep = BTreeSet::new();
    let pruned = stage.us.prune(&stage.claimant, &stage.namespace, &keep);
    let removed = vec![ObjectName::new(Kind::HttpRoute, "api")];
    assert_eq!(pruned.await.unwrap(), Fenced::Done(removed));
}

pub(crate) async fn a_route_over_a_gateway_is_judged_by_its_definition(stage: &Stage) {
    stage.create().await;
    let misspelt = stage.try_apply(vec![route(json!({ "name": "api", "prot": 80 }))]);
    assert_snapshot!(stage.told(misspelt.await.unwrap_err()), @"apply HTTPRoute/api in NAMESPACE: the cluster refuses it (500): failed to create typed patch object (NAMESPACE/api; gateway.networking.k8s.io/v1, Kind=HTTPRoute): .spec.rules[0].backendRefs[0].prot: field not declared in schema; correct the manifest");
    let nameless = stage.try_apply(vec![route(json!({ "port": 80 }))]);
    assert_snapshot!(stage.told(nameless.await.unwrap_err()), @r#"apply HTTPRoute/api in NAMESPACE: the cluster refuses it (422): HTTPRoute.gateway.networking.k8s.io "api" is invalid: [spec.rules[0].backendRefs[0].name: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]; correct the manifest"#);
    let wrong = stage.try_apply(vec![route(json!({ "name": "api", "port": "http" }))]);
    assert_snapshot!(stage.told(wrong.await.unwrap_err()), @"apply HTTPRoute/api in NAMESPACE: the cluster refuses it (500): failed to create typed patch object (NAMESPACE/api; gateway.networking.k8s.io/v1, Kind=HTTPRoute): .spec.rules[0].backendRefs[0].port: expected numeric (int or float), got string; correct the manifest");
}

pub(crate) async fn what_lies_in_no_namespace_is_the_previews_by_its_labels(stage: &Stage) {
    stage.create().await;
    let name = stage.namespace.as_str();
    let content = json!({ "spec": {
        "deletionPolicy": "Retain",
        "driver": "example.csi.k8s.io",
        "source": { "snapshotHandle": "golden" },
        "volumeSnapshotRef": { "name": "golden", "namespace": name },
    }});
    let snapshot = json!({ "spec": { "source": { "volumeSnapshotContentName": name } } });
    let wave = || {
        vec![
            manifest(Kind::VolumeSnapshotContent, name, content.clone()),
            manifest(Kind::VolumeSnapshot, "golden", snapshot.clone()),
        ]
    };
    assert_eq!(stage.apply(wave()).await, [Change::Created; 2]);
    assert_eq!(stage.apply(wave()).await, [Change::Unchanged; 2]);
    let made = stage
        .object(Kind::VolumeSnapshotContent, name)
        .await
        .unwrap();
    assert_eq!(made["metadata"]["namespace"], Value::Null);
    assert_eq!(made["metadata"]["labels"][keys::FENCE], "100.1");
    for (key, value) in stage.claimant.owner.labels() {
        assert_eq!(made["metadata"]["labels"][key], value);
    }

    let keep = BTreeSet::from([ObjectName::new(Kind::VolumeSnapshot, "golden")]);
    let pruned = stage.us.prune(&stage.claimant, &stage.namespace, &keep);
    let removed = vec![ObjectName::new(Kind::VolumeSnapshotContent, name)];
    assert_eq!(pruned.await.unwrap(), Fenced::Done(removed));
    assert_eq!(stage.object(Kind::VolumeSnapshotContent, name).await, None);
    assert!(stage.object(Kind::VolumeSnapshot, "golden").await.is_some());
}
