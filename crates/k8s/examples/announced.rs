//! How soon after a rollout is complete that is told: by [`Cluster::await_rollout`], and by kube's own `await_condition`
//! beside it, for the same Deployments of the sandbox. Run by `cargo xtask bench`.

#![allow(clippy::print_stdout, reason = "it is made to be read in a terminal")]

use std::error::Error;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config};
use preview_core::objects::{Kind, ObjectName};
use preview_k8s::{Cluster, Settings};
use sandbox::World;
use serde_json::json;

/// Deployments, one after another.
const ROUNDS: usize = 30;
/// More than a Deployment takes.
const PATIENCE: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "bench";

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    world.cluster.write_kubeconfig(&file)?;
    world.cluster.create_namespace(NAMESPACE)?;
    let us = Cluster::connect(Settings {
        kubeconfig: Some(file.clone()),
        ..Settings::inferred("preview-bench")
    })
    .await?;
    let config = Kubeconfig::read_from(&file)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    let peer = Client::try_from(config)?;

    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("web-{round}");
        world.cluster.create("somebody", deployment(&name))?;
        let (our, peer) = told(&us, &peer, &name).await?;
        ours.push(our);
        peers.push(peer);
    }
    show(ours, peers);
    Ok(())
}

/// How long after the Deployment was made each tells that it is complete.
async fn told(us: &Cluster, peer: &Client, name: &str) -> Outcome<(Duration, Duration)> {
    let began = Instant::now();
    let namespace = NAMESPACE.parse()?;
    let workloads = [ObjectName::new(Kind::Deployment, name)];
    let ours = async {
        let rollout = us.await_rollout(&namespace, &workloads, began + PATIENCE, |_, _| {});
        rollout.await?;
        Ok::<_, Box<dyn Error>>(began.elapsed())
    };
    let peers = async {
        let api: Api<Deployment> = Api::namespaced(peer.clone(), NAMESPACE);
        let complete = await_condition(api, name, conditions::is_deployment_completed());
        tokio::time::timeout(PATIENCE, complete).await??;
        Ok::<_, Box<dyn Error>>(began.elapsed())
    };
    tokio::try_join!(ours, peers)
}

fn deployment(name: &str) -> serde_json::Value {
    let labels = json!({ "app": name });
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "replicas": 1, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "web", "image": "docker.io/library/nginx:1" }] } } } })
}

fn show(ours: Vec<Duration>, peers: Vec<Duration>) {
    let later = ours.iter().zip(&peers);
    let later = later.map(|(our, peer)| our.saturating_sub(*peer));
    let later = median(later.collect());
    let (ours, peers) = (median(ours), median(peers));
    println!("a Deployment that is complete is told, after its creation (medians of {ROUNDS}):");
    println!(
        "  by await_rollout              {:>7.1} ms",
        milliseconds(ours)
    );
    println!(
        "  by kube's await_condition     {:>7.1} ms",
        milliseconds(peers)
    );
    println!(
        "  ratio                         {:>7.2}",
        ours.as_secs_f64() / peers.as_secs_f64()
    );
    println!(
        "  later than kube's             {:>7.1} ms",
        milliseconds(later)
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
