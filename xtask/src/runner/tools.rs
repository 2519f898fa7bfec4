//! Stand-ins for `gh`, `git` and `docker`, as far as our workflows use them: scripts that hand what they are told to this process,
//! which asks the sandbox's GitHub with the script's token, and builds images without Docker.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::standins::{edition_of, write};
use crate::life::Ground;
use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sandbox::github::Repository;
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

/// What is stood in for.
pub(super) const NAMES: [&str; 3] = ["docker", "gh", "git"];
/// Where the stand-in for git keeps what it has fetched: the merge and its parents.
const FETCHED: &str = ".git/FETCH_HEAD";

/// Answers the scripts, for as long as it is there.
pub(super) struct Tools {
    port: u16,
    serving: JoinHandle<()>,
}

impl Drop for Tools {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Tools {
    /// Listens for the scripts; `api` is GitHub's address.
    ///
    /// # Errors
    /// When no port can be had.
    pub(super) async fn listen(
        api: &str,
        repository: &Repository,
        ground: &Arc<Ground>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("listen for gh, git and docker")?;
        let port = listener.local_addr()?.port();
        let shop = Shop {
            api: api.to_owned(),
            repository: repository.clone(),
            ground: Arc::clone(ground),
        };
        let shop = Arc::new(shop);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shop = Arc::clone(&shop);
                tokio::spawn(async move {
                    // Whoever asked hears of it, or has gone.
                    let _ = serve(stream, &shop).await;
                });
            }
        });
        Ok(Self { port, serving })
    }

    /// One of the programs, as a script for bash.
    pub(super) fn script(&self, name: &str) -> String {
        format!(
            "exec 3<>/dev/tcp/127.0.0.1/{}\nprintf '%s\\n' {name} \"$PWD\" \"${{GH_TOKEN-}}\" \"${{GH_REPO-}}\" \
             \"${{GIT_CONFIG_VALUE_0-}}\" \"$#\" \"$@\" >&3\nIFS= read -r code <&3\ncat <&3\nexit \"$code\"",
            self.port
        )
    }
}

/// What all desks have.
struct Shop {
    api: String,
    repository: Repository,
    ground: Arc<Ground>,
}

async fn serve(mut stream: TcpStream, shop: &Shop) -> anyhow::Result<()> {
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).lines();
    let mut line = async || lines.next_line().await?.context("it said too little");
    let (name, folder) = (line().await?, PathBuf::from(line().await?));
    let (token, repository, header) = (line().await?, line().await?, line().await?);
    let mut arguments = Vec::new();
    for _ in 0..line().await?.parse()? {
        arguments.push(line().await?);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let desk = Desk {
        shop,
        folder: &folder,
        token: match name.as_str() {
            "git" => token_of(&header)?,
            _ => token,
        },
    };
    let answer = match name.as_str() {
        "gh" => {
            ensure!(
                repository == shop.repository.slug(),
                "gh: GH_REPO is {repository:?}"
            );
            desk.gh(&words).await
        }
        "git" => desk.git(&words).await,
        _ => desk.docker(&words).await,
    };
    let (code, said) = match answer {
        Ok(said) => (0, said),
        Err(error) => (1, format!("{error:#}")),
    };
    to.write_all(format!("{code}\n{said}\n").as_bytes()).await?;
    Ok(())
}

/// The token in the header that git is told to send; none where it is told none.
fn token_of(header: &str) -> anyhow::Result<String> {
    let Some(basic) = header.strip_prefix("Authorization: Basic ") else {
        return Ok(String::new());
    };
    let login = String::from_utf8(BASE64_STANDARD.decode(basic)?)?;
    let token = login.strip_prefix("x-access-token:");
    token.map(str::to_owned).context("git sends no token")
}

struct Desk<'a> {
    shop: &'a Shop,
    /// Where the program was started.
    folder: &'a Path,
    token: String,
}

impl Desk<'_> {
    /// Of a pull request's test merge no more than its files and its parents.
    async fn git(&self, words: &[&str]) -> anyhow::Result<String> {
        let repository = &self.shop.repository;
        match words {
            ["init", "--quiet", folder] => {
                fs::create_dir_all(Path::new(folder).join(".git"))?;
            }
            ["fetch", "--quiet", "--depth=2", url, reference] => {
                ensure!(url.ends_with(&format!("/{}", repository.slug())), "{url}");
                let number = reference.strip_prefix("refs/pull/");
                let number = number.and_then(|it| it.strip_suffix("/merge"));
                let number = number.with_context(|| format!("{reference} is not modelled"))?;
                let merge = repository.merge_commit_of(number.parse()?);
                let merge = merge.context("fatal: couldn't find remote ref")?;
                let commit = self.get(&format!("/git/commits/{merge}")).await?;
                let parents = commit["parents"].as_array().into_iter().flatten();
                let parents = parents.filter_map(|it| it["sha"].as_str());
                let line: Vec<&str> = std::iter::once(merge.as_str()).chain(parents).collect();
                fs::write(self.folder.join(FETCHED), line.join(" "))?;
            }
            ["rev-list", "--parents", "--max-count=1", "FETCH_HEAD"] => {
                return Ok(fs::read_to_string(self.folder.join(FETCHED))?);
            }
            ["checkout", "--quiet", "--detach", commit] => {
                let fetched = fs::read_to_string(self.folder.join(FETCHED))?;
                ensure!(fetched.starts_with(commit), "{commit} was not fetched");
                for (path, text) in repository.files(commit) {
                    write(&self.folder.join(path), text.as_bytes())?;
                }
            }
            _ => bail!("git {} is not modelled", words.join(" ")),
        }
        Ok(String::new())
    }

    /// Writes the archive of one component's layout.
    async fn docker(&self, words: &[&str]) -> anyhow::Result<String> {
        let [
            "buildx",
            "build",
            "--target",
            target,
            "--provenance=false",
            "--label",
            label,
            "--build-arg",
            _,
            "--output",
            output,
            context,
        ] = words
        else {
            bail!("docker {} is not modelled", words.join(" "));
        };
        let revision = label.strip_prefix("org.opencontainers.image.revision=");
        let revision =
            revision.context("the image has no label that says what it was built from")?;
        let to = output.strip_prefix("type=oci,dest=");
        let to = to.with_context(|| format!("the output {output} is not modelled"))?;
        let edition = edition_of(&self.folder.join(context))?;
        let layouts = tempfile::tempdir()?;
        let ground = &self.shop.ground;
        let built = ground.build(target, revision, edition, layouts.path());
        built.await?.archive(Path::new(to))?;
        Ok(format!("exported to {to}"))
    }

    async fn gh(&self, words: &[&str]) -> anyhow::Result<String> {
        match words {
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
        let (api, slug) = (&self.shop.api, self.shop.repository.slug());
        let url = format!("{api}/repos/{slug}{path}");
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
