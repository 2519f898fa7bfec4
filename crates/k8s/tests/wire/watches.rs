//! Watches that break off.

use crate::*;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/preview-pr-7/deployments";
const REPLICA_SETS: &str = "/apis/apps/v1/namespaces/preview-pr-7/replicasets";
const PODS: &str = "/api/v1/namespaces/preview-pr-7/pods";

fn list(kind: &str, items: &Value) -> ResponseTemplate {
    ok(&json!({
        "apiVersion": if kind == "PodList" { "v1" } else { "apps/v1" },
        "kind": kind,
        "metadata": { "resourceVersion": "7" },
        "items": items,
    }))
}

fn deployments(available: u32) -> ResponseTemplate {
    let status = json!({
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": available,
        "availableReplicas": available,
    });
    let web = json!({
        "metadata": { "name": "web", "uid": "u-1", "generation": 1, "resourceVersion": "7" },
        "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": status,
    });
    list("DeploymentList", &json!([web]))
}

fn lists(at: &str) -> MockBuilder {
    get(at).and(query_param_is_missing("watch"))
}

fn watches(at: &str) -> MockBuilder {
    get(at).and(query_param("watch", "true"))
}

impl Stage {
    /// Nothing ever happens to the other kinds that a Deployment is judged by.
    async fn is_quiet(&self) {
        let silent = || ok(&json!({})).set_delay(Duration::from_secs(60));
        for (at, kind) in [(REPLICA_SETS, "ReplicaSetList"), (PODS, "PodList")] {
            self.always(lists(at), list(kind, &json!([]))).await;
            self.always(watches(at), silent()).await;
        }
    }

    async fn rollout(&self, within: Duration) -> Result<Rollout, Error> {
        let web = [ObjectName::new(Kind::Deployment, "web")];
        let deadline = Instant::now() + within;
        let verdicts = self
            .us
            .await_rollout(&self.namespace, &web, deadline, |_, _| {})
            .await?;
        Ok(verdicts.into_iter().next().unwrap().1)
    }
}

#[tokio::test]
async fn a_watch_that_cannot_be_continued_begins_again_with_a_list() {
    let gone = "too old resource version: 7 (9)";
    let as_status = status(410, "Expired", gone, json!({}));
    let event = json!({
        "type": "ERROR",
        "object": { "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": gone, "reason": "Expired", "code": 410 },
    });
    for expired in [as_status, ok(&event)] {
        let stage = Stage::new(patient()).await;
        stage.is_quiet().await;
        stage.once(lists(DEPLOYMENTS), deployments(0)).await;
        stage.always(lists(DEPLOYMENTS), deployments(1)).await;
        stage.once(watches(DEPLOYMENTS), expired).await;
        stage
            .always(
                watches(DEPLOYMENTS),
                ok(&json!({})).set_delay(Duration::from_secs(60)),
            )
            .await;
        let verdict = stage.rollout(Duration::from_secs(10)).await.unwrap();
        assert!(matches!(verdict, Rollout::Complete { .. }), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_watch_that_is_interrupted_until_the_deadline_says_so() {
    let stage = Stage::new(patient()).await;
    stage.is_quiet().await;
    stage.always(lists(DEPLOYMENTS), deployments(0)).await;
    let maintenance = status(503, "ServiceUnavailable", "maintenance", json!({}));
    stage.always(watches(DEPLOYMENTS), maintenance).await;
    let verdict = stage.rollout(Duration::from_millis(900)).await.unwrap();
    let Rollout::Failed(failure) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(failure.class, FailureClass::Timeout);
    insta::assert_snapshot!(failure.message, @"1 of 1 pods are there; the watch was interrupted: 503 maintenance");
}

#[tokio::test]
async fn a_watch_that_is_forbidden_ends_at_once() {
    let stage = Stage::new(patient()).await;
    let answer = status(403, "Forbidden", "pods is forbidden", json!({}));
    stage.always(Mock::given(any()), answer).await;
    let error = stage.rollout(Duration::from_secs(10)).await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    insta::assert_snapshot!(stage.told(&error), @"await the rollout in preview-pr-7: the cluster forbids it: pods is forbidden; grant the account of KUBECONFIG this right, or use another account");
}
