use super::*;
use crate::names::RepositoryId;
use crate::tls::SecretData;

mod database;
mod routes;

const EXAMPLE: &str = include_str!("../../../../examples/preview.toml");

/// All that a preview is made from.
pub(super) struct Parts {
    config: Config,
    repository: RepositorySlug,
    owner: Owner,
    pub(super) head: CommitSha,
    images: BTreeMap<ComponentName, PinnedImage>,
}

impl Parts {
    pub(super) fn of(text: &str) -> Self {
        let config = Config::parse("preview.toml", text).unwrap();
        let digest = format!("sha256:{}", "1".repeat(64));
        let images = config.components.iter().map(|component| {
            (
                component.name.clone(),
                component.image.at(digest.parse().unwrap()),
            )
        });
        Self {
            repository: "acme/shop".parse().unwrap(),
            owner: Owner {
                repository: RepositoryId(42),
                subject: "pr-7".parse().unwrap(),
            },
            head: "a".repeat(40).parse().unwrap(),
            images: images.collect(),
            config,
        }
    }

    pub(super) fn preview(&self) -> Preview<'_> {
        self.try_preview().unwrap()
    }

    fn try_preview(&self) -> Result<Preview<'_>, NoPreview> {
        Preview::new(
            &self.config,
            &self.repository,
            &self.owner,
            &self.head,
            &self.images,
        )
    }

    fn claimant(&self) -> Claimant {
        Claimant {
            owner: self.owner.clone(),
            repository: self.repository.clone(),
            head: self.head.clone(),
            fence: "12.1".parse().unwrap(),
        }
    }
}

pub(super) fn uid() -> Uid {
    "0d5f-1".parse().unwrap()
}

fn secrets() -> Secrets {
    Secrets {
        certificate: Some(SecretData::new(BTreeMap::from([(
            "tls.key".to_owned(),
            "a2V5".to_owned(),
        )]))),
        ..Secrets::of_database("pa55-of-the-database")
    }
}

