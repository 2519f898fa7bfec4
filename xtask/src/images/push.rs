//! Pushes a layout byte for byte: what a registry serves has the digests that the layout has.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push>

use anyhow::{Context as _, bail};
use http_auth::parser::ChallengeParser;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde_json::Value;

use super::layout::{Layout, Piece};

/// The media types of what a layout pushes.
const MANIFESTS: &str =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

/// Who pushes.
#[derive(Clone)]
pub(crate) struct Account {
    /// The user's name.
    pub(crate) user: String,
    /// Its password or token.
    pub(crate) password: String,
}

/// Pushes the image to `HOST:PORT/NAME` under each of `tags`, over plain HTTP, and returns the index's digest.
/// Pieces that the registry has are not sent again.
///
/// # Errors
/// When the registry refuses, cannot be reached, or a piece of the layout is missing or damaged.
pub(crate) async fn push(
    layout: &Layout,
    to: &str,
    tags: &[&str],
    account: Option<&Account>,
) -> anyhow::Result<String> {
    let what = || format!("push {} to {to}", layout.digest());
    let repository = Repository::open(to, account).await.with_context(what)?;
    repository.push(layout, tags).await.with_context(what)?;
    Ok(layout.digest().to_owned())
}

/// Removes the manifest `digest` of `HOST:PORT/NAME` with all its tags, over plain HTTP.
///
/// # Errors
/// When the registry refuses, or cannot be reached.
pub(crate) async fn remove(
    from: &str,
    digest: &str,
    account: Option<&Account>,
) -> anyhow::Result<()> {
    delete(from, "manifests", digest, account).await
}

/// Removes the config or layer `digest` of `HOST:PORT/NAME`, over plain HTTP.
///
/// # Errors
/// When the registry refuses, or cannot be reached.
pub(crate) async fn remove_blob(
    from: &str,
    digest: &str,
    account: Option<&Account>,
) -> anyhow::Result<()> {
    delete(from, "blobs", digest, account).await
}

async fn delete(
    from: &str,
    kind: &str,
    digest: &str,
    account: Option<&Account>,
) -> anyhow::Result<()> {
    let what = || format!("remove {from}@{digest}");
    let repository = Repository::open(from, account).await.with_context(what)?;
    let place = repository.base.join(&format!("{kind}/{digest}"))?;
    let removed = repository.request(Method::DELETE, place).send().await?;
    accepted(removed).await.map(drop).with_context(what)
}

/// What `HOST:PORT/NAME` serves as the config or layer `digest`, over plain HTTP, whatever that is.
///
/// # Errors
/// When the registry refuses, or cannot be reached.
pub(crate) async fn served_blob(
    at: &str,
    digest: &str,
    account: Option<&Account>,
) -> anyhow::Result<Vec<u8>> {
    let what = || format!("get {at}@{digest}");
    let repository = Repository::open(at, account).await.with_context(what)?;
    let place = repository.base.join(&format!("blobs/{digest}"))?;
    let asked = repository.request(Method::GET, place).send().await?;
    let served = accepted(asked).await.with_context(what)?.bytes().await;
    Ok(served.with_context(what)?.into())
}

/// Whether `HOST:PORT/NAME` has a manifest of this digest, asked over plain HTTP.
///
/// # Errors
/// When the registry refuses, or cannot be reached.
pub(crate) async fn holds(
    at: &str,
    digest: &str,
    account: Option<&Account>,
) -> anyhow::Result<bool> {
    let what = || format!("look for {at}@{digest}");
    let repository = Repository::open(at, account).await.with_context(what)?;
    let place = repository.base.join(&format!("manifests/{digest}"))?;
    let asked = repository
        .request(Method::HEAD, place)
        .header(header::ACCEPT, MANIFESTS);
    let answer = asked.send().await.with_context(what)?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(false),
        _ => accepted(answer).await.map(|_| true).with_context(what),
    }
}

