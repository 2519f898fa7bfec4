//! Server-side apply: who owns what, and what is refused. The answers are those of kube-apiserver v1.36.3.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::client::{Desk, brief, deployment};

const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const CONFIG: &str = "/api/v1/namespaces/shop/configmaps/c";

fn config(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": data })
}

fn with(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"][key] = json!(value);
    object
}

const NOBODY: &str = "11111111-2222-3333-4444-555555555555";

#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let desk = Desk::open().await;
    let mut web = deployment("web", "acme/web:1", 0);
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    container["resources"] =
        json!({ "requests": { "cpu": "0.5" }, "limits": { "memory": "1024Mi" } });
    container["env"] = json!([{ "name": "EMPTY", "value": "" }]);
    container["ports"] = json!([{ "containerPort": 80 }]);
    desk.has(web.clone()).await;
    let before = desk
        .until("its controller", |cluster| {
            let web = cluster.object("Deployment", "shop", "web")?;
            let reason = &web["status"]["conditions"][1]["reason"];
            (reason == "NewReplicaSetAvailable").then_some(web)
        })
        .await;
    let after = desk.has(web).await;
    assert_eq!(before, after);
    assert_eq!(after["metadata"]["generation"], 1);
}

#[tokio::test]
async fn a_field_is_owned_and_taken_only_by_force() {
    let desk = Desk::open().await;
    let mut web = deployment("web", "x", 0);
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{ "name": "A", "value": "b" }]);
    container["ports"] = json!([{ "containerPort": 80 }]);
    let (status, made) = desk.apply_as("me", WEB, web).await;
    assert_eq!(status, 201, "{made}");
    assert_snapshot!(format!("{:#}", made["metadata"]["managedFields"][0]["fieldsV1"]), @r#"
    {
      "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
          "f:metadata": {
            "f:labels": {
              "f:app": {}
            }
          },
          "f:spec": {
            "f:containers": {
              "k:{\"name\":\"web\"}": {
                ".": {},
                "f:env": {
                  "k:{\"name\":\"A\"}": {
                    ".": {},
                    "f:name": {},
                    "f:value": {}
                  }
                },
                "f:image": {},
                "f:name": {},
                "f:ports": {
                  "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                    ".": {},
                    "f:containerPort": {}
                  }
                }
              }
            }
          }
        }
      }
    }
    "#);

    let mut other = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web" },
        "spec": { "template": { "spec": { "containers": [{ "name": "web", "image": "y" }] } } },
    });
    let (_, answer) = desk.apply_as("other", WEB, other.clone()).await;
    assert_snapshot!(format!("{:#}", brief(&answer)), @r#"
    {
      "causes": [
        {
          "field": ".spec.template.spec.containers[name=\"web\"].image",
          "message": "conflict with \"me\"",
          "reason": "FieldManagerConflict"
        }
      ],
      "code": 409,
      "message": "Apply failed with 1 conflict: conflict with \"me\": .spec.template.spec.containers[name=\"web\"].image",
      "reason": "Conflict"
    }
    "#);

    let (status, taken) = desk.apply(WEB, other.clone()).await;
    assert_eq!(status, 200, "{taken}");
    let containers = &taken["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], "y");
    assert_eq!(
        containers[0]["env"],
        json!([{ "name": "A", "value": "b" }]),
        "what others own stays"
    );
    assert_eq!(taken["metadata"]["generation"], 2);

    // A name that is not there is no mistake: it is another container.
    other["spec"]["template"]["spec"]["containers"] = json!([{ "name": "wob", "image": "y" }]);
    let (_, added) = desk.apply_as("third", WEB, other).await;
    let names: Vec<&str> = added["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["web", "wob"]);
}

#[tokio::test]
async fn what_its_only_owner_does_not_apply_any_more_is_removed() {
    let desk = Desk::open().await;
    desk.has(config(json!({ "a": "1", "b": "2" }))).await;
    desk.apply_as("other", CONFIG, config(json!({ "b": "2", "c": "3" })))
        .await;
    let left = desk.has(config(json!({ "a": "1" }))).await;
    assert_eq!(
        left["data"],
        json!({ "a": "1", "b": "2", "c": "3" }),
        "b is the other's, too"
    );
    let (_, left) = desk
        .apply_as("other", CONFIG, config(json!({ "c": "3" })))
        .await;
    assert_eq!(left["data"], json!({ "a": "1", "c": "3" }));

    let web = |env: Value| {
        let mut web = deployment("web", "x", 0);
        web["spec"]["template"]["spec"]["containers"][0]["env"] = env;
        web
    };
    desk.has(web(
        json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]),
    ))
    .await;
    let left = desk.has(web(json!([{ "name": "B", "value": "2" }]))).await;
    let env = &left["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(
        *env,
        json!([{ "name": "B", "value": "2" }]),
        "items of lists, too"
    );

    // A merge patch takes what it changes, and only that.
    let (_, patched) = desk
        .merge(
            &format!("{CONFIG}?fieldManager=editor"),
            json!({ "data": { "a": "x", "d": "4" } }),
        )
        .await;
    assert_eq!(patched["data"], json!({ "a": "x", "c": "3", "d": "4" }));
    let (status, answer) = desk
        .apply_as("us", CONFIG, config(json!({ "a": "1" })))
        .await;
    assert_eq!(status, 409, "{answer}");
    assert!(
        answer["message"]
            .as_str()
            .unwrap()
            .contains("conflict with \"editor\" using v1: .data.a")
    );
}