/// The body of the one manifest `name` (such as `Deployment/web`) of `manifests`.
pub(super) fn body(manifests: &[Manifest], name: &str) -> Value {
    let found: Vec<_> = manifests
        .iter()
        .filter(|m| m.object().to_string() == name)
        .collect();
    assert_eq!(found.len(), 1, "{name} in {manifests:?}");
    found[0].body().clone()
}

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn a_namespace_is_queued_owned_and_kept_by_our_finalizer_from_the_start() {
    let parts = Parts::of(EXAMPLE);
    let namespace = parts.preview().namespace(&parts.claimant());
    insta::assert_snapshot!(pretty(namespace.body()), @r#"
    {
      "apiVersion": "v1",
      "kind": "Namespace",
      "metadata": {
        "annotations": {
          "preview-environments/approved": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "preview-environments/claim": "queued",
          "preview-environments/fence": "12.1",
          "preview-environments/head": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "preview-environments/phase": "queued",
          "preview-environments/repository": "acme/shop",
          "preview-environments/url": "https://7.pr.example.com"
        },
        "finalizers": [
          "preview-environments/teardown"
        ],
        "labels": {
          "app.kubernetes.io/managed-by": "preview-environments",
          "pod-security.kubernetes.io/enforce": "baseline",
          "preview-environments/repository-id": "42",
          "preview-environments/subject": "pr-7"
        },
        "name": "preview-pr-7"
      }
    }
    "#);
}

#[test]
fn a_deployment_runs_its_image_by_digest_with_everything_that_strict_clusters_ask_for() {
    let parts = Parts::of(EXAMPLE);
    insta::assert_snapshot!(pretty(&body(&parts.preview().workloads(), "Deployment/web")), @r#"
    {
      "apiVersion": "apps/v1",
      "kind": "Deployment",
      "metadata": {
        "labels": {
          "app.kubernetes.io/component": "web",
          "app.kubernetes.io/name": "web"
        },
        "name": "web"
      },
      "spec": {
        "progressDeadlineSeconds": 300,
        "replicas": 2,
        "revisionHistoryLimit": 2,
        "selector": {
          "matchLabels": {
            "app.kubernetes.io/component": "web",
            "app.kubernetes.io/name": "web"
          }
        },
        "strategy": {
          "rollingUpdate": {
            "maxSurge": 1,
            "maxUnavailable": 0
          },
          "type": "RollingUpdate"
        },
        "template": {
          "metadata": {
            "annotations": {
              "preview-environments/configuration": "2106e5aa97"
            },
            "labels": {
              "app.kubernetes.io/component": "web",
              "app.kubernetes.io/name": "web"
            }
          },
          "spec": {
            "automountServiceAccountToken": false,
            "containers": [
              {
                "env": [
                  {
                    "name": "API_URL",
                    "value": "http://api:8080"
                  },
                  {
                    "name": "PORT",
                    "value": "8080"
                  }
                ],
                "envFrom": [
                  {
                    "configMapRef": {
                      "name": "app-config"
                    }
                  },
                  {
                    "secretRef": {
                      "name": "app-secret"
                    }
                  }
                ],
                "image": "ghcr.io/acme/shop-web@sha256:1111111111111111111111111111111111111111111111111111111111111111",
                "name": "web",
                "ports": [
                  {
                    "containerPort": 8080,
                    "name": "http"
                  }
                ],
                "readinessProbe": {
                  "failureThreshold": 3,
                  "httpGet": {
                    "path": "/ready",
                    "port": "http"
                  },
                  "periodSeconds": 2,
                  "timeoutSeconds": 5
                },
                "resources": {
                  "limits": {
                    "cpu": "500m",
                    "memory": "256Mi"
                  },
                  "requests": {
                    "cpu": "50m",
                    "memory": "64Mi"
                  }
                },
                "securityContext": {
                  "allowPrivilegeEscalation": false
                }
              }
            ],
            "enableServiceLinks": false,
            "securityContext": {
              "seccompProfile": {
                "type": "RuntimeDefault"
              }
            },
            "serviceAccountName": "preview"
          }
        }
      }
    }
    "#);
}

#[test]
fn the_database_keeps_its_data_in_a_volume_and_its_password_in_the_secret() {
    let parts = Parts::of(EXAMPLE);
    insta::assert_snapshot!(pretty(&body(&parts.preview().database(), "StatefulSet/database")), @r#"
    {
      "apiVersion": "apps/v1",
      "kind": "StatefulSet",
      "metadata": {
        "labels": {
          "app.kubernetes.io/component": "database",
          "app.kubernetes.io/name": "database"
        },
        "name": "database"
      },
      "spec": {
        "podManagementPolicy": "Parallel",
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {
          "matchLabels": {
            "app.kubernetes.io/component": "database",
            "app.kubernetes.io/name": "database"
          }
        },
        "serviceName": "database",
        "template": {
          "metadata": {
            "labels": {
              "app.kubernetes.io/component": "database",
              "app.kubernetes.io/name": "database"
            }
          },
          "spec": {
            "automountServiceAccountToken": false,
            "containers": [
              {
                "env": [
                  {
                    "name": "PGDATA",
                    "value": "/var/lib/postgresql/data/pgdata"
                  },
                  {
                    "name": "POSTGRES_DB",
                    "value": "shop"
                  },
                  {
                    "name": "POSTGRES_PASSWORD",
                    "valueFrom": {
                      "secretKeyRef": {
                        "key": "DATABASE_PASSWORD",
                        "name": "app-secret"
                      }
                    }
                  },
                  {
                    "name": "POSTGRES_USER",
                    "value": "shop"
                  }
                ],
                "image": "docker.io/library/postgres:17",
                "name": "database",
                "ports": [
                  {
                    "containerPort": 5432,
                    "name": "postgres"
                  }
                ],
                "readinessProbe": {
                  "exec": {
                    "command": [
                      "pg_isready",
                      "-h",
                      "127.0.0.1",
                      "-U",
                      "shop",
                      "-d",
                      "shop"
                    ]
                  },
                  "periodSeconds": 2,
                  "timeoutSeconds": 5
                },
                "resources": {
                  "limits": {
                    "cpu": "500m",
                    "memory": "512Mi"
                  },
                  "requests": {
                    "cpu": "100m",
                    "memory": "256Mi"
                  }
                },
                "volumeMounts": [
                  {
                    "mountPath": "/var/lib/postgresql/data",
                    "name": "data"
                  }
                ]
              }
            ],
            "enableServiceLinks": false,
            "securityContext": {
              "seccompProfile": {
                "type": "RuntimeDefault"
              }
            },
            "serviceAccountName": "preview"
          }
        },
        "volumeClaimTemplates": [
          {
            "metadata": {
              "name": "data"
            },
            "spec": {
              "accessModes": [
                "ReadWriteOnce"
              ],
              "resources": {
                "requests": {
                  "storage": "1Gi"
                }
              }
            }
          }
        ]
      }
    }
    "#);
}

#[test]
fn a_job_has_the_component_s_command_and_none_of_its_service_s_labels() {
    let parts = Parts::of(EXAMPLE);
    let preview = parts.preview();
    let waves = preview.jobs(&uid());
    let job = waves[0][0].body();
    insta::assert_snapshot!(pretty(job), @r#"
    {
      "apiVersion": "batch/v1",
      "kind": "Job",
      "metadata": {
        "labels": {
          "app.kubernetes.io/component": "api",
          "app.kubernetes.io/name": "api-migrate"
        },
        "name": "api-migrate-9d90311fe7"
      },
      "spec": {
        "activeDeadlineSeconds": 600,
        "backoffLimit": 1,
        "template": {
          "metadata": {
            "labels": {
              "app.kubernetes.io/component": "api",
              "app.kubernetes.io/name": "api-migrate"
            }
          },
          "spec": {
            "automountServiceAccountToken": false,
            "containers": [
              {
                "command": [
                  "/api",
                  "migrate"
                ],
                "env": [
                  {
                    "name": "PORT",
                    "value": "8080"
                  }
                ],
                "envFrom": [
                  {
                    "configMapRef": {
                      "name": "app-config"
                    }
                  },
                  {
                    "secretRef": {
                      "name": "app-secret"
                    }
                  }
                ],
                "image": "ghcr.io/acme/shop-api@sha256:1111111111111111111111111111111111111111111111111111111111111111",
                "name": "migrate",
                "resources": {
                  "limits": {
                    "cpu": "500m",
                    "memory": "256Mi"
                  },
                  "requests": {
                    "cpu": "50m",
                    "memory": "64Mi"
                  }
                },
                "securityContext": {
                  "allowPrivilegeEscalation": false
                }
              }
            ],
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "securityContext": {
              "seccompProfile": {
                "type": "RuntimeDefault"
              }
            },
            "serviceAccountName": "preview"
          }
        }
      }
    }
    "#);
    let service = body(&preview.workloads(), "Service/api");
    assert_ne!(
        job["spec"]["template"]["metadata"]["labels"],
        service["spec"]["selector"]
    );
}

#[test]
fn migrations_come_before_seeds() {
    let parts = Parts::of(EXAMPLE);
    let waves: Vec<Vec<String>> = parts
        .preview()
        .jobs(&uid())
        .iter()
        .map(|wave| wave.iter().map(|job| job.object().to_string()).collect())
        .collect();
    assert_eq!(waves.len(), 2);
    assert!(waves[0][0].starts_with("Job/api-migrate-"), "{waves:?}");
    assert!(waves[1][0].starts_with("Job/api-seed-"), "{waves:?}");
}

#[test]
fn furniture_is_quota_limits_an_account_without_a_token_configuration_and_the_secret() {
    let parts = Parts::of(EXAMPLE);
    let furniture = parts.preview().furniture(&secrets());
    let quota = body(&furniture, "ResourceQuota/preview");
    insta::assert_snapshot!(quota["spec"]["hard"], @r#"{"limits.cpu":"4","limits.memory":"4Gi","persistentvolumeclaims":"3","requests.cpu":"2","requests.memory":"2Gi"}"#);
    insta::assert_snapshot!(body(&furniture, "LimitRange/preview")["spec"]["limits"][0], @r#"{"default":{"cpu":"500m","memory":"256Mi"},"defaultRequest":{"cpu":"50m","memory":"64Mi"},"type":"Container"}"#);
    insta::assert_snapshot!(pretty(&body(&furniture, "ConfigMap/app-config")["data"]), @r#"
    {
      "BASE_URL": "https://7.pr.example.com",
      "COMMIT": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "DATABASE_HOST": "database",
      "DATABASE_NAME": "shop",
      "DATABASE_PORT": "5432",
      "DATABASE_USER": "shop",
      "ENV": "preview",
      "HOST_WEB": "7.pr.example.com",
      "NAMESPACE": "preview-pr-7",
      "PR_NUMBER": "7"
    }
    "#);
    for account in ["preview", "default"] {
        let account = body(&furniture, &format!("ServiceAccount/{account}"));
        assert_eq!(account["automountServiceAccountToken"], false);
        assert_eq!(account.get("imagePullSecrets"), None);
    }
    let secret = body(&furniture, "Secret/app-secret");
    assert_eq!(
        secret["data"]["DATABASE_PASSWORD"],
        "cGE1NS1vZi10aGUtZGF0YWJhc2U="
    );
    let shown = format!("{furniture:?}");
    assert!(
        !shown.contains("cGE1NS") && !shown.contains("pa55"),
        "{shown}"
    );
}

#[test]
fn the_certificate_is_copied_under_its_own_name() {
    let parts = Parts::of(EXAMPLE);
    let copy = body(
        &parts.preview().furniture(&secrets()),
        "Secret/preview-wildcard-tls",
    );
    assert_eq!(copy["type"], "kubernetes.io/tls");
    assert_eq!(copy["data"], json!({ "tls.key": "a2V5" }));
}

#[test]
fn a_pull_credential_is_the_accounts_of_all_pods_and_of_its_registry_alone() {
    let parts = Parts::of(EXAMPLE);
    let furniture = |registry: &str| {
        let pull = PullCredential {
            registry: registry.to_owned(),
            user: "robot".to_owned(),
            password: "pu11".to_owned().into(),
        };
        let preview = parts.preview().pulling_with_credential(true);
        preview.furniture(&Secrets {
            pull: Some(pull),
            ..secrets()
        })
    };
    let docker = |registry| {
        use base64::Engine as _;
        let secret = body(&furniture(registry), "Secret/image-pull");
        assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
        let encoded = secret["data"][".dockerconfigjson"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
        String::from_utf8(bytes.unwrap()).unwrap()
    };
    insta::assert_snapshot!(docker("ghcr.io"), @r#"{"auths":{"ghcr.io":{"auth":"cm9ib3Q6cHUxMQ==","password":"pu11","username":"robot"}}}"#);
    insta::assert_snapshot!(docker("docker.io"), @r#"{"auths":{"https://index.docker.io/v1/":{"auth":"cm9ib3Q6cHUxMQ==","password":"pu11","username":"robot"}}}"#);
    for account in ["preview", "default"] {
        let account = body(&furniture("ghcr.io"), &format!("ServiceAccount/{account}"));
        assert_eq!(
            account["imagePullSecrets"],
            json!([{ "name": "image-pull" }])
        );
    }
    // Pods that could not pull are made anew.
    let pulls = parts.preview().pulling_with_credential(true);
    let web = body(&pulls.workloads(), "Deployment/web");
    let pod = &web["spec"]["template"]["spec"];
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "image-pull" }]));
    assert!(
        pulls
            .all_names(None)
            .contains(&ObjectName::new(Kind::Secret, "image-pull"))
    );
}

#[test]
fn a_preview_without_a_database_has_neither_secret_nor_jobs() {
    let parts =
        Parts::of("host = \"{pr}.x.org\"\n[components.web]\nimage = \"ghcr.io/acme/web\"\n");
    let preview = parts.preview();
    assert!(preview.database().is_empty());
    assert!(preview.jobs(&uid()).is_empty());
    let names: Vec<String> = preview
        .all_names(None)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "ResourceQuota/preview",
            "LimitRange/preview",
            "NetworkPolicy/allow-dns",
            "NetworkPolicy/allow-ingress-controller",
            "NetworkPolicy/allow-internet",
            "NetworkPolicy/allow-same-namespace",
            "NetworkPolicy/deny-all",
            "ServiceAccount/default",
            "ServiceAccount/preview",
            "ConfigMap/app-config",
            "Service/web",
            "Deployment/web",
        ]
    );
    let container =
        &body(&preview.workloads(), "Deployment/web")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["envFrom"].as_array().unwrap().len(), 1);
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], "http");
}

#[test]
fn all_names_are_those_of_all_manifests() {
    let parts = Parts::of(EXAMPLE);
    let preview = parts.preview();
    let made: BTreeSet<ObjectName> = [
        preview.furniture(&secrets()),
        preview.database(),
        preview.jobs(&uid()).concat(),
        vec![preview.database_state(&State::fresh(uid()))],
        preview.workloads(),
        preview.routes(),
    ]
    .concat()
    .iter()
    .map(|manifest| manifest.object().clone())
    .collect();
    assert_eq!(preview.all_names(Some(&uid())), made);
}

#[test]
fn a_preview_is_of_all_components_and_of_nothing_else() {
    let mut parts = Parts::of(EXAMPLE);
    let api = parts.images.remove(&"api".parse().unwrap()).unwrap();
    insta::assert_snapshot!(parts.try_preview().unwrap_err(), @"component api has no image; a preview is of all components of preview.toml");
    parts.images.insert("api".parse().unwrap(), api.clone());
    parts.images.insert("worker".parse().unwrap(), api);
    insta::assert_snapshot!(parts.try_preview().unwrap_err(), @"there is an image for worker, which is no component of preview.toml");
}

#[test]
fn workloads_are_shown_with_the_database_first_and_then_in_the_file_s_order() {
    let parts = Parts::of(EXAMPLE);
    let shown: Vec<String> = parts
        .preview()
        .shown_workloads()
        .iter()
        .map(|shown| format!("{}: {} x{}", shown.display, shown.object, shown.replicas))
        .collect();
    assert_eq!(
        shown,
        [
            "Database: StatefulSet/database x1",
            "Web: Deployment/web x2",
            "API: Deployment/api x2"
        ]
    );
}

#[test]
fn another_head_starts_components_anew_and_no_job() {
    let mut parts = Parts::of(EXAMPLE);
    let (workloads, jobs) = (parts.preview().workloads(), parts.preview().jobs(&uid()));
    parts.head = "b".repeat(40).parse().unwrap();
    assert_ne!(
        parts.preview().workloads(),
        workloads,
        "COMMIT is in their environment"
    );
    assert_eq!(parts.preview().jobs(&uid()), jobs);
}
