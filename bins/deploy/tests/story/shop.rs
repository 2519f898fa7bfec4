//! A shop's repository, registry and cluster in the sandbox, and programs run against them as a job of GitHub Actions
//! runs them. Shared by the stories of the three programs.

#![allow(dead_code, reason = "the stories of each program use their part of it")]

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sandbox::World;
use sandbox::github::{ACTIONS_TOKEN, Repository};
use sandbox::registry::Image;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Signs the records of every story.
pub(crate) const RECORD_KEY: &str = "the record key of all these stories, 32 bytes and more";

/// The world around a repository `acme/shop` of two components, `web` and `api`.
pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) repository: Repository,
    pub(crate) folder: TempDir,
    runs: AtomicU64,
    /// The process that was started last.
    running: AtomicU32,
}

/// A program that ran to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) result: Value,
    pub(crate) outputs: String,
    pub(crate) summary: String,
}

/// `text` without the times at which limits end.
pub(crate) fn timeless(text: &str) -> String {
    let mut parts = text.split("it resets at ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (time, after) = part.split_once(": ").unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{text}");
        out += &format!("it resets at [time]: {after}");
    }
    out
}

impl Ran {
    /// The one error line.
    pub(crate) fn error(&self) -> String {
        let lines: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .collect();
        assert_eq!(lines.len(), 1, "{self:#?}");
        lines[0].to_owned()
    }