#[tokio::test]
async fn conditions_on_version_and_uid_are_kept() {
    let desk = Desk::open().await;
    let (_, absent) = desk
        .apply(CONFIG, with(config(json!({})), "uid", NOBODY))
        .await;
    assert_eq!(absent["code"], 409);
    assert_eq!(
        absent["message"],
        format!(
            "Operation cannot be fulfilled on configmaps \"c\": uid mismatch: the provided object specified uid \
             {NOBODY}, and no existing object was found"
        )
    );
    let made = desk
        .has(with(config(json!({ "a": "1" })), "resourceVersion", "1"))
        .await;
    let (_, stale) = desk
        .apply(CONFIG, with(config(json!({})), "resourceVersion", "1"))
        .await;
    assert_eq!(
        (&stale["code"], &stale["reason"]),
        (&json!(409), &json!("Conflict"))
    );
    let (_, foreign) = desk
        .apply(CONFIG, with(config(json!({})), "uid", NOBODY))
        .await;
    assert_eq!(foreign["code"], 422);
    assert_eq!(foreign["details"]["causes"][0]["field"], "metadata.uid");

    let delete = |key: &str, value: &str| json!({ "preconditions": { key: value } });
    let (_, answer) = desk.delete(CONFIG, delete("uid", NOBODY)).await;
    assert_eq!(answer["code"], 409);
    let (_, answer) = desk.delete(CONFIG, delete("resourceVersion", "1")).await;
    assert_eq!(answer["code"], 409);
    assert_eq!(desk.get(CONFIG).await.1, made);
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let (status, _) = desk.delete(CONFIG, delete("uid", uid)).await;
    assert_eq!(status, 200);
    assert_eq!(desk.get(CONFIG).await.0, 404);
}

#[tokio::test]
async fn mistakes_are_told_in_the_servers_words() {
    let desk = Desk::open().await;
    let mut messages = Vec::new();
    let mut tell = |(status, answer): (u16, Value)| {
        messages.push(format!(
            "{status} {}",
            answer["message"].as_str().unwrap_or_default()
        ));
    };
    let mut misspelt = config(json!({}));
    misspelt["dota"] = json!({});
    tell(desk.apply(CONFIG, misspelt).await);
    tell(desk.apply(CONFIG, config(json!({ "a": 1 }))).await);
    let mut web = deployment("web", "x", 0);
    web["spec"]["template"]["spec"]["containers"][0]["image"] = Value::Null;
    tell(desk.apply(WEB, web).await);
    let mut web = deployment("web", "x", 0);
    let containers = &mut web["spec"]["template"]["spec"]["containers"];
    *containers = json!([containers[0], containers[0]]);
    tell(desk.apply(WEB, web).await);
    let mut web = deployment("web", "x", 0);
    web["spec"]["selector"]["matchLabels"]["app"] = json!("web2");
    tell(desk.apply(WEB, web).await);
    let labelled = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "labels": { "a": "-b" } } });
    tell(desk.apply(CONFIG, labelled).await);
    let elsewhere = CONFIG.replace("shop", "nowhere");
    tell(desk.apply(&elsewhere, config(json!({}))).await);
    tell(desk.get(CONFIG).await);
    tell(desk.get("/api/v1/nodes").await);
    assert_snapshot!(messages.join("\n"), @r#"
    500 failed to create typed patch object (/c; /v1, Kind=ConfigMap): .dota: field not declared in schema
    500 failed to create typed patch object (/c; /v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:1}
    422 Deployment.apps "web" is invalid: spec.template.spec.containers[0].image: Required value
    500 failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="web"]
    422 Deployment.apps "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
    422 ConfigMap "c" is invalid: metadata.labels: Invalid value: "-b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
    404 namespaces "nowhere" not found
    404 configmaps "c" not found
    501 the sandbox's cluster does not model GET /api/v1/nodes? () 
    "#);
}

#[tokio::test]
async fn only_the_token_opens_the_door() {
    let desk = Desk::open().await;
    let url = format!("{}/api/v1/namespaces", desk.cluster.url());
    let ask = reqwest::Client::new().get(url);
    let answer = ask.bearer_auth("wrong").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (&body["reason"], &body["message"]),
        (&json!("Unauthorized"), &json!("Unauthorized"))
    );
    let debug = format!("{:?}", desk.cluster);
    assert!(!debug.contains(&desk.cluster.token()), "{debug}");
}
