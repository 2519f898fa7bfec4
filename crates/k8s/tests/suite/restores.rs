//! A volume that is to be a copy of a snapshot. No CSI driver is here to make it: a person does what one would.

use insta::assert_snapshot;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, PostParams};
use preview_core::health::{FailureClass, Rollout};
use preview_core::objects::{Kind, Manifest, ObjectName};
use serde_json::json;

use super::stage::{Behaviour, Stage, manifest};
use super::teardowns::PATIENT;

/// A server whose volume's claim names a VolumeSnapshot as its source.
fn server(stage: &Stage) -> Manifest {
    let labels = json!({ "app": "database" });
    let source = json!({
        "apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot",
        "name": "database",
    });
    let claim = json!({
        "accessModes": ["ReadWriteOnce"],
        "dataSource": source,
        "resources": { "requests": { "storage": "8Mi" } },
    });
    let pod = json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [stage.container(Behaviour::Runs)],
    });
    let spec = json!({
        "serviceName": "database",
        "replicas": 1,
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod },
        "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim }],
    });
    manifest(Kind::StatefulSet, "database", json!({ "spec": spec }))
}

/// Makes a volume for the server's claim, as a CSI driver does once it has restored the snapshot.
async fn restore(stage: &Stage) {
    let volume = json!({
        "metadata": { "name": stage.namespace },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": "8Mi" },
            "claimRef": { "namespace": stage.namespace, "name": "data-database-0" },
            "hostPath": { "path": format!("/tmp/hostpath_pv/{}", stage.namespace) },
            "persistentVolumeReclaimPolicy": "Delete",
        },
    });
    let volume = serde_json::from_value(volume).unwrap();
    let volumes = Api::<PersistentVolume>::all(stage.person.clone());
    let made = volumes.create(&PostParams::default(), &volume).await;
    made.unwrap();
}

pub(crate) async fn a_claim_of_a_snapshot_waits_for_a_volume_that_is_meant_for_it(stage: &Stage) {
    stage.create().await;
    stage.apply(vec![server(stage)]).await;
    let database = ObjectName::new(Kind::StatefulSet, "database");
    let Rollout::Failed(failure) = stage.rollout(&database, stage.backend.moment).await else {
        panic!("nobody restores its volume")
    };
    assert_eq!(failure.class, FailureClass::Volume);
    let (why, _) = failure.message.split_once(". ").unwrap();
    assert_snapshot!(why, @"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims");

    restore(stage).await;
    let complete = Rollout::Complete {
        ready: 1,
        desired: 1,
    };
    assert_eq!(stage.rollout(&database, PATIENT).await, complete);
    let claims = stage.us.volume_claims(&stage.namespace).await.unwrap();
    let volumes: Vec<_> = claims.into_iter().map(|claim| claim.volume).collect();
    assert_eq!(volumes, [Some(stage.namespace.to_string())]);
}
