//! Waiting for workloads, and what is told when they do not come up.

use std::time::{Duration, Instant};

use preview_core::health::{Failure, FailureClass, Rollout};
use preview_core::objects::{Kind, ObjectName};
use preview_k8s::{Change, Error, Fenced};
use serde_json::json;

use super::stage::{Behaviour, Stage, deployment, manifest};

/// More than anything that comes up, or is certain not to, takes.
const PATIENT: Duration = Duration::from_secs(120);

fn web() -> ObjectName {
    ObjectName::new(Kind::Deployment, "web")
}

fn failure(verdict: Rollout) -> Failure {
    match verdict {
        Rollout::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn assert_complete(verdict: &Rollout) {
    assert!(matches!(verdict, Rollout::Complete { .. }), "{verdict:?}");
}

/// A Deployment that gives up after a few seconds.
fn hasty(stage: &Stage, behaviour: Behaviour) -> preview_core::objects::Manifest {
    let mut body = stage.deployment("web", behaviour).into_body();
    body["spec"]["progressDeadlineSeconds"] = json!(4);
    manifest(Kind::Deployment, "web", json!({ "spec": body["spec"] }))
}

pub(crate) async fn a_rollout_ends_with_the_newest_pods_only(stage: &Stage) {
    stage.create().await;
    for image in &stage.backend.images {
        let container = json!({ "name": "main", "image": image.to_string() });
        stage.apply(vec![deployment("web", container)]).await;
        let mut seen = Vec::new();
        let verdicts = stage
            .us
            .await_rollout(
                &stage.namespace,
                &[web()],
                Instant::now() + PATIENT,
                |name, verdict| {
                    seen.push((name.clone(), verdict.clone()));
                },
            )
            .await
            .unwrap();
        assert_eq!(verdicts.len(), 1);
        assert_complete(&verdicts[0].1);
        assert_eq!(seen.last(), verdicts.last(), "progress was told to its end");
        let pods = stage.us.pods(&stage.namespace, &web()).await.unwrap();
        assert_eq!(pods.len(), 1, "{pods:?}");
        assert!(pods[0].ready && pods[0].current);
        assert_eq!(pods[0].containers[0].image, image.to_string());
        let id = &pods[0].containers[0].image_id;
        assert!(id.ends_with(image.digest.as_str()), "{id} is not {image}");
    }
}

pub(crate) async fn an_image_that_does_not_exist_fails_within_seconds(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::Absent)])
        .await;
    let started = Instant::now();
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(failure.class, FailureClass::Image, "{failure}");
    assert!(
        failure.pod.as_ref().unwrap().starts_with("web-"),
        "{failure}"
    );
    assert_eq!(failure.container.as_deref(), Some("main"));
    let image = stage.container(Behaviour::Absent)["image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(failure.message.contains(&image), "{failure}");
}

pub(crate) async fn an_update_that_fails_names_the_new_pod(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::Runs)])
        .await;
    assert_complete(&stage.rollout(&web(), PATIENT).await);
    let old = stage.us.pods(&stage.namespace, &web()).await.unwrap();
    stage
        .apply(vec![stage.deployment("web", Behaviour::Absent)])
        .await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Image, "{failure}");
    assert_ne!(failure.pod.as_ref(), Some(&old[0].name));
}

pub(crate) async fn pods_that_are_recreated_are_not_judged_by_those_before(stage: &Stage) {
    stage.create().await;
    let recreated = |behaviour| {
        let mut body = hasty(stage, behaviour).into_body();
        body["spec"]["strategy"] = json!({ "type": "Recreate" });
        // The pods before take their time to go.
        body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(5);
        manifest(Kind::Deployment, "web", json!({ "spec": body["spec"] }))
    };
    for (behaviour, class) in [
        (Behaviour::NeverReady, FailureClass::Probe),
        (Behaviour::Absent, FailureClass::Image),
    ] {
        stage.apply(vec![recreated(behaviour)]).await;
        let failure = failure(stage.rollout(&web(), PATIENT).await);
        assert_eq!(failure.class, class, "{failure}");
    }
    stage.apply(vec![recreated(Behaviour::Runs)]).await;
    assert_complete(&stage.rollout(&web(), PATIENT).await);
}

