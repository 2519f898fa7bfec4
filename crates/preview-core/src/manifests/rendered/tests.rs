use serde_json::json;

use super::super::tests::{Parts, body, pretty, uid};
use super::*;
use crate::yaml::NotYaml;

const CONFIG: &str = r#"
host = "{pr}.pr.example.com"
[components.web]
image = "ghcr.io/acme/web"
path = "/"
[components.api]
image = "ghcr.io/acme/api"
migrate = ["api", "migrate"]
[database]
"#;

const MANIFESTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop-web, namespace: "${NAMESPACE}", annotations: { config.kubernetes.io/origin: "path: web.yaml" } }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      serviceAccountName: web
      serviceAccount: web
      automountServiceAccountToken: true
      initContainers:
      - { name: wait, image: "busybox:1.36", args: ["until nc $${HOST} ${FILES}; do sleep 1; done"] }
      containers:
      - name: web
        image: ghcr.io/acme/web:latest
        envFrom: [{ configMapRef: { name: app-config } }]
        env: [{ name: PR, value: "${PR_NUMBER}" }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop-api }
spec: { progressDeadlineSeconds: 30, template: { spec: { initContainers: [{ name: warm, image: "ghcr.io/acme/api@sha256:00" }], containers: [{ name: api, image: ghcr.io/acme/api }] } } }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: worker }
spec: { template: { spec: { containers: [{ name: api, image: ghcr.io/acme/api }, { name: cache, image: redis }] } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: index }
spec: { ttlSecondsAfterFinished: 0, template: { spec: { containers: [{ name: api, image: ghcr.io/acme/api }] } } }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { number: "${PR_NUMBER}", port: "${DATABASE_PORT}", host: "${HOST_WEB}" }
---
apiVersion: v1
kind: Service
metadata: { name: shop-web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
status: { loadBalancer: {} }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop-web }
spec: { rules: [{ host: "${PR_NUMBER}.pr.example.com" }] }
"#;

fn source(text: &str) -> Result<Source, NotYaml> {
    Source::parse("x.yaml", text)
}

fn made<'p>(parts: &'p Parts, text: &str) -> Result<Preview<'p>, Vec<String>> {
    let preview = parts.preview().made_of(&source(text).unwrap());
    preview.map_err(|unfit| unfit.iter().map(Unfit::to_string).collect())
}

fn names(manifests: &[Manifest]) -> Vec<String> {
    let names = manifests.iter().map(|m| m.object().to_string());
    names.collect()
}

#[test]
fn what_was_written_comes_in_waves_and_is_all_that_is_kept() {
    let parts = Parts::of(CONFIG);
    let preview = made(&parts, MANIFESTS).unwrap();
    assert_eq!(
        names(&preview.supplies()),
        ["ConfigMap/settings", "Service/shop-web"]
    );
    insta::assert_snapshot!(names(&preview.workloads()).join(" "), @"Deployment/shop-web Deployment/shop-api StatefulSet/worker Job/index-e5d3e41109");
    assert_eq!(names(&preview.routes()), ["Ingress/shop-web"]);
    let all = preview.all_names(Some(&uid()));
    let wanted = [preview.supplies(), preview.workloads(), preview.routes()].concat();
    for manifest in &wanted {
        assert!(all.contains(manifest.object()), "{manifest:?}");
    }
    for furniture in [
        "ConfigMap/app-config",
        "StatefulSet/database",
        "Secret/app-secret",
    ] {
        assert!(all.contains(&furniture.parse().unwrap()), "{furniture}");
    }
    let built_in = parts.preview().all_names(Some(&uid()));
    assert!(built_in.contains(&"Deployment/web".parse().unwrap()));
    assert!(!all.contains(&"Deployment/web".parse().unwrap()));
}

