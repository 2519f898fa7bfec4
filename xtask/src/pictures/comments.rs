//! The comment in each of its states, as a team might see it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use preview_core::approvals::{Cancelled, Reason};
use preview_core::comment::{Asks, Comment, Condition, Ended, Note, Replicas, State};
use preview_core::deploy::{self, Tag};
use preview_core::health::{Failure, FailureClass, Rollout};
use preview_core::names::{CommitSha, Subject};
use preview_core::objects::{Kind, ObjectName};
use preview_core::outcome::{ReceiptItem, ReceiptState};
use preview_core::promote::{Gained, Moved, Refusal, Titled};
use preview_core::slots::{Holder, Place, Waiting};

use super::{HEAD, MERGED, RUN, digest, image, now};

/// The parts of the preview and how many of their replicas are ready, of two each.
type Parts = [(&'static str, u32)];

/// A comment on #123 whose preview has nothing yet.
fn bare(state: State) -> anyhow::Result<Comment> {
    let run = Some(RUN.to_owned());
    let mut comment = Comment::of(state, HEAD.parse()?, now()?, run);
    comment.namespace = Some("preview-pr-123".parse()?);
    Ok(comment)
}

/// One whose preview has all of its parts.
fn whole(state: State, parts: &Parts) -> anyhow::Result<Comment> {
    let mut comment = bare(state)?;
    comment.url = Some("https://123.pr.example.com".to_owned());
    comment.database = Some(Condition::Ready);
    for &(name, ready) in parts {
        let desired = 2;
        let rollout = match ready == desired {
            true => Rollout::Complete { ready, desired },
            false => Rollout::Waiting { ready, desired },
        };
        let replicas = Replicas::of(&rollout, desired);
        comment.components.push((name.parse()?, replicas));
    }
    Ok(comment)
}

pub(super) fn deploying() -> anyhow::Result<String> {
    let step = "rolling out".to_owned();
    let comment = whole(State::Deploying { step }, &[("web", 2), ("api", 1)])?;
    Ok(comment.render())
}

pub(super) fn ready() -> anyhow::Result<String> {
    Ok(whole(State::Ready, &[("web", 2), ("api", 2)])?.render())
}

pub(super) fn ready_with_remarks() -> anyhow::Result<String> {
    let mut comment = whole(State::Ready, &[("web", 2), ("api", 2), ("admin-ui", 2)])?;
    let cache = ObjectName::new(Kind::Deployment, "cache");
    let others = BTreeMap::from([("redis:7".to_owned(), [cache].into())]);
    comment.notes = vec![
        Note::AnswersAt {
            component: "admin-ui".parse()?,
            url: "https://admin.123.pr.example.com".to_owned(),
        },
        Note::UpdatesInPlace,
        Note::ManifestsNotInPreview {
            files: vec!["deploy/base/web.yaml".to_owned(), "preview.toml".to_owned()],
            are_all: true,
        },
        Note::OtherImages(others),
    ];
    Ok(comment.render())
}

pub(super) fn failed() -> anyhow::Result<String> {
    let web = ObjectName::new(Kind::Deployment, "web");
    let log = [
        "2025-12-19T14:32:41Z info  shop web 4.2.0 starts",
        "2025-12-19T14:32:41Z info  listening on 0.0.0.0:8080",
        "2025-12-19T14:32:42Z error no table \"carts\": column \"discount\" does not exist",
        "2025-12-19T14:32:42Z error <CartStore> gave up after 3 attempts",
    ];
    let failure = Failure {
        pod: Some("web-6d5f9c7b8-x2x7k".to_owned()),
        container: Some("web".to_owned()),
        log: log.map(str::to_owned).to_vec(),
        ..Failure::new(FailureClass::Crash, &web, "ended with exit code 3 (Error)")
    };
    let ended = Ended {
        step: "rolling out".to_owned(),
        after: Duration::from_secs(72),
        access: Some("https://wiki.example.com/kubectl tells how to get at the cluster".to_owned()),
    };
    let mut comment = whole(State::Failed { failure, ended }, &[("api", 2)])?;
    let crashed = Replicas {
        condition: Condition::Failed,
        ready: 0,
        desired: 2,
    };
    comment.components.insert(0, ("web".parse()?, crashed));
    let previous = "5".repeat(40).parse()?;
    comment.notes = vec![Note::PreviousServes {
        commit: Some(previous),
    }];
    Ok(comment.render())
}

pub(super) fn outside_failed() -> anyhow::Result<String> {
    let ended = Ended {
        step: "observing".to_owned(),
        after: Duration::from_secs(34),
        access: None,
    };
    let state = State::OutsideFailed {
        class: FailureClass::Registry,
        error: "cannot read ghcr.io/acme/shop/web: the registry answered 503; try again later"
            .to_owned(),
        ended,
    };
    Ok(bare(state)?.render())
}

pub(super) fn queued() -> anyhow::Result<String> {
    let holder = |pull: Option<&str>, since: &str| -> anyhow::Result<Holder> {
        let subject = pull.map(str::parse).transpose()?;
        let since = Some(since.parse()?);
        Ok(Holder { subject, since })
    };
    let state = State::Queued(Waiting {
        capacity: 3,
        place: Some(Place { number: 1, of: 4 }),
        holders: vec![
            holder(Some("pr-87"), "2025-12-17T09:12:00Z")?,
            holder(None, "2025-12-18T16:40:00Z")?,
            holder(Some("pr-119"), "2025-12-19T08:03:00Z")?,
        ],
    });
    Ok(bare(state)?.render())
}

pub(super) fn not_approved() -> anyhow::Result<String> {
    let since = "2025-12-12T09:30:00Z".parse()?;
    let mut comment = bare(State::NotApproved(Cancelled {
        head: HEAD.parse()?,
        why: Reason::Late { since },
        page: RUN.to_owned(),
    }))?;
    (comment.namespace, comment.run_url) = (None, None);
    Ok(comment.render())
}

pub(super) fn refused() -> anyhow::Result<String> {
    let reason = deploy::ImageRefusal::NoImage {
        component: "web".parse()?,
        name: "ghcr.io/acme/shop-web".parse()?,
        tags: vec![Tag::Head(HEAD.parse()?)],
        why: None,
    };
    let reasons = vec![reason.to_string()];
    refusal(State::Refused {
        reasons,
        table: None,
    })
}

pub(super) fn refused_for_quota() -> anyhow::Result<String> {
    let line = |object: &str, pods: u32, cpu: &str, memory: &str| {
        let uses = serde_json::json!({ "limits.cpu": cpu, "limits.memory": memory });
        serde_json::json!({ "object": object, "pods": pods, "uses": uses })
    };
    let table = serde_json::json!({
        "lines": [
            line("StatefulSet/database", 1, "500m", "512Mi"),
            line("Deployment/api", 2, "1", "1Gi"),
            line("Deployment/web", 9, "4500m", "4608Mi"),
        ],
        "hard": { "limits.cpu": "4", "limits.memory": "4Gi" },
    });
    refusal(State::Refused {
        reasons: vec!["the preview does not fit its quota; lower what its workloads ask for, or raise [quota] in preview.toml".to_owned()],
        table: Some(serde_json::from_value(table).context("a table of a quota")?),
    })
}

fn refusal(state: State) -> anyhow::Result<String> {
    let mut comment = bare(state)?;
    comment.namespace = None;
    Ok(comment.render())
}

pub(super) fn asleep() -> anyhow::Result<String> {
    let state = State::Asleep {
        active: "2025-12-12T17:05:00Z".parse()?,
        commands: vec![
            format!(
                "gh workflow run preview-deploy.yml --repo acme/shop --ref main -f pr=123 -f sha={HEAD}"
            ),
            "preview-deploy wake --pr 123".to_owned(),
        ],
    };
    Ok(bare(state)?.render())
}

pub(super) fn awaiting_approval() -> anyhow::Result<String> {
    let images = [
        ("api".parse()?, image("api")?),
        ("web".parse()?, image("web")?),
    ];
    let mut comment = bare(State::AwaitingApproval(Asks {
        head: HEAD.parse()?,
        images: images.into(),
        reviewers: vec!["carol".to_owned(), "acme/platform".to_owned()],
        page: Some(RUN.to_owned()),
        until: "2025-12-26T14:32:00Z".parse()?,
    }))?;
    (comment.namespace, comment.run_url) = (None, None);
    Ok(comment.render())
}

/// As a teardown proves it.
fn receipt(volume: ReceiptState, note: &str) -> Vec<ReceiptItem> {
    let item = |object: &str, state, note: &str| ReceiptItem {
        object: object.to_owned(),
        state,
        note: Some(note.to_owned()),
    };
    let (namespace, claim) = (
        "6f0c1e2a-58b7-4a55-9d0e-2f7b1c9e4d10",
        "3f0a5c1e-9d52-4c0e-8f1b-7a1f0c9d2b44",
    );
    let gone = |what: &str, uid: &str| format!("no {what} has uid {uid}");
    let is_held = volume == ReceiptState::Blocked;
    vec![
        match is_held {
            true => item(
                "Namespace/preview-pr-123",
                ReceiptState::Blocked,
                "waits for what is below",
            ),
            false => item(
                "Namespace/preview-pr-123",
                ReceiptState::Gone,
                &gone("Namespace", namespace),
            ),
        },
        item("pods", ReceiptState::Gone, "5 seen, none left"),
        item(
            "PersistentVolumeClaim/data-database-0",
            ReceiptState::Gone,
            &gone("claim", claim),
        ),
        item(&format!("PersistentVolume/pvc-{claim}"), volume, note),
    ]
}

pub(super) fn destroyed() -> anyhow::Result<String> {
    let receipt = receipt(
        ReceiptState::Gone,
        "no volume is of claim 3f0a5c1e-9d52-4c0e-8f1b-7a1f0c9d2b44",
    );
    let mut comment = bare(State::Destroyed { receipt })?;
    comment.namespace = None;
    Ok(comment.render())
}

pub(super) fn not_destroyed() -> anyhow::Result<String> {
    let receipt = receipt(
        ReceiptState::Blocked,
        "finalizer kubernetes.io/pv-protection",
    );
    Ok(bare(State::NotDestroyed { receipt })?.render())
}

pub(super) fn promoted() -> anyhow::Result<String> {
    let mut comment = bare(State::Promoted {
        target: "production".to_owned(),
        commit: MERGED.parse()?,
        images: [
            ("api".parse()?, image("api")?),
            ("web".parse()?, image("web")?),
        ]
        .into(),
    })?;
    comment.preview_gone = true;
    Ok(comment.render())
}

pub(super) fn not_promoted() -> anyhow::Result<String> {
    let title = "Prices with a discount".to_owned();
    let sha: CommitSha = "7".repeat(40).parse()?;
    let skew = Refusal::Skew {
        subject: Subject::Pr("123".parse()?),
        head: HEAD.parse()?,
        tested: digest("tested")[..40].parse()?,
        commit: MERGED.parse()?,
        merged: digest("merged")[..40].parse()?,
        moved: Moved::Base {
            branch: "main".to_owned(),
            tested_on: None,
            gained: Some(Gained {
                commits: vec![Titled { sha, title }],
                more: 0,
            }),
        },
    };
    let target = "production".to_owned();
    let reasons = vec![skew.to_string()];
    Ok(bare(State::NotPromoted { target, reasons })?.render())
}

pub(super) fn rolled_back() -> anyhow::Result<String> {
    let state = State::RolledBack {
        target: "production".to_owned(),
        commit: MERGED.parse()?,
        to: "5".repeat(40).parse()?,
        reason: "the cart loses its discount".to_owned(),
        resume: "preview-promote resume --target production".to_owned(),
    };
    Ok(bare(state)?.render())
}
