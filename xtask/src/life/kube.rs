//! The cluster over HTTP, seen with other eyes than the programs': what they say is checked here without their
//! adapter, and what is not theirs (production) is put here by somebody who is not them.

use std::{
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Who owns the fields of what is created here: a person with `kubectl apply`, to everybody who looks.
const MANAGER: &str = "kubectl-client-side-apply";
/// Runs a command until its standard input is closed: by us, or by whatever ends us.
const UNTIL_WE_END: &str = "\"$@\" & command=$!; read -r _; kill $command";
/// For one answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at the same thing.
const PAUSE: Duration = Duration::from_millis(100);

/// An API server that speaks plain HTTP.
pub(crate) struct Kube {
    client: Client,
    base: String,
    /// Who asks; nobody in particular without one.
    token: Option<String>,
    /// Holds the proxy's standard input open.
    _proxy: Option<Child>,
}

/// A place in the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// `v1`, `apps/v1`, ….
    pub(crate) api: &'a str,
    /// `Deployment`, ….
    pub(crate) kind: &'a str,
    /// None for what lies in no namespace, or for all of them.
    pub(crate) namespace: Option<&'a str>,
}

impl Place<'_> {
    fn path(&self) -> String {
        let api = match self.api.contains('/') {
            true => format!("apis/{}", self.api),
            false => format!("api/{}", self.api),
        };
        let kind = self.kind.to_lowercase();
        let kinds = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with('s') => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        match self.namespace {
            Some(namespace) => format!("{api}/namespaces/{namespace}/{kinds}"),
            None => format!("{api}/{kinds}"),
        }
    }
}

/// What a service answers to whoever opens its page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The page.
    pub(crate) body: String,
}

impl Kube {
    /// A cluster that speaks plain HTTP itself.
    ///
    /// # Errors
    /// When no client can be made.
    pub(crate) fn at(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        // reqwest is built without a provider; another part of xtask may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            // The API server is on this machine: a proxy of the environment leads elsewhere.
            client: Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()
                .context("make a client")?,
            base: url.trim_end_matches('/').to_owned(),
            token,
            _proxy: None,
        })
    }

    /// Any cluster, through `kubectl proxy`, which knows how to present the account of `kubeconfig`.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub(crate) async fn through(kubectl: &Path, kubeconfig: &Path) -> anyhow::Result<Self> {
        let mut command = until_we_end(kubectl);
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped());
        let mut proxy = command
            .spawn()
            .with_context(|| format!("start {} proxy", kubectl.display()))?;
        let out = proxy.stdout.take().context("kubectl proxy has no output")?;
        // "Starting to serve on 127.0.0.1:40123"
        let first = BufReader::new(out).lines().next_line().await?;
        let first = first.context("kubectl proxy ended at once; its error is above")?;
        let address = first
            .rsplit(' ')
            .next()
            .filter(|word| word.contains(':'))
            .with_context(|| format!("kubectl proxy does not say where it listens: {first}"))?;
        Ok(Self {
            _proxy: Some(proxy),
            ..Self::at(&format!("http://{address}"), None)?
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let what = || format!("{method} /{path} of the cluster");
        let mut request = self
            .client
            .request(method.clone(), format!("{}/{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request
                .header("content-type", kind)
                .body(serde_json::to_vec(body)?);
        }
        let answer = request.send().await.with_context(what)?;
        let status = answer.status();
        Ok((status, answer.text().await.with_context(what)?))
    }

    async fn done(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> anyhow::Result<Option<Value>> {
        let what = format!("{method} /{path} of the cluster");
        let (status, text) = self.ask(method, path, body).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            bail!("{what} was answered {status}: {text}");
        }
        let object = serde_json::from_str(&text);
        object.with_context(|| format!("{what}: the answer is no JSON"))
    }

    /// Creates an object where its `kind` and `metadata` say, as `kubectl apply` does.
    ///
    /// # Errors
    /// When the cluster refuses it, or has it already.
    pub(crate) async fn create(&self, object: &Value) -> anyhow::Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let place = Place {
            api: &api,
            kind: &kind,
            namespace: object["metadata"]["namespace"].as_str(),
        };
        let path = format!("{}?fieldManager={MANAGER}", place.path());
        let body = ("application/json", object);
        let made = self.done(Method::POST, &path, Some(body)).await?;
        made.map(drop)
            .with_context(|| format!("the cluster has no place /{}", place.path()))
    }

    /// An object; none where there is none.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(crate) async fn get(&self, place: Place<'_>, name: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("{}/{name}", place.path());
        self.done(Method::GET, &path, None).await
    }

    /// Reports the status of an object, as its controller does.
    ///
    /// # Errors
    /// When there is no such object, or the cluster refuses it.
    pub(crate) async fn report(
        &self,
        place: Place<'_>,
        name: &str,
        status: &Value,
    ) -> anyhow::Result<()> {
        let path = format!("{}/{name}/status", place.path());
        let status = serde_json::json!({ "status": status });
        let body = ("application/merge-patch+json", &status);
        let reported = self.done(Method::PATCH, &path, Some(body)).await?;
        reported
            .map(drop)
            .with_context(|| format!("there is no /{path} to report the status of"))
    }

    /// Changes an object by a merge patch, as `kubectl annotate` does.
    ///
    /// # Errors
    /// When there is no such object, or the cluster refuses it.
    pub(crate) async fn change(
        &self,
        place: Place<'_>,
        name: &str,
        change: &Value,
    ) -> anyhow::Result<()> {
        let path = format!("{}/{name}", place.path());
        let body = ("application/merge-patch+json", change);
        let changed = self.done(Method::PATCH, &path, Some(body)).await?;
        changed
            .map(drop)
            .with_context(|| format!("there is no /{path} to change"))
    }

    /// Deletes an object; tells whether it was there.
    ///
    /// # Errors
    /// When the cluster does not answer, or refuses.
    pub(crate) async fn delete(&self, place: Place<'_>, name: &str) -> anyhow::Result<bool> {
        let path = format!("{}/{name}", place.path());
        Ok(self.done(Method::DELETE, &path, None).await?.is_some())
    }

    /// All objects of a place.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub(crate) async fn list(&self, place: Place<'_>) -> anyhow::Result<Vec<Value>> {
        let found = self.done(Method::GET, &place.path(), None).await?;
        let items = found.map_or(Value::Null, |mut list| list["items"].take());
        Ok(items.as_array().cloned().unwrap_or_default())
    }

    /// Deletes a namespace, whatever finalizers of ours are on it, and waits until it is gone.
    ///
    /// # Errors
    /// When it is not gone at the deadline, with what is left of it.
    pub(crate) async fn remove_namespace(
        &self,
        name: &str,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let place = Place {
            api: "v1",
            kind: "Namespace",
            namespace: None,
        };
        let path = format!("{}/{name}", place.path());
        let free = serde_json::json!({ "metadata": { "finalizers": null } });
        let free = ("application/merge-patch+json", &free);
        if self.done(Method::PATCH, &path, Some(free)).await?.is_none() {
            return Ok(());
        }
        self.done(Method::DELETE, &path, None).await?;
        until(deadline, || async {
            match self.get(place, name).await? {
                None => Ok(Ok(())),
                Some(left) => Ok(Err(format!(
                    "namespace {name} is there: {}",
                    left["status"]
                ))),
            }
        })
        .await
    }

    /// Where it speaks plain HTTP to whoever comes.
    ///
    /// # Errors
    /// When it has no address of its own.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let address = self.base.trim_start_matches("http://");
        address
            .parse()
            .with_context(|| format!("find the address in {}", self.base))
    }

    /// Somebody else who asks the same API server, for as long as this is there.
    pub(crate) fn another(&self) -> Self {
        Self {
            client: self.client.clone(),
            base: self.base.clone(),
            token: self.token.clone(),
            _proxy: None,
        }
    }

    /// Opens a page of a service, as a browser does: no redirect or retry hides what it answers.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(crate) async fn page(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
        path: &str,
    ) -> anyhow::Result<Answer> {
        let path = path.trim_start_matches('/');
        let path = format!("api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/{path}");
        let (status, body) = self.ask(Method::GET, &path, None).await?;
        Ok(Answer {
            status: status.as_u16(),
            body,
        })
    }
}