#[test]
fn a_pod_has_no_token_and_runs_what_was_built_and_a_text_stays_a_text() {
    let parts = Parts::of(CONFIG);
    let preview = made(&parts, MANIFESTS).unwrap();
    insta::assert_snapshot!(pretty(&body(&preview.workloads(), "Deployment/shop-web")), @r#"
    {
      "apiVersion": "apps/v1",
      "kind": "Deployment",
      "metadata": {
        "annotations": {},
        "name": "shop-web"
      },
      "spec": {
        "progressDeadlineSeconds": 300,
        "replicas": 2,
        "selector": {
          "matchLabels": {
            "app": "web"
          }
        },
        "template": {
          "metadata": {
            "annotations": {
              "preview-environments/configuration": "2d13a41b7a"
            },
            "labels": {
              "app": "web"
            }
          },
          "spec": {
            "automountServiceAccountToken": false,
            "containers": [
              {
                "env": [
                  {
                    "name": "PR",
                    "value": "7"
                  }
                ],
                "envFrom": [
                  {
                    "configMapRef": {
                      "name": "app-config"
                    }
                  }
                ],
                "image": "ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111",
                "name": "web"
              }
            ],
            "initContainers": [
              {
                "args": [
                  "until nc ${HOST} ${FILES}; do sleep 1; done"
                ],
                "image": "busybox:1.36",
                "name": "wait"
              }
            ],
            "serviceAccountName": "preview"
          }
        }
      }
    }
    "#);
    insta::assert_snapshot!(body(&preview.supplies(), "ConfigMap/settings")["data"], @r#"{"host":"7.pr.example.com","number":"7","port":"5432"}"#);
    let service = body(&preview.supplies(), "Service/shop-web");
    assert!(service.get("status").is_none(), "{service}");
    let api = body(&preview.workloads(), "Deployment/shop-api");
    let pinned = format!("ghcr.io/acme/api@sha256:{}", "1".repeat(64));
    let pod = &api["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], pinned.as_str());
    assert_eq!(pod["initContainers"][0]["image"], pinned.as_str());
    assert_eq!(api["spec"]["progressDeadlineSeconds"], 30);
}

#[test]
fn other_images_and_variables_that_stand_for_nothing_are_told() {
    let parts = Parts::of(CONFIG);
    let preview = made(&parts, MANIFESTS).unwrap();
    let told = |all: &BTreeMap<String, BTreeSet<ObjectName>>| {
        let lines = all.iter().map(|(what, objects)| {
            let objects: Vec<String> = objects.iter().map(ToString::to_string).collect();
            format!("{what}: {}", objects.join(", "))
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        told(&preview.other_images()),
        [
            "busybox:1.36: Deployment/shop-web",
            "redis: StatefulSet/worker"
        ]
    );
    assert_eq!(
        told(&preview.unknown_variables()),
        ["FILES: Deployment/shop-web"]
    );
}

#[test]
fn a_component_is_shown_by_the_deployment_that_runs_it() {
    let parts = Parts::of(CONFIG);
    let preview = made(&parts, MANIFESTS).unwrap();
    let shown: Vec<String> = preview
        .shown_workloads()
        .iter()
        .map(|shown| format!("{}: {} x{}", shown.display, shown.object, shown.replicas))
        .collect();
    assert_eq!(
        shown,
        [
            "Database: StatefulSet/database x1",
            "Web: Deployment/shop-web x2",
            "API: Deployment/shop-api x1"
        ]
    );
}

#[test]
fn a_job_is_another_when_its_template_is_and_its_end_is_kept() {
    let parts = Parts::of(CONFIG);
    let job = |text: &str| {
        let workloads = made(&parts, text).unwrap().workloads();
        let job = workloads
            .into_iter()
            .find(|m| m.object().kind == Kind::Job)
            .unwrap();
        assert_eq!(job.body()["metadata"]["name"], job.object().name.as_str());
        assert!(job.body()["spec"].get("ttlSecondsAfterFinished").is_none());
        job.object().name.clone()
    };
    assert_eq!(job(MANIFESTS), job(MANIFESTS));
    let changed = MANIFESTS.replace("kind: Job\n", "kind: Job\n# a remark\n");
    assert_eq!(job(MANIFESTS), job(&changed));
    let changed = MANIFESTS.replace("{ ttlSecondsAfterFinished: 0,", "{ backoffLimit: 1,");
    assert_ne!(job(MANIFESTS), job(&changed));
}

#[test]
fn a_deployment_starts_anew_when_the_configuration_that_it_reads_is_another() {
    let mut parts = Parts::of(CONFIG);
    let text = MANIFESTS.replace("name: api, image: ghcr.io/acme/api }]", "name: api, image: ghcr.io/acme/api, env: [{ name: A, valueFrom: { configMapKeyRef: { name: settings, key: number } } }] }]");
    let hashes = |parts: &Parts, text: &str| {
        let workloads = made(parts, text).unwrap().workloads();
        [
            "Deployment/shop-web",
            "Deployment/shop-api",
            "StatefulSet/worker",
        ]
        .map(|name| {
            let template = &body(&workloads, name)["spec"]["template"];
            template["metadata"]["annotations"][keys::CONFIGURATION].clone()
        })
    };
    let before = hashes(&parts, &text);
    assert_eq!(before[2], json!(null), "it reads none");
    let changed = hashes(
        &parts,
        &text.replace("number: \"${PR_NUMBER}\"", "number: \"8\""),
    );
    assert_eq!(changed[0], before[0]);
    assert_ne!(changed[1], before[1]);
    parts.head = "b".repeat(40).parse().unwrap();
    let moved = hashes(&parts, &text);
    assert_ne!(moved[0], before[0], "COMMIT is in its environment");
    assert_eq!(moved[1], before[1]);
}

#[test]
fn a_component_that_nothing_runs_is_refused() {
    let parts = Parts::of(CONFIG);
    let text = MANIFESTS.replace("ghcr.io/acme/web:latest", "ghcr.io/acme/website:latest");
    insta::assert_snapshot!(made(&parts, &text).unwrap_err().join("\n"), @"no workload of the manifests runs component web: none has a container of the image ghcr.io/acme/web; name the image so in them, or take the component out of preview.toml");
    insta::assert_snapshot!(made(&parts, "").unwrap_err().join("\n"), @"
    no workload of the manifests runs component web: none has a container of the image ghcr.io/acme/web; name the image so in them, or take the component out of preview.toml
    no workload of the manifests runs component api: none has a container of the image ghcr.io/acme/api; name the image so in them, or take the component out of preview.toml
    ");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let parts = Parts::of(CONFIG);
    let text = format!("{MANIFESTS}---\nkind: ClusterRole\nmetadata: {{ name: all }}\n")
        .replace("replicas: 2", "replicas: 2\n  x: {}")
        .replace("      serviceAccount: web", "      hostNetwork: true");
    assert_eq!(made(&parts, &text).unwrap_err().len(), 2);
}

#[test]
fn an_image_is_known_by_the_name_that_is_meant() {
    for (reference, name) in [
        ("redis", "docker.io/library/redis"),
        ("redis:7", "docker.io/library/redis"),
        ("acme/web@sha256:00", "docker.io/acme/web"),
        ("localhost:5000/web:1", "localhost:5000/web"),
        ("localhost:5000/web", "localhost:5000/web"),
        ("ghcr.io/acme/web:1@sha256:00", "ghcr.io/acme/web"),
        ("localhost/web", "localhost/web"),
    ] {
        assert_eq!(image_name(reference), name, "{reference}");
    }
}
