//! A preview of manifests that somebody wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use sandbox::registry::Image;

use crate::DEPLOY;
use crate::shop::{Ran, Shop};

/// What the shop's overlay comes to: its two components under other names, a cache, a script and a Job.
const RENDERED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop-web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
      - { name: web, image: "REGISTRY/acme/web:latest", envFrom: [{ configMapRef: { name: app-config } }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop-api }
spec:
  selector: { matchLabels: { app: api } }
  template:
    metadata: { labels: { app: api } }
    spec: { containers: [{ name: api, image: REGISTRY/acme/api }, { name: cache, image: "REGISTRY/acme/cache:1" }] }
---
apiVersion: v1
kind: Service
metadata: { name: shop-web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop-web }
spec: { rules: [{ host: "${HOST_WEB}", http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: shop-web, port: { number: 80 } } } }] } }] }
"#;

/// What is no longer wanted later.
const MORE: &str = r#"
---
apiVersion: v1
kind: ConfigMap
metadata: { name: script, namespace: "${NAMESPACE}" }
data: { run: "for f in ${FILES}; do echo ${PR_NUMBER}; done", number: "${PR_NUMBER}" }
---
apiVersion: v1
kind: Secret
metadata: { name: users }
stringData: { admin: for-tests }
---
apiVersion: batch/v1
kind: Job
metadata: { name: index }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: index, image: REGISTRY/acme/api }] } } }
---
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec: { schedule: "0 3 * * *", jobTemplate: { spec: { template: { spec: { restartPolicy: Never, containers: [{ name: nightly, image: REGISTRY/acme/api }] } } } } }
---
apiVersion: v1
kind: Service
metadata: { name: cache }
spec: { selector: { app: api }, ports: [{ port: 6379 }] }
"#;