impl Account {
    /// The account of `user`; none where that is empty, for a registry where anybody may push.
    pub(crate) fn of(user: &str, password: &str) -> Option<Self> {
        (!user.is_empty()).then(|| Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// A repository of a registry, and the right to push to it.
struct Repository {
    client: Client,
    base: Url,
    token: Option<String>,
}

impl Repository {
    async fn open(to: &str, account: Option<&Account>) -> anyhow::Result<Self> {
        let (host, name) = to
            .split_once('/')
            .context("a place to push to is HOST:PORT/NAME")?;
        // reqwest is built without a provider; another part of xtask may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The registry is on this machine: a proxy of the environment leads elsewhere.
        let client = Client::builder()
            .no_proxy()
            .build()
            .context("make a client")?;
        let base = Url::parse(&format!("http://{host}/v2/{name}/"))?;
        let asked = client.get(format!("http://{host}/v2/")).send().await?;
        let token = match asked.status() {
            StatusCode::UNAUTHORIZED => Some(token(&client, &asked, name, account).await?),
            _ => {
                accepted(asked).await?;
                None
            }
        };
        Ok(Self {
            client,
            base,
            token,
        })
    }

    async fn push(&self, layout: &Layout, tags: &[&str]) -> anyhow::Result<()> {
        for manifest in layout.manifests()? {
            for blob in layout.blobs(&manifest)? {
                self.blob(layout, &blob).await?;
            }
            self.manifest(layout, &manifest, &manifest.digest).await?;
        }
        for reference in [layout.digest()].iter().chain(tags) {
            self.manifest(layout, layout.index(), reference).await?;
        }
        Ok(())
    }

    async fn blob(&self, layout: &Layout, blob: &Piece) -> anyhow::Result<()> {
        let known = self.request(
            Method::HEAD,
            self.base.join(&format!("blobs/{}", blob.digest))?,
        );
        if known.send().await?.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = self.request(Method::POST, self.base.join("blobs/uploads/")?);
        let begun = accepted(begin.send().await?).await?;
        let place = begun
            .headers()
            .get(header::LOCATION)
            .context("the registry names no place to upload to")?;
        // The place may be relative, and carries a query that must be kept.
        let mut place = self.base.join(place.to_str()?)?;
        place.query_pairs_mut().append_pair("digest", &blob.digest);
        let end = self
            .request(Method::PUT, place)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        accepted(end.body(layout.bytes(blob)?).send().await?)
            .await
            .map(drop)
    }

    async fn manifest(
        &self,
        layout: &Layout,
        manifest: &Piece,
        reference: &str,
    ) -> anyhow::Result<()> {
        let place = self.base.join(&format!("manifests/{reference}"))?;
        let put = self
            .request(Method::PUT, place)
            .header(header::CONTENT_TYPE, &manifest.media_type);
        accepted(put.body(layout.bytes(manifest)?).send().await?)
            .await
            .map(drop)
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// Buys the right to push where the refusal says it is sold.
/// <https://distribution.github.io/distribution/spec/auth/token/>
async fn token(
    client: &Client,
    refused: &Response,
    name: &str,
    account: Option<&Account>,
) -> anyhow::Result<String> {
    let challenge = refused
        .headers()
        .get(header::WWW_AUTHENTICATE)
        .context("the registry asks for credentials and does not say which")?
        .to_str()?;
    let bearer = ChallengeParser::new(challenge)
        .flatten()
        .find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))
        .with_context(|| format!("the registry's challenge is no Bearer: {challenge}"))?;
    let parameter = |name: &str| {
        let mut parameters = bearer.params.iter();
        let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_unescaped())
    };
    let realm =
        parameter("realm").with_context(|| format!("a challenge without realm: {challenge}"))?;
    let mut url = Url::parse(&realm)?;
    url.query_pairs_mut()
        .append_pair("service", &parameter("service").unwrap_or_default())
        .append_pair("scope", &format!("repository:{name}:pull,push,delete"));
    let mut ask = client.get(url);
    if let Some(account) = account {
        ask = ask.basic_auth(&account.user, Some(&account.password));
    }
    let answer: Value = serde_json::from_str(&accepted(ask.send().await?).await?.text().await?)?;
    // Either key, by the specification.
    let token = answer["token"].as_str().or(answer["access_token"].as_str());
    Ok(token
        .context("the token server's answer has no token")?
        .to_owned())
}

async fn accepted(response: Response) -> anyhow::Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    // Without the query: it may carry the registry's signed upload state.
    let (status, mut url) = (response.status(), response.url().clone());
    url.set_query(None);
    let words = response.text().await.unwrap_or_default();
    bail!("{url} answered {status}: {}", words.trim());
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::images::layout::Image;

    fn page(folder: &tempfile::TempDir) -> Layout {
        let mut image = Image {
            entrypoint: vec!["/page".to_owned()],
            ..Image::default()
        };
        image.layer.file("page", 0o755, "hello\n");
        image.write(folder.path()).unwrap()
    }

    fn publisher(registry: &sandbox::registry::Registry) -> Account {
        let account = registry.account();
        Account {
            user: account.user,
            password: account.password,
        }
    }

    #[tokio::test]
    async fn what_was_pushed_has_the_digests_of_the_layout_under_every_tag() {
        let folder = tempfile::tempdir().unwrap();
        let (layout, registry) = (
            page(&folder),
            sandbox::registry::Registry::start().await.unwrap(),
        );
        let to = format!("{}/acme/page", registry.host());
        let account = publisher(&registry);
        for _ in ["once", "and once more"] {
            let digest = push(&layout, &to, &["one", "other"], Some(&account))
                .await
                .unwrap();
            assert_eq!(digest, layout.digest());
        }
        for (_, digest) in registry.tags("acme/page") {
            assert_eq!(digest, layout.digest());
        }
        assert_eq!(registry.tags("acme/page").len(), 2);
        for manifest in layout.manifests().unwrap() {
            assert!(registry.holds("acme/page", &manifest.digest));
            for blob in layout.blobs(&manifest).unwrap() {
                assert!(registry.holds("acme/page", &blob.digest));
            }
        }
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let registry = sandbox::registry::Registry::start().await.unwrap();
        let account = Account {
            password: "hunter2".to_owned(),
            ..publisher(&registry)
        };
        let to = format!("{}/acme/page", registry.host());
        let layout = page(&folder);
        let refused = push(&layout, &to, &["one"], Some(&account)).await;
        let refused = format!("{:#}", refused.unwrap_err())
            .replace(&registry.host(), "HOST")
            .replace(layout.digest(), "DIGEST");
        assert!(!refused.contains("hunter2"), "{refused}");
        assert_snapshot!(refused, @r#"push DIGEST to HOST/acme/page: http://HOST/token answered 403 Forbidden: {"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#);
    }
}
