//! Workloads come up, are updated, and fail.

use sandbox::World;
use sandbox::cluster::Behaviour;
use sandbox::registry::Image;
use serde_json::{Value, json};

use crate::client::{Desk, deployment};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn is_rolled_out(deployment: &Value) -> bool {
    let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"]
            .into_iter()
            .all(|count| status[count] == *wanted)
}

async fn rolled_out(desk: &Desk) -> Value {
    desk.until("the rollout", |cluster| {
        cluster
            .object("Deployment", "shop", "web")
            .filter(is_rolled_out)
    })
    .await
}

#[tokio::test]
async fn a_deployment_comes_up_and_is_updated_without_a_gap() {
    let desk = Desk::open().await;
    desk.has(deployment("web", "acme/web:1", 2)).await;
    let first = rolled_out(&desk).await;
    assert_eq!(
        first["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );

    desk.has(deployment("web", "acme/web:2", 2)).await;
    let mut fewest = 2;
    desk.until("the second rollout", |cluster| {
        let ready = cluster
            .pods("shop")
            .iter()
            .filter(|pod| pod.ready && !pod.terminating)
            .count();
        fewest = fewest.min(ready);
        cluster
            .object("Deployment", "shop", "web")
            .filter(is_rolled_out)
    })
    .await;
    assert_eq!(
        fewest, 2,
        "25 % of two pods, rounded down, may be unavailable"
    );
    let second = rolled_out(&desk).await;
    assert_eq!(
        second["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "2"
    );
    let images = desk
        .until("only the new pods", |cluster| {
            let pods = cluster.pods("shop");
            (pods.len() == 2).then(|| {
                pods.iter()
                    .flat_map(|pod| pod.images.clone())
                    .collect::<Vec<_>>()
            })
        })
        .await;
    assert_eq!(images, ["acme/web:2", "acme/web:2"]);
    assert_eq!(desk.cluster.names("ReplicaSet", "shop").len(), 2);

    let (status, _) = desk.delete(DEPLOYMENT, Value::Null).await;
    assert_eq!(status, 200);
    desk.until("nothing left", |cluster| {
        cluster.contents("shop").is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn images_of_the_registry_are_pulled_by_digest_and_absent_ones_are_told() {
    let world = World::start().await.unwrap();
    let digest = world
        .registry
        .publish("acme/web", "v1", &Image::of("1111111"));
    let desk = Desk::at(world.cluster.clone());
    let host = world.registry.host();
    desk.has(deployment("web", &format!("{host}/acme/web:v1"), 1))
        .await;
    rolled_out(&desk).await;
    let pods = desk.cluster.pods("shop");
    assert_eq!(pods[0].image_ids, [format!("{host}/acme/web@{digest}")]);

    desk.has(deployment("web", &format!("{host}/acme/web:v2"), 1))
        .await;
    let message = desk
        .until("a pull that fails", |cluster| {
            waiting(cluster, "ImagePullBackOff")
        })
        .await;
    assert!(
        message.contains(&format!("{host}/acme/web:v2: not found")),
        "{message}"
    );
    assert!(
        desk.cluster.pods("shop").iter().any(|pod| pod.ready),
        "the old pod stays"
    );
    let warnings = desk.cluster.objects("Event", "shop");
    assert!(
        warnings.iter().any(|event| event["reason"] == "Failed"),
        "{warnings:?}"
    );

    // What appears in the registry is found by the next attempt.
    world
        .registry
        .publish("acme/web", "v2", &Image::of("2222222"));
    rolled_out(&desk).await;
}

/// The message of the first container that waits for `reason`.
fn waiting(cluster: &sandbox::cluster::Cluster, reason: &str) -> Option<String> {
    let pods = cluster.objects("Pod", "shop");
    pods.iter().find_map(|pod| {
        let statuses = pod["status"]["containerStatuses"].as_array()?;
        let waiting = statuses.iter().map(|status| &status["state"]["waiting"]);
        let mut waiting = waiting.filter(|waiting| waiting["reason"] == reason);
        Some(
            waiting.next()?["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    })
}

#[tokio::test]
async fn a_container_that_crashes_backs_off_and_leaves_its_log() {
    let desk = Desk::open().await;
    let log = vec!["connecting".to_owned(), "no database".to_owned()];
    desk.cluster
        .behave("acme/web", Behaviour::Crash { exit_code: 3, log });
    desk.has(deployment("web", "acme/web:1", 1)).await;
    let pod = desk
        .until("three restarts", |cluster| {
            let pods = cluster.objects("Pod", "shop");
            pods.into_iter().find(|pod| {
                let status = &pod["status"]["containerStatuses"][0];
                status["restartCount"].as_i64() >= Some(3)
                    && status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            })
        })
        .await;
    let ended = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(
        (&ended["exitCode"], &ended["reason"]),
        (&json!(3), &json!("Error"))
    );
    let name = pod["metadata"]["name"].as_str().unwrap();
    let path =
        format!("/api/v1/namespaces/shop/pods/{name}/log?container=web&previous=true&tailLines=1");
    let log = desk.watch(&path).await.text().await.unwrap();
    assert_eq!(log, "no database\n");

    desk.cluster.behave("acme/web", Behaviour::OutOfMemory);
    desk.until("an end for memory", |cluster| {
        let pods = cluster.objects("Pod", "shop");
        let ended = &pods.first()?["status"]["containerStatuses"][0]["lastState"]["terminated"];
        (ended["reason"] == "OOMKilled" && ended["exitCode"] == 137).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_key_of_a_secret_is_a_configuration_error_until_it_is_there() {
    let desk = Desk::open().await;
    let mut web = deployment("web", "acme/web:1", 1);
    web["spec"]["template"]["spec"]["containers"][0]["env"] = json!([
        { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "app", "key": "PASSWORD" } } },
    ]);
    desk.has(web).await;
    let reason = "CreateContainerConfigError";
    let message = desk
        .until("the error", |cluster| waiting(cluster, reason))
        .await;
    assert_eq!(message, "secret \"app\" not found");
    let secret = |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "app" }, "stringData": data });
    desk.has(secret(json!({ "OTHER": "x" }))).await;
    let lacking = "couldn't find key PASSWORD in Secret shop/app";
    desk.until("the other error", |cluster| {
        waiting(cluster, reason).filter(|message| message == lacking)
    })
    .await;
    desk.has(secret(json!({ "PASSWORD": "x" }))).await;
    rolled_out(&desk).await;
}

#[tokio::test]
async fn a_rollout_that_does_not_move_exceeds_its_deadline() {
    let desk = Desk::open().await;
    desk.cluster.behave("acme/web", Behaviour::NeverReady);
    let mut web = deployment("web", "acme/web:1", 1);
    web["spec"]["progressDeadlineSeconds"] = json!(1);
    web["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] =
        json!({ "httpGet": { "path": "/ready", "port": 80 } });
    desk.has(web).await;
    let told = desk
        .until("the deadline", |cluster| {
            let web = cluster.object("Deployment", "shop", "web")?;
            let conditions = web["status"]["conditions"].as_array()?.clone();
            conditions
                .into_iter()
                .find(|c| c["reason"] == "ProgressDeadlineExceeded")
        })
        .await;
    assert_eq!(
        (&told["type"], &told["status"]),
        (&json!("Progressing"), &json!("False"))
    );
    assert!(
        told["message"]
            .as_str()
            .unwrap()
            .ends_with("has timed out progressing."),
        "{told}"
    );
}

fn job(name: &str, restart: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": {
            "backoffLimit": 1,
            "template": {
                "spec": {
                    "restartPolicy": restart,
                    "containers": [{ "name": "migrate", "image": format!("acme/{name}:1") }],
                },
            },
        },
    })
}

#[tokio::test]
async fn jobs_complete_or_fail_and_their_template_does_not_change() {
    let desk = Desk::open().await;
    desk.cluster.behave(
        "acme/bad",
        Behaviour::Crash {
            exit_code: 1,
            log: vec!["oh".into()],
        },
    );
    desk.has(job("good", "Never")).await;
    desk.has(job("bad", "Never")).await;
    let ended = |name: &'static str, kind: &'static str| {
        move |cluster: &sandbox::cluster::Cluster| {
            let job = cluster.object("Job", "shop", name)?;
            let conditions = job["status"]["conditions"].as_array()?;
            let ended = conditions
                .iter()
                .any(|c| c["type"] == kind && c["status"] == "True");
            ended.then(|| job["status"].clone())
        }
    };
    let good = desk
        .until("a complete Job", ended("good", "Complete"))
        .await;
    assert_eq!(
        (&good["succeeded"], &good["failed"]),
        (&json!(1), &Value::Null)
    );
    let bad = desk.until("a failed Job", ended("bad", "Failed")).await;
    assert_eq!(bad["failed"], 2);
    assert!(
        bad["conditions"]
            .to_string()
            .contains("BackoffLimitExceeded")
    );

    let mut other = job("good", "Never");
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("acme/good:2");
    let (status, answer) = desk
        .apply("/apis/batch/v1/namespaces/shop/jobs/good", other)
        .await;
    assert_eq!(
        (status, &answer["details"]["causes"][0]["field"]),
        (422, &json!("spec.template"))
    );

    let (status, _) = desk
        .delete(
            "/apis/batch/v1/namespaces/shop/jobs/good",
            json!({ "propagationPolicy": "Background" }),
        )
        .await;
    assert_eq!(status, 200);
    desk.until("no pod of the Job", |cluster| {
        cluster
            .pods("shop")
            .iter()
            .all(|pod| !pod.name.starts_with("good"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_has_a_claim_and_a_volume_that_outlive_it() {
    let desk = Desk::open().await;
    desk.has(json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "database" },
        "spec": {
            "serviceName": "database",
            "replicas": 2,
            "selector": { "matchLabels": { "app": "database" } },
            "template": {
                "metadata": { "labels": { "app": "database" } },
                "spec": {
                    "containers": [{
                        "name": "postgres",
                        "image": "postgres:16",
                        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                    }],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            }],
        },
    }))
    .await;
    let set = desk
        .until("the set", |cluster| {
            let set = cluster.object("StatefulSet", "shop", "database")?;
            (set["status"]["availableReplicas"] == 2).then_some(set)
        })
        .await;
    assert_eq!(
        set["status"]["updateRevision"],
        set["status"]["currentRevision"]
    );
    let pod = desk.cluster.object("Pod", "shop", "database-0").unwrap();
    let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
    assert_eq!(*revision, set["status"]["updateRevision"]);
    assert!(
        pod["status"]["containerStatuses"][0]["imageID"]
            .as_str()
            .unwrap()
            .starts_with("docker.io/library/postgres@sha256:")
    );

    let claim = desk
        .cluster
        .object("PersistentVolumeClaim", "shop", "data-database-0")
        .unwrap();
    let (_, volumes) = desk.get("/api/v1/persistentvolumes").await;
    assert_eq!(volumes["items"].as_array().unwrap().len(), 2);
    let volume = claim["spec"]["volumeName"].as_str().unwrap();
    let volume = desk.cluster.object("PersistentVolume", "", volume).unwrap();
    assert_eq!(volume["spec"]["claimRef"]["uid"], claim["metadata"]["uid"]);

    desk.delete(
        "/apis/apps/v1/namespaces/shop/statefulsets/database",
        Value::Null,
    )
    .await;
    desk.until("no pods", |cluster| {
        cluster.pods("shop").is_empty().then_some(())
    })
    .await;
    assert_eq!(desk.cluster.names("PersistentVolumeClaim", "shop").len(), 2);
    let claim = "/api/v1/namespaces/shop/persistentvolumeclaims/data-database-0";
    desk.delete(claim, Value::Null).await;
    desk.until("one volume less", |cluster| {
        (cluster.names("PersistentVolume", "").len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_service_shows_a_page_as_soon_as_a_pod_is_ready() {
    let world = World::start().await.unwrap();
    let commit = "1111111111111111111111111111111111111111";
    world.registry.publish("acme/web", "v1", &Image::of(commit));
    let desk = Desk::at(world.cluster.clone());
    desk.has(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "app-config" },
        "data": { "ENV": "preview" },
    }))
    .await;
    desk.has(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    }))
    .await;
    let page = "/api/v1/namespaces/shop/services/web:80/proxy/";
    let (status, answer) = desk.get(page).await;
    assert_eq!(status, 503);
    assert_eq!(
        answer["message"],
        "no endpoints available for service \"web\""
    );

    let mut web = deployment("web", &format!("{}/acme/web:v1", world.registry.host()), 1);
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    container["ports"] = json!([{ "containerPort": 8080 }]);
    container["envFrom"] = json!([{ "configMapRef": { "name": "app-config" } }]);
    desk.has(web).await;
    rolled_out(&desk).await;
    let shown = desk.watch(page).await.text().await.unwrap();
    assert!(
        shown.contains("<b id=\"environment\">preview</b>"),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("<code id=\"revision\">{commit}</code>")),
        "{shown}"
    );

    let (status, answer) = desk
        .get("/api/v1/namespaces/shop/services/web:81/proxy/")
        .await;
    assert_eq!(status, 503);
    assert_eq!(
        answer["message"],
        "no service port 81 found for service \"web\""
    );
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_is_not_scheduled() {
    let desk = Desk::open().await;
    desk.cluster.limit_node("1", "1Gi");
    let mut web = deployment("web", "acme/web:1", 1);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({ "requests": { "memory": "2Gi" } });
    desk.has(web).await;
    let told = desk
        .until("a pod without a node", |cluster| {
            let pods = cluster.objects("Pod", "shop");
            let conditions = pods.first()?["status"]["conditions"].as_array()?.clone();
            conditions.into_iter().find(|c| c["type"] == "PodScheduled")
        })
        .await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("False"), &json!("Unschedulable"))
    );
    let message = told["message"].as_str().unwrap();
    assert!(
        message.starts_with("0/1 nodes are available: 1 Insufficient memory."),
        "{message}"
    );
}
