//! Objects that are removed one by one, and Jobs that do not stay.

use std::time::{Duration, Instant};

use preview_core::health::{FailureClass, Rollout};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_k8s::{Error, Fenced};
use serde_json::json;

use super::stage::{Behaviour, Stage, config_map, deployment, manifest, volume_claim};

const PATIENT: Duration = Duration::from_secs(90);

fn soon() -> Instant {
    Instant::now() + PATIENT
}

fn job(name: &str) -> ObjectName {
    ObjectName::new(Kind::Job, name)
}

pub(crate) async fn a_volume_is_gone_when_it_is_said_to_be(stage: &Stage) {
    stage.create().await;
    let claim = ObjectName::new(Kind::PersistentVolumeClaim, "data");
    let keeper = ObjectName::new(Kind::Deployment, "keeper");
    let mut pod = deployment("keeper", stage.container(Behaviour::Runs)).into_body();
    pod["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
    let fields = json!({ "spec": pod["spec"] });
    let keeps = manifest(Kind::Deployment, "keeper", fields);
    stage.apply(vec![volume_claim("data"), keeps]).await;
    stage.rollout(&keeper, PATIENT).await;
    let before = stage.object(Kind::PersistentVolumeClaim, "data").await;
    let before = before.unwrap()["metadata"]["uid"].clone();

    // A pod that uses it keeps it.
    let (us, namespace) = (&stage.us, &stage.namespace);
    let hasty = Instant::now() + stage.backend.moment;
    let one = [claim.clone()];
    let held = us.remove(&stage.claimant, namespace, &one, hasty);
    let error = held.await.unwrap_err();
    assert!(matches!(error, Error::StillThere { .. }), "{error:?}");
    let told = stage.told(error);
    assert!(
        told.starts_with(
            "remove PersistentVolumeClaim/data from NAMESPACE: it is still there after"
        ),
        "{told}"
    );
    assert!(
        told.ends_with("a pod still uses it; clear that, and run it again"),
        "{told}"
    );

    // Its deletion was asked for: it is there for as long as the pod is.
    let both = [claim.clone(), keeper.clone()];
    let removed = us.remove(&stage.claimant, namespace, &both, soon()).await;
    assert_eq!(removed.unwrap(), Fenced::Done(both.to_vec()));
    assert!(
        stage
            .object(Kind::PersistentVolumeClaim, "data")
            .await
            .is_none()
    );
    stage.apply(vec![volume_claim("data")]).await;
    let after = stage.object(Kind::PersistentVolumeClaim, "data").await;
    assert_ne!(after.unwrap()["metadata"]["uid"], before);
    let nothing = us
        .remove(&stage.claimant, namespace, &[keeper], soon())
        .await;
    assert_eq!(nothing.unwrap(), Fenced::Done(Vec::new()));
}

pub(crate) async fn a_newer_runs_objects_are_not_removed(stage: &Stage) {
    stage.create().await;
    stage.apply(vec![config_map("greeting", "hello")]).await;
    let newer = stage.take_over().await;
    let greeting = [ObjectName::new(Kind::ConfigMap, "greeting")];
    let removed = stage
        .us
        .remove(&stage.claimant, &stage.namespace, &greeting, soon());
    let by = Some(newer.fence);
    assert_eq!(removed.await.unwrap(), Fenced::Superseded { by });
    assert!(stage.object(Kind::ConfigMap, "greeting").await.is_some());
}

pub(crate) async fn a_job_that_failed_makes_room_for_another_try(stage: &Stage) {
    stage.create().await;
    let wave = vec![
        stage.job("migrate", Behaviour::Crashes),
        stage.job("seed", Behaviour::Succeeds),
    ];
    stage.apply(wave).await;
    assert!(matches!(
        stage.rollout(&job("migrate"), PATIENT).await,
        Rollout::Failed(_)
    ));
    assert!(matches!(
        stage.rollout(&job("seed"), PATIENT).await,
        Rollout::Complete { .. }
    ));
    let jobs = [job("migrate"), job("seed"), job("nobody")];
    let removed = stage
        .us
        .remove_failed_jobs(&stage.claimant, &stage.namespace, &jobs, soon());
    assert_eq!(removed.await.unwrap(), Fenced::Done(vec![job("migrate")]));
    stage
        .apply(vec![stage.job("migrate", Behaviour::Succeeds)])
        .await;
    assert!(matches!(
        stage.rollout(&job("migrate"), PATIENT).await,
        Rollout::Complete { .. }
    ));
}

/// The Job, removed by Kubernetes as soon as it has ended.
fn that_does_not_stay(job: Manifest) -> Manifest {
    let name = job.object().name.clone();
    let mut spec = job.into_body()["spec"].take();
    spec["ttlSecondsAfterFinished"] = json!(0);
    manifest(Kind::Job, name.as_str(), json!({ "spec": spec }))
}

pub(crate) async fn a_job_that_does_not_stay_is_seen_to_have_ended(stage: &Stage) {
    stage.create().await;
    for (name, behaviour) in [
        ("seed", Behaviour::Succeeds),
        ("migrate", Behaviour::Crashes),
    ] {
        let jobs = [job(name)];
        let watch = stage
            .us
            .watch_jobs(&stage.namespace, &jobs, soon())
            .await
            .unwrap();
        stage
            .apply(vec![that_does_not_stay(stage.job(name, behaviour))])
            .await;
        // Nobody looks until it is gone.
        let gone = async {
            while stage.object(Kind::Job, name).await.is_some() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENT, gone).await.unwrap();
        let verdicts = watch.complete(|_, _| {}).await.unwrap();
        match (&verdicts[0].1, behaviour) {
            (Rollout::Complete { .. }, Behaviour::Succeeds) => {}
            (Rollout::Failed(failure), Behaviour::Crashes) => {
                assert_eq!(failure.class, FailureClass::Crash, "{failure}");
            }
            (verdict, _) => panic!("{name}: {verdict:?}"),
        }
    }
}

pub(crate) async fn only_a_job_is_watched_before_it_is_there(stage: &Stage) {
    let web = [ObjectName::new(Kind::Deployment, "web")];
    let refused = stage.us.watch_jobs(&stage.namespace, &web, soon()).await;
    insta::assert_snapshot!(stage.told(refused.unwrap_err()), @"await the rollout in NAMESPACE: Deployment/web is no Job");
}