fn manifests(shop: &Shop, text: &str) -> String {
    let text = text.replace("REGISTRY", &shop.world.registry.host());
    let file = shop.path("rendered.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

async fn deploy(shop: &Shop, number: u64, more: &[&str]) -> Ran {
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let arguments = [&["--pr", &pr, "--sha", &head], more].concat();
    shop.run(DEPLOY, &arguments, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_of_the_workflow_are_deployed_pinned_told_and_pruned() {
    let shop = Shop::open().await;
    let number = shop
        .repository
        .open_pull_request("feature/cart", &[("preview.toml", "capacity = 99")]);
    shop.build(number);
    shop.publish("cache", "1", &Image::unlabelled());
    let file = manifests(&shop, &format!("{RENDERED}{MORE}"));
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(0);
    insta::assert_snapshot!(shop.without_hashes(&shop.comment(number)), @"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ✅ Ready
    **URL**: https://7.pr.example.com
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - Not built from this pull request: `registry.test/acme/cache:1` in Deployment/shop-api.
    - Left as they are, for they stand for nothing here: `${FILES}` in ConfigMap/script.
    - This preview is made of the base branch's manifests: what this pull request changes in `preview.toml` is not in it.
    - The quota has no room for one more pod, so an update stops each pod before its successor starts; meanwhile fewer of them answer, or none.

    <details>
    <summary>Deployment Details</summary>

    - Namespace: `preview-pr-7`
    - Database: Ready
    - Web: Ready (2/2 replicas)
    - API: Ready (1/1 replicas)

    </details>
    ");
    insta::assert_snapshot!(shop.without_hashes(&ran.steps()), @"
    ✓ create Namespace/preview-pr-7
    ✓ create deployment
    ✓ comment on #7: ⏳ Deploying — claiming a slot
    ✓ claiming slot of preview-pr-7
    ✓ held slot of preview-pr-7
    ✓ apply ResourceQuota/preview, LimitRange/preview, ConfigMap/app-config, NetworkPolicy/deny-all, NetworkPolicy/allow-same-namespace, NetworkPolicy/allow-dns, NetworkPolicy/allow-ingress-controller, NetworkPolicy/allow-internet, ServiceAccount/preview, ServiceAccount/default, Secret/app-secret
    ✓ apply StatefulSet/database, Service/database
    ✓ await StatefulSet/database
    ✓ apply ConfigMap/database-state
    ✓ comment on #7: ⏳ Deploying — migrating the database
    ✓ apply Job/api-migrate-[x]
    ✓ await Job/api-migrate-[x]
    ✓ apply ConfigMap/database-state
    ✓ apply Job/api-seed-[x]
    ✓ await Job/api-seed-[x]
    ✓ apply ConfigMap/database-state
    ✓ comment on #7: ⏳ Deploying — rolling out
    ✓ apply Service/shop-web, ConfigMap/script, Secret/users, Service/cache
    ✓ apply Deployment/shop-web, Deployment/shop-api, Job/index-[x], CronJob/nightly
    ✓ await Job/index-[x]
    ✓ await Deployment/shop-web, Deployment/shop-api
    ✓ apply Ingress/shop-web
    = prune preview-pr-7
    ✓ record test of pr-7
    ✓ label #7
    ✓ comment on #7: ✅ Ready
    ");
    let notes = shop.plain(&ran.result["notes"].to_string());
    assert!(notes.contains("acme/cache:1"), "{notes}");
    assert!(ran.summary.contains("### Remarks"), "{}", ran.summary);
    let object = |kind, name| shop.world.cluster.object(kind, "preview-pr-7", name);
    let script = object("ConfigMap", "script").unwrap();
    assert_eq!(script["data"]["number"], "7", "a text stays a text");
    assert_eq!(script["data"]["run"], "for f in ${FILES}; do echo 7; done");
    let web = object("Deployment", "shop-web").unwrap();
    let pod = &web["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let image = pod["containers"][0]["image"].as_str().unwrap();
    assert!(image.contains("/acme/web@sha256:"), "{image}");
    let before = shop.contents("preview-pr-7");
    for there in [
        "Job/index-[x]",
        "CronJob/nightly",
        "Secret/users",
        "Service/cache",
    ] {
        assert!(before.contains(there), "{there} in {before}");
    }

    let file = manifests(&shop, RENDERED);
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(0);
    let after = shop.contents("preview-pr-7");
    let gone: Vec<&str> = before
        .lines()
        .filter(|line| !after.contains(line))
        .collect();
    assert_eq!(
        gone,
        [
            "ConfigMap/script",
            "Secret/users",
            "Service/cache",
            "CronJob/nightly",
            "Job/index-[x]",
        ]
    );
    assert!(ran.stdout.contains("removed CronJob/nightly"), "{ran:#?}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_piped_in_too() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    shop.publish("cache", "1", &Image::unlabelled());
    let piped = async |text: &str| {
        let file = manifests(&shop, text);
        let input = Stdio::from(fs::File::open(file).unwrap());
        let (head, pr) = (shop.repository.head_of(number), number.to_string());
        let arguments = ["--pr", &pr, "--sha", &head, "--manifests", "-"];
        shop.run_fed(DEPLOY, &arguments, &[], input).await
    };
    let astray = RENDERED.replace("${HOST_WEB}", "www.example.com");
    let ran = piped(&astray).await.exits(1);
    insta::assert_snapshot!(ran.error(), @r#"error: (standard input):28: Ingress/shop-web: spec.rules[0].host: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's"#);
    piped(RENDERED).await.exits(0);
    let contents = shop.contents("preview-pr-7");
    assert!(contents.contains("Deployment/shop-web"), "{contents}");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_that_leads_out_of_its_preview_is_refused_by_name() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let bad = RENDERED
        .replace("${HOST_WEB}", "www.example.com")
        .replace(
            "{ app: api } }\n    spec: {",
            "{ app: api } }\n    spec: { volumes: [{ name: node, hostPath: { path: / } }],",
        )
        .replacen(
            "{ name: shop-web }",
            "{ name: shop-web, namespace: shop }",
            1,
        );
    let role = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: everything }\n";
    let file = manifests(&shop, &format!("{bad}{role}"));
    let plan = deploy(&shop, number, &["plan", "--manifests", &file])
        .await
        .exits(1);
    assert_eq!(shop.repository.comments(number), []);
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(1);
    assert_eq!(plan.stderr, ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"
    error: @JOB@/rendered.yaml:2: Deployment/shop-web: metadata.namespace: "shop" is not the preview's namespace; leave it out, or write ${NAMESPACE}
    error: @JOB@/rendered.yaml:14: Deployment/shop-api: spec.template.spec.volumes[node].hostPath: a preview sees no folder of its node; use emptyDir or a PersistentVolumeClaim
    error: @JOB@/rendered.yaml:28: Ingress/shop-web: spec.rules[0].host: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's
    error: @JOB@/rendered.yaml:33: ClusterRole/everything: kind: a preview has no "ClusterRole" from manifests: it gives rights; take it out in the overlay (a patch with `$patch: delete`)
    "#);
    insta::assert_snapshot!(shop.comment(number), @r#"
    <!-- preview-environments:comment -->
    ## 🚀 Preview Environment

    **Status**: ⛔ Refused
    **Last Updated**: [now]
    **Commit**: [head]

    ---

    - @JOB@/rendered.yaml:2: Deployment/shop-web: metadata.namespace: "shop" is not the preview's namespace; leave it out, or write \${NAMESPACE}
    - @JOB@/rendered.yaml:14: Deployment/shop-api: spec.template.spec.volumes\[node\].hostPath: a preview sees no folder of its node; use emptyDir or a PersistentVolumeClaim
    - @JOB@/rendered.yaml:28: Ingress/shop-web: spec.rules\[0\].host: "www.&#8203;example.com" is no host of this preview; it has 7.pr.example.com, and \${HOST\_&lt;COMPONENT&gt;} stands for a component's
    - @JOB@/rendered.yaml:33: ClusterRole/everything: kind: a preview has no "ClusterRole" from manifests: it gives rights; take it out in the overlay (a patch with \`\$patch: delete\`)

    [The run and its log](https://github.com/acme/shop/actions/runs/101/attempts/1)

    <details>
    <summary>Deployment Details</summary>

    - Nothing is deployed

    </details>
    "#);
    let namespace = shop.world.cluster.object("Namespace", "", "preview-pr-7");
    assert_eq!(namespace, None, "nothing is done for it");
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_are_not_there_or_run_no_component_are_told() {
    let shop = Shop::open().await;
    let number = shop.open_pull_request();
    let ran = deploy(&shop, number, &["--manifests", "/nowhere/all.yaml"])
        .await
        .exits(2);
    insta::assert_snapshot!(ran.error(), @"error: cannot read the manifests /nowhere/all.yaml: No such file or directory (os error 2); name a file that the workflow rendered, or - and pipe them in");
    let file = manifests(&shop, "a: [");
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(2);
    insta::assert_snapshot!(ran.error(), @"error: @JOB@/rendered.yaml: no YAML: unclosed bracket '[' at line 1, column 4; correct it there");
    let file = manifests(&shop, &RENDERED.replace("acme/api", "acme/prices"));
    let ran = deploy(&shop, number, &["--manifests", &file])
        .await
        .exits(1);
    insta::assert_snapshot!(ran.error(), @"error: no workload of the manifests runs component api: none has a container of the image registry.test/acme/api; name the image so in them, or take the component out of preview.toml");
    shop.close();
}

/// A `kustomize` that does this, in a folder of its own.
fn kustomize(shop: &Shop, script: &str) -> (&'static str, String) {
    let folder = shop.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("kustomize");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    ("PATH", folder.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_is_rendered_without_secrets_and_without_what_is_elsewhere() {
    let shop = Shop::open().await;
    shop.configure("");
    let configuration = fs::read_to_string(shop.path("preview.toml")).unwrap();
    let kustomized = format!("{configuration}\n[manifests]\nkustomize = \"overlay\"\n");
    fs::write(shop.path("preview.toml"), kustomized).unwrap();
    fs::create_dir(shop.path("overlay")).unwrap();
    let kustomization = shop.path("overlay/kustomization.yaml");
    fs::write(&kustomization, "resources: [all.yaml]").unwrap();
    let all = RENDERED.replace("REGISTRY", &shop.world.registry.host());
    fs::write(shop.path("overlay/all.yaml"), &all).unwrap();
    let number = shop
        .repository
        .open_pull_request("feature/cart", &[("overlay/all.yaml", "replicas: 9")]);
    shop.build(number);
    let (head, pr) = (shop.repository.head_of(number), number.to_string());
    let plan = ["--pr", &pr, "--sha", &head, "plan"];

    let said = "echo \"$@\" >../said; /usr/bin/env >>../said; while read -r line; do echo \"$line\"; done <overlay/all.yaml";
    let said = said.replace("../said", shop.path("said").to_str().unwrap());
    // The shell's own `read` would eat the indentation.
    let said = said.replace("while read -r line; do echo \"$line\"; done <", "/bin/cat ");
    let path = kustomize(&shop, &said);
    let ran = shop.run(DEPLOY, &plan, &[path]).await.exits(0);
    assert!(ran.stdout.contains("✓ render overlay"), "{ran:#?}");
    let said = fs::read_to_string(shop.path("said")).unwrap();
    let mut said: Vec<&str> = said.lines().collect();
    said.retain(|line| {
        !["PWD=", "SHLVL=", "_=", "OLDPWD="]
            .iter()
            .any(|own| line.starts_with(own))
    });
    assert_eq!(
        said[0],
        "build --load-restrictor=LoadRestrictionsRootOnly overlay"
    );
    assert_eq!(
        said.len(),
        2,
        "nothing but PATH is in its environment: {said:?}"
    );

    fs::write(
        shop.path("overlay/all.yaml"),
        all.replace("${HOST_WEB}", "www.example.com"),
    )
    .unwrap();
    let path = kustomize(&shop, "/bin/cat overlay/all.yaml");
    let ran = shop.run(DEPLOY, &plan, &[path]).await.exits(1);
    insta::assert_snapshot!(ran.error(), @r#"error: overlay/all.yaml: Ingress/shop-web: spec.rules[0].host: "www.example.com" is no host of this preview; it has 7.pr.example.com, and ${HOST_<COMPONENT>} stands for a component's"#);

    let path = kustomize(&shop, "echo 'Error: no such field' >&2; exit 1");
    let ran = shop.run(DEPLOY, &plan, &[path]).await.exits(2);
    insta::assert_snapshot!(ran.error(), @"error: kustomize build overlay failed (exit status: 1): Error: no such field; run it yourself in a checkout of the base branch");

    let path = kustomize(&shop, "/usr/bin/head -c 9000000 /dev/zero");
    let ran = shop.run(DEPLOY, &plan, &[path]).await.exits(2);
    insta::assert_snapshot!(ran.error(), @"error: kustomize build overlay says more than 8 MiB; leave out of the overlay what a preview does not need");

    let marker = shop.path("started");
    let path = kustomize(&shop, &format!("echo >{}", marker.display()));
    fs::write(
        &kustomization,
        "resources: [all.yaml, 'https://example.com/base?ref=main']",
    )
    .unwrap();
    let ran = shop.run(DEPLOY, &plan, &[path]).await.exits(1);
    insta::assert_snapshot!(ran.error(), @r#"error: overlay/kustomization.yaml: resources[1]: "https://example.com/base?ref=main" is not in this repository, and a preview is made of nothing else; put a copy of it there"#);
    assert!(!marker.exists(), "it is not even started");

    fs::write(&kustomization, "resources: [all.yaml]").unwrap();
    let nowhere = [("PATH", "/nowhere".to_owned())];
    let ran = shop.run(DEPLOY, &plan, &nowhere).await.exits(2);
    insta::assert_snapshot!(ran.error(), @"error: manifests.kustomize: neither kustomize nor kubectl is installed; install one in the job, or render in a step before and hand the result over with --manifests");
    shop.close();
}
