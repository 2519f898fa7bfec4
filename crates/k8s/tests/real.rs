//! The suite on a real node, which `cargo xtask test --real` starts and names in the environment.
//!
//! `PREVIEW_TEST_KUBECONFIG` names an account that may do everything, `PREVIEW_TEST_REGISTRY` the registry that holds
//! what `cargo xtask images --push` pushes. Without them every story fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test --real` names the cluster in the environment"
)]

mod suite;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use preview_core::names::PinnedImage;
use preview_registry::{Registry, Settings};
use serde_json::json;
use suite::{Backend, Behaviour};

fn given(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("set {name}, or run these by `cargo xtask test --real`"))
}

async fn real() -> Backend {
    let registry = given("PREVIEW_TEST_REGISTRY");
    let pause = format!("{registry}/example/pause:1");
    let shell = |script: &str| json!({ "image": pause, "command": ["/bin/sh", "-c", script] });
    let mut hungry = shell("x=0123456789abcdef; while :; do x=$x$x; done");
    hungry["resources"] = json!({ "limits": { "memory": "24Mi" } });
    let mut blabs = shell("echo cannot log in with $PASSWORD; exit 3");
    let mut crashes = json!({ "image": format!("{registry}/example/crash:1") });
    let mut never_ready = json!({ "image": pause });
    // Without a probe, what started is ready, and what ends at once is so for a moment.
    for container in [&mut hungry, &mut blabs, &mut crashes, &mut never_ready] {
        container["readinessProbe"] = json!({
            "exec": { "command": ["/bin/test", "-e", "/ready"] },
            "periodSeconds": 1,
        });
    }
    let containers = BTreeMap::from([
        (Behaviour::Runs, json!({ "image": pause })),
        (Behaviour::NeverReady, never_ready),
        (Behaviour::Crashes, crashes),
        (Behaviour::Blabs, blabs),
        (Behaviour::Hungry, hungry),
        (Behaviour::Succeeds, shell("true")),
        (
            Behaviour::Absent,
            json!({ "image": format!("{registry}/example/pause:absent") }),
        ),
    ]);
    Backend {
        kubeconfig: given("PREVIEW_TEST_KUBECONFIG").into(),
        images: [pinned(&registry, "1").await, pinned(&registry, "2").await],
        containers,
        moment: Duration::from_secs(10),
        _servers: None,
    }
}

async fn pinned(registry: &str, edition: &str) -> PinnedImage {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings {
        credentials: BTreeMap::new(),
        plain_http: BTreeSet::from([registry.to_owned()]),
        timeout: Duration::from_secs(20),
    };
    let name = format!("{registry}/example/web").parse().unwrap();
    let found = Registry::new(settings)
        .unwrap()
        .resolve(&name, edition)
        .await;
    let digest = found
        .unwrap()
        .expect("run `cargo xtask images --push` first");
    name.at(digest)
}

suite::every_story!(real);
