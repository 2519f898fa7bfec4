//! What is told of previews that do not come up: which class, where, why, who acts and how to go on, and nothing secret.

use std::fs;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sandbox::Fault;
use sandbox::cluster::Behaviour;
use sandbox::registry::{Image, Registry};
use secrecy::ExposeSecret as _;

use crate::DEPLOY;
use crate::shop::{Ran, Shop, soon};

/// The shop's page and API. The page is given two seconds, and is written otherwise than it should be.
fn manifests(container: &str, pod: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  progressDeadlineSeconds: 2
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec: {{ {pod} containers: [{{ name: web, image: REGISTRY/acme/web{container} }}] }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: api }}
spec:
  selector: {{ matchLabels: {{ app: api }} }}
  template:
    metadata: {{ labels: {{ app: api }} }}
    spec: {{ containers: [{{ name: api, image: REGISTRY/acme/api }}] }}
"
    )
}

/// What goes wrong with a page: what it is called here, what the container does, and how container and pod are written.
type Wrong = (&'static str, Option<Behaviour>, &'static str, &'static str);

fn wrongs() -> [Wrong; 6] {
    let asked = ", readinessProbe: { httpGet: { path: /ready, port: 8080 } }";
    [
        ("uses too much memory", Some(Behaviour::OutOfMemory), "", ""),
        ("is never ready", Some(Behaviour::NeverReady), asked, ""),
        (
            "needs a ConfigMap that is not there",
            None,
            ", envFrom: [{ configMapRef: { name: settings } }]",
            "",
        ),
        (
            "mounts a ConfigMap that is not there",
            None,
            ", volumeMounts: [{ name: settings, mountPath: /settings }]",
            "volumes: [{ name: settings, configMap: { name: settings } }],",
        ),
        (
            "fits on no node",
            None,
            "",
            "nodeSelector: { kubernetes.io/hostname: elsewhere },",
        ),
        (
            "mounts a claim that nobody made",
            None,
            ", volumeMounts: [{ name: data, mountPath: /data }]",
            "volumes: [{ name: data, persistentVolumeClaim: { claimName: data } }],",
        ),
    ]
}

async fn deploy(shop: &Shop, number: u64, more: &[&str]) -> Ran {
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let arguments = [&["--pr", &pr, "--sha", &head], more].concat();
    shop.run(DEPLOY, &arguments, &[]).await
}

/// What the comment says of a page that is wrong in this way.
async fn told((what, behaviour, container, pod): Wrong) -> String {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    if let Some(behaviour) = behaviour {
        shop.world.cluster.behave("acme/web", behaviour);
    }
    let text = manifests(container, pod).replace("REGISTRY", &shop.world.registry.host());
    let file = shop.path("rendered.yaml");
    fs::write(&file, text).unwrap();
    let ran = deploy(&shop, number, &["--manifests", file.to_str().unwrap()])
        .await
        .exits(3);
    let class = ran.result["class"].as_str().unwrap().to_owned();
    assert_eq!(ran.result["failure"]["class"], class);
    shop.close();
    let comment = shop.without_uids(&shop.without_hashes(&shop.comment(number)));
    let (_, said) = comment.split_once("**What failed**: ").unwrap();
    let (said, _) = said.split_once("\n\n[The run").unwrap();
    format!("A page that {what}: {class}\n{said}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_told_with_its_class_and_what_explains_it() {
    let all = join_all(wrongs().map(told)).await;
    insta::assert_snapshot!(all.join("\n"), @r#"
    A page that uses too much memory: out-of-memory
    out of memory — `Deployment/web`, pod `web-[x]-[x]`, container `web`
    **Message**: ended with exit code 137 (OOMKilled)
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs web-[x]-[x] -c web --previous`

    What Kubernetes noted last:

    ```text
    Warning BackOff Pod/web-[x]-[x]: Back-off restarting failed container web in pod web-[x]-[x]_preview-pr-7([uid])
    ```

    A page that is never ready: probe
    never becomes ready — `Deployment/web`, pod `web-[x]-[x]`, container `web`
    **Message**: Readiness probe failed: HTTP probe failed with statuscode: 503; ReplicaSet "web-[x]" has timed out progressing.
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs web-[x]-[x] -c web`

    What Kubernetes noted last:

    ```text
    Warning Unhealthy Pod/web-[x]-[x]: Readiness probe failed: HTTP probe failed with statuscode: 503
    ```

    A page that needs a ConfigMap that is not there: configuration
    configuration is broken — `Deployment/web`, pod `web-[x]-[x]`, container `web`
    **Message**: configmap "settings" not found
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 describe pod web-[x]-[x]`

    What Kubernetes noted last:

    ```text
    Warning Failed Pod/web-[x]-[x]: Error: configmap "settings" not found
    ```

    A page that mounts a ConfigMap that is not there: configuration
    configuration is broken — `Deployment/web`, pod `web-[x]-[x]`
    **Message**: MountVolume.SetUp failed for volume "settings" : configmap "settings" not found
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 describe pod web-[x]-[x]`

    What Kubernetes noted last:

    ```text
    Warning FailedMount Pod/web-[x]-[x]: MountVolume.SetUp failed for volume "settings" : configmap "settings" not found
    ```

    A page that fits on no node: scheduling
    pod cannot be scheduled — `Deployment/web`, pod `web-[x]-[x]`
    **Message**: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 describe pod web-[x]-[x]`

    What Kubernetes noted last:

    ```text
    Warning FailedScheduling Pod/web-[x]-[x]: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.
    ```

    A page that mounts a claim that nobody made: volume
    volume cannot be used — `Deployment/web`, pod `web-[x]-[x]`
    **Message**: 0/1 nodes are available: persistentvolumeclaim "data" not found. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
    **Who acts**: whoever operates the previews
    **Next**: `kubectl -n preview-pr-7 describe pod web-[x]-[x]`

    What Kubernetes noted last:

    ```text
    Warning FailedScheduling Pod/web-[x]-[x]: 0/1 nodes are available: persistentvolumeclaim "data" not found. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
    ```
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_an_application_prints_is_shown_nowhere() {
    let shop = Shop::open().await;
    let path = shop.path("preview.toml");
    let text = fs::read_to_string(&path).unwrap();
    let hint = "ask in #platform, or https://wiki.example.com/kubectl";
    fs::write(&path, format!("{text}\n[access]\nhint = \"{hint}\"\n")).unwrap();
    let number = shop.open_pull_request();
    let log = vec!["cannot reach postgres://shop:$(DATABASE_PASSWORD)@database/shop".to_owned()];
    shop.world
        .cluster
        .behave("acme/web", Behaviour::Crash { exit_code: 3, log });
    let payload = shop.repository.workflow_run_payload(number);
    let ran = shop.on(DEPLOY, "workflow_run", &payload).await.exits(3);
    let comment = shop.comment(number);
    for said in [
        "cannot reach postgres://shop:***@database/shop",
        "**Access**: ask in \\#platform, or https://wiki.example.com/kubectl",
    ] {
        assert!(comment.contains(said), "{comment}");
    }
    let namespace = "preview-pr-7".parse().unwrap();
    let cluster = visitor(&shop).await;
    let password = cluster.secret_value(&namespace, "app-secret", "DATABASE_PASSWORD");
    let password = password.await.unwrap().unwrap();
    let password = password.expose_secret();
    let result = ran.result.to_string();
    for text in [&comment, &ran.stdout, &ran.stderr, &result, &ran.summary] {
        assert!(!text.contains(password), "the password is shown:\n{text}");
    }
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_for_a_moment_fails_nothing() {
    let shop = Shop::open().await;
    let late = Registry::start().await.unwrap();
    late.publish("acme/postgres", "1", &Image::unlabelled());
    let path = shop.path("preview.toml");
    let text = fs::read_to_string(&path).unwrap();
    let image = format!("[database]\nimage = \"{}/acme/postgres:1\"", late.host());
    fs::write(&path, text.replace("[database]", &image)).unwrap();
    let number = shop.open_pull_request();
    let payload = shop.repository.workflow_run_payload(number);
    let deploy = shop.on(DEPLOY, "workflow_run", &payload);
    let cluster = &shop.world.cluster;
    let comes = async {
        // So far the node finds nobody at that address.
        soon("a pull failed, and another one", || {
            let pod = cluster.object("Pod", "preview-pr-7", "database-0");
            pod.is_some_and(|pod| {
                let state = &pod["status"]["containerStatuses"][0]["state"];
                state["waiting"]["reason"] == "ImagePullBackOff"
            })
        })
        .await;
        cluster.pull_from(&late);
    };
    let (ran, ()) = tokio::join!(deploy, comes);
    ran.exits(0);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_version_answers_throughout_an_update_that_fails() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    deploy(&shop, number, &[]).await.exits(0);
    ci_breaks_the_page(&shop, number);

    let cluster = visitor(&shop).await;
    let namespace = "preview-pr-7".parse().unwrap();
    let mut asked = 0;
    let update = deploy(&shop, number, &[]);
    tokio::pin!(update);
    let ran = loop {
        let deadline = Instant::now() + Duration::from_secs(10);
        let page = cluster.page(&namespace, "web", 8080, "/", deadline);
        tokio::select! {
            ran = &mut update => break ran,
            page = page => {
                let page = page.unwrap();
                assert!(page.status == 200 && page.body.contains(&built_from), "{page:?}");
                asked += 1;
            }
        }
    };
    ran.exits(3);
    assert!(asked > 20, "asked {asked} times");
    insta::assert_snapshot!(shop.without_hashes(&shop.comment(number)), @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ❌ Failed — updating after [time]
    **URL**: https://7.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    **What failed**: container crashes — `Deployment/web`, pod `web-[x]-[x]`, container `web`
    **Message**: ended with exit code 3 (Error)
    **Who acts**: the author of this pull request
    **Next**: `kubectl -n preview-pr-7 logs web-[x]-[x] -c web --previous`

    The last lines it printed:

    ```text
    the cart is broken
    ```

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    - The previous version, [head], still serves.

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Failed (0/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");

    // Nobody knows any more which commit that was, but that it is not this one.
    deploy(&shop, number, &[]).await.exits(3);
    let remark = || -> String {
        let comment = shop.comment(number);
        let mut remarks = comment.lines().filter(|line| line.ends_with("."));
        remarks.next().unwrap_or_default().to_owned()
    };
    assert_eq!(remark(), "- The previous version still serves.");

    // The next commit's API comes up, and its page does not.
    shop.repository
        .push(number, &[("web/cart.html", "another cart")]);
    shop.build(number);
    ci_breaks_the_page(&shop, number);
    deploy(&shop, number, &[]).await.exits(3);
    insta::assert_snapshot!(remark(), @"- The update stopped half-way: of Web the previous version serves, of API this version serves.");
    shop.close();
}

/// CI builds the page of the head once more, so that it crashes.
fn ci_breaks_the_page(shop: &Shop, number: u64) {
    let built_from = shop.repository.merge_commit_of(number).unwrap();
    let image = Image::of(&built_from).containing("a broken cart");
    let web = shop.publish("web", &shop.repository.head_of(number), &image);
    let (_, digest) = web.split_once('@').unwrap();
    let log = vec!["the cart is broken".to_owned()];
    let crash = Behaviour::Crash { exit_code: 3, log };
    shop.world.cluster.behave(digest, crash);
}

/// Somebody who looks at the preview through the API server.
async fn visitor(shop: &Shop) -> preview_k8s::Cluster {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = preview_k8s::Settings {
        kubeconfig: Some(shop.path("kubeconfig")),
        ..preview_k8s::Settings::inferred("preview-visitor")
    };
    preview_k8s::Cluster::connect(settings).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_outside_is_told_by_its_name() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let down = || {
        Fault::Answer {
        status: 403,
        headers: Vec::new(),
        body: r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}"#
            .to_owned(),
    }
    };
    let traffic = shop.world.cluster.traffic();
    traffic.plan("GET", "/api/v1/namespaces/preview-pr-7", 99, down());
    let ran = deploy(&shop, number, &[]).await.exits(3);
    assert_eq!(ran.result["class"], "cluster", "{ran:#?}");
    let comment = shop.comment(number);
    assert!(
        comment.contains("**What failed**: cluster failed — "),
        "{comment}"
    );
    shop.close();
}
