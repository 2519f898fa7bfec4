//! Commands that run once in a target: a migration before any image is set, a verification after all of them are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::manifests::short_hash;
use crate::names::{CommitSha, ComponentName, Fence, PinnedImage};
use crate::objects::{Kind, Manifest};
use crate::ownership::keys;

/// A Job that succeeded is of interest for a week: after that its promotion is history.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the pod of a workload has that a command of it needs as well. Nothing is taken over that a Service or a probe would
/// see.
const OF_POD: [&str; 16] = [
    "serviceAccountName",
    "automountServiceAccountToken",
    "imagePullSecrets",
    "securityContext",
    "nodeSelector",
    "tolerations",
    "affinity",
    "hostAliases",
    "dnsPolicy",
    "dnsConfig",
    "enableServiceLinks",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "os",
    "volumes",
];

/// What its container has that the command needs as well.
const OF_CONTAINER: [&str; 7] = [
    "env",
    "envFrom",
    "resources",
    "securityContext",
    "imagePullPolicy",
    "workingDir",
    "volumeDevices",
];

/// What a command is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Errand {
    /// It brings the database to what the images need.
    Migrate,
    /// It looks whether what runs is right.
    Verify,
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Migrate => "migrate",
            Self::Verify => "verify",
        })
    }
}

/// A command that runs once in a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// What for.
    pub errand: Errand,
    /// The component.
    pub component: &'a ComponentName,
    /// Its image.
    pub image: &'a PinnedImage,
    /// The container that it runs like.
    pub container: &'a str,
    /// The command.
    pub command: &'a [String],
    /// The commit M.
    pub commit: &'a CommitSha,
    /// The run that asks for it.
    pub run: Fence,
    /// How long it may take.
    pub deadline: Duration,
}

impl Command<'_> {
    /// The Job that runs it, in a pod like that of the workload whose pods are as `pod` says: with the container's
    /// environment and the pod's volumes and account. None where there is no such container.
    ///
    /// Its name tells commit, image, command and pod: a migration that was done for the same is not done again. What runs is
    /// looked at by each run anew.
    #[must_use]
    pub fn job(&self, pod: &Value) -> Option<Manifest> {
        let spec = self.pod(pod)?;
        let labels = BTreeMap::from([
            (keys::MANAGED_BY.to_owned(), keys::MANAGED_BY_US.to_owned()),
            (
                keys::COMPONENT.to_owned(),
                format!("{}-{}", self.component, self.errand),
            ),
        ]);
        let template = json!({ "metadata": { "labels": labels }, "spec": spec });
        let commit = Value::String(self.commit.to_string());
        let run = match self.errand {
            Errand::Migrate => Value::Null,
            Errand::Verify => Value::String(self.run.to_string()),
        };
        let name = format!(
            "{}-{}-{}",
            self.component,
            self.errand,
            short_hash(&[&template, &commit, &run])
        );
        let spec = json!({
            "backoffLimit": 0,
            "activeDeadlineSeconds": self.deadline.as_secs(),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": template,
        });
        let job = Manifest::new(Kind::Job, name, &labels, json!({ "spec": spec }));
        let annotations = [(keys::COMMIT.to_owned(), self.commit.to_string())];
        Some(job.annotated(annotations))
    }

    fn pod(&self, pod: &Value) -> Option<Value> {
        let lists = ["containers", "initContainers"];
        let all = lists.iter().flat_map(|list| pod[list].as_array());
        let like = all
            .flatten()
            .find(|container| container["name"] == self.container)?;
        let mut container = json!({
            "name": self.errand.to_string(),
            "image": self.image.to_string(),
            "command": self.command,
        });
        copy(&OF_CONTAINER, like, &mut container);
        let mut spec = json!({ "restartPolicy": "Never" });
        copy(&OF_POD, pod, &mut spec);
        // A StatefulSet's volumes are claims of its own pods.
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let volumes: BTreeSet<&str> = volumes.filter_map(|it| it["name"].as_str()).collect();
        let mounts = like["volumeMounts"].as_array().into_iter().flatten();
        let mounts: Vec<&Value> = mounts
            .filter(|mount| {
                mount["name"]
                    .as_str()
                    .is_some_and(|it| volumes.contains(it))
            })
            .collect();
        if !mounts.is_empty() {
            container["volumeMounts"] = json!(mounts);
        }
        spec["containers"] = json!([container]);
        Some(spec)
    }
}

