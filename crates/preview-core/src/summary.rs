//! The job summary: what a run decided and did, for whoever opens its page.

use std::fmt::Write as _;

use crate::comment::display_name;
use crate::markdown::{code_cell, fence, inline, is_plain_url};
use crate::outcome::{EffectResult, Exit, ResultFile};
use crate::promote::{self, Link};
use crate::{approvals, doctor, plan, previews, sweep};

/// Effects that a summary lists; `result.json` has them all. GitHub takes 1 MiB.
const EFFECTS: usize = 300;

/// The summary of a run.
#[must_use]
pub fn summary(result: &ResultFile) -> String {
    let mut out = String::new();
    head(&mut out, result);
    if !result.refusals.is_empty() {
        out.push_str("\n### Refused\n\n");
        for refusal in &result.refusals {
            let _ = writeln!(out, "- {}", inline(refusal));
        }
    }
    if let Some(overdraft) = &result.overdraft {
        let _ = write!(out, "\n### Quota\n\n{}", overdraft.table.markdown());
    }
    if !result.findings.is_empty() {
        let _ = write!(
            out,
            "\n### Findings\n\n{}",
            doctor::markdown(&result.findings)
        );
    }
    if !result.plan.is_empty() {
        let _ = write!(out, "\n### Plan\n\n{}", plan::markdown(&result.plan));
    }
    if !result.swept.is_empty() {
        let _ = write!(out, "\n### Swept\n\n{}", sweep::markdown(&result.swept));
    }
    if !result.approvals.is_empty() {
        let table = approvals::markdown(&result.approvals);
        let _ = write!(out, "\n### Waiting for approval\n\n{table}");
    }
    if !result.previews.is_empty() {
        let table = previews::markdown(&result.previews, result.started);
        let _ = write!(out, "\n### Previews\n\n{table}");
    }
    failure(&mut out, result);
    if !result.chain.is_empty() {
        out += &chain_table(&result.chain);
    }
    if !result.history.is_empty() {
        let table = promote::markdown(&result.history);
        let _ = write!(out, "\n### History\n\n{table}");
    }
    images(&mut out, result);
    receipt(&mut out, result);
    notes(&mut out, result);
    timeline(&mut out, result);
    effects(&mut out, result);
    out
}

/// The chain of evidence as a table: a mark for each link, and the two values that have to agree; once where they are the same,
/// or two columns of digests would be wider than a page.
#[must_use]
pub fn chain_table(chain: &[Link]) -> String {
    let mut out = "\n### Evidence\n\n| | Link | Wanted | Found |\n|---|---|---|---|\n".to_owned();
    for link in chain {
        let is_same = link.found == link.wanted && !link.found.is_empty();
        let found = if is_same { "the same" } else { &link.found };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            link.holds.sign(),
            inline(&link.name),
            inline(&link.wanted),
            inline(found)
        );
    }
    out
}

fn head(out: &mut String, result: &ResultFile) {
    let sign = match result.exit {
        Exit::Done => "✅",
        Exit::Refused => "⛔",
        Exit::Misused | Exit::OutsideFailed => "❌",
    };
    let subject = result.subject.as_ref();
    let subject = subject.map_or_else(String::new, |subject| format!(" {subject}"));
    let _ = writeln!(
        out,
        "## {sign} {}{subject}: {}\n\n{}\n",
        result.program,
        inline(&result.verdict),
        inline(&result.reason)
    );
    if let Some(url) = result.url.as_deref().filter(|url| is_plain_url(url)) {
        let _ = writeln!(out, "- URL: {url}");
    }
    if let Some(commit) = &result.commit {
        let _ = writeln!(out, "- Commit: {commit}");
    }
    if let Some(namespace) = &result.namespace {
        let _ = writeln!(out, "- Namespace: `{namespace}`");
    }
    let _ = writeln!(out, "- Took: {}", seconds(result.took_ms));
}

fn failure(out: &mut String, result: &ResultFile) {
    let Some(failure) = &result.failure else {
        return;
    };
    let _ = writeln!(out, "\n### Failed\n\n{}", inline(&failure.to_string()));
    if let Some(namespace) = &result.namespace {
        let _ = writeln!(
            out,
            "\nThe {} acts; next: `{}`",
            failure.class.actor(),
            failure.next_command(namespace).replace('`', "")
        );
    }
    if !failure.log.is_empty() {
        let _ = writeln!(out, "\n{}", fence(&failure.log));
    }
    if !failure.events.is_empty() {
        let _ = writeln!(out, "\n{}", fence(&failure.events));
    }
}

fn images(out: &mut String, result: &ResultFile) {
    if result.images.is_empty() {
        return;
    }
    out.push_str("\n### Images\n\n| Component | Image |\n|---|---|\n");
    for (component, image) in &result.images {
        let image = code_cell(&image.to_string());
        let _ = writeln!(out, "| {} | {image} |", display_name(component));
    }
}

