//! Runs Kustomize: for a folder of the checkout, without plugins, Helm, network or secrets.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use preview_actions::{Failed, Runner};
use preview_core::health::FailureClass;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::{MOST, text};

/// How long it may take: what it reads is on the disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// The programs that can do it, in the order in which they are looked for.
const PROGRAMS: [(&str, &str); 2] = [("kustomize", "build"), ("kubectl", "kustomize")];

/// Nothing but what lies in or below the folder of a kustomization that is read.
const RESTRICTED: &str = "--load-restrictor=LoadRestrictionsRootOnly";

/// How much of its complaints is kept, in bytes.
const WORDS: u64 = 4 << 10;

/// Where programs are where the environment does not say.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What was rendered.
#[derive(Debug)]
pub(super) struct Rendered {
    /// By which command.
    pub(super) by: String,
    pub(super) text: String,
}

/// What Kustomize makes of `folder` in `root`.
///
/// # Errors
/// When there is no Kustomize, or it fails, takes too long or says too much.
pub(super) async fn build(runner: &Runner, root: &Path, folder: &str) -> Result<Rendered, Failed> {
    let work = async {
        let (child, by) = start(runner, root, folder)?;
        let left = runner.deadline().saturating_duration_since(Instant::now());
        let patience = PATIENCE.min(left);
        let said = tokio::time::timeout(patience, hear(child, &by)).await;
        let text = said.map_err(|_| {
            let error = format!(
                "{by} was not done after {} s; run it yourself in a checkout of the base branch",
                patience.as_secs()
            );
            Failed::Outside(FailureClass::Timeout, error)
        })??;
        Ok(Rendered { by, text })
    };
    runner.step("render", folder, work).await
}

fn start(runner: &Runner, root: &Path, folder: &str) -> Result<(Child, String), Failed> {
    for (program, verb) in PROGRAMS {
        let by = format!("{program} {verb} {folder}");
        let mut command = Command::new(program);
        command
            .args([verb, RESTRICTED, folder])
            .current_dir(root)
            // It needs none of what this process has: no token, no kubeconfig, no home with plugins in it.
            .env_clear()
            .env(
                "PATH",
                runner.environment().search_path().unwrap_or(USUAL_PATH),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        match command.spawn() {
            Ok(child) => return Ok((child, by)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Failed::Misused(format!(
                    "cannot start {by}: {error}; install it anew"
                )));
            }
        }
    }
    Err(Failed::Misused(
        "manifests.kustomize: neither kustomize nor kubectl is installed; install one in the job, or render in a step \
         before and hand the result over with --manifests"
            .to_owned(),
    ))
}

/// What it says, when it ends well.
async fn hear(mut child: Child, by: &str) -> Result<String, Failed> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let broken = |what: &str, error: std::io::Error| {
        let error = format!("cannot {what} {by}: {error}; run this again");
        Failed::Outside(FailureClass::Runner, error)
    };
    let (out, words) = tokio::try_join!(up_to(out, MOST + 1), up_to(err, WORDS))
        .map_err(|error| broken("hear", error))?;
    if out.len() as u64 > MOST {
        let most = MOST >> 20;
        return Err(Failed::Misused(format!(
            "{by} says more than {most} MiB; leave out of the overlay what a preview does not need"
        )));
    }
    let status = child.wait().await;
    let status = status.map_err(|error| broken("wait for", error))?;
    if !status.success() {
        let words = String::from_utf8_lossy(&words);
        let words: Vec<&str> = words
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        return Err(Failed::Misused(format!(
            "{by} failed ({status}): {}; run it yourself in a checkout of the base branch",
            words.join("; ")
        )));
    }
    text(out).map_err(|why| Failed::Misused(format!("{by}: {why}; write manifests in UTF-8")))
}

/// The first bytes of `from`; the rest is heard and forgotten.
async fn up_to(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(&mut bytes).await?;
        // A child that nobody hears stands still.
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}
