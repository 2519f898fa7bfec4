//! Previews that are taken down, and the proof that they are.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, ResourceExt as _};
use preview_core::cleanup::RetainedVolumes;
use preview_core::objects::{Kind, NamespaceFacts, ObjectName};
use preview_core::ownership::keys;
use preview_k8s::{Error, NamespaceChange, Receipt, TearDown, VolumeClaim};
use serde_json::json;

use super::stage::{Behaviour, Stage, config_map, deployment, volume_claim};

pub(super) const PATIENT: Duration = Duration::from_secs(120);

impl Stage {
    pub(super) async fn try_tear_down(
        &self,
        read: &NamespaceFacts,
        within: Duration,
    ) -> preview_k8s::Result<TearDown> {
        let deadline = Instant::now() + within;
        let (owner, retained) = (&self.claimant.owner, RetainedVolumes::Stay);
        self.us.tear_down(owner, read, retained, deadline).await
    }

    pub(super) async fn tear_down(&self, read: &NamespaceFacts, within: Duration) -> Receipt {
        match self.try_tear_down(read, within).await.unwrap() {
            TearDown::Done(receipt) => receipt,
            other => panic!("{other:?}"),
        }
    }

    /// A workload that writes to a volume, running.
    async fn with_a_volume(&self) -> VolumeClaim {
        let mut container = self.container(Behaviour::Runs);
        container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        let mut body = deployment("web", container).into_body();
        let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data" } });
        body["spec"]["template"]["spec"]["volumes"] = json!([volume]);
        let spec = json!({ "spec": body["spec"] });
        let web = super::stage::manifest(Kind::Deployment, "web", spec);
        self.apply(vec![volume_claim("data"), web]).await;
        let name = ObjectName::new(Kind::Deployment, "web");
        self.rollout(&name, PATIENT).await;
        let mut claims = self.us.volume_claims(&self.namespace).await.unwrap();
        assert_eq!(claims.len(), 1);
        claims.remove(0)
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.person.clone())
    }

    /// Somebody has the volume kept when its claim is gone.
    async fn retain(&self, volume: &str) {
        let keep = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
        let (params, keep) = (PatchParams::default(), Patch::Merge(keep));
        let patched = self.volumes().patch(volume, &params, &keep).await;
        patched.unwrap();
    }

    /// A volume, named as the story, that was claimed elsewhere by a claim of this uid which is gone.
    fn volume_of(&self, claim: &str) -> PersistentVolume {
        let volume = json!({
            "metadata": { "name": self.namespace },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": "8Mi" },
                "claimRef": { "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default",
                    "name": "data", "uid": claim },
                "hostPath": { "path": "/nothing" },
                "persistentVolumeReclaimPolicy": "Retain",
            },
        });
        serde_json::from_value(volume).unwrap()
    }

    async fn volume_is_there(&self, claim: &VolumeClaim) -> bool {
        let name = claim.volume.as_deref().expect("the claim is bound");
        self.volumes().get_opt(name).await.unwrap().is_some()
    }

    /// The receipt without what differs from run to run.
    pub(super) fn receipt(
        &self,
        receipt: &Receipt,
        read: &NamespaceFacts,
        claim: Option<&VolumeClaim>,
    ) -> String {
        let text = self.told(receipt).replace(read.uid.as_str(), "UID");
        let Some(claim) = claim else { return text };
        let text = text.replace(claim.volume.as_deref().unwrap_or("-"), "VOLUME");
        text.replace(claim.uid.as_str(), "CLAIM")
    }
}

pub(crate) async fn a_preview_is_taken_down_with_a_receipt(stage: &Stage) {
    stage.create().await;
    let claim = stage.with_a_volume().await;
    assert!(stage.volume_is_there(&claim).await);
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, PATIENT).await;
    assert!(receipt.finished(), "{receipt}");
    insta::assert_snapshot!(stage.receipt(&receipt, &read, Some(&claim)), @r"
    Namespace/NAMESPACE: gone (no Namespace has uid UID)
    pods: gone (1 seen, none left)
    PersistentVolumeClaim/data: gone (no claim has uid CLAIM)
    PersistentVolume/VOLUME: gone (no volume is of claim CLAIM)
    ");
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
    assert!(!stage.volume_is_there(&claim).await);
}