fn receipt(out: &mut String, result: &ResultFile) {
    if result.receipt.is_empty() {
        return;
    }
    out.push_str("\n### Receipt\n\n| | Object | |\n|---|---|---|\n");
    for item in &result.receipt {
        let _ = writeln!(
            out,
            "| {} | {} | {}{} |",
            item.state.sign(),
            code_cell(&item.object),
            item.state,
            item.note
                .as_ref()
                .map_or_else(String::new, |note| format!(": {}", inline(note)))
        );
    }
}

fn notes(out: &mut String, result: &ResultFile) {
    if result.notes.is_empty() {
        return;
    }
    out.push_str("\n### Remarks\n\n");
    for note in &result.notes {
        let _ = writeln!(out, "- {note}");
    }
}

/// The phases as a picture that GitHub draws, on the reader's own clock: when each began, and until when it took.
/// <https://mermaid.js.org/syntax/gantt.html>
fn timeline(out: &mut String, result: &ResultFile) {
    if result.phases.len() < 2 {
        return;
    }
    out.push_str(
        "\n### Timeline\n\n```mermaid\ngantt\n    dateFormat x\n    axisFormat %H:%M:%S\n",
    );
    let took = i64::try_from(result.took_ms).unwrap_or(i64::MAX);
    let end = result.started.as_millisecond().saturating_add(took);
    let begins = result
        .phases
        .iter()
        .map(|entered| entered.started.as_millisecond());
    let ends = begins.clone().skip(1).chain([end]);
    for ((entered, begins), ends) in result.phases.iter().zip(begins).zip(ends) {
        // A colon would end the name, and a clock that was set back would end the picture.
        let name = entered
            .phase
            .replace(|c: char| !c.is_ascii_alphanumeric(), " ");
        let ends = ends.max(begins);
        let took = seconds(u64::try_from(ends - begins).unwrap_or(0));
        let _ = writeln!(out, "    {name}, {took} :{begins}, {ends}");
    }
    out.push_str("```\n");
}

fn effects(out: &mut String, result: &ResultFile) {
    if result.effects.is_empty() {
        return;
    }
    out.push_str("\n### Effects\n\n| | What | Object | Took |\n|---|---|---|---:|\n");
    for effect in result.effects.iter().take(EFFECTS) {
        let (sign, error) = match &effect.result {
            EffectResult::Done => ("✅", String::new()),
            EffectResult::Unchanged => ("➖", String::new()),
            EffectResult::Failed(error) => ("❌", format!(": {}", inline(error))),
        };
        let _ = writeln!(
            out,
            "| {sign} | {} | {}{error} | {} |",
            inline(&effect.what),
            inline(&effect.object),
            seconds(effect.took_ms)
        );
    }
    let more = result.effects.len().saturating_sub(EFFECTS);
    if more > 0 {
        let _ = writeln!(out, "\n… and {more} more in result.json");
    }
}