fn copy(keys: &[&str], from: &Value, to: &mut Value) {
    for key in keys {
        if let Some(value) = from.get(key) {
            to[*key] = value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Value {
        json!({
            "serviceAccountName": "shop", "hostNetwork": true, "terminationGracePeriodSeconds": 30,
            "volumes": [{ "name": "certificate", "secret": { "secretName": "database-ca" } }],
            "initContainers": [{ "name": "wait", "image": "busybox" }],
            "containers": [
                { "name": "proxy", "image": "envoy" },
                {
                    "name": "api", "image": "ghcr.io/acme/api:old", "args": ["serve"],
                    "env": [{ "name": "DATABASE_HOST", "value": "database" }],
                    "ports": [{ "containerPort": 8080 }],
                    "readinessProbe": { "httpGet": { "path": "/", "port": 8080 } },
                    "volumeMounts": [
                        { "name": "certificate", "mountPath": "/etc/database" },
                        { "name": "data", "mountPath": "/data" },
                    ],
                },
            ],
        })
    }

    fn job(container: &str, digit: &str) -> Option<Manifest> {
        let image = format!("ghcr.io/acme/api@sha256:{}", digit.repeat(64));
        Command {
            errand: Errand::Migrate,
            component: &"api".parse().unwrap(),
            image: &image.parse().unwrap(),
            container,
            command: &["/api".to_owned(), "migrate".to_owned()],
            commit: &"d".repeat(40).parse().unwrap(),
            run: "12.1".parse().unwrap(),
            deadline: Duration::from_secs(300),
        }
        .job(&pod())
    }

    #[test]
    fn a_command_runs_like_the_container_it_is_of_and_nobody_takes_it_for_one() {
        let job = job("api", "1").unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(job.body()).unwrap(), @r#"
        {
          "apiVersion": "batch/v1",
          "kind": "Job",
          "metadata": {
            "annotations": {
              "preview-environments/commit": "dddddddddddddddddddddddddddddddddddddddd"
            },
            "labels": {
              "app.kubernetes.io/component": "api-migrate",
              "app.kubernetes.io/managed-by": "preview-environments"
            },
            "name": "api-migrate-3e720bb24c"
          },
          "spec": {
            "activeDeadlineSeconds": 300,
            "backoffLimit": 0,
            "template": {
              "metadata": {
                "labels": {
                  "app.kubernetes.io/component": "api-migrate",
                  "app.kubernetes.io/managed-by": "preview-environments"
                }
              },
              "spec": {
                "containers": [
                  {
                    "command": [
                      "/api",
                      "migrate"
                    ],
                    "env": [
                      {
                        "name": "DATABASE_HOST",
                        "value": "database"
                      }
                    ],
                    "image": "ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111",
                    "name": "migrate",
                    "volumeMounts": [
                      {
                        "mountPath": "/etc/database",
                        "name": "certificate"
                      }
                    ]
                  }
                ],
                "restartPolicy": "Never",
                "serviceAccountName": "shop",
                "volumes": [
                  {
                    "name": "certificate",
                    "secret": {
                      "secretName": "database-ca"
                    }
                  }
                ]
              }
            },
            "ttlSecondsAfterFinished": 604800
          }
        }
        "#);
    }

    #[test]
    fn another_image_is_another_job_and_another_container_none() {
        assert_eq!(
            job("api", "1").unwrap().object(),
            job("api", "1").unwrap().object()
        );
        assert_ne!(
            job("api", "1").unwrap().object(),
            job("api", "2").unwrap().object()
        );
        assert_eq!(job("web", "1"), None);
        assert!(job("wait", "1").is_some());
    }
}