pub(crate) async fn a_teardown_that_died_is_finished(stage: &Stage) {
    // It died after the deletion was asked for, without a note: as somebody's `kubectl delete` leaves it.
    let made = stage.create().await;
    let claim = stage.with_a_volume().await;
    assert!(
        stage
            .us
            .delete_namespace(&stage.read().await)
            .await
            .unwrap()
    );
    let receipt = stage.tear_down(&stage.read().await, PATIENT).await;
    assert!(receipt.finished(), "{receipt}");
    assert!(!stage.volume_is_there(&claim).await);
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);

    // It died after the note, before the deletion.
    let again = stage.create().await;
    assert_ne!(again.uid, made.uid);
    let claim = stage.with_a_volume().await;
    let earlier = "00000000-0000-4000-8000-000000000000";
    let note = NamespaceChange::annotate([(keys::CLAIM_UIDS.to_owned(), earlier.to_owned())]);
    let noted = stage
        .us
        .change_namespace(&stage.read().await, &note)
        .await
        .unwrap();
    let noted = noted.unwrap();
    let receipt = stage.tear_down(&noted, PATIENT).await;
    assert!(receipt.finished(), "{receipt}");
    insta::assert_snapshot!(stage.receipt(&receipt, &noted, Some(&claim)).replace(earlier, "EARLIER").lines().filter(|line| line.contains("EARLIER")).collect::<String>(), @"PersistentVolumeClaim of uid EARLIER: gone (no claim has uid EARLIER)");
    assert!(!stage.volume_is_there(&claim).await);

    // It died after our finalizer was off.
    let last = stage.create().await;
    let off = NamespaceChange {
        finalizers: Some(Vec::new()),
        ..NamespaceChange::default()
    };
    let bare = stage
        .us
        .change_namespace(&last, &off)
        .await
        .unwrap()
        .unwrap();
    assert!(stage.tear_down(&bare, PATIENT).await.finished());
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
}

pub(crate) async fn what_is_gone_already_has_a_receipt(stage: &Stage) {
    let read = stage.create().await;
    assert!(stage.tear_down(&read, PATIENT).await.finished());
    let receipt = stage.tear_down(&read, PATIENT).await;
    insta::assert_snapshot!(stage.receipt(&receipt, &read, None), @r"
    Namespace/NAMESPACE: gone (no Namespace has uid UID)
    pods: gone (0 seen, none left)
    ");
    // One made afresh under its name is not touched.
    let afresh = stage.create().await;
    assert!(stage.tear_down(&read, PATIENT).await.finished());
    assert_eq!(stage.read().await.uid, afresh.uid);
    assert!(!stage.read().await.terminating);
}

pub(crate) async fn a_foreign_finalizer_blocks_and_is_named(stage: &Stage) {
    stage.create().await;
    stage.apply(vec![config_map("backup", "later")]).await;
    let theirs = Api::<ConfigMap>::namespaced(stage.person.clone(), stage.namespace.as_str());
    let hold = json!({ "metadata": { "finalizers": ["example.com/backup"] } });
    let params = PatchParams::default();
    theirs
        .patch("backup", &params, &Patch::Merge(hold))
        .await
        .unwrap();

    let read = stage.read().await;
    let receipt = stage.tear_down(&read, stage.backend.moment).await;
    assert!(!receipt.finished(), "{receipt}");
    let told = stage.receipt(&receipt, &read, None);
    let lines: Vec<_> = told.lines().collect();
    assert!(
        lines[0].starts_with("Namespace/NAMESPACE: still there (Some "),
        "{told}"
    );
    assert!(
        lines[0].contains("example.com/backup in 1 resource instances"),
        "{told}"
    );
    assert_eq!(lines[1], "pods: gone (0 seen, none left)");
    assert_eq!(
        lines[2],
        "ConfigMap/backup: still there (finalizer example.com/backup, which the controller of example.com takes off)"
    );
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        stage.object(Kind::ConfigMap, "backup").await.is_some(),
        "nothing is forced"
    );
    let now = stage.read().await;
    assert!(now.terminating);
    assert_eq!(
        now.finalizers,
        [] as [String; 0],
        "ours waits for volumes only"
    );

    let let_go = json!({ "metadata": { "finalizers": null } });
    theirs
        .patch("backup", &params, &Patch::Merge(let_go))
        .await
        .unwrap();
    assert!(stage.tear_down(&now, PATIENT).await.finished());
}

pub(crate) async fn a_volume_that_its_policy_keeps_is_named_and_not_waited_for(stage: &Stage) {
    stage.create().await;
    let claim = stage.with_a_volume().await;
    let volume = claim.volume.as_deref().unwrap();
    stage.retain(volume).await;
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, PATIENT).await;
    let kept = stage.volume_is_there(&claim).await;
    let _ = stage
        .volumes()
        .delete(volume, &DeleteParams::default())
        .await;
    assert!(kept, "nothing is forced");
    assert!(receipt.finished(), "{receipt}");
    let told = stage.receipt(&receipt, &read, Some(&claim));
    let orphans: Vec<_> = told
        .lines()
        .filter(|line| line.contains(": kept"))
        .collect();
    assert_eq!(
        orphans,
        [
            "PersistentVolume/VOLUME: kept (its reclaim policy is Retain; delete it when its data is not needed any more)"
        ]
    );
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
}

