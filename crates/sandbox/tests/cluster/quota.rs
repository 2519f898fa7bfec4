//! Quotas refuse, limits fill in, and workloads tell.

use serde_json::{Value, json};

use crate::client::{Desk, deployment};

fn quota(hard: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": "q" },
        "spec": { "hard": hard },
    })
}

fn pod(name: &str, resources: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "acme/x:1", "resources": resources }] },
    })
}

#[tokio::test]
async fn a_quota_refuses_what_is_too_much_and_what_says_nothing() {
    let desk = Desk::open().await;
    desk.has(quota(json!({
        "limits.memory": "1Gi", "pods": "1", "requests.cpu": "1", "requests.storage": "1Gi",
    })))
    .await;
    let path = |name: &str| format!("/api/v1/namespaces/shop/pods/{name}");
    let (status, answer) = desk.apply(&path("p"), pod("p", json!({}))).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "pods \"p\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c"
    );
    let some = json!({ "limits": { "memory": "600Mi", "cpu": "600m" } });
    let made = desk.has(pod("p", some.clone())).await;
    assert_eq!(
        made["spec"]["containers"][0]["resources"]["requests"]["memory"],
        "600Mi"
    );
    let (_, answer) = desk.apply(&path("p2"), pod("p2", some)).await;
    assert_eq!(
        answer["message"],
        "pods \"p2\" is forbidden: exceeded quota: q, requested: limits.memory=600Mi,pods=1,requests.cpu=600m, \
         used: limits.memory=600Mi,pods=1,requests.cpu=600m, limited: limits.memory=1Gi,pods=1,requests.cpu=1"
    );
    let used = desk
        .until("what is used", |cluster| {
            let quota = cluster.object("ResourceQuota", "shop", "q")?;
            let used = quota["status"]["used"].clone();
            (used["pods"] == "1").then_some(used)
        })
        .await;
    assert_eq!(used["limits.memory"], "600Mi");
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": "v" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } } },
    });
    let (_, answer) = desk
        .apply("/api/v1/namespaces/shop/persistentvolumeclaims/v", claim)
        .await;
    assert_eq!(
        answer["message"],
        "persistentvolumeclaims \"v\" is forbidden: exceeded quota: q, requested: requests.storage=2Gi, used: \
         requests.storage=0, limited: requests.storage=1Gi"
    );
    let odd = quota(json!({ "requests.nvidia.com/gpu": "1" }));
    let (status, _) = desk
        .apply("/api/v1/namespaces/shop/resourcequotas/q", odd)
        .await;
    assert_eq!(status, 501, "what is not counted is refused loudly");
}

#[tokio::test]
async fn a_deployment_beyond_its_quota_tells_and_comes_up_when_there_is_room() {
    let desk = Desk::open().await;
    desk.has(json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": { "name": "l" },
        "spec": { "limits": [{
            "type": "Container",
            "default": { "memory": "256Mi" },
            "defaultRequest": { "memory": "128Mi" },
        }] },
    }))
    .await;
    desk.has(quota(json!({ "limits.memory": "256Mi" }))).await;
    desk.has(deployment("web", "acme/web:1", 2)).await;
    let failure = desk
        .until("the failure", |cluster| {
            let web = cluster.object("Deployment", "shop", "web")?;
            let conditions = web["status"]["conditions"].as_array()?.clone();
            let failure = conditions
                .into_iter()
                .find(|c| c["type"] == "ReplicaFailure")?;
            (web["status"]["readyReplicas"] == 1).then_some(failure)
        })
        .await;
    assert_eq!(
        (&failure["status"], &failure["reason"]),
        (&json!("True"), &json!("FailedCreate"))
    );
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.contains("exceeded quota: q, requested: limits.memory=256Mi"),
        "{message}"
    );
    let warnings = desk.cluster.objects("Event", "shop");
    let failed = warnings
        .iter()
        .filter(|event| event["reason"] == "FailedCreate")
        .count();
    assert_eq!(failed, 1, "the same refusal is the same event");
    let (_, events) = desk
        .get("/api/v1/namespaces/shop/events?fieldSelector=involvedObject.kind%3DReplicaSet%2Ctype%3DWarning")
        .await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1);

    desk.has(quota(json!({ "limits.memory": "512Mi" }))).await;
    desk.until("both pods", |cluster| {
        let web = cluster.object("Deployment", "shop", "web")?;
        let conditions = web["status"]["conditions"].to_string();
        (web["status"]["availableReplicas"] == 2 && !conditions.contains("ReplicaFailure"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_namespace_at_baseline_takes_no_privileged_pod() {
    let desk = Desk::open().await;
    let level = |level: &str| json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": level } } });
    let shop = "/api/v1/namespaces/shop";
    assert_eq!(desk.merge(shop, level("baseline")).await.0, 200);
    let mut bold = pod("p", json!({}));
    bold["spec"]["hostNetwork"] = json!(true);
    bold["spec"]["containers"][0]["securityContext"] = json!({ "privileged": true });
    let (status, answer) = desk.apply("/api/v1/namespaces/shop/pods/p", bold).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true), \
         privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    desk.has(pod("p", json!({}))).await;
    assert_eq!(desk.merge(shop, level("restricted")).await.0, 501);
}
