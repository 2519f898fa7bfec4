//! The golden snapshot, and the pairs of VolumeSnapshot and content that previews have of it. Nobody binds them here: what
//! the controllers of a cluster with a CSI driver would write, a person writes.

use std::collections::BTreeSet;
use std::time::Instant;

use insta::assert_snapshot;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::keys;
use preview_core::snapshot::{Golden, SnapshotName, StoredSnapshot, VolumeMode};
use preview_k8s::{Change, Error, Fenced, TearDown};
use serde_json::{Value, json};

use super::stage::{Stage, contents, manifest, snapshots};
use super::teardowns::PATIENT;

/// The spec of a content for the VolumeSnapshot `database` of `namespace`.
fn content_spec(namespace: &str) -> Value {
    json!({
        "deletionPolicy": "Retain",
        "driver": "example.csi.k8s.io",
        "source": { "snapshotHandle": "golden" },
        "volumeSnapshotRef": { "name": "database", "namespace": namespace },
    })
}

impl Stage {
    /// The name of the preview's content: the cluster has only one of a name.
    fn content(&self) -> ObjectName {
        let name = format!("{}-database", self.namespace);
        ObjectName::new(Kind::VolumeSnapshotContent, name)
    }

    fn content_manifest(&self) -> Manifest {
        let spec = content_spec(self.namespace.as_str());
        let name = self.content().name;
        manifest(Kind::VolumeSnapshotContent, &name, json!({ "spec": spec }))
    }

    /// The content and its VolumeSnapshot.
    fn pair(&self) -> Vec<Manifest> {
        let source = json!({ "volumeSnapshotContentName": self.content().name });
        let spec = json!({ "spec": { "source": source } });
        vec![
            self.content_manifest(),
            manifest(Kind::VolumeSnapshot, "database", spec),
        ]
    }

    async fn content_now(&self) -> Option<Value> {
        self.object(Kind::VolumeSnapshotContent, &self.content().name)
            .await
    }

    /// A person makes a content of this name.
    async fn somebody_makes(&self, name: &str, labels: Value, spec: Value) {
        let content = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotContent",
            "metadata": { "name": name, "labels": labels },
            "spec": spec,
        });
        let content: DynamicObject = serde_json::from_value(content).unwrap();
        let (all, params) = (contents(&self.person), PostParams::default());
        all.create(&params, &content).await.unwrap();
    }

    /// A person changes the preview's content.
    async fn somebody_changes(&self, change: Value) {
        self.somebody_tries(change).await.unwrap();
    }

    async fn somebody_tries(&self, change: Value) -> kube::Result<DynamicObject> {
        let name = self.content().name;
        let (all, params) = (contents(&self.person), PatchParams::default());
        all.patch(&name, &params, &Patch::Merge(change)).await
    }

    async fn prune_all(&self) -> preview_k8s::Result<Fenced<Vec<ObjectName>>> {
        let keep = BTreeSet::new();
        self.us.prune(&self.claimant, &self.namespace, &keep).await
    }
}

pub(crate) async fn a_golden_snapshot_is_read_with_the_content_that_it_is_bound_to(stage: &Stage) {
    stage.create().await;
    let (person, namespace) = (&stage.person, &stage.namespace);
    let home = SnapshotName {
        namespace: namespace.clone(),
        name: "golden".to_owned(),
    };
    let found = async || stage.us.golden_snapshot(&home).await.unwrap();
    assert_eq!(found().await, Golden::Missing);

    let golden = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": { "name": "golden" },
        "spec": { "source": { "persistentVolumeClaimName": "sanitised" } },
    });
    let golden: DynamicObject = serde_json::from_value(golden).unwrap();
    let theirs = snapshots(person, namespace);
    let golden = theirs
        .create(&PostParams::default(), &golden)
        .await
        .unwrap();
    assert_eq!(found().await, Golden::NotReady { error: None });

    let params = PatchParams::default();
    let told = async |status: Value| {
        let status = Patch::Merge(json!({ "status": status }));
        theirs
            .patch_status("golden", &params, &status)
            .await
            .unwrap();
    };
    let error = "rpc error: the volume is busy";
    told(json!({ "readyToUse": false, "error": { "message": error } })).await;
    let error = Some(error.to_owned());
    assert_eq!(found().await, Golden::NotReady { error });

    let name = format!("{namespace}-golden");
    let bound =
        json!({ "readyToUse": true, "error": null, "boundVolumeSnapshotContentName": name });
    told(bound).await;
    let content = Some(name.clone());
    let not_bound = Golden::NotBound { content };
    assert_eq!(found().await, not_bound, "there is no such content");

    // As it is taken: its handle is in the status, and only then.
    let spec = json!({
        "deletionPolicy": "Delete",
        "driver": "example.csi.k8s.io",
        "source": { "volumeHandle": "volume-1" },
        "sourceVolumeMode": "Filesystem",
        "volumeSnapshotRef": { "name": "golden", "namespace": namespace, "uid": "another" },
    });
    stage.somebody_makes(&name, json!({}), spec).await;
    assert_eq!(found().await, not_bound, "it points at another");
    let of = json!({ "name": "golden", "namespace": namespace, "uid": golden.metadata.uid });
    let points = Patch::Merge(json!({ "spec": { "volumeSnapshotRef": of } }));
    let all = contents(person);
    all.patch(&name, &params, &points).await.unwrap();
    assert_eq!(found().await, not_bound, "nothing is at the storage");
    let stored =
        json!({ "status": { "snapshotHandle": "snap-1", "restoreSize": 5_368_709_120_u64 } });
    all.patch_status(&name, &params, &Patch::Merge(stored))
        .await
        .unwrap();
    let ready = StoredSnapshot {
        driver: "example.csi.k8s.io".to_owned(),
        handle: "snap-1".to_owned(),
        restore_size: Some(5 << 30),
        source_volume_mode: Some(VolumeMode::Filesystem),
    };
    assert_eq!(found().await, Golden::Ready(ready));
}

