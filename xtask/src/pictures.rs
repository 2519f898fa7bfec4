//! `cargo xtask pictures`: the pages that people see, made by the code that makes them on GitHub, as Markdown and as pictures.

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use preview_core::names::PinnedImage;
use sha2::{Digest as _, Sha256};
use xshell::{Shell, cmd};

use crate::workflows::{from_npm, root};

mod comments;
mod summaries;

/// Where Markdown and pictures lie, side by side.
const FOLDER: &str = "docs/pictures";
/// Debian's browser.
const CHROMIUM: &str = "chromium";
/// How wide a page is, in pixels: as a comment on GitHub.
const WIDTH: u32 = 860;

/// The commit H of all pages.
const HEAD: &str = "abc1234f6d0b7c1e8a9f2d3c4b5a69788796a5b4";
/// The commit M.
const MERGED: &str = "d1e5c0ffee4b2a1908f7e6d5c4b3a29180f1e2d3";
/// The run's page.
const RUN: &str = "https://github.com/acme/shop/actions/runs/12";

/// A page: its name, whether GitHub breaks its lines where they end (in comments it does, in summaries it does not), and what
/// makes it.
type Page = (&'static str, bool, fn() -> anyhow::Result<String>);

const PAGES: &[Page] = &[
    ("deploying", true, comments::deploying),
    ("ready", true, comments::ready),
    ("ready-with-remarks", true, comments::ready_with_remarks),
    ("failed", true, comments::failed),
    ("outside-failed", true, comments::outside_failed),
    ("queued", true, comments::queued),
    ("awaiting-approval", true, comments::awaiting_approval),
    ("not-approved", true, comments::not_approved),
    ("refused", true, comments::refused),
    ("refused-for-quota", true, comments::refused_for_quota),
    ("asleep", true, comments::asleep),
    ("destroyed", true, comments::destroyed),
    ("not-destroyed", true, comments::not_destroyed),
    ("promoted", true, comments::promoted),
    ("not-promoted", true, comments::not_promoted),
    ("rolled-back", true, comments::rolled_back),
    ("summary-of-a-deploy", false, summaries::deploy),
    ("summary-of-a-cleanup", false, summaries::cleanup),
    ("summary-of-a-promotion", false, summaries::promotion),
    ("summary-of-a-sweep", false, summaries::sweep),
];

/// Runs `cargo xtask pictures`.
///
/// # Errors
/// When there is no Chromium or no npm, or a page cannot be made or written.
pub(crate) fn run() -> anyhow::Result<()> {
    let shell = Shell::new()?;
    ensure!(
        cmd!(shell, "{CHROMIUM} --version")
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
            .is_ok(),
        "missing: Chromium; install (Debian): apt-get install -y chromium fonts-noto-color-emoji"
    );
    // What draws Markdown as GitHub does.
    let tools = from_npm(&shell, "pictures")?;
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("create {FOLDER}"))?;
    for (name, breaks, make) in PAGES {
        let markdown = folder.join(name).with_extension("md");
        let text = make().with_context(|| format!("make {name}"))?;
        fs::write(&markdown, text).with_context(|| format!("write {}", markdown.display()))?;
        let picture = markdown.with_extension("png");
        take(&shell, &tools, &markdown, *breaks, &picture)
            .with_context(|| format!("take a picture of {name}"))?;
        println!("{FOLDER}/{name}.png");
    }
    Ok(())
}

/// Whether the Markdown in the repository is what is made now; the pictures are of that.
///
/// # Errors
/// When a page is not current, or lies there and is made no more.
pub(crate) fn check() -> anyhow::Result<()> {
    let folder = root().join(FOLDER);
    for (name, _, make) in PAGES {
        let text = make().with_context(|| format!("make {name}"))?;
        let copy = folder.join(name).with_extension("md");
        if fs::read_to_string(&copy).ok().as_ref() != Some(&text) {
            bail!(
                "{FOLDER}/{name}.md is not current; `cargo xtask pictures` makes it and its picture anew"
            );
        }
        ensure!(
            copy.with_extension("png").exists(),
            "{FOLDER}/{name}.png is missing; `cargo xtask pictures` makes it"
        );
    }
    for entry in fs::read_dir(&folder).with_context(|| format!("list {FOLDER}"))? {
        let path = entry.with_context(|| format!("list {FOLDER}"))?.path();
        let stem = path.file_stem().unwrap_or_default();
        ensure!(
            PAGES.iter().any(|(name, ..)| stem == *name),
            "{} is made no more; remove it",
            path.display()
        );
    }
    Ok(())
}

/// Takes a picture of a page: once to learn how high it is, and once as high as that.
fn take(
    shell: &Shell,
    tools: &Path,
    markdown: &Path,
    breaks: bool,
    picture: &Path,
) -> anyhow::Result<()> {
    let own = tempfile::tempdir().context("make a folder for the browser")?;
    let page = own.path().join("page.html");
    let script = tools.join("page.mjs");
    let breaks = breaks.to_string();
    let html = cmd!(shell, "node {script} {markdown} {breaks}")
        .quiet()
        .read()?;
    fs::write(&page, html).context("write the page")?;
    let profile = format!("--user-data-dir={}", own.path().join("profile").display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        profile.as_str(),
    ];
    let window = |height: u32| format!("--window-size={WIDTH},{height}");
    let browse = |size: &str, what: &str| {
        // The axis of a timeline is on the reader's own clock.
        cmd!(shell, "{CHROMIUM} {flags...} {size} {what} {page}")
            .env("TZ", "UTC")
            .quiet()
            .ignore_stderr()
    };
    let dom = browse(&window(400), "--dump-dom").read()?;
    let height = height(&dom)?;
    let shot = format!("--screenshot={}", picture.display());
    browse(&window(height), &shot).ignore_stdout().run()?;
    Ok(())
}

/// How high the page says that it is, in pixels, once everything is drawn.
fn height(dom: &str) -> anyhow::Result<u32> {
    let (_, rest) = dom
        .split_once("data-height=\"")
        .context("the page did not become ready")?;
    let (height, _) = rest
        .split_once('"')
        .context("the page's height has no end")?;
    height.parse().context("read the page's height")
}

/// When everything happens.
fn now() -> anyhow::Result<Timestamp> {
    Ok("2025-12-19T14:32:00Z".parse()?)
}

/// Something that looks like a digest, always the same of the same word.
fn digest(word: &str) -> String {
    Sha256::digest(word)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A component's image.
fn image(component: &str) -> anyhow::Result<PinnedImage> {
    let digest = digest(component);
    Ok(format!("ghcr.io/acme/shop/{component}@sha256:{digest}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_its_height_once_it_is_drawn() {
        assert_eq!(height("<body data-height=\"412\">").unwrap(), 412);
        let early = height("<body>").unwrap_err().to_string();
        insta::assert_snapshot!(early, @"the page did not become ready");
    }

    #[test]
    fn every_page_is_shown_with_what_to_do() {
        let shown = fs::read_to_string(root().join("docs/what-people-see.md")).unwrap();
        for (name, ..) in PAGES {
            assert!(shown.contains(&format!("](pictures/{name}.png)")), "{name}");
        }
    }
}
