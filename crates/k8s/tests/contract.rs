//! The suite on the sandbox's cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod suite;

use std::collections::BTreeMap;
use std::time::Duration;

use preview_core::cleanup::RetainedVolumes;
use preview_core::names::PinnedImage;
use preview_core::objects::Kind;
use preview_core::rights::of_deploy;
use preview_k8s::Error;
use sandbox::Fault;
use sandbox::cluster::{Behaviour as Does, Cluster, Reply};
use sandbox::registry::{Image, Registry};
use serde_json::json;
use suite::{Backend, Behaviour};

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

async fn sandbox() -> Backend {
    let registry = Registry::start().await.unwrap();
    let cluster = Cluster::start().await.unwrap();
    cluster.pull_from(&registry);
    // As the real node has them.
    cluster.install_gateway_api();
    cluster.install_volume_snapshots();
    let published = |name: &str, revision: &str| -> PinnedImage {
        let repository = format!("example/{name}");
        let digest = registry.publish(&repository, "1", &Image::of(revision));
        format!("{}/{repository}@{digest}", registry.host())
            .parse()
            .unwrap()
    };
    let last_words = vec!["cannot reach the database".to_owned()];
    let does = [
        (Behaviour::Runs, None),
        (Behaviour::Succeeds, None),
        (Behaviour::NeverReady, Some(Does::NeverReady)),
        (
            Behaviour::Crashes,
            Some(Does::Crash {
                exit_code: 3,
                log: last_words,
            }),
        ),
        (
            Behaviour::Blabs,
            Some(Does::Crash {
                exit_code: 3,
                log: vec!["cannot log in with $(PASSWORD)".to_owned()],
            }),
        ),
        (Behaviour::Hungry, Some(Does::OutOfMemory)),
    ];
    let mut containers = BTreeMap::new();
    for (behaviour, told) in does {
        let name = format!("{behaviour:?}").to_lowercase();
        let image = published(&name, FIRST);
        if let Some(told) = told {
            cluster.behave(&format!("example/{name}"), told);
        }
        containers.insert(behaviour, json!({ "image": image.to_string() }));
    }
    let asked = json!({ "httpGet": { "path": "/healthz", "port": 8080 } });
    containers.get_mut(&Behaviour::NeverReady).unwrap()["readinessProbe"] = asked;
    let absent = format!("{}/example/runs:absent", registry.host());
    containers.insert(Behaviour::Absent, json!({ "image": absent }));
    cluster.respond(|visit| match visit.path.as_str() {
        "/healthz" => reply(200, "alive\n"),
        _ => reply(404, "not found\n"),
    });
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    cluster.write_kubeconfig(&kubeconfig).unwrap();
    Backend {
        kubeconfig,
        images: [published("web", FIRST), published("web", SECOND)],
        containers,
        moment: Duration::from_secs(2),
        _servers: Some(Box::new((registry, cluster, folder))),
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        content_type: "text/plain".to_owned(),
        body: body.to_owned(),
    }
}

suite::every_story!(sandbox);

/// Not in the suite: a real cluster that has its definitions does not lose them for a story.
#[tokio::test]
async fn kinds_without_a_definition_are_missing_and_nothing_else_is() {
    let (cluster, us, _folder) = bare().await;
    let missing = async || us.missing_kinds(&Kind::ALL).await.unwrap();

    let snapshots = [Kind::VolumeSnapshot, Kind::VolumeSnapshotContent];
    let all = [&[Kind::HttpRoute], snapshots.as_slice()].concat();
    assert_eq!(missing().await, all);
    cluster.install_gateway_api();
    assert_eq!(missing().await, snapshots);
    cluster.install_volume_snapshots();
    assert_eq!(missing().await, []);
}

/// Not in the suite: the real cluster's account may do everything.
#[tokio::test]
async fn what_the_account_may_not_do_is_told_and_refused() {
    let (cluster, us, _folder) = bare().await;
    cluster.forbid("list", "daemonsets.apps");
    let asked = us.may(of_deploy(&[], RetainedVolumes::Stay)).await.unwrap();
    let lacks: Vec<String> = asked
        .iter()
        .filter(|(_, may)| !may)
        .map(|(right, _)| format!("{} {}", right.verb, right.resource))
        .collect();
    assert_eq!(lacks, ["list daemonsets.apps"]);
    let refused = us.daemon_sets().await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_something_on_the_way_says_never_means_that_a_kind_is_missing() {
    let (cluster, us, _folder) = bare().await;
    for (status, body) in [(404, "404 page not found"), (200, "<html>Log in</html>")] {
        let answer = Fault::Answer {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        };
        cluster.traffic().plan("GET", "/apis", 1, answer);
        let asked = us.missing_kinds(&[Kind::HttpRoute]).await;
        assert!(asked.is_err(), "{body}: {asked:?}");
    }
}

/// A cluster without custom kinds, and us.
async fn bare() -> (Cluster, preview_k8s::Cluster, tempfile::TempDir) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = Cluster::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    cluster.write_kubeconfig(&kubeconfig).unwrap();
    let settings = preview_k8s::Settings {
        kubeconfig: Some(kubeconfig),
        ..preview_k8s::Settings::inferred("preview-suite")
    };
    let us = preview_k8s::Cluster::connect(settings).await.unwrap();
    (cluster, us, folder)
}