/// `0.1 s`, in tenths.
fn seconds(milliseconds: u64) -> String {
    let tenths = milliseconds.saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{Failure, FailureClass};
    use crate::objects::{Kind, ObjectName};
    use crate::outcome::{Program, ReceiptItem, ReceiptState};
    use crate::promote::Mark;

    fn result(program: Program, exit: Exit, verdict: &str) -> ResultFile {
        let started = "2025-12-19T14:32:00Z".parse().unwrap();
        let mut result = ResultFile::new(program, exit, verdict, "because | of <it>", started);
        result.subject = Some("pr-7".parse().unwrap());
        result.commit = Some("a".repeat(40).parse().unwrap());
        result.namespace = Some("preview-pr-7".parse().unwrap());
        result.took_ms = 61_449;
        let ended = "2025-12-19T14:32:02.25Z".parse().unwrap();
        result.effects.note(
            "apply",
            "Deployment/web",
            started,
            ended,
            EffectResult::Done,
        );
        result.effects.note(
            "comment",
            "pull request #7",
            started,
            started,
            EffectResult::Failed("502 | <html>".into()),
        );
        result
    }

    #[test]
    fn a_deployment() {
        let mut result = result(Program::Deploy, Exit::Done, "deployed");
        result.url = Some("https://7.pr.example.com".into());
        for (phase, at) in [
            ("observing", "2025-12-19T14:32:00Z"),
            ("rolling-out", "2025-12-19T14:32:01.5Z"),
            ("ready", "2025-12-19T14:33:01Z"),
        ] {
            assert!(result.enter(phase, at.parse().unwrap()));
        }
        result.images.insert(
            "api".parse().unwrap(),
            format!("ghcr.io/acme/api@sha256:{}", "1".repeat(64))
                .parse()
                .unwrap(),
        );
        insta::assert_snapshot!(summary(&result), @r"
        ## ✅ preview-deploy pr-7: deployed

        because \| of &lt;it&gt;

        - URL: https://7.pr.example.com
        - Commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        - Namespace: `preview-pr-7`
        - Took: 61.4 s

        ### Images

        | Component | Image |
        |---|---|
        | API | `ghcr.io/acme/api@sha256:1111111111111111111111111111111111111111111111111111111111111111` |

        ### Timeline

        ```mermaid
        gantt
            dateFormat x
            axisFormat %H:%M:%S
            observing, 1.5 s :1766154720000, 1766154721500
            rolling out, 59.5 s :1766154721500, 1766154781000
            ready, 0.4 s :1766154781000, 1766154781449
        ```

        ### Effects

        | | What | Object | Took |
        |---|---|---|---:|
        | ✅ | apply | Deployment/web | 2.3 s |
        | ❌ | comment | pull request #&#8203;7: 502 \| &lt;html&gt; | 0.0 s |
        ");
    }

    #[test]
    fn a_failed_deployment() {
        let mut result = result(Program::Deploy, Exit::OutsideFailed, "failed");
        result.failure = Some(Failure {
            class: FailureClass::Probe,
            workload: ObjectName::new(Kind::Deployment, "web"),
            pod: Some("web-1".into()),
            container: Some("web".into()),
            message: "no progress".into(),
            log: vec!["```".into()],
            events: Vec::new(),
        });
        insta::assert_snapshot!(summary(&result), @r"
        ## ❌ preview-deploy pr-7: failed

        because \| of &lt;it&gt;

        - Commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        - Namespace: `preview-pr-7`
        - Took: 61.4 s

        ### Failed

        Deployment/web: never becomes ready (pod web-1, container web): no progress

        The author acts; next: `kubectl -n preview-pr-7 logs web-1 -c web`

        ````text
        ```
        ````

        ### Effects

        | | What | Object | Took |
        |---|---|---|---:|
        | ✅ | apply | Deployment/web | 2.3 s |
        | ❌ | comment | pull request #&#8203;7: 502 \| &lt;html&gt; | 0.0 s |
        ");
    }

    #[test]
    fn a_cleanup_with_its_receipt() {
        let mut result = result(Program::Cleanup, Exit::OutsideFailed, "blocked");
        result.receipt = vec![ReceiptItem {
            object: "PersistentVolume/pvc-1".into(),
            state: ReceiptState::Blocked,
            note: Some("finalizer kubernetes.io/pv-protection".into()),
        }];
        insta::assert_snapshot!(summary(&result), @r"
        ## ❌ preview-cleanup pr-7: blocked

        because \| of &lt;it&gt;

        - Commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        - Namespace: `preview-pr-7`
        - Took: 61.4 s

        ### Receipt

        | | Object | |
        |---|---|---|
        | ❌ | `PersistentVolume/pvc-1` | still there: finalizer kubernetes.io/pv-protection |

        ### Effects

        | | What | Object | Took |
        |---|---|---|---:|
        | ✅ | apply | Deployment/web | 2.3 s |
        | ❌ | comment | pull request #&#8203;7: 502 \| &lt;html&gt; | 0.0 s |
        ");
    }

    #[test]
    fn a_refused_promotion_with_its_chain() {
        let mut result = result(Program::Promote, Exit::Refused, "refused");
        result.refusals = vec!["the trees differ".into()];
        let link = |name: &str, holds| Link {
            name: name.into(),
            holds,
            wanted: "a|b".into(),
            found: "c".into(),
        };
        result.chain = vec![
            link("one", Mark::Holds),
            link("two", Mark::Broken),
            link("three", Mark::Unknown),
        ];
        insta::assert_snapshot!(summary(&result), @r"
        ## ⛔ preview-promote pr-7: refused

        because \| of &lt;it&gt;

        - Commit: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        - Namespace: `preview-pr-7`
        - Took: 61.4 s

        ### Refused

        - the trees differ

        ### Evidence

        | | Link | Wanted | Found |
        |---|---|---|---|
        | ✅ | one | a\|b | c |
        | ❌ | two | a\|b | c |
        | ➖ | three | a\|b | c |

        ### Effects

        | | What | Object | Took |
        |---|---|---|---:|
        | ✅ | apply | Deployment/web | 2.3 s |
        | ❌ | comment | pull request #&#8203;7: 502 \| &lt;html&gt; | 0.0 s |
        ");
    }

    #[test]
    fn times_are_in_tenths_of_a_second() {
        let shown = [0, 49, 50, 999, 61_449].map(seconds);
        assert_eq!(shown, ["0.0 s", "0.0 s", "0.1 s", "1.0 s", "61.4 s"]);
    }
}