    /// Fails with everything that is known where the exit code is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, code, "{self:#?}");
        self
    }

    /// What was done, a line for each, without times.
    pub(crate) fn steps(&self) -> String {
        let marks = ['✓', '=', '✗'];
        let lines = self.stdout.lines().filter(|line| line.starts_with(marks));
        let lines = lines.map(|line| line.rsplit_once(" (").map_or(line, |(step, _)| step));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The value of an output.
    pub(crate) fn output(&self, name: &str) -> String {
        let mut lines = self.outputs.lines();
        let of_name = |line: &&str| line.starts_with(&format!("{name}<<"));
        lines
            .find(of_name)
            .and_then(|_| lines.next())
            .unwrap_or_default()
            .to_owned()
    }

    /// How long it took by its own account.
    pub(crate) fn took(&self) -> Duration {
        Duration::from_millis(self.result["took_ms"].as_u64().unwrap())
    }

    /// Verdict and reason.
    pub(crate) fn verdict(&self) -> String {
        let text = |key: &str| self.result[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("verdict"), text("reason"))
    }
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_in(World::start().await.unwrap())
    }

    /// As [`Self::open`], on a GitHub Enterprise Server.
    pub(crate) async fn open_on_enterprise_server() -> Self {
        Self::open_in(World::start_enterprise().await.unwrap())
    }

    fn open_in(world: World) -> Self {
        let files = [("web/index.html", "a shop"), ("api/main.rs", "prices")];
        let repository = world.github.create_repository("acme/shop", &files);
        let shop = Self {
            world,
            repository,
            folder: tempfile::tempdir().unwrap(),
            runs: AtomicU64::new(100),
            running: AtomicU32::new(0),
        };
        shop.world
            .cluster
            .write_kubeconfig(&shop.path("kubeconfig"))
            .unwrap();
        shop.configure("");
        shop
    }

    /// A file of the job.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `preview.toml`, with `more` at its top. Nobody has to approve anything, unless it says so.
    pub(crate) fn configure(&self, more: &str) {
        let approval = match more.contains("approval = ") {
            true => "",
            false => "approval = \"none\"",
        };
        let host = self.world.registry.host();
        let text = format!(
            r#"{more}
{approval}
host = "{{pr}}.pr.example.com"

[components.web]
image = "{host}/acme/web"
replicas = 2
path = "/"

[components.api]
image = "{host}/acme/api"
migrate = ["api", "migrate"]
seed = ["api", "seed"]

[database]

[registry]
plain_http = ["{host}"]
github_packages = ["{host}"]

[[promote.targets]]
name = "production"
namespace = "shop"
"#
        );
        fs::write(self.path("preview.toml"), text).unwrap();
    }

    /// CI of a pull request: builds the test merge, and pushes the images under the tag of H.
    pub(crate) fn build(&self, number: u64) {
        let built_from = self.repository.merge_commit_of(number).unwrap();
        for component in ["web", "api"] {
            self.publish(
                component,
                &self.repository.head_of(number),
                &Image::of(&built_from).containing(component),
            );
        }
    }

    /// Pushes an image of a component under a tag; returns it by digest.
    pub(crate) fn publish(&self, component: &str, tag: &str, image: &Image) -> String {
        let name = format!("acme/{component}");
        let digest = self.world.registry.publish(&name, tag, image);
        format!("{}/{name}@{digest}", self.world.registry.host())
    }

    /// A pull request that CI has built, at its first head.
    pub(crate) fn open_pull_request(&self) -> u64 {
        let number = self
            .repository
            .open_pull_request("feature/cart", &[("web/cart.html", "a cart")]);
        self.build(number);
        number
    }

    /// Runs a program with an event's payload.
    pub(crate) async fn on(&self, program: &str, event: &str, payload: &Value) -> Ran {
        self.on_text(program, event, &payload.to_string()).await
    }

    /// Runs a program with an event's payload as it stands in the file.
    pub(crate) async fn on_text(&self, program: &str, event: &str, payload: &str) -> Ran {
        fs::write(self.path("event.json"), payload).unwrap();
        let event = [
            ("GITHUB_EVENT_NAME", event.to_owned()),
            ("GITHUB_EVENT_PATH", self.text_path("event.json")),
        ];
        self.run(program, &[], &event).await
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a program with nothing in its environment but what a job has, and these variables besides; an empty one is
    /// taken away. Each run has a greater number than the one before.
    pub(crate) async fn run(
        &self,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
    ) -> Ran {
        self.run_fed(program, arguments, variables, Stdio::null())
            .await
    }

    /// As [`Self::run`], with something to read.
    pub(crate) async fn run_fed(
        &self,
        program: &str,
        arguments: &[&str],
        variables: &[(&str, String)],
        input: Stdio,
    ) -> Ran {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let job = self.path(&format!("job-{run}"));
        fs::create_dir(&job).unwrap();
        let file = |name: &str| job.join(name).to_str().unwrap().to_owned();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args([
                "--config",
                &self.text_path("preview.toml"),
                "--result",
                &file("result.json"),
            ])
            .current_dir(&job)
            .env_clear()
            .env("GITHUB_API_URL", self.world.github.url())
            .env("GITHUB_SERVER_URL", self.world.github.server_url())
            .env("GITHUB_REPOSITORY", "acme/shop")
            .env("GITHUB_TOKEN", ACTIONS_TOKEN)
            .env("GITHUB_RUN_ID", run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("PREVIEW_RECORD_KEY", RECORD_KEY)
            .env("PREVIEW_REGISTRY_USER", self.world.registry.account().user)
            .env(
                "PREVIEW_REGISTRY_PASSWORD",
                self.world.registry.account().password,
            )
            .stdin(input)
            .kill_on_drop(true);
        for (name, value) in variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.running.store(child.id().unwrap(), Ordering::Relaxed);
        let output = child.wait_with_output().await.unwrap();
        let read = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
        let told = [
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
            read("result.json"),
            read("output"),
            read("summary"),
        ];
        // What is no token at all may well be said.
        let is_token =
            |(name, value): &&(&str, String)| *name == "GITHUB_TOKEN" && value.starts_with("gh");
        let token = variables.iter().find(is_token);
        let token = token.map_or(ACTIONS_TOKEN, |(_, token)| token);
        self.tell_no_secret(&told, token);
        let text = |bytes: &[u8]| self.plain(&String::from_utf8_lossy(bytes));
        Ran {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            result: serde_json::from_str(&self.plain(&read("result.json"))).unwrap_or_default(),
            outputs: self.plain(&read("output")),
            summary: self.plain(&read("summary")),
        }
    }

    /// Cancels the job whose program was started last, as Actions does.
    pub(crate) fn cancel(&self) {
        let kill = format!("kill -TERM {}", self.running.load(Ordering::Relaxed));
        let status = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(status.unwrap().success(), "{kill}");
    }

    /// Nothing that a program leaves shows a secret, but for the masks that hide it.
    fn tell_no_secret(&self, told: &[String], token: &str) {
        let registry = self.world.registry.account().password;
        for line in told.iter().flat_map(|text| text.lines()) {
            for secret in [token, RECORD_KEY, &registry] {
                let shows = line.contains(secret) && !line.starts_with("::add-mask::");
                assert!(!shows, "a secret is shown: {line}");
            }
        }
    }

    /// `text` without what is different each time: addresses, folders, commits, times.
    pub(crate) fn plain(&self, text: &str) -> String {
        let github = &self.world.github;
        let (address, known_as) = match github.is_enterprise() {
            true => (github.server_url(), "https://git.acme.test"),
            false => (github.url(), "https://api.github.test"),
        };
        text.replace(&self.world.registry.host(), "registry.test")
            .replace(&self.world.cluster.url(), "https://cluster.test")
            .replace(&address, known_as)
            .replace(self.folder.path().to_str().unwrap(), "@JOB@")
    }

    /// The one comment of ours on a pull request, without what is different each time.
    pub(crate) fn comment(&self, number: u64) -> String {
        let comments = self.repository.comments(number);
        assert_eq!(comments.len(), 1, "{comments:#?}");
        let head = self.repository.head_of(number);
        let text = self
            .plain(&comments[0].1)
            .replace(&head, "[head]")
            .replace(&head[..7], "[head]");
        let lines = text.lines().map(|line| {
            if line.starts_with("**Last Updated**: ") {
                return "**Last Updated**: [now]".to_owned();
            }
            match line.split_once(" after ") {
                Some((failed, _)) if failed.starts_with("**Status**: ❌ Failed — ") => {
                    format!("{failed} after [time]")
                }
                _ => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Kind and name of everything in a namespace that was applied, or that outlives what was.
    pub(crate) fn contents(&self, namespace: &str) -> String {
        let contents = self.world.cluster.contents(namespace);
        let made =
            |object: &&String| !object.starts_with("Pod/") && !object.starts_with("ReplicaSet/");
        let lines = contents
            .iter()
            .filter(made)
            .map(|object| self.without_hashes(object));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// `text` with the random and hashed endings of names, and digests, replaced.
    pub(crate) fn without_hashes(&self, text: &str) -> String {
        // Kubernetes makes endings of these, lest they spell words; ours are hex.
        let random = |b: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&b);
        let is_hash = |part: &str| {
            let is_hex = part.bytes().all(|b| b.is_ascii_hexdigit());
            let has_digit = part.bytes().any(|b| b.is_ascii_digit());
            (5..=10).contains(&part.len()) && (part.bytes().all(random) || is_hex && has_digit)
        };
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let plain =
            words.map(|word| {
                let (name, rest) = match word.char_indices().next_back() {
                    Some((at, c)) if !c.is_ascii_alphanumeric() && c != '-' => word.split_at(at),
                    _ => (word, ""),
                };
                if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return format!("[hex]{rest}");
                }
                let parts = name.split('-').enumerate().map(|(n, part)| {
                    if n > 0 && is_hash(part) { "[x]" } else { part }
                });
                format!("{}{rest}", parts.collect::<Vec<_>>().join("-"))
            });
        plain.collect()
    }

    /// `text` with uids replaced.
    pub(crate) fn without_uids(&self, text: &str) -> String {
        let is_uid =
            |word: &str| word.len() == 36 && word.bytes().filter(|b| *b == b'-').count() == 4;
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let plain = words.map(|word| {
            let end = word
                .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
                .len();
            let (name, rest) = word.split_at(end);
            match name.strip_prefix("pvc-") {
                Some(uid) if is_uid(uid) => format!("pvc-[uid]{rest}"),
                None if is_uid(name) => format!("[uid]{rest}"),
                _ => word.to_owned(),
            }
        });
        plain.collect()
    }

    /// What GitHub was asked since the last time, a line for each.
    pub(crate) fn routes(&self) -> Vec<String> {
        let traffic = self.world.github.traffic();
        let asked = traffic.exchanges().into_iter().map(|exchange| {
            let path = exchange.target.split('?').next().unwrap_or_default();
            format!("{} {}", exchange.method, route(path))
        });
        let asked = asked.collect();
        traffic.forget();
        asked
    }

    /// Everything by which people are led to GitHub from a pull request, without what is different each time.
    pub(crate) fn links(&self, number: u64) -> Vec<String> {
        let comments = self.repository.comments(number);
        let words = comments.iter().flat_map(|(_, body)| {
            let ends = |c: char| c.is_whitespace() || "()<>`".contains(c);
            body.split(ends).filter(|word| word.starts_with("http"))
        });
        let words = words.map(str::to_owned);
        let all = words.chain(self.repository.links());
        let all = all.filter(|link| !link.contains(".pr.example.com"));
        all.map(|link| self.plain(&link)).collect()
    }

    /// Everything that was wrong with what was asked of GitHub.
    pub(crate) fn close(&self) {
        assert_eq!(self.world.github.violations(), Vec::<String>::new());
    }
}

/// `path` with what is different each time replaced: commits, ids, digests.
fn route(path: &str) -> String {
    let path = match path.strip_prefix("/repos/acme/shop") {
        Some(rest) if !rest.is_empty() => rest,
        _ => path,
    };
    let parts = path.split('/').map(|part| {
        let is_sha = |part: &str| part.len() == 40 && part.bytes().all(|b| b.is_ascii_hexdigit());
        match part.split_once("...") {
            Some(("main", _)) => "main...{sha}",
            _ if is_sha(part) => "{sha}",
            _ if part.starts_with("image-digest") => "{label}",
            _ if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) => "{id}",
            _ => part,
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Waits until `is_so`, and fails where it does not become so.
pub(crate) async fn soon(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Of the reads of a program every so many-th is played: a world for each of them would take longer than all other stories
/// together. All of them where whoever runs the tests has time for it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no other way to be told"
)]
pub(crate) fn reads() -> usize {
    match std::env::var_os("PREVIEW_TEST_EVERY_READ") {
        Some(_) => 1,
        None => 5,
    }
}

pub(crate) fn is_write(request: &str) -> bool {
    !request.starts_with("GET ")
}