/// Removes the pods of the workload that are stuck; gives their names.
async fn without_stuck_pods(stage: &Stage, workload: &ObjectName) -> Vec<String> {
    let workloads = std::slice::from_ref(workload);
    let removed = stage
        .us
        .remove_stuck_pods(&stage.claimant, &stage.namespace, workloads)
        .await
        .unwrap();
    match removed {
        Fenced::Done(names) => names.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

/// Polls until the controller of `web` has given up.
async fn until_given_up(stage: &Stage) {
    let deadline = Instant::now() + PATIENT;
    loop {
        let web = stage.object(Kind::Deployment, "web").await.unwrap();
        let mut conditions = web["status"]["conditions"].as_array().into_iter().flatten();
        if conditions.any(|condition| condition["reason"] == "ProgressDeadlineExceeded") {
            return;
        }
        assert!(Instant::now() < deadline, "{web}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) async fn what_failed_before_is_tried_anew(stage: &Stage) {
    stage.create().await;
    let web_as_ever = || {
        let mut body = hasty(stage, Behaviour::Runs).into_body();
        let of_secret = json!([{ "secretRef": { "name": "app-secret" } }]);
        body["spec"]["template"]["spec"]["containers"][0]["envFrom"] = of_secret;
        manifest(Kind::Deployment, "web", json!({ "spec": body["spec"] }))
    };
    stage.apply(vec![web_as_ever()]).await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Configuration, "{failure}");
    until_given_up(stage).await;
    let before = stage.us.pods(&stage.namespace, &web()).await.unwrap();

    let secret = json!({ "stringData": { "GREETING": "hello" } });
    let secret = manifest(Kind::Secret, "app-secret", secret);
    stage.apply(vec![secret]).await;
    assert_eq!(stage.apply(vec![web_as_ever()]).await, [Change::Unchanged]);
    // The kubelet may have been faster.
    for removed in without_stuck_pods(stage, &web()).await {
        assert_eq!(removed, before[0].name);
    }
    assert_complete(&stage.rollout(&web(), PATIENT).await);
    assert_eq!(without_stuck_pods(stage, &web()).await, [""; 0]);
}

fn stateful(stage: &Stage, behaviour: Behaviour) -> preview_core::objects::Manifest {
    let mut body = stage.deployment("web", behaviour).into_body();
    body["spec"]["serviceName"] = json!("web");
    manifest(Kind::StatefulSet, "web", json!({ "spec": body["spec"] }))
}

pub(crate) async fn a_stateful_set_whose_pod_is_stuck_goes_on_with_its_newest_template(
    stage: &Stage,
) {
    stage.create().await;
    let set = ObjectName::new(Kind::StatefulSet, "web");
    stage.apply(vec![stateful(stage, Behaviour::Absent)]).await;
    let failure = failure(stage.rollout(&set, PATIENT).await);
    assert_eq!(failure.class, FailureClass::Image, "{failure}");

    stage.apply(vec![stateful(stage, Behaviour::Runs)]).await;
    assert_eq!(without_stuck_pods(stage, &set).await, ["web-0"]);
    assert_complete(&stage.rollout(&set, PATIENT).await);
}

pub(crate) async fn a_newer_runs_pods_are_not_removed(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::Absent)])
        .await;
    failure(stage.rollout(&web(), PATIENT).await);
    let newer = stage.take_over().await;
    let removed = stage
        .us
        .remove_stuck_pods(&stage.claimant, &stage.namespace, &[web()])
        .await
        .unwrap();
    let by = Some(newer.fence);
    assert_eq!(removed, Fenced::Superseded { by });
    let pods = stage.us.pods(&stage.namespace, &web()).await.unwrap();
    assert_eq!(pods.len(), 1, "{pods:?}");
}

pub(crate) async fn a_container_that_crashes_shows_its_last_words(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::Crashes)])
        .await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Crash, "{failure}");
    assert_eq!(failure.message, "ended with exit code 3 (Error)");
    assert_eq!(failure.container.as_deref(), Some("main"));
    assert_eq!(failure.log, ["cannot reach the database"]);
}

pub(crate) async fn a_container_that_needs_too_much_memory_is_told_so(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::Hungry)])
        .await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::OutOfMemory, "{failure}");
    assert_eq!(failure.message, "ended with exit code 137 (OOMKilled)");
}