pub(crate) async fn snapshots_are_judged_by_their_definitions(stage: &Stage) {
    stage.create().await;
    let judged = async |change: &dyn Fn(&mut Value)| {
        let mut body = stage.content_manifest().into_body();
        change(&mut body["spec"]);
        let spec = json!({ "spec": body["spec"] });
        let name = stage.content().name;
        let content = manifest(Kind::VolumeSnapshotContent, &name, spec);
        let refused = stage.try_apply(vec![content]).await.unwrap_err();
        stage.told(refused)
    };
    let at_first = [
        judged(&|spec| spec["deletionPolicy"] = json!("Keep")).await,
        judged(&|spec| spec["source"]["volumeHandle"] = json!("volume-1")).await,
        judged(&|spec| spec["volumeSnapshotRef"] = json!({ "name": "database" })).await,
    ];
    assert_snapshot!(at_first.join("\n"), @r#"
    apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: the cluster refuses it (422): VolumeSnapshotContent.snapshot.storage.k8s.io "NAMESPACE-database" is invalid: [spec.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]; correct the manifest
    apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: the cluster refuses it (422): VolumeSnapshotContent.snapshot.storage.k8s.io "NAMESPACE-database" is invalid: spec.source: Invalid value: exactly one of volumeHandle and snapshotHandle must be set; correct the manifest
    apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: the cluster refuses it (422): VolumeSnapshotContent.snapshot.storage.k8s.io "NAMESPACE-database" is invalid: spec.volumeSnapshotRef: Invalid value: both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set; correct the manifest
    "#);
    assert_eq!(stage.content_now().await, None);

    stage.apply(stage.pair()).await;
    let other = json!({ "snapshotHandle": "other" });
    let later = judged(&|spec| spec["source"] = other.clone()).await;
    assert_snapshot!(later, @r#"apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: the cluster refuses it (422): VolumeSnapshotContent.snapshot.storage.k8s.io "NAMESPACE-database" is invalid: spec.source.snapshotHandle: Invalid value: "other": snapshotHandle is immutable; correct the manifest"#);
}

pub(crate) async fn a_content_stays_bound_while_its_snapshot_is_there(stage: &Stage) {
    stage.create().await;
    assert_eq!(stage.apply(stage.pair()).await, [Change::Created; 2]);
    let snapshot = stage
        .object(Kind::VolumeSnapshot, "database")
        .await
        .unwrap();
    let of = json!({
        "kind": "VolumeSnapshot",
        "name": "database",
        "namespace": stage.namespace,
        "uid": snapshot["metadata"]["uid"],
    });
    let bound = json!({ "spec": { "volumeSnapshotRef": of } });
    stage.somebody_changes(bound).await;
    assert_eq!(stage.apply(stage.pair()).await, [Change::Unchanged; 2]);
    let now = stage.content_now().await.unwrap();
    assert_eq!(now["spec"]["volumeSnapshotRef"], of);

    // A policy that somebody changed is as it was again.
    let delete = json!({ "spec": { "deletionPolicy": "Delete" } });
    stage.somebody_changes(delete).await;
    let done = stage.apply(stage.pair()).await;
    assert_eq!(done, [Change::Changed, Change::Unchanged]);
    let now = stage.content_now().await.unwrap();
    assert_eq!(now["spec"]["deletionPolicy"], "Retain");
    assert_eq!(now["spec"]["volumeSnapshotRef"], of);

    // A VolumeSnapshot that somebody deleted and we make again can be bound.
    let theirs = snapshots(&stage.person, &stage.namespace);
    theirs
        .delete("database", &Default::default())
        .await
        .unwrap();
    let done = stage.apply(stage.pair()).await;
    assert_eq!(done, [Change::Changed, Change::Created]);
    let now = stage.content_now().await.unwrap();
    let of = json!({ "name": "database", "namespace": stage.namespace });
    assert_eq!(now["spec"]["volumeSnapshotRef"], of);
}

pub(crate) async fn a_content_of_somebody_else_is_neither_written_nor_removed(stage: &Stage) {
    stage.create().await;
    let refused = async || {
        let applied = stage.try_apply(stage.pair()).await.unwrap_err();
        let one = [stage.content()];
        let soon = Instant::now() + PATIENT;
        let removed = stage
            .us
            .remove(&stage.claimant, &stage.namespace, &one, soon);
        let removed = removed.await.unwrap_err();
        for error in [&applied, &removed] {
            assert!(matches!(error, Error::ForeignObject { .. }), "{error}");
        }
        stage.told(format!("{applied}\n{removed}"))
    };
    let name = stage.content().name;
    let spec = content_spec(stage.namespace.as_str());
    stage.somebody_makes(&name, json!({}), spec).await;
    let theirs = stage.content_now().await;
    assert_snapshot!(refused().await, @r#"
    apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: what has that name is not ours: its label app.kubernetes.io/managed-by is missing, not "preview-environments"; see whose it is, and delete it or give it another name
    remove VolumeSnapshotContent/NAMESPACE-database from NAMESPACE: what has that name is not ours: its label app.kubernetes.io/managed-by is missing, not "preview-environments"; see whose it is, and delete it or give it another name
    "#);
    stage.prune_all().await.unwrap();
    assert_eq!(stage.content_now().await, theirs);

    // Of our labels, for a namespace that the preview had under another template.
    let away = json!({ "name": "database", "namespace": "elsewhere" });
    let ours = json!({
        "metadata": { "labels": stage.claimant.owner.labels() },
        "spec": { "volumeSnapshotRef": away },
    });
    stage.somebody_changes(ours).await;
    let theirs = stage.content_now().await;
    assert_snapshot!(refused().await, @r#"
    apply VolumeSnapshotContent/NAMESPACE-database in NAMESPACE: what has that name is not ours: it is for the namespace "elsewhere"; see whose it is, and delete it or give it another name
    remove VolumeSnapshotContent/NAMESPACE-database from NAMESPACE: what has that name is not ours: it is for the namespace "elsewhere"; see whose it is, and delete it or give it another name
    "#);
    stage.prune_all().await.unwrap();
    let read = stage.read().await;
    assert!(stage.tear_down(&read, PATIENT).await.finished());
    assert_eq!(stage.content_now().await, theirs);
    let back = json!({ "spec": { "volumeSnapshotRef": { "namespace": stage.namespace } } });
    stage.somebody_changes(back).await;
}

pub(crate) async fn a_newer_runs_contents_are_neither_written_nor_removed(stage: &Stage) {
    stage.create().await;
    stage.apply(stage.pair()).await;
    let made = stage.content_now().await;
    let by = Some(stage.take_over().await.fence);
    let late = stage.content_manifest().labelled("late", "yes");
    let applied = stage.try_apply(vec![late]).await.unwrap();
    assert_eq!(applied, Fenced::Superseded { by });
    let pruned = stage.prune_all().await.unwrap();
    assert_eq!(pruned, Fenced::Superseded { by });
    assert_eq!(stage.content_now().await, made);
    let fence = &made.unwrap()["metadata"]["labels"][keys::FENCE];
    assert_eq!(fence, "100.1");
}

pub(crate) async fn a_preview_made_from_a_snapshot_is_taken_down_with_a_receipt(stage: &Stage) {
    stage.create().await;
    stage.apply(stage.pair()).await;
    let made = stage.content_now().await.unwrap();
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, PATIENT).await;
    assert!(receipt.finished(), "{receipt}");
    let told = stage.receipt(&receipt, &read, None);
    let content = made["metadata"]["uid"].as_str().unwrap();
    assert_snapshot!(told.replace(content, "CONTENT"), @r"
    Namespace/NAMESPACE: gone (no Namespace has uid UID)
    pods: gone (0 seen, none left)
    VolumeSnapshotContent/NAMESPACE-database: gone (no content has uid CONTENT)
    ");
    assert_eq!(stage.content_now().await, None);
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
}

pub(crate) async fn a_content_that_is_held_keeps_the_namespace(stage: &Stage) {
    stage.create().await;
    stage.apply(stage.pair()).await;
    let held_by = |finalizers: &[&str]| json!({ "metadata": { "finalizers": finalizers } });
    let protection = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";
    let both = [protection, "example.com/backup"];
    stage.somebody_changes(held_by(&both)).await;
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, stage.backend.moment).await;
    let told = stage.receipt(&receipt, &read, None);
    let blocked = told.lines().filter(|line| line.contains("still there"));
    let blocked: Vec<_> = blocked.collect();
    assert_eq!(blocked.len(), 2, "{told}");
    // What its conditions say besides is some seconds old.
    let waits = "Namespace/NAMESPACE: still there (it waits for its pods, claims, volumes and snapshot contents";
    assert!(blocked[0].starts_with(waits), "{told}");
    assert_snapshot!(blocked[1], @"VolumeSnapshotContent/NAMESPACE-database: still there (finalizer snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection, which the cluster's snapshot controller takes off; finalizer example.com/backup, which the controller of example.com takes off)");
    assert!(!receipt.finished());
    let now = stage.read().await;
    assert_eq!(now.finalizers, [keys::FINALIZER]);

    // What is on its way out can be let go, and not be held anew.
    let more = [&both[..], &["example.com/another"]].concat();
    let refused = stage.somebody_tries(held_by(&more)).await.unwrap_err();
    let kube::Error::Api(refused) = refused else {
        panic!("{refused}")
    };
    assert_snapshot!(stage.told(refused.message), @r#"VolumeSnapshotContent.snapshot.storage.k8s.io "NAMESPACE-database" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/another"}"#);
    stage.somebody_changes(held_by(&both[1..])).await;
    let receipt = stage.tear_down(&now, stage.backend.moment).await;
    let told = stage.receipt(&receipt, &now, None);
    let theirs = told.lines().find(|line| line.contains("example.com"));
    assert_snapshot!(theirs.unwrap_or_default(), @"VolumeSnapshotContent/NAMESPACE-database: still there (finalizer example.com/backup, which the controller of example.com takes off)");

    stage
        .somebody_changes(json!({ "metadata": { "finalizers": null } }))
        .await;
    assert!(stage.tear_down(&now, PATIENT).await.finished());
    assert_eq!(stage.content_now().await, None);
}

pub(crate) async fn a_content_whose_end_would_be_the_snapshots_is_kept(stage: &Stage) {
    stage.create().await;
    stage.apply(stage.pair()).await;
    let delete = json!({ "spec": { "deletionPolicy": "Delete" } });
    stage.somebody_changes(delete).await;
    let error = stage.prune_all().await.unwrap_err();
    assert!(matches!(error, Error::Kept { .. }), "{error}");
    assert_snapshot!(stage.told(error), @r#"prune NAMESPACE: VolumeSnapshotContent/NAMESPACE-database is kept: its deletion policy is Delete, so the golden snapshot at the storage would be deleted with it; set it to Retain with `kubectl patch volumesnapshotcontent NAMESPACE-database --type merge --patch '{"spec":{"deletionPolicy":"Retain"}}'`, then run this again"#);
    assert!(
        stage
            .object(Kind::VolumeSnapshot, "database")
            .await
            .is_some()
    );

    // Its VolumeSnapshot would go with the Namespace, and the snapshot with that.
    let read = stage.read().await;
    let TearDown::Done(receipt) = stage.try_tear_down(&read, PATIENT).await.unwrap() else {
        panic!("nobody else is there")
    };
    assert!(!receipt.finished());
    assert_snapshot!(stage.receipt(&receipt, &read, None), @r#"
    Namespace/NAMESPACE: still there (nothing was deleted, because of VolumeSnapshotContent/NAMESPACE-database)
    VolumeSnapshotContent/NAMESPACE-database: still there (its deletion policy is Delete, so the golden snapshot at the storage would be deleted with it; set it to Retain with `kubectl patch volumesnapshotcontent NAMESPACE-database --type merge --patch '{"spec":{"deletionPolicy":"Retain"}}'`)
    "#);
    assert!(!stage.read().await.terminating);
    assert!(
        stage
            .object(Kind::VolumeSnapshot, "database")
            .await
            .is_some()
    );

    // Whose Namespace somebody deleted is not deleted by us either.
    assert!(stage.us.delete_namespace(&read).await.unwrap());
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, stage.backend.moment).await;
    assert!(!receipt.finished());
    assert!(stage.content_now().await.is_some());

    let retain = json!({ "spec": { "deletionPolicy": "Retain" } });
    stage.somebody_changes(retain).await;
    assert!(stage.tear_down(&read, PATIENT).await.finished());
    assert_eq!(stage.content_now().await, None);
}