pub(crate) async fn a_volume_that_its_policy_keeps_goes_where_that_is_configured(stage: &Stage) {
    stage.create().await;
    let claim = stage.with_a_volume().await;
    stage.retain(claim.volume.as_deref().unwrap()).await;
    // Somebody has noted a claim of another namespace on this one.
    let foreign = stage.volume_of("00000000-0000-4000-8000-000000000000");
    let volumes = stage.volumes();
    let foreign = volumes.create(&PostParams::default(), &foreign).await;
    let foreign = foreign.unwrap().name_any();
    let note = "00000000-0000-4000-8000-000000000000".to_owned();
    let note = NamespaceChange::annotate([(keys::CLAIM_UIDS.to_owned(), note)]);
    let noted = stage.us.change_namespace(&stage.read().await, &note).await;
    let read = noted.unwrap().unwrap();

    let (owner, retained) = (&stage.claimant.owner, RetainedVolumes::Go);
    let deadline = Instant::now() + PATIENT;
    let torn_down = stage.us.tear_down(owner, &read, retained, deadline).await;
    let foreign_is_there = volumes.get_opt(&foreign).await.unwrap().is_some();
    let removed = volumes.delete(&foreign, &DeleteParams::default()).await;
    removed.unwrap();
    assert!(foreign_is_there, "it is nobody's here");
    let TearDown::Done(receipt) = torn_down.unwrap() else {
        panic!("nobody took it over");
    };
    assert!(receipt.finished(), "{receipt}");
    let told = stage.receipt(&receipt, &read, Some(&claim));
    let told: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("PersistentVolume/"))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"PersistentVolume/VOLUME: gone (no volume is of claim CLAIM; its reclaim policy was Retain, so the storage behind it stays with whoever provides it)");
    assert!(!stage.volume_is_there(&claim).await);
    assert_eq!(stage.us.namespace(&stage.namespace).await.unwrap(), None);
}

pub(crate) async fn a_volume_that_lingers_keeps_the_namespace(stage: &Stage) {
    stage.create().await;
    let claim = stage.with_a_volume().await;
    let volume = claim.volume.as_deref().unwrap();
    let params = PatchParams::default();
    let held_by = async |finalizers: serde_json::Value| {
        let change = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
        stage
            .volumes()
            .patch(volume, &params, &change)
            .await
            .unwrap();
    };
    held_by(json!(["example.com/copy"])).await;
    let read = stage.read().await;
    let receipt = stage.tear_down(&read, stage.backend.moment).await;
    let now = stage.us.namespace(&stage.namespace).await.unwrap();
    held_by(json!(null)).await;

    let told = stage.receipt(&receipt, &read, Some(&claim));
    assert!(!receipt.finished(), "{told}");
    let blocked: Vec<_> = told
        .lines()
        .filter(|line| line.contains("still there"))
        .collect();
    assert_eq!(blocked.len(), 2, "{told}");
    // Its conditions may not have heard yet that the claim is gone.
    let waits = "Namespace/NAMESPACE: still there (it waits for its pods, claims, volumes and snapshot contents";
    assert!(blocked[0].starts_with(waits), "{told}");
    assert!(
        blocked[1].starts_with("PersistentVolume/VOLUME: still there (phase "),
        "{told}"
    );
    assert!(blocked[1].contains("finalizer example.com/copy"), "{told}");
    let now = now.expect("our finalizer keeps it");
    assert_eq!(now.finalizers, [keys::FINALIZER]);
    assert!(stage.tear_down(&now, PATIENT).await.finished());
    assert!(!stage.volume_is_there(&claim).await);
}

pub(crate) async fn a_preview_that_a_newer_run_took_over_is_not_taken_down(stage: &Stage) {
    let read = stage.create().await;
    let by = Some(stage.take_over().await.fence);
    let outcome = stage.try_tear_down(&read, PATIENT).await.unwrap();
    assert_eq!(outcome, TearDown::Superseded { by });
    assert!(!stage.read().await.terminating);

    // What somebody else noted on it meanwhile is no reason.
    let read = stage.read().await;
    let note = NamespaceChange::annotate([("example.com/note".to_owned(), "hi".to_owned())]);
    stage
        .us
        .change_namespace(&read, &note)
        .await
        .unwrap()
        .unwrap();
    assert!(stage.tear_down(&read, PATIENT).await.finished());
}

pub(crate) async fn a_preview_of_somebody_else_is_not_taken_down(stage: &Stage) {
    let read = stage.create().await;
    let mut other = stage.claimant.owner.clone();
    other.subject = "pr-4711".parse().unwrap();
    let deadline = Instant::now() + PATIENT;
    let retained = RetainedVolumes::Stay;
    let outcome = stage.us.tear_down(&other, &read, retained, deadline).await;
    assert!(matches!(outcome, Err(Error::Foreign(_))), "{outcome:?}");
    assert!(!stage.read().await.terminating);
}
