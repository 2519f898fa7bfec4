//! The two images that the node itself needs, pushed to the registry as any other.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, Response, StatusCode, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Running, state};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes `counterparts/pause:1` (the sandbox of every pod) and `counterparts/coredns:1`.
pub(super) fn push(running: &Running) -> anyhow::Result<()> {
    let pause = Image {
        repository: "counterparts/pause",
        file: Path::new("/bin/busybox"),
        inside: "sleep",
        entrypoint: &["/sleep", "2147483647"],
    };
    let coredns = state::path("bin/coredns");
    let coredns = Image {
        repository: "counterparts/coredns",
        file: &coredns,
        inside: "coredns",
        entrypoint: &["/coredns", "-conf", "/etc/coredns/Corefile"],
    };
    // reqwest is built without a provider; another part of xtask may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a runtime")?;
    runtime.block_on(async {
        for image in [pause, coredns] {
            image
                .push(running)
                .await
                .with_context(|| format!("push {}", image.repository))?;
        }
        Ok(())
    })
}

/// An image of one static binary.
struct Image<'a> {
    repository: &'a str,
    file: &'a Path,
    inside: &'a str,
    entrypoint: &'a [&'a str],
}

impl Image<'_> {
    async fn push(&self, running: &Running) -> anyhow::Result<()> {
        let to = Repository::open(running, self.repository).await?;
        let layer = tar(
            self.inside,
            &fs::read(self.file).with_context(|| format!("read {}", self.file.display()))?,
        );
        let (layer_digest, layer_size) = (digest(&layer), layer.len());
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": self.entrypoint},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]}, "history": [],
        }))?;
        let config_digest = digest(&config);
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer_size,
            }],
        }))?;
        to.blob(&layer_digest, layer).await?;
        to.blob(&config_digest, config).await?;
        let request = to
            .request(Method::PUT, &format!("{}/manifests/1", to.base))
            .header(header::CONTENT_TYPE, MANIFEST);
        accepted(request.body(manifest).send().await?)
            .await
            .map(drop)
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// An archive of one executable (ustar).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// A repository of the registry, and the right to push to it.
struct Repository {
    client: Client,
    base: String,
    token: String,
}

impl Repository {
    async fn open(running: &Running, name: &str) -> anyhow::Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .build()
            .context("make a client")?;
        let base = format!("http://{}/v2/{name}", running.registry);
        let question = format!(
            "http://{}/token?service={}&scope=repository:{name}:pull,push",
            super::TOKENS,
            running.registry
        );
        let asked = client
            .get(question)
            .basic_auth(&running.registry_user, Some(&running.registry_password));
        let answer: serde_json::Value =
            serde_json::from_str(&accepted(asked.send().await?).await?.text().await?)?;
        let token = answer["token"]
            .as_str()
            .context("the token server's answer has no token")?
            .to_owned();
        Ok(Self {
            client,
            base,
            token,
        })
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        self.client.request(method, url).bearer_auth(&self.token)
    }

    async fn blob(&self, digest: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        let known = self
            .request(Method::HEAD, &format!("{}/blobs/{digest}", self.base))
            .send()
            .await?;
        if known.status() == StatusCode::OK {
            return Ok(());
        }
        let begun = accepted(
            self.request(Method::POST, &format!("{}/blobs/uploads/", self.base))
                .send()
                .await?,
        )
        .await?;
        let place = begun
            .headers()
            .get(header::LOCATION)
            .context("the registry names no place to upload to")?;
        let place = format!("{}&digest={digest}", place.to_str()?);
        accepted(self.request(Method::PUT, &place).body(bytes).send().await?)
            .await
            .map(drop)
    }
}

async fn accepted(response: Response) -> anyhow::Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (url, status) = (response.url().clone(), response.status());
    bail!(
        "{url} answered {status}: {}",
        response.text().await.unwrap_or_default()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_one_that_tar_reads() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("layer.tar");
        fs::write(&archive, tar("hello", b"content")).unwrap();
        let listed = std::process::Command::new("tar")
            .arg("-tvf")
            .arg(&archive)
            .output()
            .unwrap();
        assert!(
            listed.status.success(),
            "{}",
            String::from_utf8_lossy(&listed.stderr)
        );
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.starts_with("-rwxr-xr-x 0/0") && listed.trim_end().ends_with("hello"),
            "{listed}"
        );
    }
}
