//! What the example's two servers have in common: how they listen, and how they end.

use std::{env, future::Future};

use anyhow::Context;
use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// An environment variable, or its default.
pub fn setting(name: &str, default: &str) -> String {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => default.to_owned(),
    }
}

/// An environment variable without which nothing works.
pub fn required(name: &str) -> anyhow::Result<String> {
    match env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => anyhow::bail!("the environment variable {name} is not set"),
    }
}

/// Runs `work` on this thread.
pub fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().context("start a runtime")?;
    runtime.block_on(work)
}

/// Serves on all addresses, at `PORT` or 8080, until told to end; requests under way are answered first.
pub async fn serve(name: &str, router: Router) -> anyhow::Result<()> {
    // A process with the id 1 has no default handlers: without ours, a pod would wait for its grace period's end.
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let port = setting("PORT", "8080");
    let port: u16 = port
        .parse()
        .with_context(|| format!("PORT is {port:?}, not a port"))?;
    let listener = TcpListener::bind(("0.0.0.0", port))
        .await
        .with_context(|| format!("listen at port {port}"))?;
    println!(
        "{name}: built from {}, listening at port {port}",
        setting("REVISION", "an unknown commit")
    );
    let ending = async move {
        tokio::select! {
            _ = terminate.recv() => println!("ending: SIGTERM"),
            _ = interrupt.recv() => println!("ending: SIGINT"),
        }
    };
    axum::serve(listener, router)
        .with_graceful_shutdown(ending)
        .await
        .context("serve")
}