pub(crate) async fn a_missing_secret_is_told_by_name(stage: &Stage) {
    stage.create().await;
    let mut container = stage.container(Behaviour::Runs);
    container["envFrom"] = json!([{ "secretRef": { "name": "app-secret" } }]);
    stage.apply(vec![deployment("web", container)]).await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Configuration, "{failure}");
    assert_eq!(failure.message, r#"secret "app-secret" not found"#);
}

pub(crate) async fn a_quota_that_rejects_pods_is_told(stage: &Stage) {
    stage.create().await;
    let none = json!({ "spec": { "hard": { "pods": "0" } } });
    stage
        .apply(vec![manifest(Kind::ResourceQuota, "quota", none)])
        .await;
    stage.apply(vec![hasty(stage, Behaviour::Runs)]).await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Quota, "{failure}");
    assert!(
        failure.message.contains("exceeded quota: quota"),
        "{failure}"
    );
}

pub(crate) async fn what_is_not_ready_in_time_is_told_with_what_it_waits_for(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.deployment("web", Behaviour::NeverReady)])
        .await;
    let failure = failure(stage.rollout(&web(), stage.backend.moment).await);
    assert_eq!(failure.class, FailureClass::Probe, "{failure}");
    assert!(
        failure.pod.as_ref().unwrap().starts_with("web-"),
        "{failure}"
    );
    assert!(
        failure
            .message
            .starts_with("running and not ready: Readiness probe failed"),
        "{failure}"
    );

    // The controller's own verdict comes first where it gives up earlier.
    stage.apply(vec![hasty(stage, Behaviour::NeverReady)]).await;
    let failure = self::failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Probe, "{failure}");
    assert!(
        failure.message.starts_with("Readiness probe failed")
            && failure.message.contains("has timed out progressing"),
        "{failure}"
    );
}

pub(crate) async fn a_registry_that_does_not_answer_is_given_time(stage: &Stage) {
    stage.create().await;
    // Nobody listens at that port.
    let container = json!({ "name": "main", "image": "127.0.0.1:1/example/web:1" });
    stage.apply(vec![deployment("web", container)]).await;
    let started = Instant::now();
    let failure = failure(stage.rollout(&web(), stage.backend.moment).await);
    assert!(
        started.elapsed() >= stage.backend.moment,
        "it may answer yet: {failure}"
    );
    assert_eq!(failure.class, FailureClass::Image, "{failure}");
    assert!(failure.message.contains("connection refused"), "{failure}");
    assert_eq!(failure.log, Vec::<String>::new());
    let events = failure.events.join("\n");
    assert!(events.contains("Warning Failed Pod/web-"), "{events}");
}

