//! The summaries of runs, as whoever opens a run's page sees them.

use jiff::{SignedDuration, Timestamp};
use preview_core::outcome::{EffectResult, Exit, Program, ReceiptItem, ReceiptState, ResultFile};
use preview_core::promote::{Link, Mark};
use preview_core::summary::summary;
use preview_core::sweep::{self, Measure, Swept};

use super::{HEAD, MERGED, digest, image, now};

/// A run's result, with what every run tells.
fn result(program: Program, exit: Exit, verdict: &str, reason: &str) -> anyhow::Result<ResultFile> {
    let mut result = ResultFile::new(program, exit, verdict, reason, now()?);
    result.took_ms = 72_300;
    Ok(result)
}

/// So many milliseconds after the run began.
fn after(milliseconds: i64) -> anyhow::Result<Timestamp> {
    Ok(now()?.checked_add(SignedDuration::from_millis(milliseconds))?)
}

/// What was done to which object, when, and until when.
type Done = (&'static str, &'static str, i64, i64);

fn done(result: &mut ResultFile, effects: &[Done]) -> anyhow::Result<()> {
    for &(what, object, began, ended) in effects {
        let (began, ended) = (after(began)?, after(ended)?);
        let done = EffectResult::Done;
        result.effects.note(what, object, began, ended, done);
    }
    Ok(())
}

pub(super) fn deploy() -> anyhow::Result<String> {
    let reason = "pull request #123 is ready";
    let mut result = result(Program::Deploy, Exit::Done, "deployed", reason)?;
    result.subject = Some("pr-123".parse()?);
    result.commit = Some(HEAD.parse()?);
    result.namespace = Some("preview-pr-123".parse()?);
    result.url = Some("https://123.pr.example.com".to_owned());
    for component in ["api", "web"] {
        result.images.insert(component.parse()?, image(component)?);
    }
    let phases = [
        ("observing", 0),
        ("provisioning", 3_400),
        ("migrating", 21_900),
        ("rolling-out", 33_000),
        ("checking", 66_200),
        ("ready", 71_800),
    ];
    for (phase, began) in phases {
        result.enter(phase, after(began)?);
    }
    let effects = [
        ("apply", "Namespace/preview-pr-123", 3_400, 3_500),
        ("apply", "StatefulSet/database", 4_100, 4_200),
        ("wait", "StatefulSet/database", 4_200, 21_800),
        ("wait", "Job/migrate", 22_000, 33_000),
        ("apply", "Deployment/api", 33_000, 33_100),
        ("apply", "Deployment/web", 33_100, 33_200),
        ("comment", "pull request #123", 71_800, 72_100),
    ];
    done(&mut result, &effects)?;
    Ok(summary(&result))
}

pub(super) fn cleanup() -> anyhow::Result<String> {
    let reason = "pull request #123 is closed";
    let mut result = result(Program::Cleanup, Exit::Done, "destroyed", reason)?;
    result.subject = Some("pr-123".parse()?);
    result.namespace = Some("preview-pr-123".parse()?);
    let objects = [
        "Namespace/preview-pr-123",
        "PersistentVolume/pvc-3f0a5c1e-9d52-4c0e-8f1b-7a1f0c9d2b44",
    ];
    let gone = objects.map(|object| ReceiptItem {
        object: object.to_owned(),
        state: ReceiptState::Gone,
        note: None,
    });
    result.receipt = gone.to_vec();
    let effects = [
        ("delete", "Namespace/preview-pr-123", 900, 1_000),
        ("comment", "pull request #123", 71_800, 72_100),
    ];
    done(&mut result, &effects)?;
    Ok(summary(&result))
}

pub(super) fn promotion() -> anyhow::Result<String> {
    let reason = "what was tested in pr-123 runs in production";
    let mut result = result(Program::Promote, Exit::Done, "promoted", reason)?;
    result.subject = Some("pr-123".parse()?);
    result.commit = Some(MERGED.parse()?);
    result.namespace = Some("shop".parse()?);
    let link = |name: &str, holds, wanted: &str, found: &str| Link {
        name: name.to_owned(),
        holds,
        wanted: wanted.to_owned(),
        found: found.to_owned(),
    };
    let tree = &digest("tree")[..40];
    let (web, pinned) = (image("web")?, image("web")?.to_string());
    let web = web.digest.to_string();
    let runs = format!("{}, container web", "Deployment/web");
    let (runs, why) = (
        format!("{runs}: runs"),
        "not verified: the node reports another digest of the same image",
    );
    result.chain = vec![
        link("merged", Mark::Holds, "a commit of main", MERGED),
        link(
            "tested",
            Mark::Holds,
            "a record that can be believed",
            "pr-123 at abc1234 by run 12",
        ),
        link("tree", Mark::Holds, tree, tree),
        link("web: in the record", Mark::Holds, "an image", &pinned),
        link("web: built by", Mark::Holds, "trusted or branch", "branch"),
        link("web: in the registry", Mark::Holds, &web, &web),
        link("web: ran in the preview", Mark::Holds, &web, &web),
        link(&runs, Mark::Unknown, &web, why),
    ];
    result.images.insert("web".parse()?, image("web")?);
    done(
        &mut result,
        &[("set image", "Deployment/web", 8_000, 8_200)],
    )?;
    Ok(summary(&result))
}

pub(super) fn sweep() -> anyhow::Result<String> {
    let told = [
        ("87", Measure::Destroyed, "pull request #87 is closed"),
        (
            "104",
            Measure::Asleep,
            "it was deployed last at 2025-12-12 17:05 UTC",
        ),
        (
            "110",
            Measure::Warned,
            "it is destroyed at 2025-12-26 14:32 UTC unless somebody asks to keep it",
        ),
        (
            "119",
            Measure::Failed,
            "PersistentVolume/pvc-1 is still there: finalizer kubernetes.io/pv-protection",
        ),
    ];
    let swept = told.map(|(number, measure, reason)| -> anyhow::Result<Swept> {
        Ok(Swept {
            namespace: format!("preview-pr-{number}").parse()?,
            subject: Some(format!("pr-{number}").parse()?),
            measure,
            reason: reason.to_owned(),
        })
    });
    let swept = swept.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let reason = sweep::sentence(&swept, 9);
    let mut result = result(Program::Cleanup, Exit::OutsideFailed, "failed", &reason)?;
    result.swept = swept;
    Ok(summary(&result))
}
