//! A stand-in for `gh`, as far as our workflows use it: a script that hands what it is told to this process, which asks the
//! sandbox's GitHub with the script's token.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Until a run that is watched has ended.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between one look at it and the next.
const GLANCE: Duration = Duration::from_millis(20);

/// Answers the script, for as long as it is there.
pub(super) struct Gh {
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Gh {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gh {
    /// Listens for the script; `api` is GitHub's address.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) async fn listen(api: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("listen for gh")?;
        let port = listener.local_addr()?.port();
        let api = api.to_owned();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = api.clone();
                tokio::spawn(async move {
                    // Whoever asked hears of it, or has gone.
                    let _ = serve(stream, &api).await;
                });
            }
        });
        Ok(Self { port, serving })
    }

    /// The program, as a script for bash.
    pub(super) fn script(&self) -> String {
        format!(
            "exec 3<>/dev/tcp/127.0.0.1/{}\nprintf '%s\\n' \"$GH_TOKEN\" \"$GH_REPO\" \"$#\" \"$@\" >&3\n\
             IFS= read -r code <&3\ncat <&3\nexit \"$code\"",
            self.port
        )
    }
}

async fn serve(mut stream: TcpStream, api: &str) -> anyhow::Result<()> {
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).lines();
    let mut line = async || lines.next_line().await?.context("gh said too little");
    let (token, repository) = (line().await?, line().await?);
    let mut arguments = Vec::new();
    for _ in 0..line().await?.parse()? {
        arguments.push(line().await?);
    }
    let desk = Desk {
        api,
        token,
        repository,
    };
    let (code, said) = match desk.answer(&arguments).await {
        Ok(said) => (0, said),
        Err(error) => (1, format!("{error:#}")),
    };
    to.write_all(format!("{code}\n{said}\n").as_bytes()).await?;
    Ok(())
}

struct Desk<'a> {
    api: &'a str,
    token: String,
    repository: String,
}

impl Desk<'_> {
    async fn answer(&self, arguments: &[String]) -> anyhow::Result<String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match words.as_slice() {
            [
                "run",
                "list",
                "--workflow",
                file,
                "--commit",
                commit,
                "--limit",
                "1",
                "--json",
                "databaseId",
                "--jq",
                ".[].databaseId",
            ] => self.newest(file, commit).await,
            ["run", "watch", run, "--exit-status", "--interval", _] => self.watch(run).await,
            _ => bail!("gh {} is not modelled", words.join(" ")),
        }
    }

    async fn newest(&self, file: &str, commit: &str) -> anyhow::Result<String> {
        let runs = self
            .get(&format!("/actions/runs?head_sha={commit}&per_page=100"))
            .await?;
        let path = format!(".github/workflows/{file}");
        let mut runs = runs["workflow_runs"].as_array().into_iter().flatten();
        let found = runs.find(|run| run["path"] == path.as_str());
        Ok(found.map(|run| run["id"].to_string()).unwrap_or_default())
    }

    async fn watch(&self, run: &str) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.get(&format!("/actions/runs/{run}")).await?;
            if shown["status"] == "completed" {
                ensure!(shown["conclusion"] == "success", "run {run} failed");
                return Ok(format!("run {run} completed with 'success'"));
            }
            ensure!(Instant::now() < deadline, "run {run} does not end");
            tokio::time::sleep(GLANCE).await;
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        // reqwest is built without a provider; another part of xtask may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("{}/repos/{}{path}", self.api, self.repository);
        let client = reqwest::Client::builder().user_agent("gh").build()?;
        let answer = client.get(&url).bearer_auth(&self.token).send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        ensure!(
            status.is_success(),
            "HTTP {}: {}",
            status.as_u16(),
            body["message"]
        );
        Ok(body)
    }
}