pub(crate) async fn a_pod_that_no_node_takes_is_told_by_the_scheduler(stage: &Stage) {
    stage.create().await;
    let mut hasty = hasty(stage, Behaviour::Runs).into_body();
    hasty["spec"]["template"]["spec"]["nodeSelector"] = json!({ "example.com/gpu": "many" });
    let web = manifest(Kind::Deployment, "web", json!({ "spec": hasty["spec"] }));
    stage.apply(vec![web]).await;
    let failure = failure(stage.rollout(&self::web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Scheduling, "{failure}");
    assert!(failure.message.contains("nodes are available"), "{failure}");
    let events = failure.events.join("\n");
    assert!(
        events.contains("Warning FailedScheduling Pod/web-"),
        "{events}"
    );
}

pub(crate) async fn a_config_map_that_is_mounted_and_missing_is_told_by_name(stage: &Stage) {
    stage.create().await;
    let mut body = stage.deployment("web", Behaviour::Runs).into_body();
    let pod = &mut body["spec"]["template"]["spec"];
    pod["volumes"] = json!([{ "name": "settings", "configMap": { "name": "app-settings" } }]);
    pod["containers"][0]["volumeMounts"] =
        json!([{ "name": "settings", "mountPath": "/settings" }]);
    let web = manifest(Kind::Deployment, "web", json!({ "spec": body["spec"] }));
    stage.apply(vec![web]).await;
    let failure = failure(stage.rollout(&self::web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Configuration, "{failure}");
    assert!(
        failure
            .message
            .contains(r#"configmap "app-settings" not found"#),
        "{failure}"
    );
}

pub(crate) async fn a_claim_that_nobody_provides_for_is_told_with_its_events(stage: &Stage) {
    stage.create().await;
    let claim = json!({ "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "made-of-cheese",
        "resources": { "requests": { "storage": "8Mi" } },
    }});
    let mut body = hasty(stage, Behaviour::Runs).into_body();
    body["spec"]["template"]["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
    let wave = vec![
        manifest(Kind::PersistentVolumeClaim, "data", claim),
        manifest(Kind::Deployment, "web", json!({ "spec": body["spec"] })),
    ];
    stage.apply(wave).await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Volume, "{failure}");
    let events = failure.events.join("\n");
    assert!(
        events.contains("ProvisioningFailed PersistentVolumeClaim/data")
            && events.contains("made-of-cheese"),
        "{events}"
    );
}

pub(crate) async fn a_secret_that_a_container_prints_is_not_shown(stage: &Stage) {
    stage.create().await;
    let password = json!({ "stringData": { "PASSWORD": "hunter2-and-more" } });
    let mut container = stage.container(Behaviour::Blabs);
    container["envFrom"] = json!([{ "secretRef": { "name": "app-secret" } }]);
    let wave = vec![
        manifest(Kind::Secret, "app-secret", password),
        deployment("web", container),
    ];
    stage.apply(wave).await;
    let failure = failure(stage.rollout(&web(), PATIENT).await);
    assert_eq!(failure.class, FailureClass::Crash, "{failure}");
    assert_eq!(failure.log, ["cannot log in with ***"]);
}

pub(crate) async fn a_workload_that_is_not_there_is_told(stage: &Stage) {
    stage.create().await;
    let deadline = Instant::now() + PATIENT;
    let outcome = stage
        .us
        .await_rollout(&stage.namespace, &[web()], deadline, |_, _| {})
        .await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    insta::assert_snapshot!(stage.told(error), @"await the rollout in NAMESPACE: Deployment/web is not there; somebody deleted it, or it was never applied: run the deploy again");
    assert_eq!(stage.us.pods(&stage.namespace, &web()).await.unwrap(), []);
}

pub(crate) async fn a_job_completes(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.job("seed", Behaviour::Succeeds)])
        .await;
    let job = ObjectName::new(Kind::Job, "seed");
    assert_complete(&stage.rollout(&job, PATIENT).await);
    assert_complete(&stage.rollout(&job, PATIENT).await);
}

pub(crate) async fn a_job_that_fails_shows_its_last_words(stage: &Stage) {
    stage.create().await;
    stage
        .apply(vec![stage.job("migrate", Behaviour::Crashes)])
        .await;
    let job = ObjectName::new(Kind::Job, "migrate");
    let failure = failure(stage.rollout(&job, PATIENT).await);
    assert_eq!(failure.class, FailureClass::Crash, "{failure}");
    assert_eq!(failure.workload, job);
    assert!(
        failure.pod.as_ref().unwrap().starts_with("migrate-"),
        "{failure}"
    );
    assert_eq!(failure.message, "ended with exit code 3 (Error)");
    assert_eq!(failure.log, ["cannot reach the database"]);
}

pub(crate) async fn a_page_is_seen_from_outside(stage: &Stage) {
    stage.create().await;
    let service = json!({ "spec": {
        "selector": { "app": "web" },
        "ports": [{ "port": 8080 }],
    }});
    let container = json!({
        "name": "main",
        "image": stage.backend.images[0].to_string(),
        "readinessProbe": { "httpGet": { "path": "/healthz", "port": 8080 }, "periodSeconds": 1 },
    });
    let wave = vec![
        deployment("web", container),
        manifest(Kind::Service, "web", service),
    ];
    stage.apply(wave).await;
    assert_complete(&stage.rollout(&web(), PATIENT).await);
    let deadline = Instant::now() + Duration::from_secs(20);
    let fetch = |service, path| {
        stage
            .us
            .page(&stage.namespace, service, 8080, path, deadline)
    };
    let page = fetch("web", "/healthz").await.unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "alive\n"));
    assert_eq!(fetch("web", "/nothing").await.unwrap().status, 404);
    assert_eq!(fetch("nobody", "/").await.unwrap().status, 404);
}