/// A program that ends with us, whatever ends us, or with its standard input.
pub(super) fn until_we_end(program: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", UNTIL_WE_END, "sh"])
        .arg(program)
        .stdin(Stdio::piped());
    command
}

/// Looks again and again until what is looked for is there, or the deadline.
///
/// # Errors
/// When looking fails, or at the deadline, with what was seen last.
pub(crate) async fn until<T>(
    deadline: Instant,
    mut look: impl AsyncFnMut() -> anyhow::Result<Result<T, String>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        let seen = match look().await? {
            Ok(found) => return Ok(found),
            Err(seen) => seen,
        };
        if Instant::now() >= deadline {
            bail!("waited {:.0?} in vain: {seen}", begin.elapsed());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_places() {
        let path = |api, kind, namespace| {
            Place {
                api,
                kind,
                namespace,
            }
            .path()
        };
        assert_eq!(
            path("apps/v1", "Deployment", Some("shop")),
            "apis/apps/v1/namespaces/shop/deployments"
        );
        assert_eq!(
            path("v1", "PersistentVolume", None),
            "api/v1/persistentvolumes"
        );
        let networking = |kind| path("networking.k8s.io/v1", kind, None);
        assert!(networking("Ingress").ends_with("/ingresses"));
        assert!(networking("NetworkPolicy").ends_with("/networkpolicies"));
    }

    #[tokio::test]
    async fn what_runs_until_we_end_ends_with_us() {
        let mut child = until_we_end(Path::new("sleep"))
            .arg("1000")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take());
        // The command holds its output open for as long as it runs.
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next_line().await.unwrap(), None);
        child.wait().await.unwrap();
    }

    #[tokio::test]
    async fn at_the_deadline_the_last_sight_is_told() {
        let mut sights = 0;
        let refused = until::<()>(Instant::now() + Duration::from_millis(1), async || {
            sights += 1;
            Ok(Err(format!("sight {sights}")))
        })
        .await
        .unwrap_err();
        assert!(refused.to_string().contains("sight "), "{refused}");
        assert!(sights >= 1);
    }
}
